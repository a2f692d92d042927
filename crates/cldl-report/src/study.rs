//! What a report is about: tables and trained ensembles, from the paths that a user gives.

use std::fs;
use std::path::{Path, PathBuf};

use candle::Device;
use cldl_core::sums::sha256;
use cldl_data::{DataDirs, Dataset, DatasetSpec, Split};
use cldl_eval::table::Table;
use cldl_eval::{Examples, Model};
use cldl_train::{LoadedEnsemble, TrainConfig, load_ensemble};
use serde_json::Value;

use crate::ReportError;

/// Settings of a report.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Test images that attacks are measured on.
    pub examples: usize,
    /// Radii, in pixels of [0, 1], the smallest first; the second is where there is one alone.
    pub eps: Vec<f64>,
    /// Folder where outcomes are kept.
    pub store: PathBuf,
    /// Where to compute.
    pub device: Device,
}

/// Tables and ensembles to look at.
pub struct Study {
    /// Tables of `cargo xtask reproduce` and where they are.
    pub tables: Vec<(PathBuf, Table)>,
    /// The SHA-256 of each table's file.
    pub table_digests: Vec<String>,
    /// Trained ensembles of one data set, in order.
    pub runs: Vec<Trained>,
    /// Runs that a table names and that are not there.
    pub absent: Vec<String>,
    /// The test images of the runs' data set.
    pub test: Option<Dataset>,
    /// How to measure.
    pub settings: Settings,
}

/// A trained ensemble.
pub struct Trained {
    /// Its path.
    pub path: String,
    /// A short name, its own in the report.
    pub label: String,
    /// The ensemble.
    pub inner: LoadedEnsemble,
    /// How it was trained.
    pub(crate) training: TrainConfig,
    /// The lines of `metrics.jsonl`; none if there is no such file.
    pub metrics: Vec<Value>,
    /// The text of `config.toml`, if it is there.
    pub config: Option<String>,
}

impl Study {
    /// Reads every path: a run (or checkpoint), a folder with a `table.json`, or such a file. The runs
    /// that tables name are read too, of each column the first.
    ///
    /// # Errors
    /// If a path is neither, or the runs are of several data sets.
    pub fn read(
        paths: &[PathBuf],
        dirs: &DataDirs,
        settings: Settings,
    ) -> Result<Self, ReportError> {
        let (mut tables, mut table_digests) = (Vec::new(), Vec::new());
        let (mut runs, mut absent) = (Vec::new(), Vec::new());
        for path in paths {
            let Some(file) = table_file(path) else {
                runs.push(Trained::read(path, None, &settings.device)?);
                continue;
            };
            let (table, digest) = read_table(&file)?;
            table_digests.push(digest);
            for column in &table.columns {
                let Some(run) = column.runs.as_ref().and_then(|runs| runs.first()) else {
                    continue;
                };
                match Trained::read(Path::new(run), Some(&column.key), &settings.device) {
                    Ok(trained) => runs.push(trained),
                    Err(_) => absent.push(run.clone()),
                }
            }
            tables.push((file, table));
        }
        let mut seen: Vec<String> = Vec::new();
        runs.retain(|run| {
            let new = !seen.contains(&run.inner.digest);
            seen.push(run.inner.digest.clone());
            new
        });
        name_apart(&mut runs);
        let mut study = Self { tables, table_digests, runs, absent, test: None, settings };
        if let Some(first) = study.runs.first() {
            let dataset = first.dataset().clone();
            if let Some(other) = study.runs.iter().find(|run| *run.dataset() != dataset) {
                return Err(ReportError::Argument(format!(
                    "`{}` was trained on {dataset}, `{}` on {}: one report for each",
                    study.runs[0].path,
                    other.path,
                    other.dataset()
                )));
            }
            study.test = Some(Dataset::load(&dataset, Split::Test, dirs)?);
        }
        Ok(study)
    }

    /// One digest of all that the study consists of: the SHA-256 of those of its tables' files, its runs'
    /// models and the test images, a line each.
    pub fn digest(&self) -> String {
        let models = self.runs.iter().map(|run| run.inner.digest.as_str());
        let test = self.test.iter().map(|test| test.sha256.as_str());
        let digests = self.table_digests.iter().map(String::as_str).chain(models).chain(test);
        sha256(digests.collect::<Vec<_>>().join("\n").as_bytes())
    }

