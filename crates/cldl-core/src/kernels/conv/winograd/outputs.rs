//! The convolution of one image.

use super::strip::Strip;
use super::weights::Transform;
use super::{PLANES, Patches};
use crate::kernels::Finish;
use crate::kernels::aligned::Aligned;
use crate::kernels::arch::Registers;
use crate::kernels::conv::ConvShape;
use crate::kernels::conv::products::{Blocks, Product, blocks};
use crate::kernels::prefetch::Ahead;
use crate::kernels::scratch::with_scratch;
use crate::kernels::tile::max_height;
use crate::kernels::tiles::{equal_tiles, tiles};
use pulp::{Simd, WithSimd};

/// Computes the outputs of one image at a time.
pub(in crate::kernels::conv) struct WinogradOutputs {
    shape: ConvShape,
    patches: Patches,
    weights: Vec<(Blocks, Aligned)>,
}

/// An image, and what is made of it.
pub(in crate::kernels::conv) struct Image<'a> {
    /// With its padding.
    pub x: &'a [f32],
    /// The images after it, of which the same thread most likely gets the first, or nothing.
    pub next: &'a [f32],
    /// What the sums begin with.
    pub init: &'a [f32],
    /// Where `y` begins in the whole result.
    pub at: usize,
    pub finish: Finish<'a>,
    pub y: &'a mut [f32],
}

impl WinogradOutputs {
    /// For a shape that [fits](super::fit), and a weight in OIHW order.
    pub(in crate::kernels::conv) fn new<S: Simd>(
        simd: S,
        shape: &ConvShape,
        weight: &[f32],
    ) -> Self {
        let of_blocks = |blocks| (blocks, simd.vectorize(Transform { shape, blocks, weight }));
        let weights = blocks(shape.out_ch, Registers::of::<S>()).map(of_blocks).collect();
        Self { shape: *shape, patches: Patches::of(shape), weights }
    }

    /// Writes the outputs of an image, finished.
    #[inline(always)]
    pub(in crate::kernels::conv) fn image<S: Simd>(&self, simd: S, image: Image<'_>) {
        let [read, written] = self.patches.planes(&self.shape).map(|plane| PLANES * plane);
        with_scratch(read + written, |planes| {
            let (pixels, sums) = planes.split_at_mut(read);
            simd.vectorize(Strips { of: self, image, pixels, sums });
        });
    }
}

struct Strips<'a> {
    of: &'a WinogradOutputs,
    image: Image<'a>,
    pixels: &'a mut [f32],
    sums: &'a mut [f32],
}

impl WithSimd for Strips<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of, image, pixels, sums } = self;
        let WinogradOutputs { shape, patches, weights } = of;
        let ConvShape { in_ch, out_ch, in_w, padding, .. } = *shape;
        let Patches { rows, columns, strip, group } = *patches;
        let [x_row, y_row] = [(in_w + 2 * padding) * in_ch, shape.out_w() * out_ch];
        let [a_p, c_p] = patches.planes(shape);
        let part = image.next.len().div_ceil(rows.div_ceil(strip));
        let mut next = image.next.chunks(part.max(1));
        for (first, rows) in tiles(rows, strip) {
            let (y_at, y_len) = (2 * first * y_row, 2 * rows * y_row);
            // Outputs too: a line of the cache is read before parts of it are written.
            let y = &image.y[y_at..][..y_len];
            let mut ahead = Ahead::new([y, next.next().unwrap_or_default(), &[]], PLANES);
            let of_x = Strip { rows, columns, channels: in_ch, row: x_row, plane: a_p };
            of_x.pixels_to_planes(simd, &image.x[2 * first * x_row..], pixels);
            for (p, planes) in tiles(PLANES, group) {
                for (blocks, weights) in weights {
                    let width = blocks.channels / S::F32_LANES;
                    for (patch, height, count) in
                        equal_tiles(rows * columns, max_height::<S>(width))
                    {
                        let fetches = blocks.first == 0 && patch == 0;
                        let product = Product {
                            planes,
                            blocks: blocks.count,
                            count,
                            len: in_ch,
                            init: None,
                            a: &pixels[p * a_p + patch * in_ch..],
                            a_p,
                            a_i: in_ch,
                            b: &weights[p * blocks.len(in_ch)..],
                            c: &mut sums[p * c_p + patch * out_ch + blocks.first..],
                            c_p,
                            c_i: out_ch,
                            ahead: if fetches { ahead.take(planes) } else { Ahead::NOTHING },
                        };
                        product.run(simd, height, width);
                    }
                }
            }
            let of_y = Strip { channels: out_ch, row: y_row, plane: c_p, ..of_x };
            let y = &mut image.y[y_at..][..y_len];
            of_y.planes_to_outputs(simd, sums, image.init, y);
            image.finish.value(simd, image.at + y_at, y);
        }
    }
}
