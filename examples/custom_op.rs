//! A new op: used in a fit, differentiated twice, checked. `cargo run --release --example custom_op`
//!
//! The op is Snake, `x + sin²(a·x)/a` (Ziyin, Hartwig and Ueda 2020), an activation for periodic functions.

use gradus::op::{Number, Pointwise};
use gradus::optim::{Adam, Optimizer};
use gradus::train::Step;
use gradus::{Graph, Params, Real, Tensor, Var, check};

/// `x + sin²(a·x)/a`
#[derive(Debug, PartialEq, Eq, Hash)]
struct Snake {
    a: Number,
}

impl Pointwise for Snake {
    const NAME: &'static str = "snake";

    #[inline(always)]
    fn value<T: Real>(&self, x: &[T]) -> T {
        let s = (self.a.real::<T>() * x[0]).sin();
        x[0] + s * s / self.a.real()
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        (x[0] * (2.0 * self.a.0)).sin() + 1.0
    }
}

/// The same op with a slope that forgets the factor 2.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WrongSnake;

impl Pointwise for WrongSnake {
    const NAME: &'static str = "wrong_snake";

    fn value<T: Real>(&self, x: &[T]) -> T {
        Snake { a: Number(1.0) }.value(x)
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        x[0].sin() + 1.0
    }
}

fn snake(x: Var<'_>) -> Var<'_> {
    x.graph().call(Snake { a: Number(1.0) }, &[x])
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Differentiated twice: the second derivative of x + sin²x is 2·cos(2x).
    let graph = Graph::new();
    let at = Tensor::from([0.0_f64, 0.5, 1.0]);
    let x = graph.constant(&at);
    let first = graph.grad(snake(x).sum(), &[x])?[0];
    let second = graph.grad(first.sum(), &[x])?[0];
    println!("x                  {at:.4}");
    println!("first derivative   {:.4}", graph.eval(first)?);
    println!("second derivative  {:.4}", graph.eval(second)?);
    println!("2·cos(2x)          {:.4}\n", at.map(|x| 2.0 * (2.0 * x).cos()));

    // Used: w·snake(b·x) fits 3·snake(0.7·x).
    let mut params: Params = Params::new(0);
    let (w, b) = (params.add("w", Tensor::scalar(1.0)), params.add("b", Tensor::scalar(1.0)));
    let points = Tensor::from_fn([64], |k| k as f32 / 16.0 - 2.0);
    let target = points.map(|x| 3.0 * (0.7 * x + (0.7 * x).sin().powi(2)));
    let mut step = Step::new(|graph, [x, y]| (graph.param(&w) * snake(graph.param(&b) * x) - y).square().mean());
    let mut adam = Optimizer::new(Adam::new(0.02));
    let mut loss = f32::NAN;
    for _ in 0..1500 {
        let gradients = step.run(&mut params, (&points, &target))?;
        loss = gradients.loss();
        adam.step(&mut params, &gradients)?;
    }
    println!("fitted w = {:.4} (3), b = {:.4} (0.7), loss {loss:.1e}\n", params.get(&w).item(), params.get(&b).item());

    // Checked to second order; a wrong slope is refused with the place and the numbers.
    let inputs = [Tensor::from([0.5, -1.25, 3.0])];
    let report = check::gradients(&inputs, |x| snake(x[0]))?;
    println!("snake: {} derivatives compared, largest error {:.1e}", report.compared, report.largest_error);
    if let Err(failure) = check::gradients(&inputs, |x| x[0].graph().call(WrongSnake, x)) {
        println!("wrong_snake: {failure}");
    }
    Ok(())
}
