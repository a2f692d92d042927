//! The convolution of one image.

use super::matrix::Matrix;
use super::pixels::Pixels;
use crate::kernels::Finish;
use crate::kernels::arch::Registers;
use crate::kernels::conv::ConvShape;
use crate::kernels::scratch::with_scratch;
use pulp::{Simd, WithSimd};

/// Computes the outputs of one image at a time.
pub(in crate::kernels::conv) struct PointwiseOutputs {
    shape: ConvShape,
    weight: Matrix,
}

/// An image, and what is made of it.
pub(in crate::kernels::conv) struct Image<'a> {
    pub x: &'a [f32],
    /// What the sums begin with.
    pub init: &'a [f32],
    /// Where `y` begins in the whole result.
    pub at: usize,
    pub finish: Finish<'a>,
    pub y: &'a mut [f32],
}

impl PointwiseOutputs {
    /// For a shape that [fits](super::fit), and a weight in OIHW order.
    pub(in crate::kernels::conv) fn new(
        shape: &ConvShape,
        registers: Registers,
        weight: &[f32],
    ) -> Self {
        let ConvShape { in_ch, out_ch, .. } = *shape;
        let number = |c, o| weight[o * in_ch + c];
        Self { shape: *shape, weight: Matrix::new([in_ch, out_ch], registers, number) }
    }

    /// Writes the outputs of an image, finished.
    #[inline(always)]
    pub(in crate::kernels::conv) fn image<S: Simd>(&self, simd: S, image: Image<'_>) {
        with_scratch(Pixels::len_of_strip(&self.shape), |windows| {
            simd.vectorize(Strips { of: self, image, windows });
        });
    }
}

struct Strips<'a> {
    of: &'a PointwiseOutputs,
    image: Image<'a>,
    windows: &'a mut [f32],
}

impl WithSimd for Strips<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of: PointwiseOutputs { shape, weight }, image, windows } = self;
        let Image { x, init, at, finish, y } = image;
        for strip in Pixels::strips(shape) {
            strip.gather(x, windows);
            let first = strip.start(shape.out_ch);
            let y = &mut y[first..][..strip.count() * shape.out_ch];
            weight.multiply(simd, strip.count(), windows, Some(init), y);
            finish.value(simd, at + first, y);
        }
    }
}
