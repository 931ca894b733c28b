//! Metrics against scikit-learn's values, recorded by `cases.py`, and what they refuse.

use gradus_graph::{AnyTensor, Error, Real, Shape, Tensor};
use gradus_train::metrics::{
    Accuracy, AveragePrecision, Averaging, ExplainedVariance, F1, LogLoss, Mae, Mape, MedianAbsoluteError, Metric, Mse,
    Perplexity, PrAuc, Precision, R2, Recall, Rmse, RocAuc, Score, TopK,
};
use serde_json::Value;

type Boxed<T> = Box<dyn Metric<T>>;

/// The metric of a recorded value, such as `f1 macro` or `roc 3`.
fn metric<T: Real>(key: &str, probabilities: bool) -> Boxed<T> {
    let (first, rest) = key.split_once(' ').unwrap_or((key, ""));
    let averaging = || match rest {
        "micro" => Averaging::Micro,
        "macro" => Averaging::Macro,
        "weighted" => Averaging::Weighted,
        class => Averaging::Class(class.parse().expect("a class is a number")),
    };
    let threshold = if probabilities { 0.5 } else { 0.0 };
    match first {
        "accuracy" => Box::new(Accuracy::new().threshold(threshold)),
        "top" => Box::new(TopK::new(rest.parse().expect("k is a number"))),
        "precision" => Box::new(Precision::new(averaging()).threshold(threshold)),
        "recall" => Box::new(Recall::new(averaging()).threshold(threshold)),
        "f1" => Box::new(F1::new(averaging()).threshold(threshold)),
        "roc" if probabilities => Box::new(RocAuc::new().averaging(averaging()).probabilities()),
        "roc" => Box::new(RocAuc::new().averaging(averaging())),
        "ap" if probabilities => Box::new(AveragePrecision::new().averaging(averaging()).probabilities()),
        "ap" => Box::new(AveragePrecision::new().averaging(averaging())),
        "pr" if probabilities => Box::new(PrAuc::new().averaging(averaging()).probabilities()),
        "pr" => Box::new(PrAuc::new().averaging(averaging())),
        "log" if probabilities => Box::new(LogLoss::new().probabilities()),
        "log" => Box::new(LogLoss::new()),
        "perplexity" if probabilities => Box::new(Perplexity::new().probabilities()),
        "perplexity" => Box::new(Perplexity::new()),
        "mae" => Box::new(Mae::new()),
        "mse" => Box::new(Mse::new()),
        "rmse" => Box::new(Rmse::new()),
        "mape" => Box::new(Mape::new()),
        "median" => Box::new(MedianAbsoluteError::new()),
        "r2" => Box::new(R2::new()),
        "explained" => Box::new(ExplainedVariance::new()),
        other => panic!("no metric is called {other}"),
    }
}

fn shape(value: &Value) -> Shape {
    let sizes: Vec<usize> =
        value["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect();
    Shape::from(&sizes[..])
}

fn real<T: Real>(value: &Value) -> Tensor<T> {
    Tensor::new(shape(value), value["data"].as_array().unwrap().iter().map(|x| T::of(x.as_f64().unwrap())).collect())
}

fn any<T: Real>(value: &Value) -> AnyTensor<T> {
    if value["kind"] == "real" {
        return AnyTensor::Real(real(value));
    }
    let data = value["data"].as_array().unwrap().iter().map(|label| label.as_i64().unwrap()).collect();
    AnyTensor::Index(Tensor::new(shape(value), data))
}

fn rows<T: Real>(targets: &AnyTensor<T>, start: usize, end: usize) -> AnyTensor<T> {
    match targets {
        AnyTensor::Real(targets) => targets.rows(start, end).into(),
        AnyTensor::Index(targets) => targets.rows(start, end).into(),
    }
}

/// The value over batches of a size.
fn over<T: Real>(
    metric: &mut Boxed<T>,
    outputs: &Tensor<T>,
    targets: &AnyTensor<T>,
    size: usize,
) -> Result<f64, Error> {
    metric.reset();
    let count = outputs.shape()[0];
    for start in (0..count).step_by(size) {
        let end = (start + size).min(count);
        metric.update(&outputs.rows(start, end), &rows(targets, start, end))?;
    }
    Ok(metric.value())
}

/// Compares the values of a case in one precision; gives their number and the largest difference.
fn compare<T: Real>(case: &Value) -> (usize, f64) {
    let (outputs, targets) = (real::<T>(&case["outputs"]), any::<T>(&case["targets"]));
    let probabilities = case["probabilities"].as_bool().unwrap();
    let values = case["values"].as_object().unwrap();
    let mut largest = 0.0_f64;
    for (key, wanted) in values {
        let what = format!("{} in {} of `{}`", key, T::NAME, case["name"]);
        let wanted = wanted.as_f64().unwrap_or(f64::NAN);
        let mut metric = metric::<T>(key, probabilities);
        assert!(metric.value().is_nan(), "{what}: the value of nothing");
        let found = over(&mut metric, &outputs, &targets, usize::MAX / 2).unwrap();
        let apart = if found == wanted || found.is_nan() && wanted.is_nan() {
            0.0
        } else {
            (found - wanted).abs() / wanted.abs().max(1.0)
        };
        assert!(apart <= 1e-12, "{what} is {found}; scikit-learn has {wanted}");
        largest = largest.max(apart);
        for size in [1, 3, 16, 50] {
            let streamed = over(&mut metric, &outputs, &targets, size).unwrap();
            assert_eq!(streamed.to_bits(), found.to_bits(), "{what} in batches of {size}");
        }
        metric.reset();
        assert!(metric.value().is_nan(), "{what} after a reset");
    }
    (values.len(), largest)
}

#[test]
fn metrics_are_those_of_scikit_learn() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("cases.json")).unwrap();
    let (mut count, mut largest) = (0, 0.0_f64);
    for case in &cases {
        let mut found = vec![compare::<f64>(case)];
        if !case["double"].as_bool().unwrap() {
            found.push(compare::<f32>(case));
        }
        for (values, apart) in found {
            count += values;
            largest = largest.max(apart);
        }
    }
    println!("{count} values of {} cases, at most {largest:.1e} apart", cases.len());
    assert!(cases.len() >= 32 && count > 1200, "{count} values of {} cases", cases.len());
}

