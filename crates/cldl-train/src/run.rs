//! A run directory: `config.toml`, `metrics.jsonl`, `checkpoint/`, and `done` at the end.

use std::fs;
use std::path::{Path, PathBuf};

use cldl_core::files;
use serde_json::Value;

use crate::{TrainConfig, TrainError, checkpoint};

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Nothing is there yet.
    New,
    /// This many epochs are done.
    Partial(usize),
    /// Trained to the end.
    Done,
}

/// The directory of one training.
#[derive(Debug, Clone)]
pub struct Run {
    /// The directory.
    pub dir: PathBuf,
}

impl Run {
    /// The run at `dir`, which need not exist yet.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// How far the run has come.
    ///
    /// # Errors
    /// If the directory holds a run with another config, or can't be read.
    pub fn state(&self, config: &TrainConfig) -> Result<RunState, TrainError> {
        let file = self.config_file();
        if !file.exists() {
            return Ok(RunState::New);
        }
        let text = fs::read_to_string(&file)
            .map_err(|e| TrainError::checkpoint(&file, format!("can't be read: {e}")))?;
        if text != toml_of(config)? {
            let problem = "belongs to a training with other settings: use another `--out`";
            return Err(TrainError::checkpoint(&self.dir, problem));
        }
        if self.dir.join("done").exists() {
            return Ok(RunState::Done);
        }
        Ok(RunState::Partial(
            checkpoint::latest(&self.checkpoints())?.map_or(0, |(epochs, _)| epochs),
        ))
    }

    /// Makes the directory and records what is to be trained in it.
    pub(crate) fn begin(&self, config: &TrainConfig) -> Result<(), TrainError> {
        if !self.config_file().exists() {
            files::write_atomically(&self.config_file(), toml_of(config)?.as_bytes())?;
        }
        Ok(())
    }

    /// Records that the training is over.
    pub(crate) fn finish(&self) -> Result<(), TrainError> {
        Ok(files::write_atomically(&self.dir.join("done"), b"")?)
    }

    /// Appends `record` as the line of epoch `epoch` (from 1); lines from there on, left by a run that
    /// was killed before its checkpoint, are dropped.
    pub(crate) fn record(&self, epoch: usize, record: &Value) -> Result<(), TrainError> {
        let file = self.dir.join("metrics.jsonl");
        let old = fs::read_to_string(&file).unwrap_or_default();
        let mut lines: Vec<&str> = old.lines().take(epoch - 1).collect();
        let line = record.to_string();
        lines.push(&line);
        Ok(files::write_atomically(&file, (lines.join("\n") + "\n").as_bytes())?)
    }

    /// Seconds that the recorded epochs took.
    pub fn seconds(&self) -> f64 {
        let text = fs::read_to_string(self.dir.join("metrics.jsonl")).unwrap_or_default();
        let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records.filter_map(|record| record["seconds"].as_f64()).sum()
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.dir.join("checkpoint")
    }

    fn config_file(&self) -> PathBuf {
        self.dir.join("config.toml")
    }
}

impl AsRef<Path> for Run {
    fn as_ref(&self) -> &Path {
        &self.dir
    }
}

fn toml_of(config: &TrainConfig) -> Result<String, TrainError> {
    toml::to_string(config).map_err(|e| TrainError::Config(format!("config can't be written: {e}")))
}
