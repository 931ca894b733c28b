//! The report: parts with tables, pictures and findings, as a page of HTML and as Markdown.

mod html;
mod markdown;

use std::fmt;
use std::io::Error;

use gradus::train::plot::{HeatMap, Images, Plot};

use crate::study::Study;

/// What stands above all parts.
pub(crate) struct Report {
    pub(crate) quick: bool,
    pub(crate) parts: Vec<(usize, Part)>,
}

/// The words that the parts use.
pub(crate) const DEFINITIONS: [(&str, &str); 6] = [
    (
        "Weight update",
        "the mean absolute change of all weights in one iteration, biases among them; \"at 100\" is that of iteration 100",
    ),
    ("Iteration, step", "one change of the weights: of one batch by gradients, of one generation by a search"),
    (
        "Convergence steps",
        "the iteration of the first of three evaluations in a row at which a stated loss or accuracy is held",
    ),
    ("Epoch", "one pass over all training data"),
    (
        "±",
        "one sample standard deviation over the seeds, beside the mean; each seed sets initial weights and order of the data",
    ),
    (
        "Validation, test",
        "data that no gradient sees; whatever is chosen is chosen on the validation data, and no choice depends on the test \
         data",
    ),
];

pub(crate) const TITLE: &str = "How the weights of a neural network are updated";

pub(crate) const INTRODUCTION: &str = "Thirteen comparisons of the textbook chapter on training, measured: by one command, on real \
    data, with several seeds each. Every part says what is commonly expected, what was measured here, and why. Where a \
    common belief did not hold, the part says so, and where it does hold.";

/// One comparison.
pub(crate) struct Part {
    pub(crate) title: &'static str,
    /// Data, network, seeds, and what was chosen on what.
    pub(crate) setup: String,
    /// What is commonly believed.
    pub(crate) expected: &'static str,
    pub(crate) blocks: Vec<Block>,
    pub(crate) findings: Vec<Finding>,
    /// The explanation.
    pub(crate) why: &'static str,
}

pub(crate) enum Block {
    Table {
        caption: &'static str,
        table: Table,
    },
    /// `name` is the name of the file.
    Picture {
        name: &'static str,
        caption: &'static str,
        svg: String,
    },
}

/// A belief, whether it held, and the figures.
pub(crate) struct Finding {
    pub(crate) claim: &'static str,
    pub(crate) holds: bool,
    pub(crate) measured: String,
}

/// Rows of cells under names of columns; the first column names the row.
pub(crate) struct Table {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<S: Into<String>>(head: impl IntoIterator<Item = S>) -> Self {
        Self { head: head.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row, which has a cell for each column.
    pub(crate) fn push<S: Into<String>>(&mut self, row: impl IntoIterator<Item = S>) {
        let row: Vec<String> = row.into_iter().map(Into::into).collect();
        assert_eq!(row.len(), self.head.len(), "a row of a table has a cell for each of {:?}", self.head);
        self.rows.push(row);
    }
}

/// What can be drawn.
pub(crate) trait Picture {
    fn svg(&self) -> Result<String, Error>;
}

impl Picture for Plot {
    fn svg(&self) -> Result<String, Error> {
        self.to_svg()
    }
}

impl Picture for HeatMap {
    fn svg(&self) -> Result<String, Error> {
        self.to_svg()
    }
}

impl Picture for Images {
    fn svg(&self) -> Result<String, Error> {
        self.to_svg()
    }
}

impl Part {
    /// A part with its title; what is commonly believed; and why what was measured is so. All three are whole sentences that
    /// name no figure.
    pub(crate) fn new(title: &'static str, expected: &'static str, why: &'static str) -> Self {
        Self { title, setup: String::new(), expected, blocks: Vec::new(), findings: Vec::new(), why }
    }

    /// Data, network, seeds, and what was chosen on what.
    pub(crate) fn setup(mut self, text: impl Into<String>) -> Self {
        self.setup = text.into();
        self
    }

    pub(crate) fn table(mut self, caption: &'static str, table: Table) -> Self {
        self.blocks.push(Block::Table { caption, table });
        self
    }

    /// Adds a picture; `name` is the name of its file.
    pub(crate) fn picture(
        mut self,
        name: &'static str,
        caption: &'static str,
        plot: &impl Picture,
    ) -> Result<Self, Error> {
        self.blocks.push(Block::Picture { name, caption, svg: plot.svg()? });
        Ok(self)
    }

    /// Adds a belief in the words of a sentence without its full stop, whether it held, and the figures in a sentence.
    pub(crate) fn finding(mut self, claim: &'static str, holds: bool, measured: impl Into<String>) -> Self {
        self.findings.push(Finding { claim, holds, measured: measured.into() });
        self
    }
}

impl Finding {
    pub(crate) fn verdict(&self) -> &'static str {
        if self.holds { "Holds" } else { "Does not hold here" }
    }
}

impl Report {
    pub(crate) fn new(study: &Study) -> Self {
        Self { quick: study.quick, parts: Vec::new() }
    }

    pub(crate) fn add(&mut self, number: usize, part: Part) {
        self.parts.push((number, part));
    }

    /// What the numbers come from.
    pub(crate) fn origin(&self) -> &'static str {
        match self.quick {
            true => {
                "Made by the quick form, `cargo run --release --example weight_updates -- --quick`: few seeds, few steps."
            }
            false => "Made by `cargo run --release --example weight_updates`.",
        }
    }
}

impl fmt::Display for Report {
    /// The findings, and the tables with aligned columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, part) in &self.parts {
            writeln!(f, "\n{number}. {}\n{}", part.title, part.setup)?;
            for block in &part.blocks {
                let Block::Table { caption, table } = block else { continue };
                writeln!(f, "\n{caption}")?;
                let lines: Vec<&Vec<String>> = [&table.head].into_iter().chain(&table.rows).collect();
                let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
                let widths: Vec<usize> = (0..table.head.len()).map(width).collect();
                for line in &lines {
                    write!(f, "  {:<1$}", line[0], widths[0])?;
                    for (cell, width) in line.iter().zip(&widths).skip(1) {
                        write!(f, "  {cell:>width$}")?;
                    }
                    writeln!(f)?;
                }
            }
            writeln!(f)?;
            for finding in &part.findings {
                writeln!(f, "- {}: {}. {}", finding.verdict(), finding.claim, finding.measured)?;
            }
        }
        Ok(())
    }
}
