//! The gradient for the input of a convolution with stride 2.
//!
//! Of 3 columns of the kernel, the middle one reaches every other column of the input, and the outer ones those
//! between:
//!
//! `dx[h, 2q] = t[h, q, 1]`, `dx[h, 2q + 1] = t[h, q, 2] + t[h, q + 1, 0]`
//!
//! where `t[h, q, j]` is what comes from column `q` of the output by column `j` of the kernel, a sum over output
//! channels and the rows that reach `h`: one of the output by the middle row of the kernel for an even `h`, else two.
//! So sums go to where they belong, and nothing is laid over each other in between.

use super::ConvShape;
use crate::kernels::aligned::Aligned;
use crate::kernels::arch::Registers;
use crate::kernels::prefetch::Ahead;
use crate::kernels::tile::{Start, Tile, max_height, max_width};
use crate::kernels::tiles::{equal_tiles, tiles};
use crate::kernels::turn::Turn;
use pulp::{Simd, WithSimd};

/// Rows and columns of the kernel.
const KERNEL: usize = 3;

/// Rows of the output, and twice as many of the input, that all columns of the kernel meet before the next: they
/// stay in the first-level cache.
const BAND: usize = 4;

/// Computes the gradient of one image at a time.
pub(super) struct StridedGradients<'a> {
    shape: &'a ConvShape,
    blocks: Vec<Block>,
    zeros: Vec<f32>,
}

/// Neighboring input channels.
struct Block {
    first: usize,
    channels: usize,
    /// In the order (kernel column, kernel row from the last to the first, output channel, input channel), zeros
    /// up to whole vectors.
    weights: Aligned,
}

impl<'a> StridedGradients<'a> {
    /// For a weight in OIHW order; nothing for a shape that is not for us.
    pub(super) fn new(shape: &'a ConvShape, registers: Registers, weight: &[f32]) -> Option<Self> {
        let ConvShape { in_h, in_w, in_ch, kernel, stride, padding, .. } = *shape;
        // Of one vector, each multiplication would load a scalar.
        let ours = (kernel, stride, padding) == (KERNEL, 2, 1)
            && in_h.is_multiple_of(2)
            && in_w.is_multiple_of(2)
            && 2 * registers.lanes <= in_ch;
        let block = |(vector, width): (usize, usize)| {
            let first = vector * registers.lanes;
            let channels = (in_ch - first).min(width * registers.lanes);
            let weights = pack(shape, weight, first..first + channels, width * registers.lanes);
            Block { first, channels, weights }
        };
        ours.then(|| Self {
            shape,
            blocks: tiles(in_ch.div_ceil(registers.lanes), max_width(registers))
                .map(block)
                .collect(),
            zeros: vec![0.0; max_width(registers) * registers.lanes],
        })
    }

    /// Writes into `dx`, or adds to it, the gradient of an image whose output's is `dy`.
    #[inline(always)]
    pub(super) fn image<S: Simd>(&self, simd: S, dy: &[f32], dx: &mut [f32], add: bool) {
        let Self { shape, blocks, zeros } = self;
        let start = if add { Start::Add } else { Start::With(zeros) };
        simd.vectorize(Image { shape, blocks, start, dy, dx });
    }
}

/// The weights of these input channels as [`Block`] has them, with zeros up to `padded`.
fn pack(
    shape: &ConvShape,
    weight: &[f32],
    channels: std::ops::Range<usize>,
    padded: usize,
) -> Aligned {
    let mut packed = Aligned::zeros(KERNEL * KERNEL * shape.out_ch * padded);
    for o in 0..shape.out_ch {
        for (col, row) in (0..KERNEL).flat_map(|col| (0..KERNEL).map(move |row| (col, row))) {
            let at = ((col * KERNEL + KERNEL - 1 - row) * shape.out_ch + o) * padded;
            let from = &weight[shape.weight_index(o, channels.start, row, col)..];
            let to = packed[at..][..channels.len()].iter_mut();
            to.zip(from.iter().step_by(KERNEL * KERNEL)).for_each(|(to, from)| *to = *from);
        }
    }
    packed
}

struct Image<'a> {
    shape: &'a ConvShape,
    blocks: &'a [Block],
    start: Start<'a>,
    dy: &'a [f32],
    dx: &'a mut [f32],
}

/// What one column of the kernel brings to some rows of the input, all even or all odd.
struct Column<'a> {
    block: &'a Block,
    kernel_col: usize,
    /// The first of the rows of the kernel, counted from the last, and how many they are.
    kernel_row: usize,
    rows: usize,
    /// Rows of the output, and the first row of the input.
    outputs: std::ops::Range<usize>,
    row: usize,
    start: Start<'a>,
}

impl WithSimd for Image<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (blocks, first, out_h) = (self.blocks, self.start, self.shape.out_h());
        for (begin, band) in tiles(out_h, BAND) {
            // The last row of the output is the only one that the last row of the input meets.
            let (end, both) = (begin + band, (begin + band).min(out_h - 1));
            for block in blocks {
                for (kernel_col, start) in [(2, first), (0, Start::Add), (1, first)] {
                    let mut add = |outputs: std::ops::Range<usize>, row, kernel_row, rows| {
                        let row = 2 * outputs.start + row;
                        let column =
                            Column { block, kernel_col, kernel_row, rows, outputs, row, start };
                        self.add(simd, column);
                    };
                    add(begin..end, 0, 1, 1);
                    add(begin..both, 1, 0, 2);
                    add(both..end, 1, 0, 1);
                }
            }
        }
    }
}

impl Image<'_> {
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, column: Column<'_>) {
        let Column { block, kernel_col, kernel_row, rows, outputs, row, start } = column;
        let ConvShape { in_w, in_ch, out_ch, .. } = *self.shape;
        // Columns of the output, and the first one's column of the input.
        let (skipped, col) = match kernel_col {
            0 => (1, 1),
            1 => (0, 0),
            _ => (0, 1),
        };
        let out_w = self.shape.out_w();
        let windows = out_w - skipped;
        if outputs.is_empty() || windows == 0 {
            return;
        }
        let (dy_row, dx_row, pixel) = (out_w * out_ch, 2 * in_w * in_ch, 2 * in_ch);
        let few = !Registers::of::<S>().are_many();
        let width = block.channels.div_ceil(S::F32_LANES);
        let padded = width * S::F32_LANES;
        let tap = out_ch * padded;
        let (lines, in_line) =
            if few { (1, outputs.len() * windows) } else { (outputs.len(), windows) };
        for (first, height, count) in equal_tiles(in_line, max_height::<S>(width).min(windows)) {
            let (line, window) = (first / windows, first % windows);
            let tile = Tile {
                lines,
                count,
                rows,
                len: out_ch,
                a: &self.dy[(outputs.start + line) * dy_row + (skipped + window) * out_ch..],
                a_s: dy_row,
                a_t: height * out_ch,
                a_r: dy_row,
                a_l: 1,
                a_i: out_ch,
                b: &block.weights[(kernel_col * KERNEL + kernel_row) * tap..],
                b_r: 2 * tap,
                b_l: padded,
                start,
                c: &mut self.dx[row * in_w * in_ch
                    + line * dx_row
                    + col * in_ch
                    + window * pixel
                    + block.first..],
                c_s: dx_row,
                c_t: height * pixel,
                c_i: pixel,
                turn: Turn {
                    first: windows - window,
                    row: windows,
                    skip: [dy_row - windows * out_ch, dx_row - windows * pixel],
                },
                channels: block.channels,
                ahead: Ahead::NOTHING,
            };
            tile.run(simd, height, width);
        }
    }
}
