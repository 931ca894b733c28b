//! What is measured: a piece of work with the arrays that it starts from and the numbers that it gives.

use std::collections::BTreeMap;
use std::hint::black_box;

use gradus_data::FileArray;
use gradus_graph::{AnyTensor, Graph, Params, Profile, Real, Tensor, Var};
use gradus_optim::{Optimizer, Part};
use gradus_train::{Function, Step};

use super::peer::Numbers;

/// The training steps whose losses are compared, as in `sample.py`.
pub(super) const STEPS: usize = 4;

/// A workload as the table has it.
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// The least ratio to the best peer, at one thread and at two.
    pub(super) goal: Option<[f64; 2]>,
    /// The largest difference of two numbers that are compared, as a share of the largest of their array.
    pub(super) tolerance: f64,
    pub(super) build: fn() -> Work,
}

impl Workload {
    /// A workload in `f32`.
    pub(super) const fn new(
        name: &'static str,
        title: &'static str,
        goal: Option<[f64; 2]>,
        build: fn() -> Work,
    ) -> Self {
        Self { name, title, goal, tolerance: 1e-4, build }
    }
}

/// What bounds the time from below.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    None,
    /// Multiplications with an addition.
    Products(usize),
    /// Bytes read or written.
    Bytes(usize),
    /// Elements of a pass that changes three arrays in place and reads a fourth.
    Pass(usize),
}

/// Work that is ready to be timed. Parameters are in the file under `param.`, frozen ones under `frozen.`, inputs under
/// `in.`.
pub(super) struct Work {
    pub(super) arrays: BTreeMap<String, FileArray>,
    /// Losses as `loss`, gradients as `grad.` with the name of the parameter, outputs as `out.` with their number.
    pub(super) numbers: Numbers,
    pub(super) limit: Limit,
    pub(super) run: Box<dyn Run>,
}

/// Work that can be done again and again.
pub(super) trait Run {
    fn run(&mut self);

    /// Where its time goes, if it is a compiled function; parameters stay as they are.
    fn profile(&mut self) -> Option<Profile> {
        None
    }
}

impl<F: FnMut()> Run for F {
    fn run(&mut self) {
        self();
    }
}

/// Runs of a profile.
const PROFILED: usize = 20;

/// What is compared of an array: the root of the mean square, and eight elements at equal distances, as in `sample.py`.
pub(super) fn sample<T: Real>(values: &Tensor<T>) -> Vec<f64> {
    let values = values.data();
    let squares: f64 = values.iter().map(|value| value.as_f64().powi(2)).sum();
    let places = (0..8).map(|k| values[k * (values.len() - 1) / 7].as_f64());
    [(squares / values.len() as f64).sqrt()].into_iter().chain(places).collect()
}

/// A precision that files have.
pub(super) trait Saved: Real {
    fn file_array(tensor: &Tensor<Self>) -> FileArray;
}

impl Saved for f32 {
    fn file_array(tensor: &Tensor<f32>) -> FileArray {
        tensor.into()
    }
}

impl Saved for f64 {
    fn file_array(tensor: &Tensor<f64>) -> FileArray {
        tensor.into()
    }
}

