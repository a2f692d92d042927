//! The gradients of a convolution of one channel.
//!
//! The terms of an output's sum are a patch, rows of a few neighbors: the weight's gradient adds up patches
//! of the input, and the input's gradient adds up patches of the weight.

mod input;
mod weight;

use super::places::Places;
use crate::kernels::Images;
use crate::kernels::conv::ConvShape;
use crate::kernels::conv::padding::Padding;
use crate::kernels::pool::Grid;
use crate::kernels::scratch::with_scratch;
use input::{Input, Patches, SizedInput};
use pulp::Simd;
use weight::{Strips, Weight};

/// Floats of a row of a patch, and what lies beside it.
const ROW: usize = 8;

/// Computes the gradients of one image at a time.
pub(super) struct PatchGradients<'a> {
    shape: &'a ConvShape,
    grid: Grid,
    padding: Padding,
    strips: Strips,
    /// Where in the strips the patches of maxima begin.
    of_strips: Places,
    /// Nothing if the input's gradient is not wanted.
    patches: Option<Patches>,
}

impl<'a> PatchGradients<'a> {
    /// Whether a shape is for us.
    pub(super) fn fit(shape: &ConvShape) -> bool {
        let ConvShape { in_ch, kernel, stride, .. } = *shape;
        in_ch == 1
            && stride == 1
            && matches!(kernel, 3 | 5)
            && 2 <= shape.out_h().min(shape.out_w())
    }

    /// For a shape that [fits](Self::fit), vectors of so many lanes, and a weight in OIHW order if the input's
    /// gradient is wanted.
    pub(super) fn new(shape: &'a ConvShape, lanes: usize, weight: Option<&[f32]>) -> Self {
        let (grid, strips) = (shape.pooled(), Strips::new(shape, lanes));
        Self {
            shape,
            grid,
            padding: Padding::of_input(shape),
            strips,
            of_strips: strips.places(grid),
            patches: weight.map(|weight| Patches::new(shape, weight)),
        }
    }

    /// Floats of a sum of the weight's gradient: a patch for each output channel, and a row that is left over
    /// where a vector holds two.
    pub(super) fn sum_len(&self) -> usize {
        self.shape.out_ch * (self.shape.kernel + 1) * ROW
    }

    /// Adds to `sum` the products of image `index` of `x` with the gradient `dy` of its maxima.
    #[inline(always)]
    pub(super) fn add_weight<S: Simd>(
        &self,
        simd: S,
        x: &Images<'_>,
        index: usize,
        dy: &[f32],
        argmax: &[f32],
        sum: &mut [f32],
    ) {
        self.padding.with(simd, x, index, |x| {
            with_scratch(self.strips.len() + dy.len(), |floats| {
                let (strips, places) = floats.split_at_mut(self.strips.len());
                simd.vectorize(Weight { of: self, x, dy, argmax, strips, places, sum });
            });
        });
    }

    /// The gradient of the weight from a sum of patches.
    pub(super) fn finish(&self, sum: &[f32], dw: &mut [f32]) {
        let kernel = self.shape.kernel;
        let patches = sum.chunks_exact((kernel + 1) * ROW);
        for (dw, patch) in dw.chunks_exact_mut(kernel * kernel).zip(patches) {
            for (dw, row) in dw.chunks_exact_mut(kernel).zip(patch.chunks_exact(ROW)) {
                dw.copy_from_slice(&row[..kernel]);
            }
        }
    }

    /// Writes into `dx`, or adds to it, the gradient of the image with these maxima, if it is wanted.
    #[inline(always)]
    pub(super) fn input<S: Simd>(
        &self,
        simd: S,
        dy: &[f32],
        argmax: &[f32],
        dx: &mut [f32],
        add: bool,
    ) {
        let Some(patches) = &self.patches else { return };
        let [planes, row] = [patches.planes_len(), self.grid.w / 2 * self.grid.ch];
        with_scratch(planes + patches.row_len() + row, |floats| {
            let (planes, rest) = floats.split_at_mut(planes);
            let (sums, places) = rest.split_at_mut(patches.row_len());
            let shape = self.shape;
            let input = Input { shape, patches, dy, argmax, planes, sums, places, dx, add };
            match (shape.kernel, S::F32_LANES) {
                (3, 16) => simd.vectorize(SizedInput::<2, 1, 4>(input)),
                (3, 8) => simd.vectorize(SizedInput::<4, 1, 3>(input)),
                (3, 4) => simd.vectorize(SizedInput::<4, 2, 2>(input)),
                (3, _) => simd.vectorize(SizedInput::<4, 8, 1>(input)),
                (_, 16) => simd.vectorize(SizedInput::<3, 1, 4>(input)),
                (_, 8) => simd.vectorize(SizedInput::<6, 1, 2>(input)),
                (_, 4) => simd.vectorize(SizedInput::<6, 2, 1>(input)),
                (_, _) => simd.vectorize(SizedInput::<6, 8, 1>(input)),
            }
        });
    }
}
