//! Device choice, seeded randomness, differentiable ops on tensors and dual numbers, and the
//! traits by which models, losses and attacks meet without knowing each other.
//!
//! - [`Value`]: the ops that losses are written in, once, for [`candle::Tensor`] and for [`Dual`]
//!   (forward over reverse: the second order that GAL, TRS and CLDL need).
//! - [`Layers`]: the ops that a [`Network`] is written in, once for every kind of value.
//! - [`Classifier`]: what an attack attacks.
//! - [`Params`]: named parameters and buffers, in a fixed order.
//! - [`files`], [`sums`], [`lock::Lock`]: files that appear whole, checksums of them, one writer at a time.
//! - [`Stream`]: named streams of random numbers.
//! - [`DeviceChoice`]: `auto`, `cpu`, `cuda` or `metal`, at run time.
//! - [`Instructions`]: the instruction set of the CPU kernels, at run time.

mod classifier;
mod device;
mod digest;
mod dual;
pub mod files;
pub mod folders;
pub mod gradcheck;
mod instructions;
#[doc(hidden)]
pub mod kernels;
mod layers;
pub mod lock;
pub mod memory;
mod ops;
mod params;
mod stream;
pub mod sums;
mod tape;
mod value;
mod verdict;

pub use classifier::{Classifier, input_gradient};
pub use device::DeviceChoice;
pub use digest::FileDigest;
pub use dual::Dual;
pub use instructions::Instructions;
pub use layers::{Finish, Layers, Network, Norm};
pub use ops::conv::Geometry;
pub use ops::distance::mean_squared_error;
pub use ops::norm::Moments;
pub use ops::path::with_candle_ops;
pub use ops::products::{combine_rows, row_products};
pub use ops::step::{l1_norms, sign_step};
pub use params::{Init, ParamBuilder, ParamSource, Params};
pub use stream::Stream;
pub use tape::{Rehearsal, rehearse};
pub use value::Value;
pub use verdict::{Finding, Verdict};
