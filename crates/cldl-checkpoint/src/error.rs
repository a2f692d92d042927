//! What can be wrong with a checkpoint, each in one line.

use std::path::{Path, PathBuf};

/// Why a checkpoint can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file is not what it must be.
    #[error("`{path}` {problem}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A request that can't be met.
    #[error("{0}")]
    Argument(String),
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A run directory can't be read.
    #[error(transparent)]
    Run(#[from] cldl_train::TrainError),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle::Error),
}

impl CheckpointError {
    pub(crate) fn invalid(path: &Path, problem: impl Into<String>) -> Self {
        Self::Invalid { path: path.to_owned(), problem: problem.into() }
    }
}

/// Reads a file; the error names it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    std::fs::read(path).map_err(|e| CheckpointError::invalid(path, format!("can't be read: {e}")))
}

/// The first line of an error: candle's may carry a backtrace below it.
pub(crate) fn first_line(error: &impl std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
