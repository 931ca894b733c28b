//! The smallest program: a network learns XOR. `cargo run --release --example xor`

use gradus::nn::{Dense, loss};
use gradus::optim::{Adam, Optimizer};
use gradus::train::{Function, Step};
use gradus::{Params, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let x = Tensor::from_rows([[0.0_f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]);
    let y = Tensor::from_rows([[0.0_f32], [1.0], [1.0], [0.0]]);

    let mut params = Params::new(1);
    let hidden = Dense::new(&mut params, "hidden", 2, 8);
    let output = Dense::new(&mut params, "output", 8, 1);
    let mut step = Step::new(|_, [x, y]| {
        let logits = output.forward(hidden.forward(x).tanh());
        loss::binary_cross_entropy_with_logits(logits, y)
    });
    let mut adam = Optimizer::new(Adam::new(0.05));
    for _ in 0..300 {
        let gradients = step.run(&mut params, (&x, &y))?;
        adam.step(&mut params, &gradients)?;
    }

    let mut network = Function::new(|_, [x]| [output.forward(hidden.forward(x).tanh()).sigmoid()]);
    let [answers] = network.run(&params, &x)?;
    for (input, answer) in x.data().chunks(2).zip(answers.real().data()) {
        println!("{} xor {} = {answer:.3}", input[0], input[1]);
    }
    Ok(())
}
