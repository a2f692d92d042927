//! How a result is printed: as a table for people, as JSON or CSV for machines.

use anyhow::Result;
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::common;

/// The form of a result on stdout.
#[derive(clap::Args)]
pub(crate) struct Output {
    /// Print the result as JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print the result as CSV
    #[arg(long)]
    csv: bool,
}

/// A result as rows of cells under a head.
#[derive(Default)]
pub(crate) struct Grid {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Output {
    /// Prints `value` as JSON, or `grid`: as CSV, or as a table with `notes` below it.
    pub(crate) fn print(&self, value: &impl Serialize, grid: &Grid, notes: &str) -> Result<()> {
        if self.csv {
            return grid.csv();
        }
        common::print(self.json, value, &grid.text(notes))
    }
}

impl Grid {
    /// A table, with `notes` below it.
    pub(crate) fn text(&self, notes: &str) -> String {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_header(&self.head);
        table.add_rows(&self.rows);
        format!("{table}\n{notes}")
    }

    fn csv(&self) -> Result<()> {
        let mut writer = csv::Writer::from_writer(std::io::stdout().lock());
        writer.write_record(&self.head)?;
        for row in &self.rows {
            writer.write_record(row)?;
        }
        Ok(writer.flush()?)
    }
}

/// `12.34`, or `-` for what is not known.
pub(crate) fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}
