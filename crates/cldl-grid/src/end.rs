//! How an attempt at a task ended: `attempt-NNNN.end.json`.

use serde::{Deserialize, Serialize};

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// In one word.
    pub how: How,
    /// What it took.
    pub seconds: f64,
    /// Peak of memory in bytes, where the system tells.
    pub memory: Option<u64>,
    /// What went wrong.
    pub message: Option<String>,
    /// So many attempts of one job in a row, this one the last, were stopped and left nothing that the
    /// next can go on with.
    #[serde(default)]
    pub idle: u32,
}

/// How an attempt ended, in one word.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// The work is done.
    Done,
    /// It must be started again by hand.
    Failed,
    /// It was told to stop, and whoever told it will say when to go on.
    Stopped,
    /// Slurm starts it again.
    Requeued,
}
