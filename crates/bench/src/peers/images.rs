//! Networks of convolutions: W4, W18.

use gradus_graph::Params;
use gradus_nn::{
    Conv2d, Conv2dOptions, ConvTranspose2d, ConvTranspose2dOptions, Dense, Flatten, Layer, MaxPool2d, Padding, Relu,
    loss,
};
use gradus_optim::{Adam, Sgd};

use super::work::{Work, Workload, indices, reals, training};

pub(super) const CNN: Workload =
    Workload::new("W4", "CNN 28×28, conv 5×5 8 and 16, dense 128-10, batch 64, momentum", Some([1.5, 1.5]), cnn);
pub(super) const U_NET: Workload =
    Workload::new("W18", "U-Net 28×28, channels 16, 32, 64, batch 32, Adam", None, u_net);

fn cnn() -> Work {
    let mut params = Params::new(1);
    let first = Conv2d::new(&mut params, "conv1", 1, 8, 5);
    let second = Conv2d::new(&mut params, "conv2", 8, 16, 5);
    let hidden = Dense::new(&mut params, "hidden", 256, 128);
    let output = Dense::new(&mut params, "output", 128, 10);
    let model = (first, Relu, MaxPool2d::new(2), second, Relu, MaxPool2d::new(2), Flatten::new(), hidden, Relu, output);
    let inputs = [("x", reals([64, 1, 28, 28])), ("labels", indices([64], 10))];
    training(params, Sgd::new(1e-2).momentum(0.9), inputs, move |_, [x, labels]| {
        loss::cross_entropy(model.forward(x), labels)
    })
}

fn u_net() -> Work {
    let mut params = Params::new(1);
    let pair = |params: &mut Params, name: &str, channels: usize, filters: usize| {
        let same = Conv2dOptions::new().padding(Padding::Same);
        let first = Conv2d::with(params, &format!("{name}a"), channels, filters, 3, same);
        (first, Relu, Conv2d::with(params, &format!("{name}b"), filters, filters, 3, same), Relu)
    };
    let [fine, middle, coarse] = [("down1", 1, 16), ("down2", 16, 32), ("down3", 32, 64)]
        .map(|(name, channels, filters)| pair(&mut params, name, channels, filters));
    let [raised_middle, raised_fine] = [("raise2", 64, 32), ("raise1", 32, 16)].map(|(name, channels, filters)| {
        let doubled = ConvTranspose2dOptions::new().stride(2);
        ConvTranspose2d::with(&mut params, name, channels, filters, 2, doubled)
    });
    let [joined_middle, joined_fine] =
        [("up2", 64, 32), ("up1", 32, 16)].map(|(name, channels, filters)| pair(&mut params, name, channels, filters));
    let output = Conv2d::new(&mut params, "output", 16, 1, 1);
    let inputs = [("x", reals([32, 1, 28, 28])), ("y", reals([32, 1, 28, 28]))];
    training(params, Adam::new(1e-3), inputs, move |graph, [x, y]| {
        let pool = MaxPool2d::new(2);
        let fine = fine.forward(x);
        let middle = middle.forward(pool.forward(fine));
        let coarse = coarse.forward(pool.forward(middle));
        let middle = joined_middle.forward(graph.concat(&[raised_middle.forward(coarse), middle], 1));
        let fine = joined_fine.forward(graph.concat(&[raised_fine.forward(middle), fine], 1));
        loss::mse(output.forward(fine), y)
    })
}
