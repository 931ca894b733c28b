//! Statistics of steps: their numbers, and the warnings of models that train badly or well.

use gradus_graph::{Graph, Params, Random, Real, Tensor, Var};
use gradus_nn::{Dense, loss};
use gradus_optim::{Adam, Optimizer, Sgd};
use gradus_train::Step;
use gradus_train::logs::{JsonLines, Logger};
use gradus_train::statistics::{Thresholds, Trouble, UpdateReport, Updates};

type Between = for<'g> fn(Var<'g>) -> Var<'g>;

/// Numbers of layers, and what stands between them.
const FUNCTIONS: [(usize, Between); 3] = [(2, |x| x.tanh()), (4, |x| x.relu()), (3, |x| x.sigmoid())];

/// Dense layers of one width, with a function between them.
struct Deep {
    layers: Vec<Dense>,
    between: Between,
}

impl Deep {
    fn new<T: Real>(params: &mut Params<T>, depth: usize, between: Between) -> Self {
        let layers = (0..depth).map(|k| Dense::new(params, &format!("layer{k}"), 16, 16)).collect();
        Self { layers, between }
    }

    fn forward<'g>(&self, x: Var<'g>) -> Var<'g> {
        let (last, others) = self.layers.split_last().expect("there are layers");
        last.forward(others.iter().fold(x, |x, layer| (self.between)(layer.forward(x))))
    }
}

fn batch() -> (Tensor<f32>, Tensor<f32>) {
    let x: Tensor<f32> = Random::new(1).normal([64, 16]);
    let y = x.map(|value| value.sin());
    (x, y)
}

/// The report of the last of some steps of Adam, after a change of the parameters.
fn after(steps: usize, rate: f64, depth: usize, between: Between, scale: f32) -> UpdateReport {
    let mut params: Params = Params::new(3);
    let model = Deep::new(&mut params, depth, between);
    let weights: Vec<_> = params.trainable().filter(|param| param.shape().rank() == 2).cloned().collect();
    for weight in &weights {
        params.get_mut(weight).data_mut().iter_mut().for_each(|value| *value *= scale);
    }
    let mut step = Step::new(|_, [x, y]| loss::mse(model.forward(x), y));
    let mut adam = Optimizer::new(Adam::new(rate));
    let (x, y) = batch();
    let mut last = None;
    for _ in 0..steps {
        let before = Updates::new(&params);
        let gradients = step.run(&mut params, (&x, &y)).expect("it runs");
        adam.step(&mut params, &gradients).expect("it steps");
        last = Some(before.measure(&params, gradients.iter()));
    }
    last.expect("there are steps")
}

/// The troubles of a report, with the names.
fn troubles(report: &UpdateReport) -> Vec<(Trouble, String)> {
    let warnings = report.warnings(&Thresholds::default());
    warnings.into_iter().map(|warning| (warning.trouble, warning.name)).collect()
}

