//! Every method and every strategy trains a small network: XOR, two hidden units, through the parameter store.

use gradus_graph::{Error, Feed, Graph, Param, Params, Plan, Real, Session, Tensor, Var};
use gradus_minimize::search::{
    Annealing, CmaEs, CrossoverOperator, DifferentialEvolution, EvolutionStrategy, Genetic, MutationOperator,
    NaturalEvolution, ParticleSwarm, Search, SelectionOperator, Strategy, Survival, Topology, Variant, Weights,
};
use gradus_minimize::{Beta, ConjugateGradient, GaussNewton, Lbfgs, LevenbergMarquardt, NewtonCg, Slope};

/// The parameters of the network 2-2-1 with tanh.
struct Network {
    list: [Param; 4],
}

impl Network {
    fn new<T: Real>(params: &mut Params<T>) -> Self {
        let mut add =
            |layer: &str, name: &str, value: Tensor<f64>| params.scope(layer, |params| params.add(name, value.cast()));
        let list = [
            add("hidden", "weight", Tensor::from_rows([[0.7, -0.4], [0.5, 0.9]])),
            add("hidden", "bias", Tensor::from([0.1, -0.2])),
            add("output", "weight", Tensor::from([0.6, -0.8])),
            add("output", "bias", Tensor::scalar(0.3)),
        ];
        Self { list }
    }

    fn vars<'g>(&self, graph: &'g Graph) -> [Var<'g>; 4] {
        self.list.each_ref().map(|param| graph.param(param))
    }

    /// What the four answers lack.
    fn residuals<'g>(&self, graph: &'g Graph) -> Var<'g> {
        let [weight, bias, output, shift] = self.vars(graph);
        let x = graph.constant(&Tensor::from_rows([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]));
        let answers = (x.matmul(weight) + bias).tanh().matmul(output) + shift;
        answers - graph.constant(&Tensor::from([0.0, 1.0, 1.0, 0.0]))
    }

    fn loss<'g>(&self, graph: &'g Graph) -> Var<'g> {
        self.residuals(graph).square().sum()
    }

    fn gradients<T: Real>(&self) -> Result<Session<T>, Error> {
        let graph = Graph::new();
        let loss = self.loss(&graph);
        let gradients = graph.grad(loss, &self.vars(&graph))?;
        Ok(Plan::new(&graph, &[vec![loss], gradients].concat())?.session())
    }

    /// Loss and gradients as a closure.
    fn function<T: Real>(&self) -> impl FnMut(&Params<T>, &mut Slope<'_>) -> Result<T, Error> {
        let mut session = self.gradients().expect("the graph compiles");
        move |params, slope| {
            let outputs = session.run(params, &Feed::new())?;
            slope.set(self.list.iter().enumerate().map(|(i, param)| (param, outputs.real(i + 1))));
            Ok(outputs.real(0).item())
        }
    }
}

/// Asserts that the network in the store has learned XOR.
#[track_caller]
fn has_learned<T: Real>(name: &str, network: &Network, params: &Params<T>, at_most: f64) {
    let loss = network.gradients::<T>().and_then(|mut session| Ok(session.run(params, &Feed::new())?.real(0).item()));
    let loss = loss.expect("the graph runs").as_f64();
    assert!(loss <= at_most, "{name}: the loss is {loss:e}");
}

#[test]
fn methods_train_a_network() {
    fn check<T: Real>(at_most: f64) {
        let betas = [Beta::FletcherReeves, Beta::PolakRibiere, Beta::HestenesStiefel, Beta::DaiYuan, Beta::HagerZhang];
        for beta in betas {
            let mut params = Params::<T>::new(0);
            let network = Network::new(&mut params);
            let method = ConjugateGradient::new().beta(beta);
            method.minimize(&mut params, network.function()).expect("the graph runs");
            has_learned(&format!("{beta:?}"), &network, &params, at_most);
        }
        let mut params = Params::<T>::new(0);
        let network = Network::new(&mut params);
        Lbfgs::new().minimize(&mut params, network.function()).expect("the graph runs");
        has_learned("L-BFGS", &network, &params, at_most);
    }
    check::<f64>(1e-12);
    check::<f32>(1e-9);
}

#[test]
fn newton_trains_a_network() -> Result<(), Error> {
    let mut params: Params<f32> = Params::new(0);
    let network = Network::new(&mut params);
    let graph = Graph::new();
    let vars = network.vars(&graph);
    let names = ["v0", "v1", "v2", "v3"];
    let along: Vec<Var<'_>> = vars.iter().zip(names).map(|(var, name)| graph.input(name, var.shape())).collect();
    let mut products = Plan::new(&graph, &graph.hvp(network.loss(&graph), &vars, &along)?)?.session();
    NewtonCg::new().minimize(&mut params, network.function(), |params, direction, slope| {
        let feed =
            network.list.iter().zip(names).fold(Feed::new(), |feed, (p, name)| feed.with(name, direction.get(p)));
        let outputs = products.run(params, &feed)?;
        slope.set(network.list.iter().enumerate().map(|(i, param)| (param, outputs.real(i))));
        Ok(())
    })?;
    has_learned("Newton-CG", &network, &params, 1e-9);
    Ok(())
}

