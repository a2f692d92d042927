//! A run directory: `config.toml`, `metrics.jsonl`, `checkpoint/`, and `done` at the end. `.lock` is locked
//! by the process that trains.

use std::fs;
use std::path::{Path, PathBuf};

use cldl_core::lock::Lock;
use cldl_core::sums::SUMS;
use cldl_core::{files, sums};
use serde_json::Value;

use crate::checkpoint::{self, MODEL, OPTIMIZER};
use crate::{Interval, Position, TrainConfig, TrainError};

/// Whose presence says that a run is over; holds the checksums of its files.
pub(crate) const DONE: &str = "done";
pub(crate) const CONFIG: &str = "config.toml";
pub(crate) const METRICS: &str = "metrics.jsonl";
const LOCK: &str = ".lock";

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Nothing is there yet.
    New,
    /// Begun; the last checkpoint is here.
    Partial(Position),
    /// Trained to the end.
    Done,
}

/// The directory of one training.
#[derive(Debug, Clone)]
pub struct Run {
    /// The directory.
    pub dir: PathBuf,
    /// How often the training is saved inside an epoch. The result does not depend on it.
    pub checkpoint_every: Interval,
}

impl Run {
    /// The run at `dir`, which need not exist yet.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), checkpoint_every: Interval::default() }
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
            let there = toml::from_str::<TrainConfig>(&text).map_err(|e| {
                TrainError::checkpoint(
                    &file,
                    format!("is no config of a training: {}", e.message()),
                )
            })?;
            let which = there.difference(config).map_or_else(String::new, |(name, there, here)| {
                format!(" (`{name}` is {there} there and {here} here)")
            });
            let problem =
                format!("belongs to a training with other settings{which}: use another `--out`");
            return Err(TrainError::checkpoint(&self.dir, problem));
        }
        if self.dir.join(DONE).exists() {
            return Ok(RunState::Done);
        }
        let latest = checkpoint::latest(&self.checkpoints())?;
        Ok(RunState::Partial(latest.map_or_else(Position::default, |(position, _)| position)))
    }

    /// Keeps other processes from training here; makes the directory.
    pub(crate) fn lock(&self) -> Result<Lock, TrainError> {
        let named = |e: std::io::Error| {
            std::io::Error::new(e.kind(), format!("can't make `{}`: {e}", self.dir.display()))
        };
        fs::create_dir_all(&self.dir).map_err(named)?;
        let busy = |reason| TrainError::Busy { path: self.dir.clone(), reason };
        Lock::take(&self.dir.join(LOCK)).map_err(|error| match error {
            cldl_core::lock::LockError::Io(e) => e.into(),
            held @ cldl_core::lock::LockError::Held(_) => busy(held),
        })
    }

    /// Records what is to be trained in the directory, and removes what a killed process was writing there.
    pub(crate) fn begin(&self, config: &TrainConfig) -> Result<(), TrainError> {
        files::remove_unfinished(&self.dir)?;
        if !self.config_file().exists() {
            files::write_atomically(&self.config_file(), toml_of(config)?.as_bytes())?;
        }
        Ok(())
    }

    /// Records that the training is over, and what its files are.
    pub(crate) fn finish(&self) -> Result<(), TrainError> {
        let latest = checkpoint::latest(&self.checkpoints())?;
        let names = Self::files(latest.map(|(position, _)| position));
        Ok(sums::write(&self.dir, DONE, &names)?)
    }

    /// The files of a finished run whose last checkpoint is at `position`.
    pub(crate) fn files(position: Option<Position>) -> Vec<String> {
        let mut names = vec![CONFIG.to_owned(), METRICS.to_owned()];
        if let Some(position) = position {
            let place = format!("checkpoint/{}", position.folder());
            names.extend([MODEL, OPTIMIZER, SUMS].map(|name| format!("{place}/{name}")));
        }
        names
    }

    /// Appends `record` as the line of epoch `epoch` (from 1); lines from there on, left by a run that
    /// was killed before its checkpoint, are dropped.
    pub(crate) fn record(&self, epoch: usize, record: &Value) -> Result<(), TrainError> {
        let file = self.dir.join(METRICS);
        let old = match fs::read_to_string(&file) {
            Ok(old) => old,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(TrainError::checkpoint(&file, format!("can't be read: {e}"))),
        };
        let mut lines: Vec<&str> = old.lines().take(epoch - 1).collect();
        let line = record.to_string();
        lines.push(&line);
        Ok(files::write_atomically(&file, (lines.join("\n") + "\n").as_bytes())?)
    }

    /// Seconds that the recorded epochs took.
    pub fn seconds(&self) -> f64 {
        let text = fs::read_to_string(self.dir.join(METRICS)).unwrap_or_default();
        let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records.filter_map(|record| record["seconds"].as_f64()).sum()
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.dir.join("checkpoint")
    }

    fn config_file(&self) -> PathBuf {
        self.dir.join(CONFIG)
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
