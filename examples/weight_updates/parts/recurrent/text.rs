//! The text, as numbers of its characters.

use std::collections::BTreeSet;

use gradus::Tensor;

const TEXT: &str = include_str!("../../../../LICENSE-APACHE");

/// The text of the Apache license: the last tenth is the test part, the tenth before the validation part.
pub(super) struct Text {
    /// The number of different characters.
    pub(super) symbols: usize,
    pub(super) train: Vec<i64>,
    pub(super) validation: Vec<i64>,
    pub(super) test: Vec<i64>,
}

impl Text {
    pub(super) fn new() -> Self {
        let symbols: Vec<char> = TEXT.chars().collect::<BTreeSet<_>>().into_iter().collect();
        let number = |symbol| symbols.binary_search(&symbol).expect("it is a symbol of the text") as i64;
        let mut train: Vec<i64> = TEXT.chars().map(number).collect();
        let tenth = train.len() / 10;
        let test = train.split_off(train.len() - tenth);
        let validation = train.split_off(train.len() - tenth);
        Self { symbols: symbols.len(), train, validation, test }
    }

    /// Bits a character of the test part by counting in the training part what follows that number of characters, each count
    /// one higher than it was.
    pub(super) fn counted(&self, context: usize) -> f64 {
        let count = |sought: &[i64]| self.train.windows(sought.len()).filter(|window| *window == sought).count() as f64;
        let bits = |window: &[i64]| {
            let before = if context == 0 { self.train.len() as f64 } else { count(&window[..context]) };
            ((before + self.symbols as f64) / (count(window) + 1.0)).log2()
        };
        self.test.windows(context + 1).map(bits).sum::<f64>() / (self.test.len() - context) as f64
    }
}

/// Pieces of a text side by side, `[time, count]`, which begin so far from one another, the first at `start`: their
/// characters, and those that follow each.
pub(super) fn pieces(text: &[i64], apart: usize, start: usize, [time, count]: [usize; 2]) -> [Tensor<i64>; 2] {
    let at = |later: usize| move |place: usize| text[place % count * apart + start + place / count + later];
    [0, 1].map(|later| Tensor::from_fn([time, count], at(later)))
}
