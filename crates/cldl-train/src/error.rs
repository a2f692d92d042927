//! What can go wrong in a training, each in one line.

use std::path::PathBuf;

use cldl_core::lock::LockError;

use crate::Position;

/// Why a training or the loading of a checkpoint failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A setting outside its range.
    #[error("{0}")]
    Config(String),
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The data can't be read.
    #[error(transparent)]
    Data(#[from] cldl_data::DataError),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle::Error),
    /// A file of a run directory is not what it must be.
    #[error("`{}` {problem}", path.display())]
    Checkpoint {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// An image, a loss, a gradient, a weight or a running statistic that is not finite.
    #[error("{what}: epoch {epoch}, step {step} of the training; {}: {remedy}", left(*kept))]
    NotFinite {
        /// What, and of which member.
        what: String,
        /// Epoch, from 1.
        epoch: usize,
        /// Step since the training began, from 1.
        step: usize,
        /// The run's last checkpoint, if there is a run and it has one.
        kept: Option<Position>,
        /// What to do.
        remedy: &'static str,
    },
    /// Another process is at the same run.
    #[error("`{}` is in use, {reason}: wait for it to end, or train into another `--out`", path.display())]
    Busy {
        /// The run directory.
        path: PathBuf,
        /// By whom.
        reason: LockError,
    },
    /// Stopped on request; the run directory holds what is needed to go on.
    #[error("stopped {position}: run the same command again to go on from `{}`", path.display())]
    Stopped {
        /// Where the run was stopped.
        position: Position,
        /// The run directory.
        path: PathBuf,
    },
}

impl TrainError {
    pub(crate) fn checkpoint(path: &std::path::Path, problem: impl Into<String>) -> Self {
        Self::Checkpoint { path: path.to_owned(), problem: problem.into() }
    }
}

/// What is left of a training that a number stopped.
fn left(kept: Option<Position>) -> String {
    match kept {
        Some(position) => format!("its last checkpoint, {position}, is good and kept"),
        None => "there was no checkpoint yet".to_owned(),
    }
}