#[test]
fn least_squares_train_a_network() -> Result<(), Error> {
    let mut params: Params<f64> = Params::new(0);
    let network = Network::new(&mut params);
    let start = params.clone();
    let graph = Graph::new();
    let (residuals, vars) = (network.residuals(&graph), network.vars(&graph));
    let mut values = Plan::new(&graph, &[residuals])?.session::<f64>();
    let jacobians = vars.iter().map(|&var| graph.jacobian(residuals, var)).collect::<Result<Vec<_>, _>>()?;
    let mut jacobians = Plan::new(&graph, &jacobians)?.session::<f64>();
    // Nine parameters and four residuals.
    LevenbergMarquardt::new().minimize(
        &mut params,
        |params| Ok(values.run(params, &Feed::new())?.real(0).clone()),
        |params, jacobian| {
            let outputs = jacobians.run(params, &Feed::new())?;
            network.list.iter().enumerate().for_each(|(i, param)| jacobian.set(param, outputs.real(i)));
            Ok(())
        },
    )?;
    has_learned("Levenberg–Marquardt", &network, &params, 1e-20);

    let mut params = start;
    let names = ["v0", "v1", "v2", "v3"];
    let along: Vec<Var<'_>> = vars.iter().zip(names).map(|(var, name)| graph.input(name, var.shape())).collect();
    let u = graph.input("u", [4]);
    let mut forward = Plan::new(&graph, &graph.jvp(&[residuals], &vars, &along)?)?.session::<f64>();
    let mut backward = Plan::new(&graph, &graph.vjp(&[residuals], &[u], &vars)?)?.session::<f64>();
    GaussNewton::new().minimize(
        &mut params,
        |params| Ok(values.run(params, &Feed::new())?.real(0).clone()),
        |params, direction| {
            let named = network.list.iter().zip(names);
            let feed = named.fold(Feed::new(), |feed, (param, name)| feed.with(name, direction.get(param)));
            Ok(forward.run(params, &feed)?.real(0).clone())
        },
        |params, u, slope| {
            let outputs = backward.run(params, &Feed::new().with("u", u))?;
            slope.set(network.list.iter().enumerate().map(|(i, param)| (param, outputs.real(i))));
            Ok(())
        },
    )?;
    has_learned("Gauss–Newton", &network, &params, 1e-12);
    Ok(())
}

/// Searches twice, with one thread and with three: both learn, and agree to the bit.
fn learns(name: &str, strategy: impl Fn() -> Box<dyn Strategy + Send> + Sync) {
    struct Boxed(Box<dyn Strategy + Send>);
    impl Strategy for Boxed {
        fn advance(
            &mut self,
            generation: &mut gradus_minimize::search::Generation<'_>,
        ) -> Result<(), gradus_minimize::search::Ended> {
            self.0.advance(generation)
        }
    }
    let search = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
        pool.install(|| {
            let mut params: Params<f32> = Params::new(0);
            let network = Network::new(&mut params);
            let graph = Graph::new();
            let plan = Plan::new(&graph, &[network.loss(&graph)]).expect("the graph compiles");
            let search = Search::new(Boxed(strategy())).within(-6.0, 6.0).seed(seed).budget(20_000).target(1e-3);
            let found = search.run(&mut params, || {
                let mut session = plan.session();
                move |params: &Params<f32>| Ok(session.run(params, &Feed::new())?.real(0).item())
            });
            let found = found.expect("the graph runs");
            has_learned(name, &network, &params, found.value * 1.000_001);
            (found, params.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>())
        })
    };
    let (one, three) = (search(1, 0), search(3, 0));
    assert!(one == three, "{name}: one and three threads give different results");
    // The network has local minima of loss 0.5, in which a greedy search may be caught.
    let best = (1..6).map(|seed| search(2, seed).0.value).fold(one.0.value, f64::min);
    assert!(best <= 0.05, "{name}: {best}");
}

#[test]
fn searches_train_a_network() {
    learns("CMA-ES", || Box::new(CmaEs::new()));
    for variant in [Variant::RandomOne, Variant::BestOne, Variant::CurrentToBestOne, Variant::SuccessHistory] {
        learns(&format!("{variant:?}"), move || Box::new(DifferentialEvolution::new().variant(variant)));
    }
    learns("swarm", || Box::new(ParticleSwarm::new()));
    let inertia = Weights::Inertia { from: 0.9, to: 0.4, pull: [1.5, 1.5] };
    learns("swarm on a ring", move || Box::new(ParticleSwarm::new().weights(inertia).topology(Topology::Ring)));
    learns("genetic", || Box::new(Genetic::new()));
    let (blend, gaussian) = (CrossoverOperator::Blend(0.5), MutationOperator::Gaussian(0.1));
    learns("genetic, rank", move || {
        Box::new(Genetic::new().selection(SelectionOperator::Rank(1.8)).crossover(blend, 0.9).mutation(gaussian, 0.2))
    });
    learns("genetic, roulette", move || {
        let genetic = Genetic::new().selection(SelectionOperator::Roulette).crossover(CrossoverOperator::Uniform, 0.9);
        Box::new(genetic.mutation(gaussian, 0.3))
    });
    learns("genetic, one point", move || {
        Box::new(Genetic::new().crossover(CrossoverOperator::OnePoint, 0.9).mutation(gaussian, 0.3))
    });
    learns("evolution strategy", || Box::new(EvolutionStrategy::new()));
    learns("evolution strategy, plus", || Box::new(EvolutionStrategy::new().sizes(5, 2, 30).survival(Survival::Plus)));
    learns("OpenAI-ES", || Box::new(NaturalEvolution::new()));
    learns("annealing", || Box::new(Annealing::new()));
}
