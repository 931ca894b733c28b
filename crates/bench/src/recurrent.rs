//! Recurrent layers in `f32` on one thread: the outputs, and the outputs with the gradients of all parameters, each as
//! a share of what the product of matrices alone sustains in the same run.
//!
//! `peers/recurrent.py` times PyTorch on the same layers.

use gradus_graph::{Params, Tensor};
use gradus_nn::{GruCell, Layer, LstmCell, Mode, Recurrent, RecurrentCell, RnnCell};

use crate::conv::{numbers, time};
use crate::table::Table;

/// Steps, sequences, size of the input, size of the state.
const SIZES: [[usize; 4]; 3] = [[50, 32, 64, 128], [50, 8, 256, 256], [200, 1, 16, 32]];

pub(crate) fn run() -> Table {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    pool.install(|| {
        let mut table =
            Table::new(&["values µs", "values share", "gradients µs", "gradients share", "µs a step", "allocations"]);
        for sizes in SIZES {
            layer::<RnnCell>(&mut table, "RNN", sizes);
            layer::<GruCell>(&mut table, "GRU", sizes);
            layer::<LstmCell>(&mut table, "LSTM", sizes);
        }
        table.note(
            "share: of the multiplications a second that a product 512×512×512 reaches; gradients: with the values",
        );
        table.note("a step: one of the sequence, with gradients; each time is the least of several runs");
        table
    })
}

fn layer<C: RecurrentCell>(table: &mut Table, name: &str, [steps, batch, inputs, hidden]: [usize; 4]) {
    let mut params: Params = Params::new(1);
    let layer = Recurrent::<C>::new(&mut params, "layer", inputs, hidden);
    let x = Tensor::new([steps, batch, inputs], numbers(steps * batch * inputs));
    let (least, multiplications, allocated) = time(&params, &x, false, |x| layer.forward_in(x, Mode::Train));
    let share = |k: usize| multiplications[k] as f64 * least[2] / least[k];
    let [values, gradients] = [0, 1].map(|k| 1e6 * least[k]);
    let figures = [values, share(0), gradients, share(1), gradients / steps as f64, allocated as f64];
    table.row(format!("{name} {inputs} → {hidden}, batch {batch}, {steps} steps"), &figures);
}
