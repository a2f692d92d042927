//! What can go wrong in a report, each told in one line.

use std::path::{Path, PathBuf};

/// Why a report or a picture could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Argument(String),
    /// A file is not what it must be.
    #[error("`{}` {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A picture could not be drawn.
    #[error("picture `{name}`: {problem}")]
    Picture {
        /// Which picture.
        name: String,
        /// What the drawing library says.
        problem: String,
    },
    /// The page could not be put together.
    #[error("the page can't be put together: {0}")]
    Page(#[from] minijinja::Error),
    /// An evaluation failed or was stopped.
    #[error(transparent)]
    Eval(#[from] cldl_eval::EvalError),
    /// A checkpoint can't be read.
    #[error(transparent)]
    Train(#[from] cldl_train::TrainError),
    /// The data can't be read.
    #[error(transparent)]
    Data(#[from] cldl_data::DataError),
    /// A model failed.
    #[error(transparent)]
    Tensor(#[from] candle::Error),
    /// A file can't be written; the message names it.
    #[error(transparent)]
    Write(#[from] std::io::Error),
}

impl ReportError {
    pub(crate) fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.to_path_buf(), problem: problem.into() }
    }
}
