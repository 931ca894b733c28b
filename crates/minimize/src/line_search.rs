//! A step length that meets the strong Wolfe conditions: with `φ(α) = f(x + αd)`,
//! `φ(α) ≤ φ(0) + c₁·α·φ′(0)` and `|φ′(α)| ≤ c₂·|φ′(0)|`.
//!
//! As MINPACK-2's `dcsrch`: an interval that holds such a length is kept and shrunk by cubic and quadratic
//! interpolation; until a length with enough decrease is known, the search works on `φ(α) − φ(0) − c₁·α·φ′(0)`. Where
//! rounding is larger than a decrease, the second condition alone decides (the approximate conditions of Hager and
//! Zhang). A length at which value or slope is not finite is a wall: the search stays on this side of it.
//!
//! Moré, Thuente: Line search algorithms with guaranteed sufficient decrease, 1994.
//! Hager, Zhang: A new conjugate gradient method with guaranteed descent and an efficient line search, 2005.

/// The evaluations that one search may take.
const EVALUATIONS: usize = 40;
/// While no end of the interval is known, the next length goes on by these multiples of the last advance.
const STRETCH: [f64; 2] = [1.1, 4.0];
/// The interval must shrink to this part of itself in two steps, or it is halved.
const SHRINK: f64 = 0.66;

/// The constants of the two conditions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineSearch {
    /// c₁
    pub(crate) decrease: f64,
    /// c₂
    pub(crate) curvature: f64,
}

/// Value and slope at one length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: f64,
    pub(crate) value: f64,
    pub(crate) slope: f64,
}

impl Sample {
    fn is_finite(&self) -> bool {
        self.value.is_finite() && self.slope.is_finite()
    }

    /// The same without the decrease that is asked for anyway.
    fn tilted(self, slope: f64) -> Self {
        Self { value: self.value - self.at * slope, slope: self.slope - slope, ..self }
    }
}

/// How a search ended. Found is the last length that was probed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Found {
    /// The length meets the conditions.
    Step(f64),
    /// No length does; this one at least lowers the value, and is 0 if none does.
    Best(f64),
    /// The evaluations are used up.
    Spent,
}

impl LineSearch {
    /// Searches from the sample at 0, `first` being tried first. `noise` is how much of a value is rounding; `probe`
    /// gives nothing if no evaluation is left.
    pub(crate) fn search<E>(
        &self,
        start: Sample,
        first: f64,
        noise: f64,
        mut probe: impl FnMut(f64) -> Result<Option<Sample>, E>,
    ) -> Result<Found, E> {
        let wanted = self.decrease * start.slope;
        let mut interval = Interval::new(start, first);
        // Until a length with enough decrease and a rising slope is seen.
        let mut first_stage = true;
        for _ in 0..EVALUATIONS {
            let at = interval.next;
            let Some(sample) = probe(at)? else { return Ok(Found::Spent) };
            if !sample.is_finite() {
                interval.wall(at);
                continue;
            }
            let enough = start.value + at * wanted;
            let flat = sample.slope.abs() <= self.curvature * start.slope.abs();
            if flat && (sample.value <= enough || (sample.value - start.value).abs() <= noise) {
                return Ok(Found::Step(at));
            }
            if at >= interval.largest && sample.value <= enough && sample.slope <= wanted {
                // The best on this side of the wall.
                return Ok(Found::Best(at));
            }
            first_stage &= sample.value > enough || sample.slope < 0.0;
            if first_stage && sample.value <= interval.low.value && sample.value > enough {
                interval.tilt(wanted);
                interval.narrow(sample.tilted(wanted));
                interval.tilt(-wanted);
            } else {
                interval.narrow(sample);
            }
            if interval.is_used_up() {
                break;
            }
        }
        let best = interval.low;
        if best.at == 0.0 || best.value >= start.value {
            return Ok(Found::Best(0.0));
        }
        Ok(if probe(best.at)?.is_some() { Found::Best(best.at) } else { Found::Spent })
    }
}

/// The interval of uncertainty: between the best sample and another, or open on one side.
struct Interval {
    low: Sample,
    high: Sample,
    closed: bool,
    next: f64,
    largest: f64,
    /// The widths after the last step and the one before.
    widths: [f64; 2],
}

