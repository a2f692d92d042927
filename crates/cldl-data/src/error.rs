//! What can go wrong with data, each told in one line: what, where, what to do.

use std::io;
use std::path::PathBuf;

use crate::DatasetName;

/// An error about data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The name is not that of a known data set.
    #[error(
        "unknown data set `{found}`: expected `mnist`, `fashion-mnist`, `cifar-10` or a folder with a \
         `dataset.toml`"
    )]
    UnknownName {
        /// The text that should have been a name.
        found: String,
    },
    /// No data directory holds the file.
    #[error(
        "`{file}` of `{name}` not found in {places}; run `cldl data fetch {name}`, or name a folder \
         that holds `{name}/` by `--data-dir` or `CLDL_DATA_DIR`"
    )]
    NotFound {
        /// The data set.
        name: DatasetName,
        /// The file that is missing, without a packer's ending.
        file: String,
        /// The folders looked at.
        places: String,
    },
    /// No data directory holds the custom data set.
    #[error(
        "`{name}/dataset.toml` not found in {places}; name the folder that holds `{name}/` by \
         `--data-dir` or `CLDL_DATA_DIR`"
    )]
    NoFolder {
        /// The data set.
        name: String,
        /// The folders looked at.
        places: String,
    },
    /// A file of a custom data set is missing or not what it should be.
    #[error("`{}`: {what}", path.display())]
    Custom {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The operating system refuses to read or write.
    #[error("can't {what} `{}`: {reason}", path.display())]
    Io {
        /// What was tried, as in `read`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        reason: io::Error,
    },
    /// The file is not what its format says, or is damaged.
    #[error(
        "`{}` is no usable file of `{name}`: {what}; remove it, then run `cldl data fetch {name}`",
        path.display()
    )]
    Malformed {
        /// The data set.
        name: DatasetName,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The file has the right form but not the published content.
    #[error(
        "`{}` is not the published file of `{name}`: SHA-256 is {found}, expected {expected}; remove \
         it, then run `cldl data fetch {name}`",
        path.display()
    )]
    Checksum {
        /// The data set.
        name: DatasetName,
        /// The file.
        path: PathBuf,
        /// The checksum of the published content.
        expected: String,
        /// The checksum of this file's content.
        found: String,
    },
    /// No mirror delivered the file.
    #[error(
        "can't fetch `{file}` of `{name}`: {reasons}; check the network, or copy the file to `{}`",
        folder.display()
    )]
    Fetch {
        /// The data set.
        name: DatasetName,
        /// The file that was asked for.
        file: String,
        /// What each mirror answered.
        reasons: String,
        /// Where the file would have gone.
        folder: PathBuf,
    },
    /// Another process is at the same download.
    #[error("another program is downloading `{}`; wait for it to end", path.display())]
    Busy {
        /// The file in which the download grows.
        path: PathBuf,
    },
    /// The operating system gives no thread to make batches on.
    #[error("can't start a thread for batches: {0}")]
    Thread(io::Error),
    /// An argument is out of range.
    #[error("{0}")]
    Argument(String),
    /// A tensor could not be made or moved.
    #[error(transparent)]
    Tensor(#[from] candle::Error),
}
