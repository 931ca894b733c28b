//! Ordinary control flow that depends on values: Kepler's equation by Newton's method, as many steps as it needs, and
//! the derivative through them. `cargo run --release --example data_dependent`
//!
//! The eccentric anomaly E solves `E − e·sin E = M`. By the implicit function theorem `dE/dM = 1/(1 − e·cos E)`.

use std::error::Error;

use gradus::{Graph, Tensor, Var};

/// Newton's method until the step is small: a plain loop, whose condition looks at values.
fn eccentric_anomaly<'g>(
    graph: &'g Graph,
    mean: Var<'g>,
    eccentricity: f64,
) -> Result<(Var<'g>, usize), Box<dyn Error>> {
    let mut anomaly = mean;
    for steps in 1..=50 {
        let change = (anomaly - anomaly.sin() * eccentricity - mean) / (1.0 - anomaly.cos() * eccentricity);
        anomaly -= change;
        if graph.eval(change)?.item().abs() < 1e-14 {
            return Ok((anomaly, steps));
        }
    }
    Err("Newton's method did not settle in 50 steps".into())
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("    M      e   steps       E        dE/dM   1/(1 − e·cos E)");
    for (mean, eccentricity) in [(0.1, 0.0), (0.1, 0.2), (0.1, 0.8), (2.0, 0.8), (3.0, 0.95)] {
        let graph = Graph::new();
        let x = graph.constant(&Tensor::from([mean])).reshape([]);
        let (anomaly, steps) = eccentric_anomaly(&graph, x, eccentricity)?;
        let slope = graph.eval(graph.grad(anomaly, &[x])?[0])?.item();
        let value = graph.eval(anomaly)?.item();
        let exact = 1.0 / (1.0 - eccentricity * value.cos());
        println!("{mean:5.2}  {eccentricity:5.2}  {steps:5}  {value:10.7}  {slope:10.7}  {exact:10.7}");
        assert!((slope - exact).abs() < 1e-9, "the derivative through the steps is that of the solution");
    }
    Ok(())
}
