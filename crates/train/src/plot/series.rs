//! What a plot shows, in numbers.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::svg::number;
use crate::histogram::Histogram;

/// Something to draw, with its name.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) mark: Mark,
}

/// How numbers are drawn.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    Line(Vec<(f64, f64)>),
    Points(Vec<(f64, f64)>),
    Band(Vec<(f64, f64, f64)>),
    Histogram(Histogram),
    Bars(Vec<(String, f64)>),
}

impl Mark {
    /// The numbers along the horizontal axis. Those of bars are not known before all categories are.
    pub(super) fn horizontal(&self) -> Vec<f64> {
        match self {
            Self::Line(points) | Self::Points(points) => {
                points.iter().filter(|point| point.1.is_finite()).map(|point| point.0).collect()
            }
            Self::Band(edges) => edges.iter().map(|edge| edge.0).collect(),
            Self::Histogram(histogram) => histogram.edges(),
            Self::Bars(_) => Vec::new(),
        }
    }

    /// The numbers along the vertical axis.
    pub(super) fn vertical(&self) -> Vec<f64> {
        match self {
            Self::Line(points) | Self::Points(points) => {
                points.iter().filter(|point| point.0.is_finite()).map(|point| point.1).collect()
            }
            Self::Band(edges) => edges.iter().flat_map(|edge| [edge.1, edge.2]).collect(),
            Self::Histogram(histogram) => histogram.counts().iter().map(|&count| count as f64).collect(),
            Self::Bars(bars) => bars.iter().map(|bar| bar.1).collect(),
        }
    }

    /// Whether it rises from 0.
    pub(super) fn has_base(&self) -> bool {
        matches!(self, Self::Histogram(_) | Self::Bars(_))
    }

    /// The numbers as rows of text.
    pub(super) fn describe(&self, name: &str, text: &mut String) {
        let kind = match self {
            Self::Line(_) => "line",
            Self::Points(_) => "points",
            Self::Band(_) => "band",
            Self::Histogram(_) => "histogram",
            Self::Bars(_) => "bars",
        };
        let columns = match self {
            Self::Line(_) | Self::Points(_) => "x,y",
            Self::Band(_) => "x,low,high",
            Self::Histogram(_) => "from,to,count",
            Self::Bars(_) => "category,value",
        };
        let mut put = |row: &[String]| writeln!(text, "{}", row.join(",")).expect("a string takes what is written");
        put(&[format!("{kind} {name}: {columns}")]);
        match self {
            Self::Line(points) | Self::Points(points) => {
                points.iter().for_each(|&(x, y)| put(&[number(x), number(y)]));
            }
            Self::Band(edges) => edges.iter().for_each(|&(x, low, high)| put(&[number(x), number(low), number(high)])),
            Self::Histogram(histogram) => {
                for (edges, count) in histogram.edges().windows(2).zip(histogram.counts()) {
                    put(&[number(edges[0]), number(edges[1]), count.to_string()]);
                }
            }
            Self::Bars(bars) => bars.iter().for_each(|(category, value)| put(&[category.clone(), number(*value)])),
        }
    }
}

/// A curve, and the band around it.
type MeanAndSpread = (Vec<(f64, f64)>, Vec<(f64, f64, f64)>);

/// The mean of runs at each x, and one sample standard deviation on either side of it.
pub(super) fn mean_and_spread<R: AsRef<[(f64, f64)]>>(runs: &[R]) -> MeanAndSpread {
    let mut at: BTreeMap<Ordered, Vec<f64>> = BTreeMap::new();
    for &(x, y) in runs.iter().flat_map(|run| run.as_ref()).filter(|(x, y)| x.is_finite() && y.is_finite()) {
        at.entry(Ordered(x + 0.0)).or_default().push(y);
    }
    let of = |(Ordered(x), values): (Ordered, Vec<f64>)| {
        let count = values.len() as f64;
        let mean = values.iter().map(|value| value / count).sum::<f64>();
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let spread = if values.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 };
        ((x, mean), (x, mean - spread, mean + spread))
    };
    at.into_iter().map(of).unzip()
}

/// A number with the order of all numbers.
#[derive(Clone, Copy)]
struct Ordered(f64);

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_a_mean_and_a_spread() {
        let runs = [vec![(2.0, 3.0), (1.0, 1.0)], vec![(1.0, 3.0), (3.0, f64::NAN)], vec![(1.0, 5.0)]];
        let (mean, spread) = mean_and_spread(&runs);
        assert_eq!(mean, [(1.0, 3.0), (2.0, 3.0)]);
        assert_eq!(spread, [(1.0, 1.0, 5.0), (2.0, 3.0, 3.0)]);
    }
}
