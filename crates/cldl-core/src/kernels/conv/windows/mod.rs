//! Convolution and 2 by 2 max pooling of images of one channel, in registers.
//!
//! With one channel a sum has so few terms that to write the outputs and to read them again for their
//! maxima takes longer than to compute them. So the four outputs of a window are summed side by side,
//! and their maximum alone is stored.
//!
//! A vector holds the output channels of one window. The last channels, too few for a vector, are those
//! of several neighboring windows: for them the image is spread, each pixel as often as there are
//! channels, and what is a broadcast for the others is a load.

mod group;
mod maxima;
mod tile;

use super::ConvShape;
use super::padding::Padding;
use crate::kernels::Images;
use crate::kernels::aligned::Aligned;
use crate::kernels::pool::Grid;
use crate::kernels::scratch::with_scratch;
use crate::kernels::tile::tiles;
use group::{Pixels, Spread};
use maxima::Maxima;
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
    weights: Aligned,
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
                weights: Aligned::zeros(taps * lanes),
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
                let (y, argmax) = (&mut *y, &mut *argmax);
                if 1 < block.group {
                    self.grouped(simd, block, x, is_tangent, y, argmax);
                    continue;
                }
                let source = Source { planes: [x, &x[1..]], row: padding.row(), pixel: 2 };
                let (shape, ch, first) = (*shape, grid.ch, block.first);
                simd.vectorize(AllWindows {
                    shape,
                    block,
                    source,
                    ch,
                    first,
                    is_tangent,
                    y,
                    argmax,
                });
            }
        });
    }

    /// The same of the padded image `x`, for a block whose vectors are those of several windows: they are
    /// stored whole, and copied to their pixels at the end.
    #[inline(always)]
    fn grouped<S: Simd>(
        &self,
        simd: S,
        block: &Block,
        x: &[f32],
        is_tangent: bool,
        y: &mut [f32],
        argmax: &mut [f32],
    ) {
        let Self { shape, grid, padding, .. } = self;
        let (ch, columns, windows) = (block.channels, padding.row(), grid.w / 2);
        let row = (windows.next_multiple_of(block.group) + shape.kernel / 2) * ch + S::F32_LANES;
        let plane = x.len() / columns * row;
        let pixels = grid.h / 2 * windows;
        // The last vector may reach past the end.
        let own = pixels * ch + S::F32_LANES;
        let (y, argmax) = (&mut y[block.first..], &mut argmax[block.first..]);
        with_scratch(2 * (plane + own), |floats| {
            let (planes, maxima) = floats.split_at_mut(2 * plane);
            let (even, odd) = planes.split_at_mut(plane);
            let (own_y, own_argmax) = maxima.split_at_mut(own);
            let spread = Spread { x, columns, channels: ch, row, planes: [&mut *even, &mut *odd] };
            simd.vectorize(spread);
            if is_tangent {
                let to = &mut *own_argmax;
                simd.vectorize(Pixels {
                    count: pixels,
                    from: argmax,
                    from_ch: grid.ch,
                    to,
                    to_ch: ch,
                });
            }
            simd.vectorize(AllWindows {
                shape,
                block,
                source: Source { planes: [even, odd], row, pixel: ch },
                ch,
                first: 0,
                is_tangent,
                y: own_y,
                argmax: own_argmax,
            });
            if !is_tangent {
                let from = &*own_argmax;
                simd.vectorize(Pixels {
                    count: pixels,
                    from,
                    from_ch: ch,
                    to: argmax,
                    to_ch: grid.ch,
                });
            }
            simd.vectorize(Pixels {
                count: pixels,
                from: own_y,
                from_ch: ch,
                to: y,
                to_ch: grid.ch,
            });
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

/// All windows of an image, for the channels of a block.
struct AllWindows<'a> {
    shape: &'a ConvShape,
    block: &'a Block,
    source: Source<'a>,
    /// Channels of a pixel of maxima, and the block's first among them.
    ch: usize,
    first: usize,
    is_tangent: bool,
    y: &'a mut [f32],
    argmax: &'a mut [f32],
}

impl WithSimd for AllWindows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, block, source, ch, first, is_tangent, y, argmax } = self;
        let grid = shape.pooled();
        let windows = grid.w / 2;
        let mut out = Maxima {
            first: 0,
            step: block.group * ch,
            // What is too much of several windows, the next ones overwrite.
            len: if block.group == 1 { block.channels } else { S::F32_LANES },
            is_tangent,
            y,
            argmax,
        };
        for row in 0..grid.h / 2 {
            for (vector, count) in tiles(windows.div_ceil(block.group), max_count::<S>()) {
                let col = vector * block.group;
                let tile = Tile { block, source, row, col };
                out.first = (row * windows + col) * ch + first;
                match shape.kernel {
                    3 => tile.run::<S, 3, 4>(simd, count, &mut out),
                    _ => tile.run::<S, 5, 6>(simd, count, &mut out),
                }
            }
        }
    }
}