/// What a metric says to a batch.
fn refusal(mut metric: Boxed<f64>, outputs: Tensor<f64>, targets: impl Into<AnyTensor<f64>>) -> String {
    let problem = metric.update(&outputs, &targets.into()).expect_err("it does not fit").to_string();
    assert!(metric.value().is_nan(), "nothing of the batch counts");
    problem
}

#[test]
fn what_does_not_fit_is_refused() {
    let zeros = |sizes: &[usize]| Tensor::<f64>::zeros(sizes);
    let labels = |labels: &[i64]| Tensor::from_slice(labels);
    let rows: Vec<(String, &str)> = vec![
        (
            refusal(Box::new(Accuracy::new()), zeros(&[2, 3]), labels(&[0, 1, 2])),
            "the metric `accuracy`: outputs need the shape […, classes] beside targets […], or both have one shape; these \
             have [2, 3] and [3]",
        ),
        (
            refusal(Box::new(F1::new(Averaging::Macro)), zeros(&[2, 3]), labels(&[0, 3])),
            "the metric `macro F1`: the label 3 is not one of 3 classes",
        ),
        (
            refusal(Box::new(Recall::new(Averaging::Class(1))), zeros(&[2]), labels(&[0, -1])),
            "the metric `recall of class 1`: the label -1 is not one of 2 classes",
        ),
        (
            refusal(Box::new(RocAuc::new()), Tensor::from([0.5, f64::NAN]), labels(&[0, 1])),
            "the metric `ROC AUC`: a score is NaN",
        ),
        (
            refusal(Box::new(LogLoss::new()), Tensor::from_rows([[f64::INFINITY, 0.0]]), labels(&[0])),
            "the metric `log loss`: the largest logit of a row is infinite",
        ),
        (
            refusal(Box::new(Perplexity::new().probabilities()), Tensor::from_rows([[1.5, -0.5]]), labels(&[0])),
            "the metric `perplexity`: 1.5 is not a probability",
        ),
        (
            refusal(Box::new(Accuracy::new()), zeros(&[2]), Tensor::from([0.0, 0.5])),
            "the metric `accuracy`: a target is 0.5, not 0 or 1",
        ),
        (
            refusal(Box::new(Accuracy::new()), zeros(&[2, 3]), zeros(&[2])),
            "the metric `accuracy`: labels of classes are indices, `Tensor<i64>`; the labels [2] are real numbers",
        ),
        (
            refusal(Box::new(TopK::new(2)), zeros(&[2]), labels(&[0, 1])),
            "the metric `top-2 accuracy`: outputs need the shape […, classes] beside labels […]; these have [2] and [2]",
        ),
        (
            refusal(Box::new(Mae::new()), zeros(&[2, 3]), zeros(&[3, 2])),
            "the metric `MAE`: predictions and targets need one shape; these have [2, 3] and [3, 2]",
        ),
        (
            refusal(Box::new(R2::new()), zeros(&[2]), Tensor::from([0.0, f64::INFINITY])),
            "the metric `R²`: a target is inf",
        ),
        (
            refusal(Box::new(Rmse::new()), Tensor::from([0.0, f64::NAN]), zeros(&[2])),
            "the metric `RMSE`: a prediction is NaN",
        ),
    ];
    for (message, wanted) in rows {
        assert_eq!(message, wanted);
    }
}

