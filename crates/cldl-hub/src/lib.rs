//! Push and pull of checkpoints through the Hugging Face Hub.
//!
//! A checkpoint is a directory with a `config.json` whose `files` record size and SHA-256 of the others: a
//! [`Manifest`]. Nothing else is known of it here, so that this crate serves any such directory. [`Hub::push`] sends
//! one as a single commit; [`Hub::pull`] gets one, pinned to a commit, and hands out no file that it has not
//! checked. [`check_card`] validates a model card as the Hub does on a push.
//!
//! Environment, as everywhere with the Hub: `HF_TOKEN` (or the token file that `hf auth login` writes), `HF_ENDPOINT`,
//! `HF_HOME`, `HF_HUB_CACHE`, `HF_HUB_OFFLINE`. A token goes to the endpoint that is named, and nowhere else.

mod card;
mod dataset;
mod error;
mod hub;
mod manifest;
mod parquet_images;
mod progress;
mod pull;
mod push;
mod repo;

pub use card::check_card;
pub use dataset::Split;
pub use error::HubError;
pub use hub::{Hub, HubOptions};
pub use manifest::{CONFIG, Manifest};
pub use parquet_images::{Images, read_images};
pub use progress::Watch;
pub use pull::Pulled;
pub use push::{Plan, Push, Pushed};
pub use repo::RepoId;
