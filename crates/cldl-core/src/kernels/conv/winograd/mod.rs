//! Convolutions of 3x3 with 4 of 9 multiplications: Winograd's minimal filtering, F(2x2, 3x3).
//!
//! A patch of 4x4 pixels `d` gives a square of 2x2 outputs. With one channel of each, and the kernel `g`:
//!
//! `y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A`
//!
//! 16 products, where the sums that define the square have 36. Channels of the input are added up before `A` is
//! applied, so each of the 16 numbers of a patch, a *plane* of all patches, is a product of matrices. `A`, `B`
//! and `G` are in `transform.rs`: additions and halvings, so little is lost to rounding.
//!
//! The input's gradient is a convolution too. The weight's comes from the same formula, turned around:
//!
//! `dg = Gᵀ [(A dy Aᵀ) ⊙ (Bᵀ d B)] G`, where products of all patches are added up before `G` is applied.
//!
//! Source: Lavin and Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016).

mod outputs;
mod strip;
mod transform;
mod weight_grad;
mod weights;

use super::ConvShape;
use crate::kernels::vector::MAX_LANES;

pub(super) use outputs::{Image, WinogradOutputs};
pub(super) use weight_grad::WinogradWeights;

/// Rows and columns of a patch.
const SIDE: usize = 4;
/// Numbers of a patch: each is in a plane of its own.
const PLANES: usize = SIDE * SIDE;

/// Floats of the planes that are filled before they are multiplied: they stay in the nearer caches.
const STRIP: usize = 8192;
/// Patches that give a product enough rows, even so.
const LEAST_PATCHES: usize = 32;
/// Floats of weights that are multiplied with all patches of a strip before others: they stay in the first-level
/// cache.
const KEPT: usize = 4096;

/// Whether a shape is for us: squares fill the output, and vectors the channels.
pub(super) fn fit(shape: &ConvShape) -> bool {
    let ConvShape { in_ch, out_ch, kernel, stride, .. } = *shape;
    let even = |size: usize| size.is_multiple_of(2);
    let whole = |channels: usize| 0 < channels && channels.is_multiple_of(MAX_LANES);
    kernel == 3
        && stride == 1
        && even(shape.out_h())
        && even(shape.out_w())
        && whole(in_ch)
        && whole(out_ch)
}

/// The patches of an image, and how many of them are in the planes together.
#[derive(Debug, Clone, Copy)]
struct Patches {
    rows: usize,
    columns: usize,
    /// Rows of a strip, at most.
    strip: usize,
    /// Planes whose weights are multiplied together.
    group: usize,
}

impl Patches {
    fn of(shape: &ConvShape) -> Self {
        let ConvShape { in_ch, out_ch, .. } = *shape;
        let (rows, columns) = (shape.out_h() / 2, shape.out_w() / 2);
        let fits = STRIP / (PLANES * columns * in_ch.max(out_ch));
        let strip = fits.max(LEAST_PATCHES.div_ceil(columns)).min(rows);
        Self { rows, columns, strip, group: (KEPT / (in_ch * out_ch)).clamp(1, PLANES) }
    }

    /// Floats from a plane to the next, of the input's channels and of the output's: those of a strip, and a line of
    /// the cache, so that the planes do not crowd into a few places of it.
    fn planes(&self, shape: &ConvShape) -> [usize; 2] {
        let floats = |channels| self.strip * self.columns * channels + MAX_LANES;
        [shape.in_ch, shape.out_ch].map(floats)
    }
}
