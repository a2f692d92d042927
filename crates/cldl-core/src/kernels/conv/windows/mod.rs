//! Convolution and 2 by 2 max pooling of images of one channel, in registers.
//!
//! With one channel a sum has so few terms that to write the outputs and to read them again for their
//! maxima takes longer than to compute them. So the four outputs of a window are summed side by side,
//! and their maximum alone is stored; where registers are few, a line of windows at a time (`rows.rs`).
//!
//! A vector holds the output channels of one window. The last channels, too few for a vector, are those
//! of all windows that are computed together: their pixels are neighbors where even and odd columns are
//! apart, so a vector of them is one load.

mod columns;
mod magnitude;
mod maxima;
mod rows;
mod tile;

use super::ConvShape;
use super::padding::Padding;
use crate::kernels::Images;
use crate::kernels::aligned::Aligned;
use crate::kernels::arch::{Registers, arch};
use crate::kernels::pool::Grid;
use crate::kernels::scratch::with_scratch;
use crate::kernels::tiles::{equal_tiles, tiles};
use columns::{Columns, Split};
use magnitude::Magnitude;
use maxima::{Choice, Maxima};
use pulp::{Simd, WithSimd};
use rows::Rows;
use tile::{Run, max_count, shared_lanes};

/// Computes the maxima of one image at a time.
pub(super) struct Windows<'a> {
    shape: &'a ConvShape,
    grid: Grid,
    padding: Padding,
    columns: Columns,
    /// The magnitude of the weights and of the bias.
    weights: f32,
    blocks: Vec<Block>,
}

/// Output channels that are computed together.
struct Block {
    /// So many vectors for each window: one where registers are many, for then the sums of several windows fit.
    own: Vector,
    width: usize,
    /// The last channels, of all windows in one vector.
    shared: Option<Vector>,
}

/// Neighboring output channels, of one window or of several.
struct Vector {
    first: usize,
    channels: usize,
    /// In the order (kernel row, kernel column, channel, window), whole vectors.
    weights: Aligned,
    bias: Vec<f32>,
}

impl<'a> Windows<'a> {
    /// For a weight in OIHW order; nothing for a shape that is not for us.
    pub(super) fn new(
        shape: &'a ConvShape,
        registers: Registers,
        weight: &[f32],
        bias: Option<&[f32]>,
    ) -> Option<Self> {
        let ours = shape.in_ch == 1 && shape.stride == 1 && matches!(shape.kernel, 3 | 5);
        let taps = shape.kernel * shape.kernel;
        let padding = Padding::of_input(shape);
        let lanes = registers.lanes;
        // Each channel in as many lanes as windows share the vector.
        let vector = |first: usize, channels: usize, windows: usize, width: usize| {
            let lanes = width * lanes;
            let (mut weights, mut biases) = (Aligned::zeros(taps * lanes), vec![0.0; lanes]);
            for lane in 0..windows * channels {
                let o = first + lane / windows;
                biases[lane] = bias.map_or(0.0, |bias| bias[o]);
                for tap in 0..taps {
                    weights[tap * lanes + lane] = weight[o * taps + tap];
                }
            }
            Vector { first, channels, weights, bias: biases }
        };
        ours.then(|| {
            let (whole, rest) = (shape.out_ch / lanes * lanes, shape.out_ch % lanes);
            // Columns of an odd number would not take turns from row to row.
            let is_even = padding.row().is_multiple_of(2);
            let shares = 0 < rest && 0 < whole && rest <= shared_lanes(registers) && is_even;
            let owned = if shares { whole } else { shape.out_ch };
            let max_width = if registers.are_many() { 1 } else { 2 };
            let block = |(first, width): (usize, usize)| {
                let (first, channels) = (first * lanes, width * lanes);
                let own = vector(first, channels.min(owned - first), 1, width);
                Block { own, width, shared: None }
            };
            let mut blocks: Vec<_> = tiles(owned.div_ceil(lanes), max_width).map(block).collect();
            if let (true, Some(last)) = (shares, blocks.last_mut()) {
                last.shared = Some(vector(whole, rest, max_count(registers), 1));
            }
            let rows = shape.in_h + 2 * shape.padding;
            let columns = Columns::new(rows, padding.row(), registers);
            let magnitude = |numbers| arch().dispatch(Magnitude(numbers));
            let weights = magnitude(weight) + bias.map_or(0.0, magnitude);
            Self { shape, grid: shape.pooled(), padding, columns, weights, blocks }
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
        let Self { shape, grid, padding, columns, weights, blocks } = self;
        let (columns, weights, registers) = (*columns, *weights, Registers::of::<S>());
        assert!(y.len() == grid.out_len() && argmax.len() == grid.out_len());
        padding.with(simd, x, index, |x| {
            let row = padding.row();
            let choice = if is_tangent {
                Choice::Named
            } else if (1.0 + simd.vectorize(Magnitude(x))) * weights < f32::MAX / 2.0 {
                // No sum of products leaves the range of numbers.
                Choice::Largest
            } else {
                Choice::LargestOrNan
            };
            for block in blocks {
                let out = Maxima { ch: grid.ch, choice, y: &mut *y, argmax: &mut *argmax };
                if !registers.are_many() {
                    let (kernel, lines, line) = (shape.kernel, grid.h / 2, grid.w / 2);
                    with_scratch(4 * line * block.width * registers.lanes, |outputs| {
                        simd.vectorize(Rows { block, kernel, lines, line, x, row, outputs, out });
                    });
                    continue;
                }
                let image = Image { shape, block, x, row, pixels: &[], columns, out };
                if block.shared.is_some() {
                    with_scratch(columns.len(), |pixels| {
                        simd.vectorize(Split { columns, x, out: &mut *pixels });
                        simd.vectorize(Image { pixels, ..image });
                    });
                } else {
                    simd.vectorize(image);
                }
            }
        });
    }
}

/// All windows of an image, for the channels of a block.
struct Image<'a> {
    shape: &'a ConvShape,
    block: &'a Block,
    /// The padded image, and the floats in its rows.
    x: &'a [f32],
    row: usize,
    /// Its columns apart, for the shared vector if there is one, and how they lie.
    pixels: &'a [f32],
    columns: Columns,
    out: Maxima<'a>,
}

impl WithSimd for Image<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, block, x, row, pixels, columns, mut out } = self;
        let grid = shape.pooled();
        let (lines, line) = (grid.h / 2, grid.w / 2);
        let kernel = shape.kernel;
        for (window, count, tiles) in equal_tiles(line, max_count(Registers::of::<S>())) {
            let x = &x[2 * window..];
            let run = Run { block, kernel, lines, tiles, x, row, pixels, columns, window, line };
            run.compute(simd, count, &mut out);
        }
    }
}
