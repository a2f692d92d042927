//! `experiments/table<N>.toml`: the columns of a table, its attacks, and the paper's numbers.

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The paper's tables.
pub(crate) const TABLES: std::ops::RangeInclusive<u8> = 1..=7;

const DATASETS: [&str; 3] = ["mnist", "fashion-mnist", "cifar-10"];
const ARCHS: [&str; 2] = ["lenet5", "resnet20"];
const METHODS: [&str; 6] = ["baseline", "adp", "gal", "dverge", "trs", "cldl"];
const ATTACKS: [&str; 4] = ["bim", "fgsm", "mim", "pgd"];

/// One table of the paper.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Experiment {
    pub(crate) table: u8,
    pub(crate) title: String,
    pub(crate) dataset: String,
    pub(crate) arch: String,
    pub(crate) members: usize,
    /// In the table's order; each with every eps.
    pub(crate) attacks: Vec<String>,
    pub(crate) eps: Vec<f64>,
    pub(crate) columns: Vec<Column>,
    /// attack -> one line for each eps -> one number for each published column.
    pub(crate) paper: BTreeMap<String, Vec<Vec<f64>>>,
}

/// One column: a method with its hyper-parameters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Column {
    /// As the paper prints it; `_` begins a subscript.
    pub(crate) label: String,
    pub(crate) method: String,
    pub(crate) gamma: Option<f64>,
    pub(crate) alpha: Option<f64>,
    pub(crate) beta: Option<f64>,
    pub(crate) label_smoothing: Option<f64>,
    pub(crate) leaky_slope: Option<f64>,
    pub(crate) noise_std: Option<f64>,
    /// Its name in files and flags, where method and hyper-parameters don't tell it from others.
    pub(crate) key: Option<String>,
    /// Not in the paper: ours, to compare with.
    #[serde(default)]
    pub(crate) control: bool,
}

impl Column {
    /// The column's name in files and flags: `adp`, `cldl-3-4-4`.
    pub(crate) fn key(&self) -> String {
        let parameters = [self.gamma, self.alpha, self.beta];
        let name = |key: String, value: &f64| format!("{key}-{value}");
        let usual = || parameters.iter().flatten().fold(self.method.clone(), name);
        self.key.clone().unwrap_or_else(usual)
    }

    /// Whether `--only name` means this column: its key or its method.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        name == self.method || name == self.key()
    }
}

impl Experiment {
    /// Reads table `number` from the folder of experiments.
    pub(crate) fn read(folder: &Path, number: u8) -> Result<Self> {
        let path = folder.join(format!("table{number}.toml"));
        Self::parse(&read(&path)?, &path, number)
    }

    /// Table `number` from the text of the file at `path`.
    pub(crate) fn parse(text: &str, path: &Path, number: u8) -> Result<Self> {
        let experiment: Self = parse_toml(text, path)?;
        experiment.validate(number).with_context(|| format!("`{}`", path.display()))?;
        Ok(experiment)
    }

    /// The paper's number of a published column (counted among the published ones).
    pub(crate) fn paper(&self, attack: &str, eps: usize, column: usize) -> Option<f64> {
        self.paper.get(attack)?.get(eps)?.get(column).copied()
    }

    fn validate(&self, number: u8) -> Result<()> {
        ensure!(self.table == number, "says `table = {}`", self.table);
        known("dataset", &self.dataset, &DATASETS)?;
        known("arch", &self.arch, &ARCHS)?;
        for column in &self.columns {
            known("method", &column.method, &METHODS)?;
            let parameters = [column.gamma, column.alpha, column.beta];
            let wanted = if column.method == "cldl" { 3 } else { 0 };
            let found = parameters.iter().flatten().count();
            ensure!(found == wanted, "`{}`: {found} hyper-parameters, not {wanted}", column.label);
        }
        let published = self.columns.iter().filter(|column| !column.control).count();
        ensure!(self.paper.len() == self.attacks.len(), "[paper] doesn't have the table's attacks");
        for attack in &self.attacks {
            known("attack", attack, &ATTACKS)?;
            let lines = self.paper.get(attack).with_context(|| format!("no [paper] `{attack}`"))?;
            ensure!(lines.len() == self.eps.len(), "[paper] `{attack}`: a line for each eps");
            for numbers in lines {
                ensure!(
                    numbers.len() == published,
                    "[paper] `{attack}`: {published} numbers a line"
                );
                ensure!(
                    numbers.iter().all(|number| (0.0..=100.0).contains(number)),
                    "[paper] `{attack}`: percentages are in [0, 100]"
                );
            }
        }
        Ok(())
    }
}

