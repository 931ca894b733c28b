//! The tests that every rule passes, in one line.

use gradus_graph::{Param, Params, Real, Tensor};

use crate::{NonFinite, Optimizer, Part, SavedState};

/// Tests a rule, with hyperparameters that suit it: a learning rate with which a hundred steps from (−1.2, 1) stay in
/// Rosenbrock's valley, and lower it.
///
/// In f32 and in f64: the rule goes down in a quadratic bowl and in Rosenbrock's valley; two runs agree to the bit; so
/// do runs with one and two threads; a frozen parameter does not move; a run that is saved, restored into a new
/// optimizer and resumed agrees to the bit with one that was not; a gradient that is not finite is refused by name or
/// skipped, and moves neither parameters nor state; so does a learning rate that is NaN, negative or infinite.
///
/// # Panics
/// If the rule fails a check, which the message names.
///
/// # Example
/// ```
/// use gradus_optim::{testing, Momentum, LearningRate};
/// testing::assert_rule((Momentum::new(0.5), LearningRate::new(1e-3)));
/// ```
#[track_caller]
pub fn assert_rule(rule: impl Part + Clone) {
    assert_in::<f32>(&rule);
    assert_in::<f64>(&rule);
}

#[track_caller]
fn assert_in<T: Real>(rule: &(impl Part + Clone)) {
    let new = || Optimizer::<T>::new(rule.clone());
    for (name, problem) in [("a quadratic bowl", Problem::BOWL), ("Rosenbrock's valley", Problem::VALLEY)] {
        let mut run = Run::new(new(), problem);
        let before = run.loss();
        run.steps(STEPS);
        let after = run.loss();
        assert!(after < before, "{}: the rule goes up in {name}, from {before:.6} to {after:.6}", T::NAME);
        let frozen = run.params.get(&run.frozen);
        assert!(frozen.data() == [T::of(0.5)], "{}: the rule moves a frozen parameter, to {frozen}", T::NAME);

        let mut again = Run::new(new(), problem);
        again.steps(STEPS);
        assert!(again.same(&run), "{}: two runs in {name} differ", T::NAME);

        let mut first_half = Run::new(new(), problem);
        first_half.steps(STEPS / 2);
        let saved = first_half.optimizer.state();
        let mut resumed = Run { optimizer: new(), ..first_half };
        if let Err(message) = resumed.optimizer.restore(&resumed.params, &saved) {
            panic!("{}: {message}", T::NAME);
        }
        resumed.steps(STEPS - STEPS / 2);
        assert!(resumed.same(&run), "{}: a resumed run in {name} differs", T::NAME);
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            resumed.refuses(T::of(bad));
        }
        for bad in [f64::NAN, -1.0, f64::INFINITY] {
            resumed.refuses_rate(bad);
        }
    }
    let (one, two) = (with_threads(1, new), with_threads(2, new));
    assert!(one == two, "{}: one and two threads give different results", T::NAME);
}

const STEPS: usize = 100;

/// A function of a vector and a matrix of two elements, and its gradient.
#[derive(Clone, Copy)]
struct Problem {
    start: [f64; 4],
    loss: fn([f64; 4]) -> f64,
    gradient: fn([f64; 4]) -> [f64; 4],
}

impl Problem {
    /// `Σ aᵢ(xᵢ − 1)²/2` with curvatures from 0.5 to 4.
    const BOWL: Self = Self {
        start: [-1.0, 2.0, 3.0, -0.5],
        loss: |x| (0..4).map(|i| 0.5 * CURVATURES[i] * (x[i] - 1.0).powi(2)).sum(),
        gradient: |x| std::array::from_fn(|i| CURVATURES[i] * (x[i] - 1.0)),
    };

    /// `(1 − x)² + 100(y − x²)²`, twice: in the first elements of both parameters, and in the second ones.
    const VALLEY: Self = Self {
        start: [-1.2, 0.5, 1.0, 0.0],
        loss: |x| rosenbrock(x[0], x[2]) + rosenbrock(x[1], x[3]),
        gradient: |x| {
            let slope = |x: f64, y: f64| [-2.0 * (1.0 - x) - 400.0 * x * (y - x * x), 200.0 * (y - x * x)];
            let (a, b) = (slope(x[0], x[2]), slope(x[1], x[3]));
            [a[0], b[0], a[1], b[1]]
        },
    };
}

const CURVATURES: [f64; 4] = [1.0, 4.0, 0.5, 2.0];

fn rosenbrock(x: f64, y: f64) -> f64 {
    (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2)
}

/// A run of a rule on a problem.
struct Run<T> {
    optimizer: Optimizer<T>,
    problem: Problem,
    params: Params<T>,
    list: [Param; 2],
    frozen: Param,
}

impl<T: Real> Run<T> {
    fn new(optimizer: Optimizer<T>, problem: Problem) -> Self {
        let mut params = Params::new(0);
        let [a, b, c, d] = problem.start.map(T::of);
        let x = params.add("x", Tensor::from([a, b]));
        let frozen = params.add("frozen", Tensor::from([T::of(0.5)]));
        params.set_trainable(false, |name| name == "frozen");
        let y = params.scope("layer", |params| params.add("y", Tensor::new([2, 1], vec![c, d])));
        Self { optimizer, problem, params, list: [x, y], frozen }
    }

    fn point(&self) -> [f64; 4] {
        let [x, y] = self.list.each_ref().map(|param| self.params.get(param).data());
        [x[0], x[1], y[0], y[1]].map(T::as_f64)
    }

    fn loss(&self) -> f64 {
        (self.problem.loss)(self.point())
    }

