//! The trainer beside the loop that it replaces, on the digits: the same steps, batches and bits.

use std::time::Instant;

use gradus_data::{Dataset, digits};
use gradus_graph::Params;
use gradus_nn::{Dense, Dropout, Layer, Mode, Relu, loss};
use gradus_optim::{AdamW, Optimizer};
use gradus_train::{Step, Trainer};

use crate::table::Table;

const EPOCHS: u64 = 20;
const ROUNDS: usize = 15;

type Model = (Dense, Relu, Dropout, Dense);

fn model(hidden: usize) -> (Params, Model) {
    let mut params: Params = Params::new(7);
    let first = Dense::new(&mut params, "hidden", 64, hidden);
    let output = Dense::new(&mut params, "output", hidden, 10);
    (params, (first, Relu, Dropout::new(0.2), output))
}

fn open_loop(data: &Dataset, hidden: usize, batch: usize) -> Params {
    let (mut params, model) = model(hidden);
    let mut step = Step::new(|_, [x, y]| loss::cross_entropy(model.forward_in(x, Mode::Train), y));
    let mut optimizer = Optimizer::new(AdamW::new(1e-3));
    for epoch in 0..EPOCHS {
        for batch in data.batches(batch).shuffled(7, epoch) {
            let gradients = step.run(&mut params, (&batch.inputs, &batch.targets)).expect("the step runs");
            optimizer.step(&mut params, &gradients).expect("the update is made");
        }
    }
    params
}

fn trainer(data: &Dataset, hidden: usize, batch: usize) -> Params {
    let (mut params, model) = model(hidden);
    let mut trainer =
        Trainer::new(AdamW::new(1e-3), |_, [x, y]| loss::cross_entropy(model.forward_in(x, Mode::Train), y))
            .epochs(EPOCHS);
    trainer.fit(&mut params, |epoch| data.batches(batch).shuffled(7, epoch)).expect("it trains");
    params
}

pub(crate) fn run() -> Table {
    let mut table = Table::new(&["trainer ms", "open loop ms", "loop / trainer"]);
    let data = digits::load().train.reshaped([64]);
    for (hidden, batch) in [(16, 8), (256, 32), (512, 128)] {
        let mut times = [Vec::new(), Vec::new()];
        let mut ends = Vec::new();
        for _ in 0..ROUNDS {
            for (list, train) in times.iter_mut().zip([trainer, open_loop]) {
                let start = Instant::now();
                ends.push(train(&data, hidden, batch));
                list.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        let same = |other: &Params| ends[0].iter().zip(other.iter()).all(|(a, b)| a.1 == b.1);
        assert!(ends.iter().all(same), "both end with the same weights");
        let [own, bar] = times.map(|mut list| {
            list.sort_by(f64::total_cmp);
            list[list.len() / 2]
        });
        table.row(format!("64-{hidden}-10, batch {batch}, {EPOCHS} epochs"), &[own, bar, bar / own]);
    }
    table.note("medians of runs that alternate, from the first trace to the last weights, which are equal");
    table
}
