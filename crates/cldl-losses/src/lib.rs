//! The objectives' terms as pure functions: Eqs. 6 to 12 of the paper, and those of ADP, GAL and TRS.
//!
//! Terms that enter an input gradient (cross-entropy, KL, SLD) are generic over
//! [`cldl_core::Value`]: on a tensor they give the loss, on a dual number its derivative along a
//! direction as well. Terms that act on what members gave (label diversity, gradient alignment) take
//! tensors. Results are per example, `[B]`, so that a mean is taken once and in one place.
//!
//! Functions whose name ends in `_official` are what the paper's authors published where it differs
//! from the equations as printed.

mod adp;
mod cross_entropy;
mod gradient;
mod jsd;
mod label;

pub use adp::{ensemble_diversity, ensemble_entropy};
pub use cross_entropy::{cross_entropy, one_hot};
pub use gradient::{
    CosineFloor, absolute_cosine, cosine, gradient_alignment, gradient_alignment_official,
    gradient_coherence, smoothness,
};
pub use jsd::{label_diversity, label_diversity_official};
pub use label::{member_kl, member_kl_official, simulated_label_distribution};

/// Guard of logarithms in the published code's KL divergence.
const TINY: f64 = 1e-6;