    #[track_caller]
    fn steps(&mut self, count: usize) {
        for _ in 0..count {
            let [a, b, c, d] = (self.problem.gradient)(self.point()).map(T::of);
            let gradients = [Tensor::from([a, b]), Tensor::new([2, 1], vec![c, d])];
            if let Err(message) = self.optimizer.step(&mut self.params, self.list.iter().zip(&gradients)) {
                panic!("{}: {message}", T::NAME);
            }
        }
    }

    /// Two steps whose last gradient ends in a number that is not finite: one to be refused, one to be skipped.
    #[track_caller]
    fn refuses(&mut self, bad: T) {
        let gradients = [Tensor::from([T::one(), T::one()]), Tensor::new([2, 1], vec![T::one(), bad])];
        let (point, mut state) = (self.point(), self.optimizer.state());
        let message = format!("the gradient of `layer.y` is {} at [1, 0]", bad.as_f64());
        let refused = self.optimizer.step(&mut self.params, self.list.iter().zip(&gradients));
        match &refused {
            Err(error) => {
                assert!(error.to_string().starts_with(&message), "{}: the rule refuses {bad} as: {error}", T::NAME);
                assert!(self.optimizer.state() == state, "{}: a refused step changes the state", T::NAME);
            }
            // A transform has skipped the step, and may have changed its numbers for that.
            Ok(()) => {
                state.numbers = self.optimizer.state().numbers;
                *state.counts.entry("skipped".to_owned()).or_default() += 1;
                assert!(self.optimizer.state() == state, "{}: the rule takes a gradient of {bad}", T::NAME);
            }
        }
        if refused.is_err() {
            self.optimizer.answer(NonFinite::Skip);
            let skipped = self.optimizer.step(&mut self.params, self.list.iter().zip(&gradients));
            *state.counts.entry("skipped".to_owned()).or_default() += 1;
            let same = skipped.is_ok() && self.optimizer.state() == state;
            assert!(same, "{}: a gradient of {bad} is not skipped and counted", T::NAME);
            self.optimizer.answer(NonFinite::Refuse);
        }
        assert!(self.point() == point, "{}: a gradient of {bad} moves parameters", T::NAME);
    }

    /// A step whose learning rate is multiplied by `bad`.
    #[track_caller]
    fn refuses_rate(&mut self, bad: f64) {
        let gradients = [Tensor::ones([2]), Tensor::ones([2, 1])];
        let good = self.optimizer.state().numbers["rate_factor"];
        let before = (self.point(), self.optimizer.state());
        self.optimizer.scale_rate(bad);
        let refused = self.optimizer.step(&mut self.params, self.list.iter().zip(&gradients));
        self.optimizer.scale_rate(good);
        let named = refused.is_err_and(|error| error.to_string().contains(&format!("multiplied by {bad}")));
        assert!(named, "{}: the rule takes a learning rate times {bad}", T::NAME);
        let same = (self.point(), self.optimizer.state()) == before;
        assert!(same, "{}: a learning rate times {bad} moves something", T::NAME);
    }

    fn same(&self, other: &Self) -> bool {
        self.point() == other.point() && self.optimizer.state() == other.optimizer.state()
    }
}

/// Three steps with a tensor that is spread over threads, a small one, a matrix whose products are spread, and an empty
/// one, with `threads` threads.
fn with_threads<T: Real>(threads: usize, new: impl Fn() -> Optimizer<T>) -> (Vec<Tensor<T>>, SavedState<T>) {
    let mut params = Params::new(0);
    let wave = |len: usize, pace: f64| Tensor::from_fn([len], |k| T::of((pace * k as f64).sin()));
    // Squares in the sine keep the matrix from being of rank two.
    let matrix = |pace: f64| Tensor::from_fn([106, 100], |k| T::of((pace * (k * k) as f64).sin()));
    let empty = Tensor::zeros([0, 3]);
    let list = [
        params.add("large", wave(70_001, 0.1)),
        params.add("small", wave(300, 0.2)),
        params.add("matrix", matrix(0.5)),
        params.add("empty", empty.clone()),
    ];
    let gradients = [wave(70_001, 0.3), wave(300, 0.4), matrix(0.7), empty];
    let mut optimizer = new();
    let mut steps = || {
        for _ in 0..3 {
            optimizer.step(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
        }
    };
    // Where no thread can be started, the calling thread does the work.
    match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool.install(steps),
        Err(_) => steps(),
    }
    (params.iter().map(|(_, value)| value.clone()).collect(), optimizer.state())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Block, LearningRate, Sgd, StepInfo, Transform};

    /// Gradient ascent.
    #[derive(Clone)]
    struct Uphill;

    impl Transform for Uphill {
        fn prepare<T: Real>(&self, _step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
            |block| block.each(|_, update, []| -update)
        }
    }

    #[test]
    #[should_panic(expected = "f32: the rule goes up in a quadratic bowl")]
    fn a_rule_that_walks_uphill_is_refused() {
        assert_rule((Uphill, Sgd::new(1e-4)));
    }

    /// Keeps state that it does not name.
    struct Forgetful(std::sync::Mutex<f64>);

    impl Clone for Forgetful {
        fn clone(&self) -> Self {
            Self(Default::default())
        }
    }

    impl Transform for Forgetful {
        fn prepare<T: Real>(&self, _step: &StepInfo) -> impl Fn(&mut Block<'_, T>) + Sync {
            let mut calls = self.0.lock().expect("no call panics");
            *calls += 1.0;
            let scale = T::of(1.0 / *calls);
            move |block| block.each(|_, update, []| update * scale)
        }
    }

    #[test]
    #[should_panic(expected = "f32: a resumed run in a quadratic bowl differs")]
    fn a_rule_with_hidden_state_is_refused() {
        assert_rule((Forgetful(Default::default()), LearningRate::new(1e-3)));
    }
}
