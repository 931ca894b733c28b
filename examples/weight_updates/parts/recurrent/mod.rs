//! Recurrent cells on one text.

mod text;
mod writer;

use std::fmt;

use gradus::Params;
use gradus::nn::{GruCell, LstmCell, LstmCellOptions, LstmOptions, RecurrentCell, RecurrentOptions, RnnCell};
use gradus::train::plot::Plot;
use gradus::train::sweep::SweepRow;
use gradus::train::{History, Sweep};

use crate::Failure;
use crate::convergence::{Convergence, Target};
use crate::report::{Part, Table};
use crate::study::Study;
use text::Text;
use writer::{HIDDEN, PART, STREAMS, WINDOW, Writer};

const LAST: &str = "final validation loss";
/// Bits a character.
const LOSS: f64 = 3.5;
/// Characters back at which gradients are compared.
const FAR: usize = 20;

#[derive(Clone, Copy, PartialEq)]
enum Cell {
    Plain,
    Gru,
    Lstm,
    /// An LSTM whose forget gate begins open.
    Open,
}

const CELLS: [Cell; 4] = [Cell::Plain, Cell::Gru, Cell::Lstm, Cell::Open];

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Gru => "GRU",
            Self::Lstm => "LSTM",
            Self::Open => "LSTM, open",
        })
    }
}

impl Cell {
    /// What the blocks of rows of the cell's weights are for, in the order of `gradus::nn`.
    fn gates(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["state"],
            Self::Gru => &["reset", "update", "candidate"],
            Self::Lstm | Self::Open => &["input", "forget", "candidate", "output"],
        }
    }

    fn run(self, text: &Text, steps: u64, rate: f64, seed: u64) -> Result<History, Failure> {
        match self {
            Self::Plain => self.run_as::<RnnCell>(RecurrentOptions::new(), text, steps, rate, seed),
            Self::Gru => self.run_as::<GruCell>(RecurrentOptions::new(), text, steps, rate, seed),
            Self::Lstm => self.run_as::<LstmCell>(RecurrentOptions::new(), text, steps, rate, seed),
            Self::Open => {
                let options = LstmOptions::new().cell(LstmCellOptions::new().forget_bias(1.0));
                self.run_as::<LstmCell>(options, text, steps, rate, seed)
            }
        }
    }

    fn run_as<C: RecurrentCell>(
        self,
        options: RecurrentOptions<C::Options>,
        text: &Text,
        steps: u64,
        rate: f64,
        seed: u64,
    ) -> Result<History, Failure> {
        let mut params = Params::new(seed);
        let model = Writer::<C>::new(&mut params, text.symbols, options);
        model.train(&mut params, text, self.gates(), steps, rate)
    }
}

/// What is left of a gradient by the number of characters that it has gone back.
fn left(history: &History, column: &str, back: usize) -> f64 {
    let row = history.column("distance").iter().position(|&distance| distance == back as f64);
    row.map_or(f64::NAN, |row| history.column(column)[row])
}

