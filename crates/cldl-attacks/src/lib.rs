//! FGSM, BIM, MIM and PGD on any [`Classifier`](cldl_core::Classifier), in the L∞ ball.
//!
//! - [`Linf`]: the one loop behind the four attacks, and their constructors.
//! - [`AttackKind`]: the four by name.
//! - [`AttackLoss`]: what an attack maximizes; [`Goal`]: away from a label, or towards one.
//! - [`Start`]: where PGD's random start comes from.
//! - [`Audit`]: what an attack really did to a batch.
//!
//! Images are `[B, Ch, H, W]` with pixels in [0, 1]; eps and step sizes are in the same unit. What an
//! attack does to an example does not depend on the other examples of its batch.
//!
//! # Example
//! ```
//! use candle::{Device, Result, Tensor};
//! use cldl_attacks::{Linf, Start};
//!
//! /// Two classes; the scores are the pixels' sum and its negative.
//! struct Brightness;
//! impl cldl_core::Classifier for Brightness {
//!     fn logits(&self, images: &Tensor) -> Result<Tensor> {
//!         let sum = images.flatten_from(1)?.sum_keepdim(1)?;
//!         Tensor::cat(&[&sum, &sum.neg()?], 1)
//!     }
//! }
//!
//! let image = Tensor::new(&[[[[0.5f32, 0.125], [0.75, 1.0]]]], &Device::Cpu)?;
//! let label = Tensor::new(&[0u32], &Device::Cpu)?;
//! let attacked = Linf::fgsm(0.25).perturb(&Brightness, &image, &label, Start::Seed(0))?;
//! assert_eq!(attacked.flatten_all()?.to_vec1::<f32>()?, [0.25, 0.0, 0.5, 0.75]);
//! # Ok::<(), candle::Error>(())
//! ```

mod audit;
mod bounds;
mod kind;
mod linf;
mod loss;
mod start;
#[cfg(test)]
mod tests;

pub use audit::Audit;
pub use kind::AttackKind;
pub use linf::{Goal, Linf, Reduction};
pub use loss::{AttackLoss, CONFIDENCE};
pub use start::Start;