#[test]
fn a_batch_that_is_refused_changes_nothing() {
    let mut loss = LogLoss::new();
    let good = (Tensor::from_rows([[0.5, 1.0], [2.0, 0.0]]), AnyTensor::<f64>::Index(Tensor::from([0, 1])));
    loss.update(&good.0, &good.1).unwrap();
    let before = loss.value();
    let bad = Tensor::from_rows([[0.5, 1.0], [f64::NAN, 0.0]]);
    loss.update(&bad, &good.1).unwrap_err();
    let wide = loss.update(&Tensor::<f64>::zeros([2, 3]), &good.1).unwrap_err().to_string();
    assert_eq!(wide, "the metric `log loss`: a row has 3 scores here, and had 2 in the batches before");
    assert_eq!(loss.value().to_bits(), before.to_bits());
    // An empty batch is one.
    loss.update(&Tensor::<f64>::zeros([0, 2]), &AnyTensor::Index(Tensor::from_slice(&[]))).unwrap();
    assert_eq!(loss.value().to_bits(), before.to_bits());
}

#[test]
fn an_ignored_label_does_not_count() {
    let logits = Tensor::<f64>::from_rows([[2.0, 1.0, 0.0], [f64::NAN, 1.0, 0.0], [0.5, 1.0, 3.0], [0.0, 4.0, 1.0]]);
    let kept = logits.select_rows(&[0, 2, 3]);
    let (with, without) = (Tensor::from([0, -100, 1, 1]).into(), Tensor::from([0, 1, 1]).into());
    let pairs: Vec<(Boxed<f64>, Boxed<f64>)> = vec![
        (Box::new(Accuracy::new().ignored(-100)), Box::new(Accuracy::new())),
        (Box::new(TopK::new(2).ignored(-100)), Box::new(TopK::new(2))),
        (Box::new(F1::new(Averaging::Macro).ignored(-100)), Box::new(F1::new(Averaging::Macro))),
        (
            Box::new(RocAuc::new().averaging(Averaging::Class(1)).ignored(-100)),
            Box::new(RocAuc::new().averaging(Averaging::Class(1))),
        ),
        (Box::new(LogLoss::new().ignored(-100)), Box::new(LogLoss::new())),
        (Box::new(Perplexity::new().ignored(-100)), Box::new(Perplexity::new())),
    ];
    for (mut ignoring, mut plain) in pairs {
        ignoring.update(&logits, &with).unwrap();
        plain.update(&kept, &without).unwrap();
        assert_eq!(ignoring.value().to_bits(), plain.value().to_bits(), "{}", plain.name());
        assert!(plain.update(&logits, &with).is_err());
    }
}

/// Sequences `[time, n, classes]` are their rows.
#[test]
fn outputs_of_sequences_are_rows() {
    let logits = Tensor::<f64>::from_fn([4, 3, 5], |k| ((k * 37) % 19) as f64 * 0.25);
    let labels = Tensor::from_fn([4, 3], |k| (k % 5) as i64);
    let (flat, flat_labels) = (logits.reshape([12, 5]), labels.reshape([12]));
    for key in ["accuracy", "top 2", "f1 macro", "log loss"] {
        let (mut a, mut b) = (metric::<f64>(key, false), metric::<f64>(key, false));
        a.update(&logits, &labels.clone().into()).unwrap();
        b.update(&flat, &flat_labels.clone().into()).unwrap();
        assert_eq!(a.value().to_bits(), b.value().to_bits(), "{key}");
    }
}

#[test]
fn what_is_better_is_said() {
    let higher: Vec<Boxed<f32>> = vec![Box::new(Accuracy::new()), Box::new(RocAuc::new()), Box::new(R2::new())];
    assert!(higher.iter().all(|metric| metric.higher_is_better()));
    let lower: Vec<Boxed<f32>> = vec![Box::new(LogLoss::new()), Box::new(Perplexity::new()), Box::new(Mape::new())];
    assert!(!lower.iter().any(|metric| metric.higher_is_better()));
    let names: Vec<&str> = higher.iter().chain(&lower).map(|metric| metric.name()).collect();
    assert_eq!(names, ["accuracy", "ROC AUC", "R²", "log loss", "perplexity", "MAPE"]);
}

/// Of two classes one may be asked for; the order for the first is that for the second, reversed.
#[test]
fn a_class_of_two_may_be_asked_for() {
    let scores = Tensor::from_rows([[0.0_f64, 0.9], [0.0, 0.8], [0.0, 0.3], [0.0, 0.1]]);
    let labels: AnyTensor<f64> = Tensor::from([1, 0, 0, 1]).into();
    let value = |class: usize| {
        let mut metric = AveragePrecision::new().averaging(Averaging::Class(class));
        metric.update(&scores, &labels).expect("they fit");
        metric.value()
    };
    // From the highest score down: 1, 0, 0, 1; from the lowest up: 1, 0, 0, 1.
    assert!((value(1) - (1.0 + 2.0 / 4.0) / 2.0).abs() < 1e-15);
    assert!((value(0) - (1.0 / 2.0 + 2.0 / 3.0) / 2.0).abs() < 1e-15);
    assert!(value(2).is_nan());
}
