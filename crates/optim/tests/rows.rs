//! A gradient that comes as rows makes the step of the whole tensor, to the bit: for rules that move these rows alone,
//! and for those that take all elements. Lazy rules make that step in these rows, and leave the others.

use gradus_graph::{Param, Params, SparseRows, Tensor};
use gradus_optim::{
    Accumulator, Adagrad, Adam, ClipGlobalNorm, ClipNorm, ClipValue, DecayWeights, Gradient, Group, LossScale,
    Momentum, NonFinite, Norm, Optimizer, Part, Sgd, Sign, StepError,
};

/// Enough for several threads, if most rows are given.
const SHAPE: [usize; 3] = [12_000, 7, 5];
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
    let index = |k: usize| if k.is_multiple_of(9) { k * k } else { k * 7919 };
    let indices: Vec<i64> = (0..count).map(|k| ((index(k) + step * 13) % 11_999) as i64).collect();
    let values: Vec<f32> = (0..35 * count).map(|k| ((k * 7 + step) % 103) as f32 / 20.0 - 2.5).collect();
    let mut rows = SparseRows::new();
    rows.set_sum(&SHAPE.into(), 1, |_| (&indices, &values)).expect("the rows are right");
    (before, rows, Tensor::from([0.5, -1.0, 2.0]))
}

/// Runs the steps, and gives all values, numbers and state after them, as bits.
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
        bits(&params, &optimizer)
    })
}

fn bits(params: &Params<f32>, optimizer: &Optimizer<f32>) -> Vec<u64> {
    let state = optimizer.state();
    let tensors = params.iter().map(|(_, value)| value).chain(state.tensors.values());
    let elements = tensors.flat_map(|tensor| tensor.data().iter().map(|x| u64::from(x.to_bits())));
    elements.chain(state.numbers.values().map(|number| number.to_bits())).collect()
}

fn assert_same<P: Part + Send>(what: &str, rule: impl Fn() -> P) {
    for count in [0, 3, 400, 10_000] {
        let expected = trained(rule(), 1, count, false);
        for threads in [1, 2, 3, 8] {
            assert!(trained(rule(), threads, count, true) == expected, "{what}, {count} rows, {threads} threads");
        }
    }
}

#[test]
fn rules_that_leave_zeros_alone() {
    assert_same("SGD", || Sgd::new(0.1));
    assert_same("Adagrad", || Adagrad::new(0.1));
    assert_same("clipped Adagrad", || {
        (ClipGlobalNorm::new(0.3), Adagrad::new(0.1).lr_decay(0.1).initial_sum(0.5).eps(0.0))
    });
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
    assert_same("a lazy rule and decay", || (DecayWeights::new(0.1), Adam::new(0.1).lazy()));
    assert_same("two passes", || (ClipValue::new(0.7), ClipGlobalNorm::new(0.3), Sgd::new(0.1)));
    assert_same("two passes with state", || (Momentum::new(0.9), ClipNorm::new(0.3), Sgd::new(0.1)));
}

/// The step of all elements, after which parameter and moments of the rows that are not given are put back.
#[test]
fn lazy_adam_leaves_other_rows() {
    let rule = || (ClipGlobalNorm::new(0.3), Adam::new(0.1).lazy());
    for count in [0, 3, 400, 10_000] {
        let (mut params, [_, table, _]) = store();
        let mut optimizer = Optimizer::new(rule());
        for step in 0..STEPS {
            let (rows, before) = (gradients(step, count).1, params.clone());
            let state_before = if step == 0 { None } else { Some(optimizer.state()) };
            optimizer.step(&mut params, [(&table, rows.dense())]).expect("the gradient is right");
            let mut state = optimizer.state();
            let put_back = |now: &mut Tensor<f32>, before: Option<&Tensor<f32>>| {
                for row in (0..SHAPE[0]).filter(|row| rows.indices().binary_search(row).is_err()) {
                    let range = row * 35..(row + 1) * 35;
                    match before {
                        Some(before) => now.data_mut()[range.clone()].copy_from_slice(&before.data()[range]),
                        None => now.data_mut()[range].fill(0.0),
                    }
                }
            };
            let mut value = params.get(&table).clone();
            put_back(&mut value, Some(before.get(&table)));
            params.set(&table, value);
            for name in ["table/first_moment", "table/second_moment"] {
                let before = state_before.as_ref().map(|state| &state.tensors[name]);
                put_back(state.tensors.get_mut(name).expect("Adam has moments"), before);
            }
            optimizer.restore(&params, &state).expect("the state fits");
        }
        let expected = bits(&params, &optimizer);
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
            let found = pool.install(|| {
                let (mut params, [_, table, _]) = store();
                let mut optimizer = Optimizer::new(rule());
                for step in 0..STEPS {
                    optimizer.step(&mut params, [(&table, &gradients(step, count).1)]).expect("the gradient is right");
                }
                bits(&params, &optimizer)
            });
            assert!(found == expected, "{count} rows, {threads} threads");
        }
    }
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
    rows.set_sum(&[11_999, 7, 5].into(), 0, |_| (&[], &[])).expect("no rows");
    let error = Optimizer::new(Sgd::new(0.1)).step(&mut params, [(&table, &rows)]).unwrap_err();
    assert!(matches!(error, StepError::Shape(..)), "{error}");
}
