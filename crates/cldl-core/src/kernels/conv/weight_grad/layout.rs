//! Where sums and gradients lie.

use crate::kernels::arch::Registers;
use crate::kernels::conv::ConvShape;
use crate::kernels::tile::max_width;
use crate::kernels::tiles::tiles;
use crate::kernels::vector::{read, store};
use pulp::{Simd, WithSimd};

/// Where the sums of a weight gradient lie while they are added up.
///
/// Most output channels come first, in blocks of vectors of channels. The last channels follow if
/// they would leave most of a vector idle: there a vector holds neighbors in a row of the window.
#[derive(Debug)]
pub(super) struct Layout {
    pub lanes: usize,
    /// Vectors in a block.
    pub max_width: usize,
    pub kernel: usize,
    /// Floats in a row of the window, and the same in whole vectors.
    pub row: usize,
    pub padded_row: usize,
    /// Output channels of the first kind, and the same in whole vectors.
    pub outer: usize,
    pub padded_outer: usize,
    /// Output channels of the second kind.
    pub inner: usize,
}

impl Layout {
    pub(super) fn new(shape: &ConvShape, registers: Registers) -> Self {
        let lanes = registers.lanes;
        let row = shape.kernel * shape.in_ch;
        let tail = shape.out_ch % lanes;
        // Twice: with few sums in registers, each waits for its own last addition.
        let inner = if 2 * tail * row.div_ceil(lanes) <= row { tail } else { 0 };
        let outer = shape.out_ch - inner;
        Self {
            lanes,
            max_width: max_width(registers),
            kernel: shape.kernel,
            row,
            padded_row: row.next_multiple_of(lanes),
            outer,
            padded_outer: outer.next_multiple_of(lanes),
            inner,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.inner_start() + self.kernel * self.inner * self.padded_row
    }

    /// First channel, vectors and start of each block, whose sums are in the order (kernel row,
    /// float of the window's row, channel).
    pub(super) fn outer_blocks(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        tiles(self.padded_outer / self.lanes, self.max_width).map(|(vector, width)| {
            let first = vector * self.lanes;
            (first, width, first * self.kernel * self.row)
        })
    }

    /// Start of the rest, in the order (kernel row, channel, float of the window's row).
    pub(super) fn inner_start(&self) -> usize {
        self.kernel * self.row * self.padded_outer
    }

    pub(super) fn unpack(&self, shape: &ConvShape, sum: &[f32], dw: &mut [f32]) {
        let taps = self.kernel * self.kernel;
        let len = shape.in_ch * taps;
        for (first, width, start) in self.outer_blocks() {
            let channels = (self.outer - first).min(width * self.lanes);
            // All taps of an input channel before the next one: the lines of the cache that they lie in are
            // written once.
            for in_ch in 0..shape.in_ch {
                for tap in 0..taps {
                    let at = start + (tap * shape.in_ch + in_ch) * width * self.lanes;
                    let to = dw[first * len + in_ch * taps + tap..].iter_mut().step_by(len);
                    to.zip(&sum[at..at + channels]).for_each(|(to, from)| *to = *from);
                }
            }
        }
        for (at, sums) in sum[self.inner_start()..].chunks_exact(self.padded_row).enumerate() {
            let (o, row) = (self.outer + at % self.inner, at / self.inner);
            for (float, value) in sums[..self.row].iter().enumerate() {
                dw[shape.weight_index(o, float % shape.in_ch, row, float / shape.in_ch)] = *value;
            }
        }
    }
}

/// The gradient of the output, the channels of one block after those of another: where a pixel is some lines
/// of the cache long, a block's part of all pixels would crowd into a few places of the cache.
pub(super) struct ByBlock<'a> {
    pub shape: &'a ConvShape,
    pub layout: &'a Layout,
    pub dy: &'a [f32],
    pub to: &'a mut [f32],
}

impl WithSimd for ByBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, layout, dy, to: by_block } = self;
        let positions = shape.out_h() * shape.out_w();
        for (first, width, _) in layout.outer_blocks() {
            let channels = first..shape.out_ch.min(first + width * S::F32_LANES);
            let block = by_block[first * positions..].chunks_exact_mut(width * S::F32_LANES);
            for (to, pixel) in block.zip(dy.chunks_exact(shape.out_ch).take(positions)) {
                let vectors = pixel[channels.clone()].chunks(S::F32_LANES);
                for (to, from) in to.chunks_exact_mut(S::F32_LANES).zip(vectors) {
                    store(simd, read(simd, from), to);
                }
            }
        }
    }
}
