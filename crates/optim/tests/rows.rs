//! A gradient that comes as rows makes the step of the whole tensor, to the bit: for rules that move these rows alone,
//! and for those that take all elements.

use gradus_graph::{Param, Params, SparseRows, Tensor};
use gradus_optim::{
    Accumulator, Adam, ClipGlobalNorm, ClipNorm, ClipValue, DecayWeights, Gradient, Group, LossScale, Momentum,
    NonFinite, Norm, Optimizer, Part, Sgd, Sign, StepError,
};

const SHAPE: [usize; 3] = [3_000, 7, 5];
const STEPS: u64 = 3;

/// A table, a small parameter before it and one after it.
fn store() -> (Params<f32>, [Param; 3]) {
    let mut params = Params::new(0);
    let wave = |shape: &[usize]| Tensor::from_fn(shape.to_vec(), |k| ((k * 37 % 101) as f32 - 50.0) / 50.0);
    let list = [("before", &[5_000][..]), ("table", &SHAPE), ("after", &[3])];
    let list = list.map(|(name, shape)| params.add(name, wave(shape)));
    // A zero whose sign a subtraction of a zero keeps.
    params.get_mut(&list[1]).data_mut()[..40].fill(-0.0);
    (params, list)
}

/// The gradients of a step: few rows in places far apart, or many.
fn gradients(step: u64, count: usize) -> (Tensor<f32>, SparseRows<f32>, Tensor<f32>) {
    let step = step as usize;
    let before = Tensor::from_fn([5_000], |k| ((k + step) % 17) as f32 / 17.0 - 0.4);
    let indices: Vec<i64> = (0..count).map(|k| ((k * k * 7919 + step * 13) % 2_999) as i64).collect();
    let values: Vec<f32> = (0..35 * count).map(|k| ((k * 7 + step) % 103) as f32 / 20.0 - 2.5).collect();
    let mut rows = SparseRows::new();
    rows.set_sum(&SHAPE.into(), 1, |_| (&indices, &values)).expect("the rows are right");
    (before, rows, Tensor::from([0.5, -1.0, 2.0]))
}

/// All values and numbers after the steps, as bits.
fn trained(rule: impl Part + Send, threads: usize, count: usize, as_rows: bool) -> Vec<u64> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
    pool.install(|| {
        let (mut params, [first, table, last]) = store();
        let mut optimizer = Optimizer::new(rule);
        for step in 0..STEPS {
            let (before, rows, after) = gradients(step, count);
            let of_table = if as_rows { Gradient::from(&rows) } else { Gradient::from(rows.dense()) };
            let list = [(&first, Gradient::from(&before)), (&table, of_table), (&last, Gradient::from(&after))];
            optimizer.step(&mut params, list).expect("the gradients are right");
        }
        let values = params.iter().flat_map(|(_, value)| value.data().iter().map(|x| u64::from(x.to_bits())));
        values.chain(["loss_scale"].into_iter().filter_map(|name| optimizer.number(name)).map(f64::to_bits)).collect()
    })
}

fn assert_same<P: Part + Send>(what: &str, rule: impl Fn() -> P) {
    for count in [0, 3, 400, 2_000] {
        let expected = trained(rule(), 1, count, false);
        for threads in [1, 2, 3, 8] {
            assert!(trained(rule(), threads, count, true) == expected, "{what}, {count} rows, {threads} threads");
        }
    }
}

#[test]
fn rules_that_leave_zeros_alone() {
    assert_same("SGD", || Sgd::new(0.1));
    assert_same("clipped values", || (ClipValue::new(0.7), Sgd::new(0.1)));
    assert_same("clipped norm of all", || (ClipGlobalNorm::new(0.3), Sgd::new(0.1)));
    for norm in [Norm::One, Norm::Two, Norm::Max] {
        assert_same("clipped norm of each", || (ClipNorm::new(0.3).norm(norm), ClipValue::new(0.01), Sgd::new(0.1)));
    }
    assert_same("scaled loss", || (LossScale::dynamic().start(4.0), Sgd::new(0.1)));
    assert_same("signs", || (Sign, Sgd::new(0.1), ClipValue::new(0.05)));
    assert_same("groups", || {
        (Group::new(|name| name == "before", Adam::new(0.1)), Group::rest((ClipValue::new(1.0), Sgd::new(0.1))))
    });
}

#[test]
fn rules_that_move_all_rows() {
    assert_same("momentum", || Sgd::new(0.1).momentum(0.9));
    assert_same("decay", || (DecayWeights::new(0.1), Sgd::new(0.1)));
    assert_same("Adam", || (ClipGlobalNorm::new(0.3), Adam::new(0.1)));
    assert_same("two passes", || (ClipValue::new(0.7), ClipGlobalNorm::new(0.3), Sgd::new(0.1)));
    assert_same("two passes with state", || (Momentum::new(0.9), ClipNorm::new(0.3), Sgd::new(0.1)));
}

#[test]
fn parts_of_a_batch_are_added() {
    // Parts that come as rows, and which of them do not.
    let sums = |dense: &[u64]| {
        let (mut params, [_, table, _]) = store();
        let (mut sum, mut sgd) = (Accumulator::new(), Optimizer::new(Sgd::new(0.1)));
        for step in 0..6 {
            let (_, rows, _) = gradients(step, 300);
            let gradient = if dense.contains(&step) { Gradient::from(rows.dense()) } else { Gradient::from(&rows) };
            sum.add(&params, [(&table, gradient)], 1.0 + step as f64).expect("the gradients are right");
            if step % 3 == 2 {
                sum.step(&mut sgd, &mut params).expect("the gradients are finite");
            }
        }
        params.get(&table).data().iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    let expected = sums(&[0, 1, 2, 3, 4, 5]);
    for dense in [&[][..], &[0], &[1], &[2], &[3, 5], &[0, 4]] {
        assert!(sums(dense) == expected, "{dense:?}");
    }
}

#[test]
fn rows_that_are_not_finite_are_refused_or_skipped() {
    let (mut params, [_, table, _]) = store();
    let before = params.get(&table).clone();
    let mut rows = SparseRows::new();
    let mut values = [1.0; 70];
    values[36] = f32::NAN;
    rows.set_sum(&SHAPE.into(), 1, |_| (&[4, 2_000], &values)).expect("the rows are right");
    for rule in [Optimizer::new(Sgd::new(0.1)), Optimizer::new(Adam::new(0.1))] {
        let mut rule = rule;
        let error = rule.step(&mut params, [(&table, &rows)]).unwrap_err();
        let message = "the gradient of `table` is NaN at [2000, 0, 1] in step 1; no parameter was changed";
        assert_eq!(error.to_string(), message);
        let mut rule = rule.on_non_finite(NonFinite::Skip);
        rule.step(&mut params, [(&table, &rows)]).expect("the step is skipped");
        assert_eq!(rule.skipped(), 1);
        assert_eq!(params.get(&table), &before);
    }
    rows.set_sum(&[2_999, 7, 5].into(), 0, |_| (&[], &[])).expect("no rows");
    let error = Optimizer::new(Sgd::new(0.1)).step(&mut params, [(&table, &rows)]).unwrap_err();
    assert!(matches!(error, StepError::Shape(..)), "{error}");
}
