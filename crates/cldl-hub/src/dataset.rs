//! Files of dataset repositories.

use std::path::PathBuf;

use crate::{Hub, HubError, RepoId};

/// A split, by its name on the Hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// For training.
    Train,
    /// For measuring.
    Test,
}

impl Hub {
    /// The parquet file of a split of the dataset `repo`, whose configuration is called `config`, in the cache.
    /// It is not checked: whoever uses it knows the checksums of the content.
    ///
    /// # Errors
    /// If it can't be had.
    pub fn parquet(&self, repo: &RepoId, config: &str, split: Split) -> Result<PathBuf, HubError> {
        let split = match split {
            Split::Train => "train",
            Split::Test => "test",
        };
        self.dataset_file(repo, &format!("{config}/{split}-00000-of-00001.parquet"))
    }
}