    /// The first of the test images that results are for, `most` at most.
    pub(crate) fn examples(&self, most: usize) -> Result<Option<Examples<'_>>, ReportError> {
        let Some(test) = &self.test else { return Ok(None) };
        let n = most.min(test.len() - test.len() / 10);
        Ok(Some(Examples::evaluation(test, n)?))
    }

    /// The radius where there is one alone.
    pub(crate) fn eps(&self) -> f64 {
        let eps = &self.settings.eps;
        eps.get(1).or(eps.first()).copied().unwrap_or(0.1)
    }

    /// What the classes are called.
    pub(crate) fn classes(&self) -> Vec<String> {
        let names = self.runs.first().map(|run| run.dataset().class_names());
        names.unwrap_or_default().into_iter().map(str::to_owned).collect()
    }

    /// At most `n` runs to look at closely: a baseline, a CLDL, then the others, in their order here.
    pub(crate) fn closely(&self, n: usize) -> Vec<&Trained> {
        let is = |run: &Trained, name: &str| run.training.method.name() == name;
        let mut chosen: Vec<usize> = ["baseline", "cldl"]
            .iter()
            .filter_map(|name| self.runs.iter().position(|run| is(run, name)))
            .collect();
        for i in 0..self.runs.len() {
            if !chosen.contains(&i) {
                chosen.push(i);
            }
        }
        chosen.truncate(n);
        chosen.into_iter().map(|i| &self.runs[i]).collect()
    }

    /// Why there are no ensembles to look at, in a line.
    pub(crate) fn no_runs(&self) -> String {
        match self.absent.as_slice() {
            [] => "no trained ensemble was given".to_owned(),
            [one] => format!("the table's run is not here any more: {one}"),
            [first, .., last] => format!(
                "the table's {} runs are not here any more ({first} to {last}): this needs their \
                 checkpoints",
                self.absent.len()
            ),
        }
    }
}

impl Trained {
    fn read(path: &Path, label: Option<&str>, device: &Device) -> Result<Self, ReportError> {
        let inner = load_ensemble(path, device)?;
        let Some(training) = inner.config.clone() else {
            let message = format!("`{}` was imported: a report shows runs", path.display());
            return Err(ReportError::Argument(message));
        };
        let text = fs::read_to_string(path.join("metrics.jsonl")).unwrap_or_default();
        let metrics = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let config = fs::read_to_string(path.join("config.toml")).ok();
        let label = label.map_or_else(|| training.method.to_string(), str::to_owned);
        Ok(Self { path: path.display().to_string(), label, inner, training, metrics, config })
    }

    /// What it was trained on.
    pub(crate) fn dataset(&self) -> &DatasetSpec {
        &self.inner.dataset
    }

    /// The ensemble for an evaluation.
    pub(crate) fn model(&self) -> Model<'_> {
        Model { name: &self.label, digest: &self.inner.digest, classifier: &self.inner.ensemble }
    }
}

/// The file of a table, if `path` is one or has one.
fn table_file(path: &Path) -> Option<PathBuf> {
    if path.extension().is_some_and(|ending| ending == "json") {
        return Some(path.to_path_buf());
    }
    let file = path.join("table.json");
    file.is_file().then_some(file)
}

/// The table, and the SHA-256 of its file.
fn read_table(file: &Path) -> Result<(Table, String), ReportError> {
    let bytes =
        fs::read(file).map_err(|e| ReportError::file(file, format!("can't be read: {e}")))?;
    let table = serde_json::from_slice(&bytes).map_err(|e| {
        ReportError::file(file, format!("is no table of `cargo xtask reproduce`: {e}"))
    })?;
    Ok((table, sha256(&bytes)))
}

/// Gives runs with one label different ones: their seeds, or their places.
fn name_apart(runs: &mut [Trained]) {
    let labels: Vec<String> = runs.iter().map(|run| run.label.clone()).collect();
    let namesakes = |label: &String| labels.iter().filter(|other| *other == label).count();
    let mut seen: Vec<String> = Vec::new();
    for (i, run) in runs.iter_mut().enumerate() {
        if 1 < namesakes(&labels[i]) {
            run.label = format!("{} seed {}", labels[i], run.training.seed);
        }
        if seen.contains(&run.label) {
            run.label = format!("{} ({})", labels[i], i + 1);
        }
        seen.push(run.label.clone());
    }
}
