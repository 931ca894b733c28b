//! Figures as a table and as JSON.

use std::fmt;

use serde_json::{Map, Value, json};

/// Rows of figures under common headings.
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<(String, Vec<f64>)>,
    notes: Vec<String>,
}

impl Table {
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn row(&mut self, name: impl Into<String>, figures: &[f64]) {
        assert_eq!(figures.len(), self.headings.len(), "a figure for each heading");
        self.rows.push((name.into(), figures.to_vec()));
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(crate) fn json(&self) -> String {
        let row = |(name, figures): &(String, Vec<f64>)| {
            let mut object: Map<String, Value> = self
                .headings
                .iter()
                .zip(figures)
                .map(|(heading, figure)| ((*heading).to_owned(), json!(figure)))
                .collect();
            object.insert("name".to_owned(), json!(name));
            Value::Object(object)
        };
        let rows: Vec<Value> = self.rows.iter().map(row).collect();
        format!("{:#}\n", json!({ "rows": rows, "notes": self.notes }))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        write!(f, "{:width$}", "")?;
        for heading in &self.headings {
            write!(f, "  {heading:>14}")?;
        }
        for (name, figures) in &self.rows {
            write!(f, "\n{name:width$}")?;
            for (figure, heading) in figures.iter().zip(&self.headings) {
                let places = if figure.fract() == 0.0 && figure.abs() >= 10.0 { 0 } else { 3 };
                let columns = heading.chars().count().max(14);
                match figure.abs() {
                    size if size.is_nan() => write!(f, "  {:>columns$}", "–")?,
                    size if (size > 0.0 && size < 1e-2) || size >= 1e9 => write!(f, "  {figure:>columns$.5e}")?,
                    _ => write!(f, "  {figure:>columns$.places$}")?,
                }
            }
        }
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        Ok(())
    }
}