pub(crate) fn part(study: &Study) -> Result<Part, Failure> {
    let steps = study.pick(400, 120);
    let text = Text::new();
    let rates: &[f64] = study.pick(&[0.003, 0.01, 0.03, 0.1], &[0.01, 0.03]);
    let sweep = Sweep::new(CELLS).crossed(rates.iter().copied()).seeds(study.seeds());
    let found = sweep.run(|&(cell, rate), seed| cell.run(&text, steps, rate, seed))?;

    let target = Target(LOSS);
    let mut table = Table::new(["cell", "weights", "rate", "steps to 3.5", "update at 100", "validation", "test"]);
    let mut updates = Table::new(["gate", "update at 100", "mean weight", "update/weight", "gradient"]);
    let mut losses = Plot::new("Each cell at its best rate").axes("step", "validation loss, bits a character");
    let mut reach = Plot::new("A gradient through time").axes("characters back", "log₁₀ of what is left");
    let mut best: Vec<SweepRow<(Cell, f64)>> = Vec::new();
    for cell in CELLS {
        let of_cell = found.select(|options| options.0 == cell);
        let row = of_cell.lowest(LAST).ok_or("no loss of a recurrent cell is finite")?;
        table.push([
            cell.to_string(),
            row.last("weights").mean.to_string(),
            row.options().1.to_string(),
            Convergence::of(row, "validation loss", target).to_string(),
            format!("{:.1e}", row.last("update").mean),
            format!("{:.2}", row.last(LAST)),
            format!("{:.2}", row.last("test loss")),
        ]);
        for gate in cell.gates() {
            let mean = |what: &str| row.last(&format!("{what} of {gate}")).mean;
            updates.push([
                format!("{cell}: {gate}"),
                row.last(&format!("update of {gate}")).to_string(),
                format!("{:.3}", mean("size")),
                format!("{:.1}%", 100.0 * mean("update") / mean("size")),
                format!("{:.1e}", mean("gradient")),
            ]);
        }
        losses = losses.runs(&cell.to_string(), &row.curves("step", "validation loss"));
        for (column, name) in [("trained", cell.to_string()), ("untrained", format!("{cell}, untrained"))] {
            let curve = |history: &History| -> Vec<(f64, f64)> {
                (0..WINDOW).map(|back| (back as f64, left(history, column, back).log10())).collect()
            };
            let curves: Vec<_> = row.runs().iter().map(|(_, history)| curve(history)).collect();
            reach = reach.runs(&name, &curves);
        }
        best.push(row.clone());
    }
    let [plain, gru, lstm, open] = &best[..] else { return Err("a row for each cell".into()) };
    let steps_of = |row: &SweepRow<_>| Convergence::of(row, "validation loss", target);
    let test = |row: &SweepRow<_>| row.last("test loss");
    let left = |row: &SweepRow<_>, column: &str| row.of(|history| left(history, column, FAR)).mean;
    // The largest of the gates beside the smallest.
    let widest = |what: &str| {
        let means = Cell::Lstm.gates().iter().map(|gate| lstm.last(&format!("{what} of {gate}")).mean);
        means.clone().fold(0.0, f64::max) / means.fold(f64::INFINITY, f64::min)
    };
    let (slopes, moves) = (widest("gradient"), widest("update"));
    // The rates at which cells with gates are quicker, all at the same.
    let is_quicker = |&&rate: &&f64| {
        let [plain, gru, lstm] = [Cell::Plain, Cell::Gru, Cell::Lstm].map(|cell| {
            found.find(|&options| options == (cell, rate)).map_or(f64::INFINITY, |row| steps_of(row).mean())
        });
        gru.max(lstm) < plain
    };
    let quicker: Vec<String> = rates.iter().filter(is_quicker).map(ToString::to_string).collect();
    let quicker = if quicker.is_empty() { "none".to_owned() } else { quicker.join(", ") };
    let part = Part::new(
        "Recurrent networks",
        "Gates let a gradient pass through many steps, so that an LSTM or a GRU learns a sequence in fewer steps and \
         better than a plain recurrent cell; the LSTM, which has most weights, learns best.",
        "The state of a plain cell goes through a matrix and tanh at every step, so that a derivative shrinks by \
         about the same factor each time. With gates the new state is a sum of a candidate and a share of the old one, \
         and the factor is near that share. An LSTM begins with about half, of which soon nothing is left; a bias of 1 \
         opens its forget gate at first. Training moves all cells to the reach that the text rewards: the plain one \
         learns to remember longer, the open one to forget. In a text as short as this, what can be learned of the \
         next character is mostly in the few before it.",
    )
    .setup(format!(
        "The text of the Apache license, of {} different characters: the last tenth is the test part, the tenth \
         before the validation part. A layer of {HIDDEN} units says which character comes next. {STREAMS} streams are \
         read in parts of {PART} characters, with the state carried from part to part; {steps} steps of Adam, \
         gradients clipped to a norm of 1, {} seeds. \"LSTM, open\" begins with a bias of 1 in the forget gate, the \
         LSTM with one near 0. The rate of each cell is the one of {} with the lowest validation loss at the end. By \
         counting in the training part, a character of the test part costs {:.2} bits by itself and {:.2} after the \
         one before it.",
        text.symbols,
        study.seeds().end,
        rates.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        text.counted(0),
        text.counted(1),
    ))
    .table("Each cell at its best rate; losses in bits a character, steps to a validation loss of 3.5", table)
    .picture(
        "recurrent",
        "Validation loss of each cell at its best rate; bands are one standard deviation over seeds.",
        &losses,
    )?
    .table(
        "Iteration 100 gate by gate, all weights of a gate together; weights and gradients are mean magnitudes",
        updates,
    )
    .picture(
        "recurrent-reach",
        "The derivative of the loss of one prediction with respect to a character before it: its norm as a share of \
         that for the last character, −2 being a hundredth, in the mean over windows of the validation part. Before \
         training, and after it.",
        &reach,
    )?
    .finding(
        "an LSTM and a GRU need fewer steps than a plain cell",
        steps_of(gru).mean().max(steps_of(lstm).mean()) < steps_of(plain).mean(),
        format!(
            "Steps to 3.5 bits: {} for the plain cell, {} for the GRU, {} for the LSTM, {} for the LSTM that begins \
             open. With one rate for all cells, LSTM and GRU need fewer at these of the rates: {quicker}.",
            steps_of(plain),
            steps_of(gru),
            steps_of(lstm),
            steps_of(open)
        ),
    )
    .finding(
        "an LSTM and a GRU predict the test text better than a plain cell",
        test(gru).mean.max(test(lstm).mean) < test(plain).mean,
        format!(
            "{:.3} bits for the plain cell, {:.3} for the GRU, {:.3} for the LSTM, {:.3} for the LSTM that begins \
             open.",
            test(plain),
            test(gru),
            test(lstm),
            test(open)
        ),
    )
    .finding(
        "the LSTM, with its four gates, predicts better than the GRU with three",
        test(lstm).mean < test(gru).mean,
        format!(
            "{:.3} bits for the LSTM and {:.3} if it begins open, {:.3} for the GRU.",
            test(lstm),
            test(open),
            test(gru)
        ),
    )
    .finding(
        "a gradient reaches further back through gates than through a plain cell",
        left(gru, "trained").min(left(lstm, "trained")) > left(plain, "trained"),
        format!(
            "{FAR} characters back there are left {:.1e} in the trained plain cell, {:.1e} in the GRU, {:.1e} in the \
             LSTM and {:.1e} in the one that began open; before training {:.1e}, {:.1e}, {:.1e} and {:.1e}.",
            left(plain, "trained"),
            left(gru, "trained"),
            left(lstm, "trained"),
            left(open, "trained"),
            left(plain, "untrained"),
            left(gru, "untrained"),
            left(lstm, "untrained"),
            left(open, "untrained")
        ),
    )
    .finding(
        "gates are updated in proportion to their gradients",
        moves > 0.8 * slopes,
        format!(
            "At iteration 100 of the LSTM the largest mean gradient of a gate is {slopes:.1} times the smallest, the \
             largest mean update {moves:.1} times. It holds for plain gradient descent, by definition; Adam divides by \
             the size of the gradients."
        ),
    );
    Ok(part)
}
