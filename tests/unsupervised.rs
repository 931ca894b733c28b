//! Models without labels, in small: an autoencoder, a variational autoencoder and a generative adversarial network.

use gradus::nn::{Dense, Layer, Mode, Sigmoid, Steady, Tanh, loss};
use gradus::optim::{Adam, Optimizer};
use gradus::train::Step;
use gradus::{Graph, Params, Tensor, Var, check};

/// Six binary patterns of eight pixels, each twice.
fn patterns() -> Tensor<f64> {
    Tensor::from_fn([12, 8], |k| f64::from(u8::from((k / 8 % 6 + 1) * (k % 8 + 2) % 7 < 3)))
}

/// Runs n steps; gives the first loss and the last.
fn train(
    params: &mut Params<f64>,
    rate: f64,
    steps: usize,
    loss: impl for<'g> Fn(&'g Graph, [Var<'g>; 0]) -> Var<'g>,
    scope: Option<&str>,
) -> (f64, f64) {
    let mut step = Step::new(loss).seed(3);
    if let Some(scope) = scope {
        step = step.only([scope]);
    }
    let mut adam = Optimizer::new(Adam::new(rate));
    let (mut first, mut last) = (f64::NAN, f64::NAN);
    for number in 0..steps {
        let gradients = step.run(params, ()).expect("the loss uses every parameter of its scope");
        last = gradients.loss();
        if number == 0 {
            first = last;
        }
        adam.step(params, &gradients).expect("gradients are finite");
    }
    (first, last)
}

#[test]
fn an_autoencoder_learns_to_squeeze() {
    let mut params: Params<f64> = Params::new(1);
    let model = (
        (Dense::new(&mut params, "in", 8, 12), Tanh, Dense::new(&mut params, "code", 12, 2)),
        (Dense::new(&mut params, "out", 2, 12), Tanh, Dense::new(&mut params, "pixels", 12, 8), Sigmoid),
    );
    fn squared_error<'g>(model: &impl Steady, graph: &'g Graph) -> Var<'g> {
        let images = graph.constant(&patterns());
        loss::mse(model.forward_in(images, Mode::Eval), images)
    }
    check::assert_model(&params, (), |graph, []| squared_error(&model, graph));
    let (first, last) = train(&mut params, 0.02, 400, |graph, []| squared_error(&model, graph), None);
    assert!(last < 0.2 * first, "from {first} to {last}");
}

struct Variational {
    encoder: (Dense, Tanh, Dense),
    decoder: (Dense, Tanh, Dense),
}

impl Variational {
    fn new(params: &mut Params<f64>) -> Self {
        let encoder = (Dense::new(params, "in", 8, 6), Tanh, Dense::new(params, "code", 6, 4));
        let decoder = (Dense::new(params, "out", 2, 6), Tanh, Dense::new(params, "pixels", 6, 8));
        Self { encoder, decoder }
    }

    /// Description and divergence, nats an image.
    fn terms<'g>(&self, graph: &'g Graph) -> (Var<'g>, Var<'g>) {
        let images = graph.constant(&patterns());
        let parts = self.encoder.forward(images).chunks(2, -1);
        let (mean, log_variance) = (parts[0], parts[1]);
        let code = mean + (log_variance * 0.5).exp() * graph.normal(mean.shape());
        let description =
            loss::binary_cross_entropy_with_logits_terms(self.decoder.forward(code), images).sum_axes(-1).mean();
        let divergence = (mean.square() + log_variance.exp() - log_variance - 1.0).sum_axes(-1).mean() * 0.5;
        (description, divergence)
    }

    fn negative_elbo<'g>(&self, graph: &'g Graph) -> Var<'g> {
        let (description, divergence) = self.terms(graph);
        description + divergence
    }
}

/// The noise is the same at each evaluation, since seed and step are.
#[test]
fn the_gradient_of_the_elbo_passes_through_the_code() {
    let mut params: Params<f64> = Params::new(2);
    let model = Variational::new(&mut params);
    check::assert_model(&params, (), |graph, []| model.negative_elbo(graph));
    check::assert_model(&params, (), |graph, []| model.terms(graph).0);
}

