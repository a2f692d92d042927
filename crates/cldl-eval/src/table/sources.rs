//! What a table was computed from, by digest.

use cldl_core::sums::sha256;
use serde::{Deserialize, Serialize};

use super::entries::{self, Entries};

/// What a table was computed from. With these digests, the outcome store alone gives its numbers again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// SHA-256 of `request.json`.
    pub request: String,
    /// Digest of the test images and their order, see [`Examples::digest`](crate::Examples::digest).
    pub examples: String,
    /// SHA-256 of the model file of each run that was asked about.
    #[serde(with = "entries")]
    pub models: Entries<String>,
}

impl Sources {
    /// One digest of all of them, which every form of a table carries: the SHA-256 of them as JSON without
    /// spaces.
    pub fn digest(&self) -> String {
        // Texts alone: nothing that JSON has no form for.
        sha256(&serde_json::to_vec(self).unwrap_or_default())
    }
}
