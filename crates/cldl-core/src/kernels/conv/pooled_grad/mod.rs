//! The gradients of a convolution whose outputs were pooled.
//!
//! Of the four outputs of a window three have a gradient of zero, and each channel chose its own: so
//! only the products of the chosen ones are formed, a quarter of all.

mod patches;
mod places;
mod rows;

use super::ConvShape;
use crate::kernels::arch::Registers;
use crate::kernels::{Images, Unpooled};
use patches::PatchGradients;
use pulp::Simd;
use rows::RowGradients;

/// Computes the gradients of one image at a time.
pub(super) struct PooledGradients<'a>(Way<'a>);

/// How the products come about.
enum Way<'a> {
    Patches(PatchGradients<'a>),
    Rows(RowGradients<'a>),
}

impl<'a> PooledGradients<'a> {
    /// For a weight in OIHW order if the input's gradient is wanted; nothing if the shape is not for us.
    pub(super) fn new(
        shape: &'a ConvShape,
        registers: Registers,
        weight: Option<&[f32]>,
    ) -> Option<Self> {
        if PatchGradients::fit(shape) {
            let patches = PatchGradients::new(shape, registers.lanes, weight);
            Some(Self(Way::Patches(patches)))
        } else if RowGradients::fit(shape, registers) {
            Some(Self(Way::Rows(RowGradients::new(shape, registers, weight))))
        } else {
            None
        }
    }

    /// Floats of a sum of the weight's gradient.
    pub(super) fn sum_len(&self) -> usize {
        match &self.0 {
            Way::Patches(patches) => patches.sum_len(),
            Way::Rows(rows) => rows.sum_len(),
        }
    }

    /// Adds to `sum` the products of image `index` of `x` with the gradient of its maxima.
    #[inline(always)]
    pub(super) fn add_weight<S: Simd>(
        &self,
        simd: S,
        x: &Images<'_>,
        index: usize,
        dy: &Unpooled<'_>,
        sum: &mut [f32],
    ) {
        let (dy, argmax) = dy.maxima(index);
        match &self.0 {
            Way::Patches(patches) => patches.add_weight(simd, x, index, dy, argmax, sum),
            Way::Rows(rows) => rows.add_weight(simd, x, index, dy, argmax, sum),
        }
    }

    /// The gradient of the weight, in OIHW order, from the sum over all images.
    pub(super) fn finish(&self, sum: &[f32], dw: &mut [f32]) {
        match &self.0 {
            Way::Patches(patches) => patches.finish(sum, dw),
            Way::Rows(rows) => rows.finish(sum, dw),
        }
    }

    /// Writes into `dx`, or adds to it, the gradient of image `index`, if it is wanted.
    #[inline(always)]
    pub(super) fn input<S: Simd>(
        &self,
        simd: S,
        dy: &Unpooled<'_>,
        index: usize,
        dx: &mut [f32],
        add: bool,
    ) {
        let (dy, argmax) = dy.maxima(index);
        match &self.0 {
            Way::Patches(patches) => patches.input(simd, dy, argmax, dx, add),
            Way::Rows(rows) => rows.input(simd, dy, argmax, dx, add),
        }
    }
}
