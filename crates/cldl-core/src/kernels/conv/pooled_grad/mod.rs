//! The gradients of a convolution of one channel whose outputs were pooled.
//!
//! Of the four outputs of a window three have a gradient of zero, and each channel chose its own: so
//! only the products of the chosen ones are formed. The terms of an output's sum are a patch, rows of a
//! few neighbors: the weight's gradient adds up patches of the input, and the input's gradient adds up
//! patches of the weight.

mod input;
mod places;
mod weight;

use super::ConvShape;
use super::padding::Padding;
use crate::kernels::arch::arch_of;
use crate::kernels::pool::Grid;
use crate::kernels::scratch::with_scratch;
use crate::kernels::{Images, Unpooled};
use input::{Input, Patches, SizedInput};
use places::Places;
use pulp::{Arch, Simd};
use weight::{Copies, Weight};

/// Floats of a row of a patch, and what lies beside it.
const ROW: usize = 8;

/// Computes the gradients of one image at a time.
pub(super) struct PooledGradients<'a> {
    shape: &'a ConvShape,
    grid: Grid,
    padding: Padding,
    /// An instruction set with vectors for a row of a patch.
    short: Arch,
    copies: Copies,
    /// Where in the copies the patches of maxima begin.
    of_copies: Places,
    /// Nothing if the input's gradient is not wanted.
    patches: Option<Patches>,
}

impl<'a> PooledGradients<'a> {
    /// Whether a shape is for us.
    pub(super) fn fit(shape: &ConvShape) -> bool {
        let ConvShape { in_ch, kernel, stride, .. } = *shape;
        in_ch == 1
            && stride == 1
            && matches!(kernel, 3 | 5)
            && 2 <= shape.out_h().min(shape.out_w())
    }

    /// For a shape that [fits](Self::fit), and a weight in OIHW order if the input's gradient is wanted.
    pub(super) fn new(shape: &'a ConvShape, weight: Option<&[f32]>) -> Self {
        let (grid, copies) = (shape.pooled(), Copies::new(shape));
        Self {
            shape,
            grid,
            // The last patch ends past the last row.
            padding: Padding::of_input(shape).with_slack(2 * ROW),
            short: arch_of(ROW),
            copies,
            of_copies: copies.places(grid),
            patches: weight.map(|weight| Patches::new(shape, weight)),
        }
    }

    /// Floats of a sum of the weight's gradient: a patch for each output channel.
    pub(super) fn sum_len(&self) -> usize {
        self.shape.out_ch * self.shape.kernel * ROW
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
        self.padding.with(simd, x, index, |x| {
            with_scratch(self.copies.len() + dy.len(), |floats| {
                let (copies, places) = floats.split_at_mut(self.copies.len());
                self.short.dispatch(Weight { of: self, x, dy, argmax, copies, places, sum });
            });
        });
    }

    /// The gradient of the weight from a sum of patches.
    pub(super) fn finish(&self, sum: &[f32], dw: &mut [f32]) {
        for (dw, sum) in dw.chunks_exact_mut(self.shape.kernel).zip(sum.chunks_exact(ROW)) {
            dw.copy_from_slice(&sum[..self.shape.kernel]);
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
        let Some(patches) = &self.patches else { return };
        let (dy, argmax) = dy.maxima(index);
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