#[test]
fn the_numbers_are_those_of_their_definitions() {
    let mut params: Params<f64> = Params::new(0);
    let w = params.add("w", Tensor::from_rows([[3.0, -4.0], [0.0, 1.0]]));
    let frozen = params.add("frozen", Tensor::from([1.0]));
    let b = params.add("b", Tensor::from([0.0]));
    params.set_trainable(false, |name| name == "frozen");
    let before = Updates::new(&params).histograms(4);
    params.set(&w, Tensor::from_rows([[3.5, -4.0], [0.0, 0.0]]));
    params.set(&b, Tensor::from([0.25]));
    params.get_mut(&frozen).data_mut()[0] = 7.0;
    let gradient = Tensor::from_rows([[-1.0, 0.0], [2.0, 2.0]]);
    let report = before.measure(&params, [(&w, &gradient)]);
    let [of_w, of_b] = report.rows() else { panic!("the frozen one is no row") };
    assert_eq!((of_w.mean_weight, of_w.mean_update, of_w.update_ratio), (2.0, 0.375, 0.1875));
    assert_eq!((of_w.norm_ratio, of_w.zero_weights), (1.25_f64.sqrt() / 26.0_f64.sqrt(), 0.5));
    assert_eq!((of_w.changed_weights, of_b.changed_weights), (0.5, 1.0));
    let gradient = of_w.gradient.as_ref().expect("it was given");
    assert_eq!((gradient.norm, gradient.root_mean_square, gradient.largest, gradient.zeros), (3.0, 1.5, 2.0, 0.25));
    let histograms = of_w.histograms.as_ref().expect("they were asked for");
    assert_eq!(histograms.updates.counts(), [1, 0, 2, 1]);
    assert_eq!(histograms.gradient.as_ref().expect("it was given").counts(), [1, 1, 0, 2]);
    assert_eq!((of_b.update_ratio, of_b.gradient.as_ref()), (f64::INFINITY, None));
    // The mean over all five weights.
    assert_eq!((report.weight_update(), report.update_ratio(), report.gradient_norm()), (0.35, 0.21875, 3.0));
    let table = "parameter  shape     mean |w|   mean |Δw|       ratio  norm ratio  |gradient|     largest   zeros\n\
                 w          [2, 2]    2.00e0     3.75e-1     1.88e-1     2.19e-1      3.00e0      2.00e0   25.0%\n\
                 b          [1]       0.00e0     2.50e-1         inf         inf           ·           ·       ·\n\
                 all        5         1.60e0     3.50e-1     2.19e-1                  3.00e0";
    assert_eq!(report.to_string().replace(' ', ""), table.replace(' ', ""), "{report}");
    let widths: Vec<usize> = report.to_string().lines().map(|line| line.chars().count()).collect();
    assert!(widths[..3].iter().all(|width| *width == widths[0]), "{report}");
}

/// Usual rates, depths and functions raise no alarm, from the first step on.
#[test]
fn a_healthy_model_has_no_warnings() {
    for steps in [1, 2, 10, 100] {
        for (depth, between) in FUNCTIONS {
            let report = after(steps, 1e-3, depth, between, 1.0);
            assert_eq!(troubles(&report), [], "{steps} steps of {depth} layers\n{report}");
        }
    }
}

/// The usual rate of Adam changes weights of many inputs, which begin small, the most beside their size.
#[test]
fn a_wide_layer_has_no_warnings() {
    let mut params: Params = Params::new(3);
    let [hidden, output] = [("hidden", 2048, 8), ("output", 8, 16)]
        .map(|(name, inputs, outputs)| Dense::new(&mut params, name, inputs, outputs));
    let mut step = Step::new(|_, [x, y]| loss::mse(output.forward(hidden.forward(x).tanh()), y));
    let mut adam = Optimizer::new(Adam::new(1e-3));
    let (x, (_, y)): (Tensor<f32>, _) = (Random::new(1).normal([64, 2048]), batch());
    for _ in 0..5 {
        let before = Updates::new(&params);
        let gradients = step.run(&mut params, (&x, &y)).expect("it runs");
        adam.step(&mut params, &gradients).expect("it steps");
        let report = before.measure(&params, gradients.iter());
        assert_eq!(troubles(&report), [], "{report}");
    }
}

