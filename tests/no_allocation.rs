//! A training step allocates nothing once it is warm: trace, plan, session and optimizer make all their memory in the
//! first two steps.
//!
//! Counted is what all threads of the process allocate, in pools of one and of several threads and outside of any: work
//! is divided over the pool in which a step is run. The batches are there before, as cutting a batch out of a data set
//! makes new tensors.
//! One test, since the count is that of the process.

use gradus::check::CountingAllocator;
use gradus::data::digits;
use gradus::nn::{
    Dense, Dropout, Embedding, Layer, Lstm, Mask, Mode, Relu, TransformerEncoder, TransformerOptions, loss,
};
use gradus::optim::{Adam, ClipGlobalNorm, Optimizer, Sgd};
use gradus::plan::Data;
use gradus::train::Step;
use gradus::{Graph, Params, Tensor, Var};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Trains for as many steps as there are batches; gives the allocations of each, and the losses.
fn train(
    batches: &[[Data<'_, f32>; 2]],
    params: &mut Params,
    loss: impl for<'g> Fn(&'g Graph, [Var<'g>; 2]) -> Var<'g>,
) -> (Vec<usize>, Vec<f32>) {
    let mut step = Step::new(loss).seed(7);
    let mut optimizer = Optimizer::new(Adam::new(2e-3));
    let mut made = Vec::with_capacity(batches.len());
    let mut losses = Vec::with_capacity(batches.len());
    for batch in batches {
        let before = CountingAllocator::allocations_of_all_threads();
        let gradients = step.run(params, *batch).expect("the step runs");
        let loss = gradients.loss();
        optimizer.step(params, &gradients).expect("the gradients are finite");
        made.push(CountingAllocator::allocations_of_all_threads() - before);
        losses.push(loss);
    }
    (made, losses)
}

/// Of digits, by two dense layers with dropout; of sequences, by an LSTM of more inputs a kernel than a few, and by a
/// transformer whose products are worth several threads.
fn all_models() {
    let digits: Vec<_> = digits::load().train.reshaped([64]).batches(32).drop_last().collect();
    let batches: Vec<[Data<'_, f32>; 2]> =
        digits.iter().map(|batch| [(&batch.inputs).into(), (&batch.targets).into()]).collect();
    let mut params = Params::new(7);
    let hidden = Dense::new(&mut params, "hidden", 64, 128);
    let output = Dense::new(&mut params, "output", 128, 10);
    let model = (hidden, Relu, Dropout::new(0.2), output);
    let (made, losses) =
        train(&batches, &mut params, |_, [x, y]| loss::cross_entropy(model.forward_in(x, Mode::Train), y));
    expect_none("dense layers", &made);
    // What ran was training.
    assert!(losses[losses.len() - 1] < 0.6 * losses[0], "{losses:?}");

    let x = Tensor::from_fn([24, 16, 64], |k| ((k * 7919) % 1013) as f32 / 506.5 - 1.0);
    let y = Tensor::from_fn([24, 16, 64], |k| ((k * 104_729) % 1009) as f32 / 504.5 - 1.0);
    let batches = vec![[(&x).into(), (&y).into()]; 12];
    let mut params = Params::new(7);
    let lstm = Lstm::new(&mut params, "lstm", 64, 64);
    let (made, _) = train(&batches, &mut params, |_, [x, y]| loss::mse(lstm.forward_in(x, Mode::Train), y));
    expect_none("an LSTM", &made);

    let mut params = Params::new(7);
    let options = TransformerOptions::new().hidden(256);
    let encoder = TransformerEncoder::with(&mut params, "encoder", 2, 64, 4, options);
    let (made, _) =
        train(&batches, &mut params, |_, [x, y]| loss::mse(encoder.forward_in(x, Mask::none(), Mode::Train), y));
    expect_none("a transformer", &made);
}

/// Logits beside the loss, and the gradient of the images.
fn more_than_gradients() {
    let digits: Vec<_> = digits::load().train.reshaped([64]).batches(32).drop_last().take(12).collect();
    let mut params = Params::new(7);
    let model = Dense::new(&mut params, "model", 64, 10);
    let mut step = Step::with_aux(|_, [x, y]| {
        let logits = model.forward(x);
        (loss::cross_entropy(logits, y), [logits, logits.argmax(-1)])
    })
    .wrt_inputs([0]);
    let mut made = Vec::with_capacity(digits.len());
    for batch in &digits {
        let before = CountingAllocator::allocations_of_all_threads();
        let gradients = step.run(&mut params, (&batch.inputs, &batch.targets)).expect("the step runs");
        let [logits, classes] = gradients.aux();
        assert!(gradients.input(0).len() == 32 * 64 && logits.real().len() == 320 && classes.index().len() == 32);
        made.push(CountingAllocator::allocations_of_all_threads() - before);
    }
    expect_none("auxiliary values", &made);
}

/// Gradients that are rows of a table, another number of them in each batch: moved as such, and as a whole tensor.
fn rows_of_tables() {
    let batches: Vec<Tensor<i64>> =
        (0..12).map(|batch| Tensor::from_fn([900], |k| ((k * k + 7 * k * batch) % 3_989) as i64)).collect();
    let mut params: Params = Params::new(7);
    let table = Embedding::new(&mut params, "table", 4_000, 64);
    let mut step = Step::new(|_, [places]| table.forward(places).square().mean());
    let mut rows = Optimizer::new((ClipGlobalNorm::new(1.0), Sgd::new(0.1)));
    let mut whole = Optimizer::new(Adam::new(1e-3));
    let mut made = Vec::with_capacity(batches.len());
    for batch in &batches {
        let before = CountingAllocator::allocations_of_all_threads();
        let gradients = step.run(&mut params, batch).expect("the step runs");
        rows.step(&mut params, &gradients).expect("the gradients are finite");
        whole.step(&mut params, &gradients).expect("the gradients are finite");
        made.push(CountingAllocator::allocations_of_all_threads() - before);
    }
    expect_none("rows of a table", &made);
}

/// From the third step on; now and then other threads of the process ask for memory, so a few steps may not be empty.
fn expect_none(model: &str, made: &[usize]) {
    assert!(made[0] > 0, "the first step traces and compiles: the counter counts nothing");
    let some = made[2..].iter().filter(|&&made| made > 0).count();
    let threads = rayon::current_num_threads();
    assert!(4 * some < made.len(), "{model} on {threads} threads: allocations of the steps {made:?}");
}

#[test]
fn a_training_step_allocates_nothing_from_the_third_on() {
    for threads in [1, 2, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
        pool.install(all_models);
        pool.install(more_than_gradients);
        pool.install(rows_of_tables);
    }
    // From outside of any pool, where the threads are the library's own.
    all_models();
    more_than_gradients();
    rows_of_tables();
}
