//! A row of a benchmark, as `cldl bench --json` and the comparator print it.

use super::Rows;
use crate::child;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::process::{Command, Stdio};

/// One step, measured. The comparator tells its name and its seconds alone.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) seconds: f64,
    #[serde(default)]
    pub(super) members: usize,
    #[serde(default)]
    pub(super) batch: usize,
    /// The family of instruction sets that was used.
    #[serde(default)]
    pub(super) instructions: String,
    #[serde(default)]
    pub(super) gflops: f64,
    #[serde(default)]
    pub(super) peak_gflops: f64,
    #[serde(default)]
    pub(super) memory_gbs: f64,
    /// That the step must read and write at least.
    #[serde(default)]
    pub(super) least_bytes: u64,
    #[serde(default)]
    pub(super) peak_memory_bytes: Option<u64>,
    #[serde(default)]
    pub(super) profile: Vec<Kernel>,
}

/// What one kernel took of a step.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Kernel {
    pub(super) name: String,
    pub(super) shape: String,
    pub(super) calls: usize,
    pub(super) seconds: f64,
    pub(super) macs: u64,
    /// That must be read and written at least.
    pub(super) bytes: u64,
}

impl Row {
    /// Seconds of the step if every operation that it needs ran at the peak.
    pub(super) fn limit(&self) -> f64 {
        self.seconds * self.gflops / self.peak_gflops
    }
}

/// Runs a benchmark; returns its rows.
pub(super) fn rows_of<R: DeserializeOwned>(command: &mut Command) -> Result<Vec<R>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let ended = child::run(command.stdout(Stdio::piped()))?;
    ensure!(ended.status.success(), "`{program}` failed ({})", ended.status);
    let row = |line: &str| {
        serde_json::from_str(line).with_context(|| format!("`{program}` printed no row: {line}"))
    };
    ended.stdout.lines().map(row).collect()
}

/// Of each name the row with the median of the seconds.
pub(super) fn median(mut rows: Vec<Row>) -> Rows {
    rows.sort_by(|a, b| a.what.cmp(&b.what).then(a.seconds.total_cmp(&b.seconds)));
    rows.chunk_by(|a, b| a.what == b.what)
        .map(|same| (same[0].what.clone(), same[same.len() / 2].clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Row, median, rows_of};
    use std::process::Command;

    #[test]
    fn rows_are_read_and_other_output_is_an_error() {
        let line = r#"{"what":"ce","seconds":0.5,"system":"x"}"#;
        let rows: Vec<Row> = rows_of(Command::new("echo").arg(line)).unwrap();
        assert_eq!((rows[0].what.as_str(), rows[0].seconds.to_bits()), ("ce", 0.5f64.to_bits()));
        assert!(rows_of::<Row>(Command::new("echo").arg("no")).is_err());
        assert!(rows_of::<Row>(&mut Command::new("false")).is_err());
    }

    #[test]
    fn the_median_is_one_of_the_rows() {
        let row =
            |what: &str, seconds| Row { what: what.to_owned(), seconds, ..Default::default() };
        let rows = median(vec![row("ce", 3.0), row("adp", 9.0), row("ce", 1.0), row("ce", 2.0)]);
        assert_eq!((rows["ce"].seconds, rows["adp"].seconds), (2.0, 9.0));
    }
}
