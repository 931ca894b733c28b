//! What a step did to the parameters.

use std::collections::HashMap;
use std::fmt;
use std::io::Error;

use gradus_graph::{Param, Params, Real, Shape, Tensor};

use super::warning::{Thresholds, Trouble, Warning};
use crate::histogram::Histogram;
use crate::logs::Logger;

/// The trainable parameters before a step, to be compared with those after it.
///
/// The values are shared with the store until the step writes to them, so that each parameter is copied once.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_optim::{Optimizer, Sgd};
/// use gradus_train::Step;
/// use gradus_train::statistics::{Thresholds, Updates};
/// let mut params: Params = Params::new(0);
/// let w = params.add("w", Tensor::from([1.0, 2.0]));
/// let mut step = Step::new(|graph, []| graph.param(&w).square().sum());
/// let mut sgd = Optimizer::new(Sgd::new(0.25));
///
/// let before = Updates::new(&params);
/// let gradients = step.run(&mut params, ())?;
/// sgd.step(&mut params, &gradients)?;
/// let report = before.measure(&params, gradients.iter());
///
/// assert_eq!(report.weight_update(), 0.75); // the mean of 0.5 and 1
/// assert_eq!((report.rows()[0].update_ratio, report.rows()[0].changed_weights), (0.5, 1.0));
/// assert_eq!(report.gradient_norm(), 20.0_f64.sqrt());
/// report.warnings(&Thresholds::default()).iter().for_each(|warning| eprintln!("{warning}"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Updates<T> {
    before: Vec<(Param, Tensor<T>)>,
    bins: Option<usize>,
}

impl<T: Real> Updates<T> {
    /// Keeps the trainable parameters of a store.
    pub fn new(params: &Params<T>) -> Self {
        let before = params.trainable().map(|param| (param.clone(), params.get(param).clone())).collect();
        Self { before, bins: None }
    }

    /// Makes histograms too, of that many bins.
    ///
    /// # Panics
    /// If there are no bins.
    #[must_use]
    #[track_caller]
    pub fn histograms(mut self, bins: usize) -> Self {
        assert!(bins > 0, "a histogram needs at least one bin");
        self.bins = Some(bins);
        self
    }

    /// Compares with the store after the step, and looks at the gradients that it was made with. Of parameters without a
    /// gradient only the update is known.
    ///
    /// # Panics
    /// If the store is another one.
    #[track_caller]
    pub fn measure<'a>(
        &self,
        params: &Params<T>,
        gradients: impl IntoIterator<Item = (&'a Param, &'a Tensor<T>)>,
    ) -> UpdateReport {
        let gradients: HashMap<&str, &Tensor<T>> =
            gradients.into_iter().map(|(param, gradient)| (param.name(), gradient)).collect();
        let mut sums = Sums::default();
        let mut rows = Vec::with_capacity(self.before.len());
        for (param, before) in &self.before {
            let gradient = gradients.get(param.name()).copied();
            rows.push(row(param, before, params.get(param), gradient, self.bins, &mut sums));
        }
        UpdateReport { rows, sums }
    }
}

/// Sums over all parameters.
#[derive(Clone, Debug, Default)]
struct Sums {
    count: usize,
    weights: f64,
    updates: f64,
    squared_gradients: f64,
}

/// What happened to one parameter.
fn row<T: Real>(
    param: &Param,
    before: &Tensor<T>,
    after: &Tensor<T>,
    gradient: Option<&Tensor<T>>,
    bins: Option<usize>,
    sums: &mut Sums,
) -> UpdateStatistics {
    let (mut weights, mut updates, mut zeros, mut changed) = (0.0, 0.0, 0_usize, 0_usize);
    let (mut squared_weights, mut squared_updates) = (0.0, 0.0);
    for (before, after) in before.data().iter().zip(after.data()) {
        let (before, after) = (before.as_f64(), after.as_f64());
        let change = after - before;
        weights += before.abs();
        updates += change.abs();
        squared_weights += before * before;
        squared_updates += change * change;
        zeros += usize::from(after == 0.0);
        changed += usize::from(after != before);
    }
    let count = before.len() as f64;
    sums.count += before.len();
    sums.weights += weights;
    sums.updates += updates;
    let gradient_statistics = gradient.map(|gradient| GradientStatistics::of(gradient, &mut sums.squared_gradients));
    let changes = || -> Vec<f64> {
        after.data().iter().zip(before.data()).map(|(after, before)| after.as_f64() - before.as_f64()).collect()
    };
    UpdateStatistics {
        name: param.name().to_owned(),
        shape: param.shape().clone(),
        mean_weight: weights / count,
        mean_update: updates / count,
        update_ratio: ratio(updates, weights),
        norm_ratio: ratio(squared_updates.sqrt(), squared_weights.sqrt()),
        zero_weights: zeros as f64 / count,
        changed_weights: changed as f64 / count,
        non_finite_weight: after.first_non_finite(),
        gradient: gradient_statistics,
        histograms: bins.map(|bins| UpdateHistograms {
            weights: Histogram::of(after.data(), bins),
            updates: Histogram::of(&changes(), bins),
            gradient: gradient.map(|gradient| Histogram::of(gradient.data(), bins)),
        }),
    }
}

