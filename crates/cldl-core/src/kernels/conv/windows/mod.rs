//! Convolution and 2 by 2 max pooling of images of one channel, in registers.
//!
//! With one channel a sum has so few terms that to write the outputs and to read them again for their
//! maxima takes longer than to compute them. So the four outputs of a window are summed side by side,
//! and their maximum alone is stored.
//!
//! A vector holds the output channels of one window. The last channels, too few for a vector, are those
//! of several neighboring windows: for them the image is spread, each pixel as often as there are
//! channels, and what is a broadcast for the others is a load.

mod places;
mod tile;

use super::ConvShape;
use super::padding::Padding;
use crate::kernels::Images;
use crate::kernels::pool::Grid;
use crate::kernels::scratch::with_scratch;
use crate::kernels::tile::{store, tiles};
use places::Maxima;
use pulp::{Simd, WithSimd};
use tile::{Tile, max_count};

/// Computes the maxima of one image at a time.
pub(super) struct Windows<'a> {
    shape: &'a ConvShape,
    grid: Grid,
    padding: Padding,
    blocks: Vec<Block>,
}

/// Neighboring output channels.
struct Block {
    first: usize,
    channels: usize,
    /// Windows that share a vector.
    group: usize,
    /// In the order (kernel row, kernel column, window, channel), whole vectors.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl<'a> Windows<'a> {
    /// For a weight in OIHW order and vectors of so many lanes; nothing for a shape that is not for us.
    pub(super) fn new(
        shape: &'a ConvShape,
        lanes: usize,
        weight: &[f32],
        bias: Option<&[f32]>,
    ) -> Option<Self> {
        let ours = shape.in_ch == 1 && shape.stride == 1 && matches!(shape.kernel, 3 | 5);
        let taps = shape.kernel * shape.kernel;
        let block = |first: usize| {
            let channels = lanes.min(shape.out_ch - first);
            let group = lanes / channels;
            let mut block = Block {
                first,
                channels,
                group,
                weights: vec![0.0; taps * lanes],
                bias: vec![0.0; lanes],
            };
            for lane in 0..group * channels {
                let o = first + lane % channels;
                block.bias[lane] = bias.map_or(0.0, |bias| bias[o]);
                for tap in 0..taps {
                    block.weights[tap * lanes + lane] = weight[o * taps + tap];
                }
            }
            block
        };
        ours.then(|| Self {
            shape,
            grid: shape.pooled(),
            padding: Padding::of_input(shape),
            blocks: (0..shape.out_ch).step_by(lanes).map(block).collect(),
        })
    }

    /// The maxima of image `index` of `x`, and which pixel of its window each is; of a tangent, which
    /// the bias does not reach, the numbers at the pixels that `argmax` names.
    #[inline(always)]
    pub(super) fn image<S: Simd>(
        &self,
        simd: S,
        x: &Images<'_>,
        index: usize,
        is_tangent: bool,
        y: &mut [f32],
        argmax: &mut [f32],
    ) {
        let Self { shape, grid, padding, blocks } = self;
        assert!(y.len() == grid.out_len() && argmax.len() == grid.out_len());
        padding.with(simd, x, index, |x| {
            for block in blocks {
                let mut all = |source: Source<'_>| {
                    let (shape, grid) = (*shape, *grid);
                    let (y, argmax) = (&mut *y, &mut *argmax);
                    simd.vectorize(AllWindows {
                        shape,
                        grid,
                        block,
                        source,
                        is_tangent,
                        y,
                        argmax,
                    });
                };
                let columns = padding.row();
                if block.group == 1 {
                    all(Source { planes: [x, &x[1..]], row: columns, pixel: 2 });
                    continue;
                }
                let windows = (grid.w / 2).next_multiple_of(block.group);
                let channels = block.channels;
                let row = (windows + shape.kernel / 2) * channels + S::F32_LANES;
                let plane = x.len() / columns * row;
                with_scratch(2 * plane, |floats| {
                    let (even, odd) = floats.split_at_mut(plane);
                    simd.vectorize(Spread { x, columns, channels, row, planes: [even, odd] });
                    all(Source { planes: [even, odd], row, pixel: channels });
                });
            }
        });
    }
}

/// Pixels of even and of odd columns.
#[derive(Clone, Copy)]
struct Source<'a> {
    planes: [&'a [f32]; 2],
    /// Floats in a row.
    row: usize,
    /// From one pixel to the next of the same kind.
    pixel: usize,
}

/// Spreads the image `x`, of so many columns, into planes: each pixel as often as there are `channels`.
struct Spread<'a> {
    x: &'a [f32],
    columns: usize,
    channels: usize,
    /// Floats in a row of a plane.
    row: usize,
    planes: [&'a mut [f32]; 2],
}

impl WithSimd for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, columns, channels, row, planes: [even, odd] } = self;
        let rows = even.chunks_exact_mut(row).zip(odd.chunks_exact_mut(row));
        for ((even, odd), x) in rows.zip(x.chunks_exact(columns)) {
            // Whole vectors: the next pixel overwrites what is too much.
            for (pair, x) in x.chunks(2).enumerate() {
                let to = pair * channels..pair * channels + S::F32_LANES;
                store(simd, simd.splat_f32s(x[0]), &mut even[to.clone()]);
                store(simd, simd.splat_f32s(x[x.len() - 1]), &mut odd[to]);
            }
        }
    }
}

/// All windows of an image, for the channels of a block.
struct AllWindows<'a> {
    shape: &'a ConvShape,
    grid: Grid,
    block: &'a Block,
    source: Source<'a>,
    is_tangent: bool,
    y: &'a mut [f32],
    argmax: &'a mut [f32],
}

impl WithSimd for AllWindows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, grid, block, source, is_tangent, y, argmax } = self;
        let windows = grid.w / 2;
        for row in 0..grid.h / 2 {
            for (vector, count) in tiles(windows.div_ceil(block.group), max_count::<S>()) {
                let col = vector * block.group;
                let tile = Tile { block, source, row, col };
                let mut out = Maxima {
                    ch: grid.ch,
                    first: row * windows + col,
                    end: (row + 1) * windows,
                    block,
                    is_tangent,
                    y,
                    argmax,
                };
                match shape.kernel {
                    3 => tile.run::<S, 3, 4>(simd, count, &mut out),
                    _ => tile.run::<S, 5, 6>(simd, count, &mut out),
                }
            }
        }
    }
}