fn known(what: &str, name: &str, names: &[&str]) -> Result<()> {
    ensure!(names.contains(&name), "unknown {what} `{name}`; there are {}", names.join(", "));
    Ok(())
}

/// Reads one TOML file; the error names the file and the line.
pub(crate) fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    parse_toml(&read(path)?, path)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("can't read `{}`", path.display()))
}

fn parse_toml<T: serde::de::DeserializeOwned>(text: &str, path: &Path) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        anyhow::anyhow!("`{}`, line {line}: {}", path.display(), error.message())
    })
}

#[cfg(test)]
mod tests {
    use super::{Experiment, TABLES};
    use crate::workspace::experiments;

    fn all() -> Vec<Experiment> {
        TABLES.map(|table| Experiment::read(&experiments(), table).unwrap()).collect()
    }

    #[test]
    fn seven_tables_have_the_paper_s_112_rows() {
        let tables = all();
        let rows: usize = tables.iter().flat_map(|t| t.paper.values()).map(Vec::len).sum();
        assert_eq!(rows, 112);
        let numbers: Vec<usize> =
            tables.iter().map(|table| table.paper.values().flatten().map(Vec::len).sum()).collect();
        assert_eq!(numbers, [96, 96, 128, 96, 96, 80, 80]);
    }

    #[test]
    fn every_table_is_in_the_paper_s_order_and_has_a_baseline_control() {
        for table in all() {
            assert_eq!(table.attacks, ["bim", "fgsm", "mim", "pgd"]);
            assert_eq!(table.eps.len(), 4);
            assert!(table.eps.is_sorted());
            let (control, published) = table.columns.split_last().unwrap();
            assert!(control.control && control.key() == "baseline");
            assert!(published.iter().all(|column| !column.control));
        }
    }

    #[test]
    fn the_same_ensemble_has_the_same_numbers_in_tables_1_and_3() {
        let tables = all();
        let of = |table: usize, key: &str| {
            let table: &Experiment = &tables[table - 1];
            let column = table.columns.iter().position(|column| column.key() == key).unwrap();
            table.paper.values().flatten().map(|line| line[column]).collect::<Vec<_>>()
        };
        for key in ["cldl-4-2-4", "cldl-4-0.5-4"] {
            assert_eq!(of(1, key), of(3, key));
        }
    }

    #[test]
    fn accuracy_falls_with_eps_in_every_column_of_the_paper() {
        for table in all() {
            for (attack, lines) in &table.paper {
                for pair in lines.windows(2) {
                    let falls = pair[0].iter().zip(&pair[1]).all(|(weak, strong)| strong < weak);
                    assert!(falls, "table {}, {attack}: {pair:?}", table.table);
                }
            }
        }
    }

    #[test]
    fn the_two_oddities_of_the_print_are_kept() {
        let tables = all();
        let row = |table: usize, attack: &str, line: usize| &tables[table - 1].paper[attack][line];
        assert_eq!(row(2, "bim", 3)[4..], [65.39, 65.8]);
        assert_eq!(row(5, "fgsm", 3)[3..5], [54.6, 52.6]);
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(experiments().join("table4.toml")).unwrap();
        std::fs::write(folder.path().join("table4.toml"), format!("epoch = 3\n{text}")).unwrap();
        let error = format!("{:#}", Experiment::read(folder.path(), 4).unwrap_err());
        assert!(error.contains("line 1: unknown field `epoch`"), "{error}");
    }
}