/// A ratio; 0 of nothing, whatever it is beside.
fn ratio(part: f64, whole: f64) -> f64 {
    if part == 0.0 { 0.0 } else { part / whole }
}

/// What happened to a parameter in a step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct UpdateStatistics {
    /// The dotted name.
    pub name: String,
    /// The sizes of the axes.
    pub shape: Shape,
    /// The mean magnitude of the weights before the step.
    pub mean_weight: f64,
    /// The mean magnitude of their changes.
    pub mean_update: f64,
    /// The second divided by the first; infinite if all weights were 0.
    pub update_ratio: f64,
    /// The Euclidean norm of the changes divided by that of the weights.
    pub norm_ratio: f64,
    /// The share of weights that are 0 after the step.
    pub zero_weights: f64,
    /// The share of weights that the step changed.
    pub changed_weights: f64,
    /// The place of the first weight that is NaN or infinite after the step.
    pub non_finite_weight: Option<Vec<usize>>,
    /// The gradient, if one was given.
    pub gradient: Option<GradientStatistics>,
    /// If they were asked for.
    pub histograms: Option<UpdateHistograms>,
}

/// The size of a gradient.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GradientStatistics {
    /// The Euclidean norm.
    pub norm: f64,
    /// The root mean square of the elements.
    pub root_mean_square: f64,
    /// The largest magnitude; NaN if an element is.
    pub largest: f64,
    /// The share of elements that are 0.
    pub zeros: f64,
    /// The place of the first element that is NaN or infinite.
    pub non_finite: Option<Vec<usize>>,
}

impl GradientStatistics {
    fn of<T: Real>(gradient: &Tensor<T>, all_squares: &mut f64) -> Self {
        let (mut squares, mut largest, mut zeros) = (0.0, 0.0_f64, 0_usize);
        for value in gradient.data() {
            let size = value.as_f64().abs();
            squares += size * size;
            largest = if size > largest || size.is_nan() { size } else { largest };
            zeros += usize::from(size == 0.0);
        }
        *all_squares += squares;
        let count = gradient.len() as f64;
        Self {
            norm: squares.sqrt(),
            root_mean_square: (squares / count).sqrt(),
            largest,
            zeros: zeros as f64 / count,
            non_finite: gradient.first_non_finite(),
        }
    }
}

/// Histograms of a parameter.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct UpdateHistograms {
    /// Of the weights after the step.
    pub weights: Histogram,
    /// Of their changes.
    pub updates: Histogram,
    /// Of the gradient, if one was given.
    pub gradient: Option<Histogram>,
}

/// What a step did to all parameters. As text it is a table, a row a parameter and one for all.
#[derive(Clone, Debug)]
pub struct UpdateReport {
    rows: Vec<UpdateStatistics>,
    sums: Sums,
}

impl UpdateReport {
    /// The parameters, in the order of their store.
    pub fn rows(&self) -> &[UpdateStatistics] {
        &self.rows
    }

    /// The weight update of the step: the mean magnitude of the change of all weights. NaN if there are none.
    pub fn weight_update(&self) -> f64 {
        self.sums.updates / self.sums.count as f64
    }

    /// The weight update divided by the mean magnitude of all weights.
    pub fn update_ratio(&self) -> f64 {
        ratio(self.sums.updates, self.sums.weights)
    }

    /// The Euclidean norm of all gradients together.
    pub fn gradient_norm(&self) -> f64 {
        self.sums.squared_gradients.sqrt()
    }

