//! What a table is to contain: written by `cargo xtask reproduce` (or by hand), read by `cldl table`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::entries::{self, Entries};
use crate::EvalError;

/// A table to be filled: columns in order, rows (every attack with every eps), the paper's numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Number of the table in the paper.
    pub table: u8,
    /// Its title.
    pub title: String,
    /// `mnist`, `fashion-mnist` or `cifar-10`.
    pub dataset: String,
    /// `lenet5` or `resnet20`.
    pub arch: String,
    /// Members of a target.
    pub members: usize,
    /// `smoke`, `quick` or `paper`.
    pub scale: String,
    /// `paper` or `official`.
    pub variant: String,
    /// How outcomes become a percentage: `official` or `paper`.
    pub protocol: String,
    /// Seeds of the targets; control columns have their own.
    pub seeds: Vec<u64>,
    /// Whether surrogates start from the target's initial weights.
    pub shared_init: bool,
    /// Training images; none means all.
    pub limit_train: Option<usize>,
    /// Passes over them.
    pub epochs: usize,
    /// Test images under attack.
    pub examples: usize,
    /// Seconds spent so far.
    pub wall_seconds: f64,
    /// The command that asks.
    pub command: String,
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// For each seed, the run directories of the surrogates; empty while they are not trained.
    pub surrogates: Vec<Vec<String>>,
    /// The attacks, in the order of the rows.
    pub attacks: Vec<String>,
    /// The radii of each attack.
    pub eps: Vec<f64>,
    /// Losses that the attacks maximize.
    pub losses: Vec<String>,
    /// Random starts of attacks that have them.
    pub attack_seeds: usize,
    /// Steps of size eps / 5; FGSM takes one.
    pub steps: usize,
    /// The numbers printed in the paper.
    pub paper: Vec<PaperRow>,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name in files and flags, as in `cldl-3-4-4`.
    pub key: String,
    /// Its heading; `_` begins a subscript.
    pub label: String,
    /// Ours to compare with: not in the paper.
    pub control: bool,
    /// Seeds of its trainings.
    pub seeds: Vec<u64>,
    /// One run directory for each seed; none if the column is not run.
    pub runs: Option<Vec<String>>,
    /// Why it is not run.
    pub why: Option<String>,
}

/// One row of the paper's table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperRow {
    /// The attack.
    pub attack: String,
    /// Its radius.
    pub eps: f64,
    /// Percentages by column key.
    #[serde(with = "entries")]
    pub cells: Entries<f64>,
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// If the file can't be read, is no request, or a column has not one run for each seed.
    pub fn read(path: &Path) -> Result<Self, EvalError> {
        let bytes = std::fs::read(path)
            .map_err(|reason| EvalError::Read { path: path.to_path_buf(), reason })?;
        Self::parse(&bytes).map_err(|why| {
            EvalError::Argument(format!("`{}` is no request for a table: {why}", path.display()))
        })
    }

    /// The request in the bytes of a file.
    ///
    /// # Errors
    /// Why there is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let request: Self = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        request.validate()?;
        Ok(request)
    }

    /// The paper's number, if it has one.
    pub fn paper(&self, column: &str, attack: &str, eps: f64) -> Option<f64> {
        // The same literal on both sides, so that equality is exact.
        #[allow(clippy::float_cmp, reason = "eps is a name here, not the result of a computation")]
        let row = self.paper.iter().find(|row| row.attack == attack && row.eps == eps)?;
        entries::get(&row.cells, column).copied()
    }

    fn validate(&self) -> Result<(), String> {
        for column in &self.columns {
            let Some(runs) = &column.runs else { continue };
            if runs.len() != column.seeds.len() || runs.len() != self.surrogates.len() {
                return Err(format!(
                    "column `{}` has {} runs for {} seeds and {} groups of surrogates",
                    column.key,
                    runs.len(),
                    column.seeds.len(),
                    self.surrogates.len()
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Request;
    use crate::table::fixture;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("request.json");
        let request = fixture::request();
        std::fs::write(&path, serde_json::to_vec(&request).unwrap()).unwrap();
        assert_eq!(Request::read(&path).unwrap(), request);
    }

    #[test]
    fn reads_what_xtask_writes() {
        // The other side of the contract is tested there: xtask writes exactly this file.
        let text = include_str!("../../../../xtask/tests/request.json");
        let request: Request = serde_json::from_str(text).unwrap();
        request.validate().unwrap();
        assert_eq!(request.columns[4].key, "cldl-3-4-4");
        assert_eq!(request.paper("cldl-3-4-4", "bim", 0.1), Some(94.48));
    }

    #[test]
    fn bad_requests_are_one_line_with_the_file_s_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("request.json");
        let error = || Request::read(&path).unwrap_err().to_string();
        assert!(error().starts_with("can't read"), "{}", error());
        std::fs::write(&path, "{\"tabel\": 4}").unwrap();
        assert!(error().contains("unknown field `tabel`"), "{}", error());
        let mut request = fixture::request();
        request.columns[0].seeds.push(1);
        std::fs::write(&path, serde_json::to_vec(&request).unwrap()).unwrap();
        assert!(error().contains("column `adp` has 1 runs for 2 seeds"), "{}", error());
    }

    #[test]
    fn the_paper_s_numbers_are_found_by_row_and_column() {
        let request = fixture::request();
        assert_eq!(request.paper("cldl-3-4-4", "pgd", 0.25), Some(24.81));
        assert_eq!(request.paper("baseline", "pgd", 0.25), None);
        assert_eq!(request.paper("adp", "pgd", 0.3), None);
    }
}
