//! What can go wrong in a training, each in one line.

use std::path::PathBuf;

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
    #[error("`{path}` {problem}")]
    Checkpoint {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A loss that is not a number.
    #[error(
        "{term} became {value} in epoch {epoch}, step {step}; the last good checkpoint is kept: try a smaller `--lr`"
    )]
    NotFinite {
        /// Which term.
        term: &'static str,
        /// Its value.
        value: f64,
        /// Epoch, from 1.
        epoch: usize,
        /// Step in the epoch, from 1.
        step: usize,
    },
    /// Stopped on request; the run directory holds what is needed to go on.
    #[error("stopped in epoch {epoch}: run the same command again to go on from `{path}`")]
    Stopped {
        /// Epoch in which the run was stopped, from 1.
        epoch: usize,
        /// The run directory.
        path: PathBuf,
    },
}

impl TrainError {
    pub(crate) fn checkpoint(path: &std::path::Path, problem: impl Into<String>) -> Self {
        Self::Checkpoint { path: path.to_owned(), problem: problem.into() }
    }
}