impl Interval {
    fn new(start: Sample, first: f64) -> Self {
        Self { low: start, high: start, closed: false, next: first, largest: f64::MAX, widths: [f64::INFINITY; 2] }
    }

    fn tilt(&mut self, slope: f64) {
        (self.low, self.high) = (self.low.tilted(slope), self.high.tilted(slope));
    }

    /// Nothing beyond `at` can be used.
    fn wall(&mut self, at: f64) {
        self.next = self.low.at + 0.2 * (at - self.low.at);
        self.largest = self.low.at + 0.6 * (at - self.low.at);
    }

    /// Takes in the sample at `next`, and chooses the length after it.
    fn narrow(&mut self, sample: Sample) {
        let (least, most) = match self.closed {
            true => (self.low.at.min(self.high.at), self.low.at.max(self.high.at)),
            false => STRETCH.map(|stretch| sample.at + stretch * (sample.at - self.low.at)).into(),
        };
        self.next = self.interpolated(sample, least, most);
        if sample.value > self.low.value {
            self.high = sample;
            self.closed = true;
        } else {
            if sample.slope.signum() != self.low.slope.signum() {
                self.high = self.low;
                self.closed = true;
            }
            self.low = sample;
        }
        if self.closed {
            let width = (self.high.at - self.low.at).abs();
            if width >= SHRINK * self.widths[1] {
                self.next = self.low.at + 0.5 * (self.high.at - self.low.at);
            }
            self.widths = [width, self.widths[0]];
        }
        self.next = self.next.clamp(0.0, self.largest);
    }

    /// The next length by interpolation, in the four cases of Moré and Thuente.
    fn interpolated(&self, sample: Sample, least: f64, most: f64) -> f64 {
        let low = self.low;
        let chord = (low.value - sample.value) / (sample.at - low.at);
        let secant = sample.at + sample.slope / (sample.slope - low.slope) * (low.at - sample.at);
        if sample.value > low.value {
            // Higher: a minimum lies between. The cubic's, or halfway to the quadratic's if that is farther off.
            let cubic = cubic(low, sample);
            let quadratic = low.at + low.slope / (chord + low.slope) / 2.0 * (sample.at - low.at);
            let nearer = (cubic - low.at).abs() < (quadratic - low.at).abs();
            return if nearer { cubic } else { cubic + (quadratic - cubic) / 2.0 };
        }
        if sample.slope.signum() != low.slope.signum() {
            // Lower, and the slope turns: a minimum lies between. The farther of the two estimates.
            let cubic = cubic(sample, low);
            let farther = (cubic - sample.at).abs() > (secant - sample.at).abs();
            return if farther { cubic } else { secant };
        }
        let beyond = if sample.at > low.at { most } else { least };
        if sample.slope.abs() < low.slope.abs() {
            // Lower, and flatter: the cubic may have no minimum ahead.
            let cubic = Some(cubic(sample, low)).filter(|cubic| (cubic - sample.at) * (sample.at - low.at) > 0.0);
            let cubic = cubic.unwrap_or(beyond);
            let nearer = (cubic - sample.at).abs() < (secant - sample.at).abs();
            let chosen = if nearer == self.closed { cubic } else { secant };
            if !self.closed {
                return chosen.clamp(least, most);
            }
            let limit = sample.at + SHRINK * (self.high.at - sample.at);
            return if sample.at > low.at { chosen.min(limit) } else { chosen.max(limit) };
        }
        // Lower, and no flatter.
        if self.closed { cubic(sample, self.high) } else { beyond }
    }

    /// Whether the interval has no length left between its ends.
    fn is_used_up(&self) -> bool {
        let (least, most) = (self.low.at.min(self.high.at), self.low.at.max(self.high.at));
        let stuck = self.next <= least || self.next >= most;
        self.closed && (stuck || most - least <= f64::EPSILON * most)
            || self.next == self.low.at
            || !self.next.is_finite()
    }
}

