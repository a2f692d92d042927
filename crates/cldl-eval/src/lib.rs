//! Measuring robustness: the per-example outcome store, protocols over it, and tables.
//!
//! - [`Examples`]: what models are measured on, named by a digest.
//! - [`Key`], [`AttackSpec`]: the name of one outcome: target, surrogate, attack, examples.
//! - [`Outcome`], [`Store`]: right or wrong and the margin of every example, one small file a key.
//! - [`Bench`]: computes what the store lacks: clean, black-box, white-box.
//! - [`TransferMatrix`]: how far what fools one member fools the others.
//! - [`Protocol`]: how outcomes become one percentage; [`robust_accuracy`] asks the store.
//! - [`AdversarialSet`]: adversarial examples as a file for other programs.
//! - [`table`]: a table of the paper beside ours, and its forms; [`Answers`] fills it from the store.

mod error;

mod examples;
mod key;
mod outcome;
mod store;

mod adversarial;
mod blackbox;
mod clean;
mod transfer;

mod answer;
mod protocol;
mod summary;
mod sweep;

pub mod table;

#[cfg(test)]
mod fixture;

pub use adversarial::AdversarialSet;
pub use answer::Answers;
pub use blackbox::{Bench, Model, Observe, Progress};
pub use clean::clean_outcome;
pub use error::EvalError;
pub use examples::Examples;
pub use key::{AttackSpec, Key, Transfer};
pub use outcome::Outcome;
pub use protocol::{Aggregate, Denominator, Protocol, Score};
pub use store::{Record, Store};
#[doc(hidden)]
pub use store::{key_of, parse as record_of};
pub use summary::{Measured, whitebox_scores};
pub use sweep::{Sets, robust_accuracy};
pub use transfer::{TransferMatrix, agreed_examples};