    /// What is wrong, parameter by parameter. How far a parameter moves beside its size is judged of weight matrices, those
    /// with two axes or more: biases often begin at 0.
    pub fn warnings(&self, thresholds: &Thresholds) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (place, row) in self.rows.iter().enumerate() {
            let mut warn = |trouble: Trouble, found: String| {
                warnings.push(Warning { name: row.name.clone(), trouble, found });
            };
            let gradient = row.gradient.as_ref();
            if let Some(place) = gradient.and_then(|gradient| gradient.non_finite.as_ref()) {
                warn(Trouble::NotFinite, format!("the gradient is not finite at {place:?}"));
            } else if let Some(place) = &row.non_finite_weight {
                warn(Trouble::NotFinite, format!("the weight at {place:?} is not finite"));
            }
            if row.non_finite_weight.is_some() || gradient.is_some_and(|gradient| gradient.non_finite.is_some()) {
                continue;
            }
            let is_matrix = row.shape.rank() > 1 && row.mean_weight > 0.0;
            if let Some(gradient) = gradient {
                let size = gradient.root_mean_square;
                if gradient.zeros == 1.0 {
                    warn(Trouble::NoGradient, "the gradient is 0 throughout".to_owned());
                    continue;
                }
                if gradient.norm > thresholds.exploding {
                    warn(
                        Trouble::ExplodingGradient,
                        format!("the gradient explodes, its norm is {:.3e}", gradient.norm),
                    );
                }
                if let Some((later, largest)) = self.largest_after(place)
                    && is_matrix
                    && size < thresholds.vanishing * largest
                {
                    let found = format!("the gradient vanishes, it is {:.1e} of that of `{later}`", size / largest);
                    warn(Trouble::VanishingGradient, found);
                }
            }
            if is_matrix && row.update_ratio > thresholds.large_update {
                warn(
                    Trouble::LargeUpdate,
                    format!("a step changes the weights by {:.1e} of their size", row.update_ratio),
                );
            }
            if is_matrix && gradient.is_some() && row.update_ratio < thresholds.small_update {
                warn(
                    Trouble::SmallUpdate,
                    format!("a step changes the weights by {:.1e} of their size", row.update_ratio),
                );
            }
        }
        warnings
    }

    /// The largest gradient of a later weight matrix, with its name.
    fn largest_after(&self, place: usize) -> Option<(&str, f64)> {
        let later = self.rows[place + 1..].iter().filter(|row| row.shape.rank() > 1);
        let sizes = later.filter_map(|row| Some((row.name.as_str(), row.gradient.as_ref()?.root_mean_square)));
        sizes.filter(|(_, size)| size.is_finite()).max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Logs the numbers of all and of each parameter, and its histograms if there are some: `weight update`,
    /// `update ratio/hidden.weight`, `gradient norm/hidden.weight` and so on.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn log(&self, step: u64, log: &mut dyn Logger) -> Result<(), Error> {
        log.scalar(step, "weight update", self.weight_update())?;
        log.scalar(step, "update ratio", self.update_ratio())?;
        log.scalar(step, "gradient norm", self.gradient_norm())?;
        for row in &self.rows {
            let name = &row.name;
            log.scalar(step, &format!("weight update/{name}"), row.mean_update)?;
            log.scalar(step, &format!("update ratio/{name}"), row.update_ratio)?;
            if let Some(gradient) = &row.gradient {
                log.scalar(step, &format!("gradient norm/{name}"), gradient.norm)?;
            }
            if let Some(histograms) = &row.histograms {
                log.histogram(step, &format!("weights/{name}"), &histograms.weights)?;
                log.histogram(step, &format!("updates/{name}"), &histograms.updates)?;
                if let Some(gradient) = &histograms.gradient {
                    log.histogram(step, &format!("gradient/{name}"), gradient)?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for UpdateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let names = wide(&mut self.rows.iter().map(|row| row.name.chars().count())).max("parameter".len());
        let shapes = wide(&mut self.rows.iter().map(|row| row.shape.to_string().len())).max("shape".len());
        write!(f, "{:<names$}  {:<shapes$}", "parameter", "shape")?;
        for head in ["mean |w|", "mean |Δw|", "ratio", "norm ratio", "|gradient|", "largest"] {
            write!(f, "  {head:>10}")?;
        }
        write!(f, "  {:>6}", "zeros")?;
        for row in &self.rows {
            write!(f, "\n{:<names$}  {:<shapes$}", row.name, row.shape.to_string())?;
            for number in [row.mean_weight, row.mean_update, row.update_ratio, row.norm_ratio] {
                write!(f, "  {number:>10.2e}")?;
            }
            match &row.gradient {
                Some(gradient) => {
                    write!(f, "  {:>10.2e}  {:>10.2e}", gradient.norm, gradient.largest)?;
                    write!(f, "  {:>5.1}%", 100.0 * gradient.zeros)?;
                }
                None => write!(f, "  {:>10}  {:>10}  {:>6}", "·", "·", "·")?,
            }
        }
        write!(f, "\n{:<names$}  {:<shapes$}", "all", self.sums.count)?;
        for number in [self.sums.weights / self.sums.count as f64, self.weight_update(), self.update_ratio()] {
            write!(f, "  {number:>10.2e}")?;
        }
        write!(f, "  {:>10}  {:>10.2e}", "", self.gradient_norm())
    }
}
