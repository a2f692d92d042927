//! What can go wrong in an evaluation, each told in one line.

use std::io;
use std::path::PathBuf;

/// An error of an evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The caller asked to stop.
    #[error("stopped; what was finished is kept, and the same call goes on from there")]
    Stopped,
    /// A file of the outcome store is not what its key says.
    #[error("`{}` is damaged: {what}; remove it, and its outcomes are computed again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The operating system refuses to read.
    #[error("can't read `{}`: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        reason: io::Error,
    },
    /// The operating system refuses to write; the message names the file.
    #[error(transparent)]
    Write(io::Error),
    /// An argument is out of range.
    #[error("{0}")]
    Argument(String),
    /// The examples can't be had.
    #[error(transparent)]
    Data(#[from] cldl_data::DataError),
    /// A model or an attack failed.
    #[error(transparent)]
    Tensor(#[from] candle::Error),
}