#[test]
fn a_variational_autoencoder_raises_its_bound() {
    let mut params: Params<f64> = Params::new(2);
    let model = Variational::new(&mut params);
    let (first, last) = train(&mut params, 0.02, 600, |graph, []| model.negative_elbo(graph), None);
    // Codes that say nothing leave what each pixel costs by its own mean.
    let entropy: f64 = (0..8)
        .map(|pixel| {
            let mean = (0..12).map(|row| patterns().at(&[row, pixel])).sum::<f64>() / 12.0;
            [mean, 1.0 - mean].iter().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum::<f64>()
        })
        .sum();
    assert!(last < first && last < 0.9 * entropy, "from {first} to {last}; without codes {entropy}");
}

/// Two networks in one store, each under its scope.
struct Game {
    generator: (Dense, Tanh, Dense),
    discriminator: (Dense, Tanh, Dense),
}

impl Game {
    fn new(params: &mut Params<f64>) -> Self {
        let mut network = |scope: &str, inputs: usize, outputs: usize| {
            params.scope(scope, |params| {
                (Dense::new(params, "hidden", inputs, 5), Tanh, Dense::new(params, "output", 5, outputs))
            })
        };
        Self { generator: network("generator", 2, 2), discriminator: network("discriminator", 2, 1) }
    }

    fn made<'g>(&self, graph: &'g Graph) -> Var<'g> {
        self.generator.forward(graph.normal([6, 2]))
    }

    /// The discriminator's loss, with a penalty on its slopes at the data.
    fn judged<'g>(&self, graph: &'g Graph) -> Var<'g> {
        let real = graph.normal([6, 2]) * 0.25 + 1.5;
        let (on_data, on_made) = (self.discriminator.forward(real), self.discriminator.forward(self.made(graph)));
        let slope = graph.grad(on_data.sum(), &[real]).expect("the discriminator uses its input")[0];
        (-on_data).softplus().mean() + on_made.softplus().mean() + slope.square().sum_axes(-1).mean() * 0.25
    }

    fn forged<'g>(&self, graph: &'g Graph) -> Var<'g> {
        let made = self.discriminator.forward(self.made(graph));
        loss::binary_cross_entropy_with_logits(made, graph.ones(made.shape()))
    }
}

#[test]
fn gradients_of_both_sides_and_of_the_penalty() {
    let mut params: Params<f64> = Params::new(4);
    let game = Game::new(&mut params);
    check::assert_model(&params, (), |graph, []| game.judged(graph));
    check::assert_model(&params, (), |graph, []| game.forged(graph));
}

#[test]
fn each_side_moves_its_own_parameters_and_lowers_its_loss() {
    let mut params: Params<f64> = Params::new(4);
    let game = Game::new(&mut params);
    for (own, other) in [("discriminator", "generator"), ("generator", "discriminator")] {
        let before = params.clone();
        let (first, last) = match own {
            "generator" => train(&mut params, 0.02, 200, |graph, []| game.forged(graph), Some(own)),
            _ => train(&mut params, 0.02, 200, |graph, []| game.judged(graph), Some(own)),
        };
        assert!(last < 0.7 * first, "{own}: from {first} to {last}");
        for (param, value) in params.iter() {
            let stayed = before.get(param) == value;
            assert_eq!(stayed, param.name().starts_with(other), "{} after steps of the {own}", param.name());
        }
    }
}

#[test]
fn a_scope_without_parameters_is_told() {
    let mut params: Params<f64> = Params::new(4);
    let game = Game::new(&mut params);
    let mut step = Step::new(|graph, []| game.forged(graph)).only(["gener"]);
    let error = step.run(&mut params, ()).expect_err("nothing is there to train").to_string();
    assert_eq!(error, "there is no trainable parameter in the scope `gener`");
}
