//! The gradient of one image.

use super::matrix::Matrix;
use super::pixels::Pixels;
use crate::kernels::arch::Registers;
use crate::kernels::conv::ConvShape;
use crate::kernels::scratch::with_scratch;
use pulp::{Simd, WithSimd};

/// Computes the gradient of one image at a time.
pub(in crate::kernels::conv) struct PointwiseGradients<'a> {
    shape: &'a ConvShape,
    weight: Matrix,
}

impl<'a> PointwiseGradients<'a> {
    /// For a weight in OIHW order; nothing for a shape that does not [fit](super::fit).
    pub(in crate::kernels::conv) fn new(
        shape: &'a ConvShape,
        registers: Registers,
        weight: &[f32],
    ) -> Option<Self> {
        let ConvShape { in_ch, out_ch, .. } = *shape;
        let number = |o, c| weight[o * in_ch + c];
        super::fit(shape)
            .then(|| Self { shape, weight: Matrix::new([out_ch, in_ch], registers, number) })
    }

    /// Writes into `dx`, or adds to it, the gradient of an image whose output's is `dy`.
    #[inline(always)]
    pub(in crate::kernels::conv) fn image<S: Simd>(
        &self,
        simd: S,
        dy: &[f32],
        dx: &mut [f32],
        add: bool,
    ) {
        with_scratch(Pixels::len_of_strip(self.shape), |windows| {
            simd.vectorize(Strips { of: self, dy, dx, add, windows });
        });
    }
}

struct Strips<'a> {
    of: &'a PointwiseGradients<'a>,
    dy: &'a [f32],
    dx: &'a mut [f32],
    add: bool,
    windows: &'a mut [f32],
}

impl WithSimd for Strips<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of: PointwiseGradients { shape, weight }, dy, dx, add, windows } = self;
        if !add {
            // Between the windows there is nothing.
            dx.fill(0.0);
        }
        for strip in Pixels::strips(shape) {
            let dy = &dy[strip.start(shape.out_ch)..];
            weight.multiply(simd, strip.count(), dy, None, windows);
            strip.scatter(simd, windows, dx, add);
        }
    }
}