/// Inputs by their names.
pub(super) type Named<T, const N: usize> = [(&'static str, AnyTensor<T>); N];

pub(super) fn arrays<T: Saved, const N: usize>(
    params: &Params<T>,
    inputs: &Named<T, N>,
) -> BTreeMap<String, FileArray> {
    let mut arrays = BTreeMap::new();
    for (param, value) in params.iter() {
        let kind = if params.is_trainable(param) { "param" } else { "frozen" };
        arrays.insert(format!("{kind}.{}", param.name()), T::file_array(value));
    }
    for (name, input) in inputs {
        let array = match input {
            AnyTensor::Real(tensor) => T::file_array(tensor),
            AnyTensor::Index(tensor) => tensor.into(),
        };
        arrays.insert(format!("in.{name}"), array);
    }
    arrays
}

/// Training steps: loss, gradients and update.
pub(super) fn training<F, const N: usize>(
    mut params: Params,
    rule: impl Part + 'static,
    inputs: Named<f32, N>,
    loss: F,
) -> Work
where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> Var<'g> + 'static,
{
    let arrays = arrays(&params, &inputs);
    let inputs = inputs.map(|(_, input)| input);
    let mut step = Step::new(loss);
    let mut optimizer = Optimizer::new(rule);
    let (mut numbers, mut losses) = (Numbers::new(), Vec::new());
    for number in 0..STEPS {
        let gradients = step.run(&mut params, inputs.each_ref()).expect("the step runs");
        losses.push(gradients.loss().as_f64());
        if number == 0 {
            numbers.extend(gradients.iter().map(|(param, value)| (format!("grad.{}", param.name()), sample(value))));
        }
        optimizer.step(&mut params, &gradients).expect("the update is made");
    }
    numbers.insert("loss".to_owned(), losses);
    let limit = Limit::Products(step.summary().map_or(0, |summary| summary.multiply_adds));
    Work { arrays, numbers, limit, run: Box::new(Training { params, inputs, step, optimizer: Some(optimizer) }) }
}

/// A training step; without an optimizer, its loss and gradients.
struct Training<F, T, const N: usize> {
    params: Params<T>,
    inputs: [AnyTensor<T>; N],
    step: Step<F, N, T>,
    optimizer: Option<Optimizer<T>>,
}

impl<F, T: Real, const N: usize> Run for Training<F, T, N>
where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> Var<'g>,
{
    fn run(&mut self) {
        let gradients = self.step.run(&mut self.params, self.inputs.each_ref()).expect("the step runs");
        if let Some(optimizer) = &mut self.optimizer {
            optimizer.step(&mut self.params, &gradients).expect("the update is made");
        }
    }

    fn profile(&mut self) -> Option<Profile> {
        Some(self.step.profile(&self.params, self.inputs.each_ref(), PROFILED).expect("the step runs"))
    }
}

/// A loss and its gradients, with respect to the inputs of the given numbers as well.
pub(super) fn gradients<F, T: Saved, const N: usize>(
    mut params: Params<T>,
    inputs: Named<T, N>,
    wrt_inputs: &[usize],
    loss: F,
) -> Work
where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> Var<'g> + 'static,
{
    let arrays = arrays(&params, &inputs);
    let names = inputs.each_ref().map(|(name, _)| *name);
    let inputs = inputs.map(|(_, input)| input);
    let mut step = Step::new(loss).wrt_inputs(wrt_inputs.iter().copied());
    let gradients = step.run(&mut params, inputs.each_ref()).expect("the step runs");
    let mut numbers: Numbers =
        gradients.iter().map(|(param, value)| (format!("grad.{}", param.name()), sample(value))).collect();
    numbers.extend(wrt_inputs.iter().map(|&input| (format!("grad.{}", names[input]), sample(gradients.input(input)))));
    numbers.insert("loss".to_owned(), vec![gradients.loss().as_f64()]);
    Work { arrays, numbers, limit: Limit::None, run: Box::new(Training { params, inputs, step, optimizer: None }) }
}

/// The outputs of a function.
pub(super) fn function<F, T: Saved, const N: usize, const M: usize>(
    params: Params<T>,
    inputs: Named<T, N>,
    outputs: F,
) -> Work
where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> [Var<'g>; M] + 'static,
{
    let arrays = arrays(&params, &inputs);
    let inputs = inputs.map(|(_, input)| input);
    let mut function = Function::new(outputs);
    let found = function.run(&params, inputs.each_ref()).expect("the function runs");
    let numbers =
        found.iter().enumerate().map(|(number, output)| (format!("out.{number}"), sample(output.real()))).collect();
    let limit = Limit::Products(function.summary().map_or(0, |summary| summary.multiply_adds));
    Work { arrays, numbers, limit, run: Box::new(Call { params, inputs, function }) }
}

/// A function.
struct Call<F, T, const N: usize, const M: usize> {
    params: Params<T>,
    inputs: [AnyTensor<T>; N],
    function: Function<F, N, M, T>,
}

impl<F, T: Real, const N: usize, const M: usize> Run for Call<F, T, N, M>
where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> [Var<'g>; M],
{
    fn run(&mut self) {
        black_box(self.function.run(&self.params, self.inputs.each_ref()).expect("the function runs"));
    }

    fn profile(&mut self) -> Option<Profile> {
        Some(self.function.profile(&self.params, self.inputs.each_ref(), PROFILED).expect("the function runs"))
    }
}

/// Numbers that look random, in [−1, 1).
pub(super) fn reals<const N: usize>(shape: [usize; N]) -> AnyTensor<f32> {
    Tensor::new(shape, crate::conv::numbers(shape.iter().product())).into()
}

/// Indices below a number that look random.
pub(super) fn indices<const N: usize>(shape: [usize; N], below: usize) -> AnyTensor<f32> {
    Tensor::from_fn(shape, |k| ((k as u32).wrapping_mul(2_654_435_761) >> 8) as i64 % below as i64).into()
}
