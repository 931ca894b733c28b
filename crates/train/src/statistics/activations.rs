//! What the units of a layer give.

use gradus_graph::{Real, Tensor};

use super::warning::{Thresholds, Trouble, Warning};

/// The function whose outputs are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonlinearity {
    /// max(0, x), or anything else that is 0 where it has no slope.
    Relu,
    /// 1/(1 + exp −x): saturated below 0.01 and above 0.99.
    Sigmoid,
    /// The hyperbolic tangent: saturated beyond ±0.99.
    Tanh,
}

impl Nonlinearity {
    /// Whether there is hardly a slope at an output.
    fn is_flat(self, output: f64) -> bool {
        match self {
            Self::Relu => output == 0.0,
            Self::Sigmoid => !(0.01..=0.99).contains(&output),
            Self::Tanh => output.abs() > 0.99,
        }
    }
}

/// The outputs of a layer's activation on a batch.
///
/// They are auxiliary values of a step: [`Step::with_aux`](crate::Step::with_aux).
///
/// # Example
/// ```
/// use gradus_graph::Tensor;
/// use gradus_train::statistics::{ActivationStatistics, Nonlinearity, Thresholds};
/// let outputs = Tensor::<f32>::from_rows([[0.0, 1.0, 0.5], [0.0, 0.0, 2.0]]);
/// let hidden = ActivationStatistics::of("hidden", Nonlinearity::Relu, &outputs, 1);
/// assert_eq!((hidden.flat, hidden.dead.as_slice()), (0.5, &[0][..]));
/// let warnings = hidden.warnings(&Thresholds::default());
/// assert!(warnings[0].to_string().starts_with("`hidden`: 1 of 3 units are dead: they give 0 on all 2 rows of the batch;"));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ActivationStatistics {
    /// The name of the layer.
    pub name: String,
    /// The function.
    pub nonlinearity: Nonlinearity,
    /// The number of units.
    pub units: usize,
    /// The number of outputs of each unit.
    pub rows: usize,
    /// The mean of the outputs.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
    /// The share of outputs without a slope: saturated ones, or zeros of ReLU.
    pub flat: f64,
    /// The units that have no slope on the whole batch.
    pub dead: Vec<usize>,
    /// The place of the first output that is NaN or infinite.
    pub non_finite: Option<Vec<usize>>,
}

impl ActivationStatistics {
    /// Looks at outputs whose units lie along an axis: 1 for `[n, units]` and for images `[n, channels, height, width]`, 2
    /// for sequences `[time, n, units]`.
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn of<T: Real>(name: &str, nonlinearity: Nonlinearity, outputs: &Tensor<T>, axis: usize) -> Self {
        let shape = outputs.shape();
        assert!(axis < shape.rank(), "the activations `{name}` have the shape {shape}, without an axis {axis}");
        let (units, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
        let mut slopes = vec![0_usize; units];
        let mut sum = 0.0;
        for (place, output) in outputs.data().iter().enumerate() {
            let output = output.as_f64();
            sum += output;
            slopes[place / inner % units] += usize::from(!nonlinearity.is_flat(output));
        }
        let count = outputs.len() as f64;
        let mean = sum / count;
        let squares: f64 = outputs.data().iter().map(|output| (output.as_f64() - mean).powi(2)).sum();
        let rows = outputs.len() / units.max(1);
        let dead = if rows == 0 { Vec::new() } else { (0..units).filter(|&unit| slopes[unit] == 0).collect() };
        Self {
            name: name.to_owned(),
            nonlinearity,
            units,
            rows,
            mean,
            deviation: (squares / count).sqrt(),
            flat: 1.0 - slopes.iter().sum::<usize>() as f64 / count,
            dead,
            non_finite: outputs.first_non_finite(),
        }
    }

    /// What is wrong with the layer.
    pub fn warnings(&self, thresholds: &Thresholds) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut warn = |trouble: Trouble, found: String| {
            warnings.push(Warning { name: self.name.clone(), trouble, found });
        };
        if let Some(place) = &self.non_finite {
            warn(Trouble::NotFinite, format!("the output at {place:?} is not finite"));
            return warnings;
        }
        if self.dead.len() as f64 > thresholds.dead * self.units as f64 {
            let (dead, units, rows) = (self.dead.len(), self.units, self.rows);
            let give = if self.nonlinearity == Nonlinearity::Relu { "give 0" } else { "are saturated" };
            let found = format!("{dead} of {units} units are dead: they {give} on all {rows} rows of the batch");
            warn(Trouble::DeadUnits, found);
        }
        if self.nonlinearity != Nonlinearity::Relu && self.flat > thresholds.saturated {
            warn(Trouble::Saturated, format!("{:.0}% of the outputs are saturated", 100.0 * self.flat));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_lie_along_their_axis() {
        // Channel 1 of two images is 0 throughout.
        let images = Tensor::<f64>::from_fn([2, 3, 2, 2], |k| if k / 4 % 3 == 1 { 0.0 } else { k as f64 });
        let found = ActivationStatistics::of("conv", Nonlinearity::Relu, &images, 1);
        assert_eq!((found.units, found.rows, found.dead), (3, 8, vec![1]));
        // The first pixel of the first channel is 0 as well.
        assert_eq!(found.flat, 9.0 / 24.0);
    }

    #[test]
    fn saturation_is_where_the_slope_is_small() {
        let of = |nonlinearity, outputs: [f64; 4]| {
            ActivationStatistics::of("layer", nonlinearity, &Tensor::new([4, 1], outputs.to_vec()), 1)
        };
        assert_eq!(of(Nonlinearity::Tanh, [0.0, 0.989, -0.991, 1.0]).flat, 0.5);
        assert_eq!(of(Nonlinearity::Sigmoid, [0.5, 0.009, 0.995, 0.011]).flat, 0.5);
        let stuck = of(Nonlinearity::Sigmoid, [1.0, 0.999, 1.0, 0.991]);
        let warnings: Vec<String> =
            stuck.warnings(&Thresholds::default()).iter().map(|warning| warning.to_string()).collect();
        let wanted = [
            "`layer`: 1 of 1 units are dead: they are saturated on all 4 rows of the batch; lower the learning rate, or use \
             LeakyRelu, GELU or a smaller bias",
            "`layer`: 100% of the outputs are saturated; use smaller initial weights, normalisation, or inputs of a \
             smaller size",
        ];
        assert_eq!(warnings, wanted);
        let nan = of(Nonlinearity::Tanh, [0.0, f64::NAN, 0.0, 0.0]).warnings(&Thresholds::default());
        assert_eq!(
            (nan.len(), nan[0].trouble, nan[0].found.as_str()),
            (1, Trouble::NotFinite, "the output at [1, 0] is not finite")
        );
    }

    #[test]
    fn an_empty_batch_kills_no_unit() {
        let found = ActivationStatistics::of("layer", Nonlinearity::Relu, &Tensor::<f32>::zeros([0, 3]), 1);
        assert!(found.dead.is_empty() && found.warnings(&Thresholds::default()).is_empty());
    }
}
