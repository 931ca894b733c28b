//! A recurrent chain of ten thousand steps, trained with and without checkpoints: the memory of the plan, and the bits
//! of the gradients.

use std::io::Write;

use gradus::arguments::CheckpointSchedule;
use gradus::nn::{Dense, DenseOptions};
use gradus::optim::{Adam, Optimizer};
use gradus::{Feed, Graph, Params, Plan, Session, Tensor, Var};

const STEPS: usize = 10_000;
const BATCH: usize = 2;
const UNITS: usize = 16;

/// An Elman network with a loss at each step.
struct Network {
    input: Dense,
    recurrent: Dense,
    output: Dense,
}

impl Network {
    fn new(params: &mut Params) -> Self {
        let without_bias = DenseOptions::new().without_bias();
        Self {
            input: Dense::new(params, "input", 1, UNITS),
            recurrent: Dense::with(params, "recurrent", UNITS, UNITS, without_bias),
            output: Dense::new(params, "output", UNITS, 1),
        }
    }

    /// How well the state tells the next number, over all steps.
    fn loss<'g>(&self, graph: &'g Graph, series: Var<'g>, schedule: Option<CheckpointSchedule>) -> Var<'g> {
        let (mut state, mut total) = (graph.zeros([BATCH, UNITS]), graph.scalar(0.0));
        let at = |t: usize| series.slice(0, t as isize, t as isize + 1).squeeze(0);
        let step = |t: usize| {
            state = (self.input.forward(at(t)) + self.recurrent.forward(state)).tanh();
            total += (self.output.forward(state) - at(t + 1)).square().mean();
        };
        match schedule {
            Some(schedule) => graph.checkpoint_steps(STEPS, schedule, step),
            None => (0..STEPS).for_each(step),
        }
        total / STEPS as f64
    }

    /// A run of the loss and its gradients, and the bytes of its arena.
    fn compile(&self, params: &Params, schedule: Option<CheckpointSchedule>) -> (Session<f32>, usize) {
        let graph = Graph::new();
        let loss = self.loss(&graph, graph.input("series", [STEPS + 1, BATCH, 1]), schedule);
        let wrt: Vec<Var<'_>> = params.trainable().map(|param| graph.param(param)).collect();
        let gradients = graph.grad(loss, &wrt).expect("every parameter is used");
        let plan = Plan::new(&graph, &[vec![loss], gradients].concat()).expect("the graph compiles");
        (plan.session(), plan.summary().arena * size_of::<f32>())
    }
}

#[test]
fn ten_thousand_steps_in_a_tenth_of_the_memory() {
    let mut params: Params = Params::new(1);
    let network = Network::new(&mut params);
    let series = Tensor::from_fn([STEPS + 1, BATCH, 1], |k| {
        let (t, row) = ((k / BATCH) as f64, (k % BATCH) as f64);
        ((t * 0.3 + row).sin() * (t * 0.013).cos()) as f32
    });
    let feed = Feed::new().with("series", &series);
    let (mut plain, bytes) = network.compile(&params, None);
    let mut losses = Vec::new();
    for schedule in [CheckpointSchedule::SquareRoot, CheckpointSchedule::Binomial(8)] {
        let (mut again, fewer) = network.compile(&params, Some(schedule));
        let share = 100.0 * fewer as f64 / bytes as f64;
        let _ = writeln!(std::io::stderr(), "{schedule:?}: arena of {fewer} bytes, {share:.1} % of {bytes}");
        assert!(fewer * 10 <= bytes, "{schedule:?} needs {fewer} bytes, {bytes} without");
        let mut adam = Optimizer::new(Adam::new(0.01));
        for _ in 0..2 {
            let plain = plain.run(&params, &feed).expect("it runs").all();
            let outputs = again.run(&params, &feed).expect("it runs").all();
            let bits = |tensor: &Tensor<f32>| tensor.data().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert!(plain.iter().zip(outputs).all(|(a, b)| bits(a.real()) == bits(b.real())), "{schedule:?}");
            losses.push(outputs[0].real().item());
            let list: Vec<_> = params.trainable().cloned().collect();
            adam.step(&mut params, list.iter().zip(outputs[1..].iter().map(|gradient| gradient.real())))
                .expect("the gradients are finite");
        }
    }
    assert!(losses.is_sorted_by(|a, b| a > b), "training lowers the loss: {losses:?}");
}
