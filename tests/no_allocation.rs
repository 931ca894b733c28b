//! A training step allocates nothing once it is warm: trace, plan, session and optimizer make all their memory in the
//! first two steps.
//!
//! Counted is what the one thread of a pool allocates: the whole step runs on it, since work is divided over the pool
//! in which a step is run. The batches are there before, as cutting a batch out of a data set makes new tensors.

use gradus::check::CountingAllocator;
use gradus::data::digits;
use gradus::nn::{Dense, Dropout, Layer, Mode, Relu, loss};
use gradus::optim::{Adam, Optimizer};
use gradus::train::Step;
use gradus::{Data, Params};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn a_training_step_allocates_nothing_from_the_third_on() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    let (made, losses) = pool.install(|| {
        let batches: Vec<_> = digits::load().train.reshaped([64]).batches(32).drop_last().collect();
        let mut params = Params::new(7);
        let hidden = Dense::new(&mut params, "hidden", 64, 128);
        let output = Dense::new(&mut params, "output", 128, 10);
        let model = (hidden, Relu, Dropout::new(0.2), output);
        let mut step =
            Step::new(|_, batch| loss::cross_entropy(model.forward_in(batch[0], Mode::Train), batch[1])).seed(7);
        let mut optimizer = Optimizer::new(Adam::new(2e-3));
        let mut made = Vec::with_capacity(batches.len());
        let mut losses = Vec::with_capacity(batches.len());
        for batch in &batches {
            let before = CountingAllocator::allocations();
            let inputs: [Data<'_, f32>; 2] = [(&batch.inputs).into(), (&batch.targets).into()];
            let gradients = step.run(&mut params, &inputs).expect("the step runs");
            let loss = gradients.loss();
            optimizer.step(&mut params, gradients.iter()).expect("the gradients are finite");
            made.push(CountingAllocator::allocations() - before);
            losses.push(loss);
        }
        (made, losses)
    });
    assert!(made[0] > 0, "the first step traces and compiles: the counter counts nothing");
    assert_eq!(made[2..], vec![0; made.len() - 2], "allocations of the steps from the third on");
    // What ran was training.
    assert!(losses[losses.len() - 1] < 0.6 * losses[0], "{losses:?}");
}
