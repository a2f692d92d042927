//! Published checkpoints: a directory that anybody can load, in Rust or in Python.
//!
//! | file | what it is |
//! | --- | --- |
//! | `config.json` | a [`Config`]: all that is needed to rebuild the ensemble, how it was trained, what was measured, and size and SHA-256 of the other files |
//! | `model.safetensors` | every tensor under its name in the published PyTorch state_dict; float32 |
//! | `README.md` | the model card: front matter for the Hugging Face Hub, and words for people |
//!
//! [`write()`] makes one of a [`LoadedEnsemble`](cldl_train::LoadedEnsemble), [`load`] opens one, or what
//! `cldl train` left in a run directory. [`pytorch`] reads what PyTorch wrote, without running any of it.
//! Equal trainings give equal bytes.

mod card;
mod config;
mod error;
mod load;
pub mod pytorch;
mod results;
mod write;

pub use card::model_card;
pub use config::{CONFIG, Config, MODEL, Origin, README};
pub use error::CheckpointError;
pub use load::{load, read_config};
pub use results::{Accuracy, Attack};
pub use write::{state_dict, write};