/// The minimiser of the cubic that has value and slope of both samples; beyond them if it lies there.
fn cubic(a: Sample, b: Sample) -> f64 {
    let theta = 3.0 * (a.value - b.value) / (b.at - a.at) + a.slope + b.slope;
    let scale = theta.abs().max(a.slope.abs()).max(b.slope.abs());
    let square = (theta / scale).powi(2) - a.slope / scale * (b.slope / scale);
    let gamma = scale * square.max(0.0).sqrt();
    let gamma = if b.at < a.at { -gamma } else { gamma };
    let ratio = (gamma - a.slope + theta) / (gamma - a.slope + gamma + b.slope);
    a.at + ratio * (b.at - a.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches along a function given with its slope; gives the end and the number of probes.
    fn along(search: LineSearch, first: f64, phi: impl Fn(f64) -> [f64; 2]) -> (Found, usize) {
        let sample = |at: f64| {
            let [value, slope] = phi(at);
            Sample { at, value, slope }
        };
        let mut probes = 0;
        let found = search.search::<()>(sample(0.0), first, 0.0, |at| {
            probes += 1;
            Ok(Some(sample(at)))
        });
        (found.expect("the probe does not fail"), probes)
    }

    #[track_caller]
    fn meets_both_conditions(found: Found, search: LineSearch, phi: impl Fn(f64) -> [f64; 2]) {
        let Found::Step(at) = found else { panic!("{found:?}") };
        let ([value0, slope0], [value, slope]) = (phi(0.0), phi(at));
        let enough = value <= value0 + search.decrease * at * slope0;
        assert!(enough && slope.abs() <= search.curvature * slope0.abs(), "at {at}");
    }

    /// The first three functions of Moré and Thuente, with the numbers of probes in their tables I to III.
    #[test]
    fn the_functions_of_the_paper() {
        let first = |a: f64| [-a / (a * a + 2.0), (a * a - 2.0) / (a * a + 2.0).powi(2)];
        let b = 0.004;
        let second = |a: f64| [(a + b).powi(5) - 2.0 * (a + b).powi(4), 5.0 * (a + b).powi(4) - 8.0 * (a + b).powi(3)];
        let third = |a: f64| {
            let wave = 39.0 * std::f64::consts::FRAC_PI_2;
            let near: [f64; 2] = match a {
                a if a <= 0.99 => [1.0 - a, -1.0],
                a if a >= 1.01 => [a - 1.0, 1.0],
                a => [(a - 1.0).powi(2) / 0.02 + 0.005, (a - 1.0) / 0.01],
            };
            let swing = 2.0 * 0.99 / (39.0 * std::f64::consts::PI);
            [near[0] + swing * (wave * a).sin(), near[1] + 0.99 * (wave * a).cos()]
        };
        type Phi<'a> = &'a dyn Fn(f64) -> [f64; 2];
        let tables: [(f64, Phi<'_>, [usize; 4]); 3] =
            [(1e-3, &first, [6, 3, 1, 4]), (0.1, &second, [12, 8, 8, 11]), (0.1, &third, [12, 12, 10, 13])];
        for (decrease, phi, table) in tables {
            let search = LineSearch { decrease, curvature: 0.1 };
            let probes = [1e-3, 1e-1, 1e1, 1e3].map(|start| {
                let (found, probes) = along(search, start, phi);
                meets_both_conditions(found, search, phi);
                probes
            });
            assert_eq!(probes, table);
        }
    }

    const SEARCH: LineSearch = LineSearch { decrease: 1e-3, curvature: 0.1 };

    #[test]
    fn a_wall_is_not_crossed() {
        // −√(1 − α) − 2α + 2α²: NaN beyond 1.
        let phi = |a: f64| [-(1.0 - a).sqrt() - 2.0 * a + 2.0 * a * a, 0.5 / (1.0 - a).sqrt() - 2.0 + 4.0 * a];
        let (found, _) = along(SEARCH, 1e6, phi);
        meets_both_conditions(found, SEARCH, phi);
        // Falls right up to the wall.
        let phi = |a: f64| if a < 1.0 { [-a, -1.0] } else { [f64::NAN; 2] };
        let (found, _) = along(SEARCH, 3.0, phi);
        assert!(matches!(found, Found::Best(at) if at > 0.5 && at < 1.0), "{found:?}");
    }

    #[test]
    fn a_slope_that_lies_finds_nothing() {
        let (found, probes) = along(SEARCH, 1.0, |a| [a, -1.0]);
        assert!(found == Found::Best(0.0) && probes <= EVALUATIONS, "{found:?} after {probes}");
    }
}
