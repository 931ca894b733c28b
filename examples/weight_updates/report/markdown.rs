//! The report as `docs/weight-updates.md`, with its pictures beside it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Error;
use std::path::Path;

use gradus::train::replace_file;

use super::{Block, DEFINITIONS, INTRODUCTION, Part, Report, TITLE, Table};

/// The page and the folder of its pictures, in the folder of documentation.
const PAGE: &str = "weight-updates.md";
const PICTURES: &str = "weight-updates";

impl Report {
    /// Writes the page and its pictures; pictures that it no longer has are removed.
    pub(crate) fn save_markdown(&self, docs: &Path) -> Result<(), Error> {
        let folder = docs.join(PICTURES);
        fs::create_dir_all(&folder)?;
        let mut names = BTreeSet::new();
        for (_, part) in &self.parts {
            for block in &part.blocks {
                if let Block::Picture { name, svg, .. } = block {
                    names.insert(format!("{name}.svg"));
                    replace_file(folder.join(format!("{name}.svg")), svg.as_bytes())?;
                }
            }
        }
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if !names.contains(entry.file_name().to_string_lossy().as_ref()) {
                fs::remove_file(entry.path())?;
            }
        }
        replace_file(docs.join(PAGE), self.to_markdown().as_bytes())
    }

    pub(crate) fn to_markdown(&self) -> String {
        let mut text = format!("# {TITLE}\n\n{INTRODUCTION}\n\n{}\n\n", self.origin());
        DEFINITIONS.iter().for_each(|(word, meaning)| text += &format!("- **{word}**: {meaning}.\n"));
        self.parts.iter().for_each(|(number, part)| text += &section(*number, part));
        text
    }
}

/// A part, with a line for each sentence or row that the other form of the study has too.
pub(crate) fn section(number: usize, part: &Part) -> String {
    let Part { title, setup, expected, blocks, findings, why } = part;
    let mut text = format!("\n## {number}. {title}\n\n{setup}\n\n**Expected.** {expected}\n");
    for block in blocks {
        match block {
            Block::Table { caption, table } => text += &format!("\n{caption}\n\n{}", rows(table)),
            Block::Picture { name, caption, .. } => text += &format!("\n![{caption}]({PICTURES}/{name}.svg)\n"),
        }
    }
    text += "\n**Measured.**\n\n";
    for finding in findings {
        text += &format!("- *{}*: {}. {}\n", finding.verdict(), finding.claim, finding.measured);
    }
    text + &format!("\n**Why.** {why}\n")
}

fn rows(table: &Table) -> String {
    let mut text = String::new();
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | ").replace('\n', " "));
    text += &line(&table.head);
    text += &format!("|---|{}\n", "---:|".repeat(table.head.len() - 1));
    table.rows.iter().for_each(|row| text += &line(row));
    text
}
