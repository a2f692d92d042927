//! Convolutions of 1x1: products of matrices, of the pixels that are windows with the weight.
//!
//! Between the windows of a stride lie pixels that nobody reads. So windows are copied, some rows at a time, to where
//! they are neighbors, and what belongs to them stays in the first-level cache.

mod input_grad;
mod matrix;
mod outputs;
mod pixels;
mod weight_grad;

use super::ConvShape;
use crate::kernels::vector::MAX_LANES;

pub(super) use input_grad::PointwiseGradients;
pub(super) use outputs::{Image, PointwiseOutputs};
pub(super) use weight_grad::PointwiseWeights;

/// Floats of windows and outputs that are worked on together.
const STRIP: usize = 6144;

/// Whether a shape is for us: one tap, and vectors fill the channels.
pub(super) fn fit(shape: &ConvShape) -> bool {
    let whole = |channels: usize| 0 < channels && channels.is_multiple_of(MAX_LANES);
    shape.kernel == 1 && shape.padding == 0 && whole(shape.in_ch) && whole(shape.out_ch)
}
