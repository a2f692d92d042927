//! The objectives' terms as pure functions: Eqs. 6 to 12 of the paper, and those of ADP, GAL and TRS.
//!
//! Terms that enter an input gradient (cross-entropy, KL, SLD) are generic over
//! [`cldl_core::Value`]: on a tensor they give the loss, on a dual number its derivative along a
//! direction as well. Terms that act on what members gave (label diversity, gradient alignment) take
//! tensors. Results are per example, `[B]`, so that a mean is taken once and in one place.
//!
//! # The CLDL loss in a loop of your own
//!
//! Two linear members of four pixels and three classes, and a label confusion model of one matrix:
//!
//! ```
//! use candle::{DType, Device, Tensor, Var};
//! use cldl_core::Value;
//! use cldl_losses::{label_diversity, member_kl, one_hot, simulated_label_distribution};
//!
//! let device = Device::Cpu;
//! let images = Tensor::new(&[[1f32, 0., 0., 1.], [0., 1., 0., 1.], [0., 0., 1., 1.]], &device)?;
//! let labels = one_hot(&Tensor::new(&[0u32, 1, 2], &device)?, 3, DType::F32)?;
//! let start = |scale: f64| Tensor::arange(0f32, 12., &device)?.reshape((4, 3))?.affine(scale, 0.);
//! let members = [Var::from_tensor(&start(0.01)?)?, Var::from_tensor(&start(-0.02)?)?];
//! let confusion = Var::from_tensor(&Tensor::eye(3, DType::F32, &device)?)?;
//! let (gamma, alpha, rate) = (3.0, 0.5, 0.5);
//!
//! let mut losses = Vec::new();
//! for _ in 0..30 {
//!     let (mut kls, mut slds) = (Vec::new(), Vec::new());
//!     for weights in &members {
//!         let logits = images.matmul(weights)?;
//!         let lcv = Value::softmax(&logits.matmul(&confusion)?)?;
//!         kls.push(member_kl(&lcv, &logits, &labels, gamma)?.mean_all()?);
//!         slds.push(simulated_label_distribution(&lcv, &labels, gamma)?);
//!     }
//!     let diversity = label_diversity(&slds)?.mean_all()?;
//!     let loss = (Tensor::stack(&kls, 0)?.mean_all()? - (diversity * alpha)?)?;
//!     let gradients = loss.backward()?;
//!     for var in members.iter().chain([&confusion]) {
//!         if let Some(gradient) = gradients.get(var) {
//!             var.set(&(var.as_tensor() - (gradient * rate)?)?)?;
//!         }
//!     }
//!     losses.push(loss.to_scalar::<f32>()?);
//! }
//! assert!(losses[29] < 0.5 * losses[0], "{losses:?}");
//! # Ok::<(), candle::Error>(())
//! ```
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
    CosineFloor, GradientProducts, absolute_cosine, cosine, gradient_alignment,
    gradient_alignment_official, gradient_coherence, smoothness,
};
pub use jsd::{label_diversity, label_diversity_official};
pub use label::{member_kl, member_kl_official, simulated_label_distribution};

/// Guard of logarithms in the published code's KL divergence.
const TINY: f64 = 1e-6;
