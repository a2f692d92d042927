//! The gradient of the weight, image by image.

use super::strip::Strip;
use super::weights::Back;
use super::{PLANES, Patches};
use crate::kernels::arch::Registers;
use crate::kernels::conv::ConvShape;
use crate::kernels::conv::products::{Sums, blocks};
use crate::kernels::prefetch::Ahead;
use crate::kernels::scratch::with_scratch;
use crate::kernels::tile::max_height;
use crate::kernels::tiles::{equal_tiles, tiles};
use pulp::{Simd, WithSimd};

/// Adds up the products of one image at a time.
pub(in crate::kernels::conv) struct WinogradWeights<'a> {
    shape: &'a ConvShape,
    patches: Patches,
}

impl<'a> WinogradWeights<'a> {
    /// For a shape that [fits](super::fit).
    pub(in crate::kernels::conv) fn new(shape: &'a ConvShape) -> Self {
        Self { shape, patches: Patches::of(shape) }
    }

    /// Floats of a sum: of the transformed weight, in the order in which the forward pass reads it.
    pub(in crate::kernels::conv) fn sum_len(&self) -> usize {
        PLANES * self.shape.in_ch * self.shape.out_ch
    }

    /// Adds the products of the padded image `x` with its output's gradient `dy`; fetches `next`.
    #[inline(always)]
    pub(in crate::kernels::conv) fn image<S: Simd>(
        &self,
        simd: S,
        x: &[f32],
        dy: &[f32],
        next: [&[f32]; 3],
        sum: &mut [f32],
    ) {
        let [of_x, of_dy] = self.patches.planes(self.shape).map(|plane| PLANES * plane);
        with_scratch(of_x + of_dy, |planes| {
            let (pixels, gradient) = planes.split_at_mut(of_x);
            simd.vectorize(Strips { of: self, x, dy, next, pixels, gradient, sum });
        });
    }

    /// The gradient of the weight, in OIHW order, from the sum over all images.
    pub(in crate::kernels::conv) fn finish<S: Simd>(&self, simd: S, sum: &[f32], dw: &mut [f32]) {
        let shape = self.shape;
        for blocks in blocks(shape.out_ch, Registers::of::<S>()) {
            let planes = &sum[PLANES * shape.in_ch * blocks.first..];
            simd.vectorize(Back { shape, blocks, planes, dw: &mut *dw });
        }
    }
}

struct Strips<'a> {
    of: &'a WinogradWeights<'a>,
    x: &'a [f32],
    dy: &'a [f32],
    next: [&'a [f32]; 3],
    pixels: &'a mut [f32],
    gradient: &'a mut [f32],
    sum: &'a mut [f32],
}

impl WithSimd for Strips<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of, x, dy, next, pixels, gradient, sum } = self;
        let ConvShape { in_ch, out_ch, in_w, padding, .. } = *of.shape;
        let Patches { rows, columns, strip, group } = of.patches;
        let [x_row, dy_row] = [(in_w + 2 * padding) * in_ch, of.shape.out_w() * out_ch];
        let [a_p, b_p] = of.patches.planes(of.shape);
        let mut ahead = Ahead::new(next, rows.div_ceil(strip) * PLANES);
        for (first, rows) in tiles(rows, strip) {
            let of_x = Strip { rows, columns, channels: in_ch, row: x_row, plane: a_p };
            of_x.pixels_to_planes(simd, &x[2 * first * x_row..], pixels);
            let of_dy = Strip { channels: out_ch, row: dy_row, plane: b_p, ..of_x };
            of_dy.gradient_to_planes(simd, &dy[2 * first * dy_row..], gradient);
            for (p, planes) in tiles(PLANES, group) {
                for blocks in blocks(out_ch, Registers::of::<S>()) {
                    let width = blocks.channels / S::F32_LANES;
                    let c_p = blocks.len(in_ch);
                    for (c, height, count) in equal_tiles(in_ch, max_height::<S>(width)) {
                        let fetches = blocks.first == 0 && c == 0;
                        let start = PLANES * in_ch * blocks.first + p * c_p + c * blocks.channels;
                        let sums = Sums {
                            planes,
                            blocks: blocks.count,
                            count,
                            len: rows * columns,
                            a: &pixels[p * a_p + c..],
                            a_p,
                            a_l: in_ch,
                            b: &gradient[p * b_p + blocks.first..],
                            b_p,
                            b_l: out_ch,
                            c: &mut sum[start..],
                            c_p,
                            c_s: in_ch * blocks.channels,
                            ahead: if fetches { ahead.take(planes) } else { Ahead::NOTHING },
                        };
                        sums.run(simd, height, width);
                    }
                }
            }
        }
    }
}
