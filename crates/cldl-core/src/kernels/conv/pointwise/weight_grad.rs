//! The gradient of the weight, image by image.

use super::pixels::Pixels;
use crate::kernels::arch::Registers;
use crate::kernels::conv::ConvShape;
use crate::kernels::conv::products::{Sums, blocks};
use crate::kernels::prefetch::Ahead;
use crate::kernels::scratch::with_scratch;
use crate::kernels::tile::max_height;
use crate::kernels::tiles::equal_tiles;
use pulp::{Simd, WithSimd};

/// Adds up the products of one image at a time: in the order in which [`blocks`] has output channels, and of each
/// block (input channel, output channel).
pub(in crate::kernels::conv) struct PointwiseWeights<'a> {
    shape: &'a ConvShape,
}

impl<'a> PointwiseWeights<'a> {
    /// For a shape that [fits](super::fit).
    pub(in crate::kernels::conv) fn new(shape: &'a ConvShape) -> Self {
        Self { shape }
    }

    /// Adds the products of the image `x` with its output's gradient `dy`.
    #[inline(always)]
    pub(in crate::kernels::conv) fn image<S: Simd>(
        &self,
        simd: S,
        x: &[f32],
        dy: &[f32],
        sum: &mut [f32],
    ) {
        let shape = self.shape;
        with_scratch(Pixels::len_of_strip(shape), |windows| {
            simd.vectorize(Strips { shape, x, dy, sum, windows });
        });
    }

    /// The gradient of the weight, in OIHW order, from the sum over all images.
    pub(in crate::kernels::conv) fn finish<S: Simd>(&self, _: S, sum: &[f32], dw: &mut [f32]) {
        let ConvShape { in_ch, out_ch, .. } = *self.shape;
        for blocks in blocks(out_ch, Registers::of::<S>()) {
            let sum = &sum[blocks.first * in_ch..][..blocks.len(in_ch)];
            for (line, sum) in sum.chunks_exact(blocks.channels).enumerate() {
                let (block, c) = (line / in_ch, line % in_ch);
                let first = blocks.first + block * blocks.channels;
                for (o, sum) in (first..).zip(sum) {
                    dw[o * in_ch + c] = *sum;
                }
            }
        }
    }
}

struct Strips<'a> {
    shape: &'a ConvShape,
    x: &'a [f32],
    dy: &'a [f32],
    sum: &'a mut [f32],
    windows: &'a mut [f32],
}

impl WithSimd for Strips<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, x, dy, sum, windows } = self;
        let ConvShape { in_ch, out_ch, .. } = *shape;
        for strip in Pixels::strips(shape) {
            strip.gather(x, windows);
            for blocks in blocks(out_ch, Registers::of::<S>()) {
                let width = blocks.channels / S::F32_LANES;
                for (c, height, count) in equal_tiles(in_ch, max_height::<S>(width)) {
                    let sums = Sums {
                        planes: 1,
                        blocks: blocks.count,
                        count,
                        len: strip.count(),
                        a: &windows[c..],
                        a_p: 0,
                        a_l: in_ch,
                        b: &dy[strip.start(out_ch) + blocks.first..],
                        b_p: 0,
                        b_l: out_ch,
                        c: &mut sum[blocks.first * in_ch + c * blocks.channels..],
                        c_p: 0,
                        c_s: in_ch * blocks.channels,
                        ahead: Ahead::NOTHING,
                    };
                    sums.run(simd, height, width);
                }
            }
        }
    }
}