#[test]
fn troubles_are_found_where_they_are() {
    // Twelve sigmoids: the gradient of the first layers is far below that of the last.
    let report = after(1, 1e-3, 12, |x| x.sigmoid(), 1.0);
    let found = troubles(&report);
    assert!(found.contains(&(Trouble::VanishingGradient, "layer0.weight".to_owned())), "{found:?}\n{report}");
    assert!(!found.iter().any(|(_, name)| name.starts_with("layer10") || name.starts_with("layer11")), "{found:?}");
    // Weights twelve times their usual size, without anything between the layers.
    let report = after(1, 1e-3, 6, |x| x, 12.0);
    let found = troubles(&report);
    assert!(
        found.iter().filter(|(trouble, _)| *trouble == Trouble::ExplodingGradient).count() >= 6,
        "{found:?}\n{report}"
    );
    let matrices = |trouble: Trouble| -> Vec<(Trouble, String)> {
        (0..3).map(|layer| (trouble, format!("layer{layer}.weight"))).collect()
    };
    assert_eq!(troubles(&after(1, 0.1, 3, |x| x.tanh(), 1.0)), matrices(Trouble::LargeUpdate));
    assert_eq!(troubles(&after(1, 1e-8, 3, |x| x.tanh(), 1.0)), matrices(Trouble::SmallUpdate));
}

#[test]
fn what_is_not_finite_or_has_no_gradient_is_named() {
    let mut params: Params = Params::new(0);
    let a = params.scope("a", |params| params.add("weight", Tensor::from_rows([[1.0, 2.0], [3.0, 4.0]])));
    let b = params.scope("b", |params| params.add("weight", Tensor::from_rows([[1.0]])));
    let before = Updates::new(&params);
    let bad = Tensor::from_rows([[0.0, 0.0], [f32::NAN, 0.0]]);
    let report = before.measure(&params, [(&a, &bad), (&b, &Tensor::from_rows([[0.0]]))]);
    let warnings: Vec<String> = report.warnings(&Thresholds::default()).iter().map(ToString::to_string).collect();
    let wanted = [
        "`a.weight`: the gradient is not finite at [1, 0]; lower the learning rate, clip the gradients, and look for a \
         division or logarithm of 0",
        "`b.weight`: the gradient is 0 throughout; see whether the loss depends on it, and whether the units behind it are \
         dead",
    ];
    assert_eq!(warnings, wanted);
    assert!(report.rows()[0].gradient.as_ref().is_some_and(|gradient| gradient.largest.is_nan()));
    params.get_mut(&b).data_mut()[0] = f32::INFINITY;
    let report = before.measure(&params, [(&a, &Tensor::from_rows([[1.0, 1.0], [1.0, 1.0]]))]);
    let warnings = report.warnings(&Thresholds::default());
    let found: Vec<(&str, &str)> =
        warnings.iter().map(|warning| (warning.name.as_str(), warning.found.as_str())).collect();
    assert_eq!(found[1], ("b.weight", "the weight at [0, 0] is not finite"));
    assert_eq!(found[0], ("a.weight", "a step changes the weights by 0.0e0 of their size"));
}

#[test]
fn a_report_can_be_logged() {
    let mut params: Params = Params::new(0);
    let w = params.add("w", Tensor::from([1.0, 2.0]));
    let mut step = Step::new(|graph: &Graph, []| graph.param(&w).square().sum());
    let mut sgd = Optimizer::new(Sgd::new(0.25));
    let path = std::env::temp_dir().join(format!("gradus-statistics-{}.jsonl", std::process::id()));
    let mut log = JsonLines::create(&path).expect("it can be written");
    let before = Updates::new(&params).histograms(1);
    let gradients = step.run(&mut params, ()).expect("it runs");
    sgd.step(&mut params, &gradients).expect("it steps");
    before.measure(&params, gradients.iter()).log(1, &mut log).expect("it can be written");
    log.flush().expect("it can be written");
    let text = std::fs::read_to_string(&path).expect("it is there");
    let names: Vec<&str> = text.lines().filter_map(|line| line.split('"').nth(5)).collect();
    let wanted = [
        "weight update",
        "update ratio",
        "gradient norm",
        "weight update/w",
        "update ratio/w",
        "gradient norm/w",
        "weights/w",
        "updates/w",
        "gradient/w",
    ];
    assert_eq!(names, wanted);
    assert!(text.contains("{\"step\":1,\"name\":\"weight update\",\"value\":0.75}"), "{text}");
    std::fs::remove_file(&path).expect("it can be removed");
}
