//! The convolution of one image.

mod blocks;

use super::ConvShape;
use super::padding::Padding;
use super::pointwise::{self, PointwiseOutputs};
use super::winograd::{self, WinogradOutputs};
use crate::kernels::arch::Registers;
use crate::kernels::dots::{self, Dots};
use crate::kernels::prefetch::Ahead;
use crate::kernels::slide::{self, Slide};
use crate::kernels::tile::{self, Start, Tile};
use crate::kernels::tiles::{equal_tiles, tiles};
use crate::kernels::turn::Turn;
use crate::kernels::{Finish, Images};
use blocks::{Block, Form, blocks};
use pulp::{Simd, WithSimd};

/// Computes the outputs of one image at a time.
pub(super) struct Outputs {
    shape: ConvShape,
    padding: Padding,
    way: Way,
    /// What the sums of the first `biased` images begin with, and those of the others.
    bias: Vec<f32>,
    zeros: Vec<f32>,
    biased: usize,
}

/// How the outputs come about.
enum Way {
    Winograd(WinogradOutputs),
    Pointwise(PointwiseOutputs),
    Windows(Vec<Block>),
}

impl Outputs {
    /// For a weight in OIHW order and a bias of the first `biased` images.
    pub(super) fn new<S: Simd>(
        simd: S,
        shape: &ConvShape,
        weight: &[f32],
        bias: Option<&[f32]>,
        biased: usize,
    ) -> Self {
        assert_eq!(weight.len(), shape.weight_len());
        let registers = Registers::of::<S>();
        let zeros = vec![0.0; shape.out_ch.next_multiple_of(registers.lanes)];
        let mut initial = zeros.clone();
        if let Some(bias) = bias {
            initial[..shape.out_ch].copy_from_slice(bias);
        }
        let way = if winograd::fit(shape) {
            Way::Winograd(WinogradOutputs::new(simd, shape, weight))
        } else if pointwise::fit(shape) {
            Way::Pointwise(PointwiseOutputs::new(shape, registers, weight))
        } else {
            Way::Windows(blocks(shape, registers, weight))
        };
        let padding = Padding::of_input(shape);
        Self { shape: *shape, padding, way, bias: initial, zeros, biased }
    }

    /// Writes the outputs of image `index` of `x` into `y`, finished.
    #[inline(always)]
    pub(super) fn image<S: Simd>(
        &self,
        simd: S,
        x: &Images<'_>,
        index: usize,
        finish: Finish<'_>,
        y: &mut [f32],
    ) {
        let Self { shape, padding, way, .. } = self;
        assert!(y.len() == shape.out_len());
        let init = if index < self.biased { &self.bias } else { &self.zeros };
        let next = if shape.batch <= index + 1 {
            &[]
        } else {
            x.read((index + 1) * shape.in_len()..(index + 2) * shape.in_len())[0]
        };
        padding.with(simd, x, index, |x| {
            let (row, at) = (padding.row(), index * shape.out_len());
            match way {
                Way::Winograd(outputs) => {
                    outputs.image(simd, winograd::Image { x, next, init, at, finish, y });
                }
                Way::Pointwise(outputs) => {
                    outputs.image(simd, pointwise::Image { x, init, at, finish, y });
                }
                Way::Windows(blocks) => {
                    simd.vectorize(Image { shape, blocks, row, x, next, init, at, finish, y });
                }
            }
        });
    }
}

/// Floats of a block's weights that stay in the first-level cache while windows are computed: of more, some
/// rows of the kernel at a time. With many registers a weight serves so many windows that it does not matter.
const KEPT: usize = 4096;

struct Image<'a> {
    shape: &'a ConvShape,
    blocks: &'a [Block],
    /// Floats in a row of `x`.
    row: usize,
    x: &'a [f32],
    /// The images after `x`, of which the same thread most likely gets the first, or nothing.
    next: &'a [f32],
    init: &'a [f32],
    /// Where `y` begins in the whole result.
    at: usize,
    finish: Finish<'a>,
    y: &'a mut [f32],
}

impl WithSimd for Image<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let few = !Registers::of::<S>().are_many();
        for block in self.blocks {
            let width = block.channels.div_ceil(S::F32_LANES);
            let next = if block.first == 0 { self.next } else { &[] };
            let kernel = self.shape.kernel;
            if block.form == Form::Inner {
                let max_height = dots::max_height::<S>(block.channels);
                self.each_run(max_height, false, next, 0, |image, run| {
                    for (line, t) in
                        (0..run.lines).flat_map(|l| (0..run.count).map(move |t| (l, t)))
                    {
                        let at = [run.at[0] + line, run.at[1] + t * run.height];
                        image.inner(block, S::F32_LANES, at).run(simd, run.height, block.channels);
                    }
                });
            } else if width == 1 && self.slides::<S>() {
                let max_height = slide::max_height::<S>(1);
                self.each_run(max_height, false, next, kernel, |image, run| {
                    image.slide(block, run).run(simd, run.height);
                });
            } else {
                let max_height = tile::max_height::<S>(width);
                let passes = if few { block.weights.len().div_ceil(KEPT) } else { 1 };
                for (tap, taps) in tiles(kernel, kernel.div_ceil(passes)) {
                    let next = if tap == 0 { next } else { &[] };
                    self.each_run(max_height, few, next, taps, |image, run| {
                        let tile = image.outer(block, width * S::F32_LANES, run, tap..tap + taps);
                        tile.run(simd, run.height, width);
                    });
                }
            }
        }
        self.finish.value(simd, self.at, self.y);
    }
}

/// Tiles of neighboring windows, as many windows each, that lie at equal distances.
#[derive(Clone, Copy)]
struct Run<'a> {
    /// Row and column of the first window.
    at: [usize; 2],
    /// Windows of a tile.
    height: usize,
    /// Tiles in a row of the output, and such rows.
    count: usize,
    lines: usize,
    ahead: Ahead<'a>,
}

impl<'a> Image<'a> {
    /// Calls `compute` for all windows, in runs of tiles. If a tile may turn, it may have the last windows of a row
    /// and the first ones of the next, and all rows are one line. Meanwhile `next` is fetched, in `parts` for each
    /// tile.
    #[inline(always)]
    fn each_run(
        &mut self,
        max_height: usize,
        may_turn: bool,
        next: &'a [f32],
        parts: usize,
        mut compute: impl FnMut(&mut Self, Run<'a>),
    ) {
        let (out_h, out_w) = (self.shape.out_h(), self.shape.out_w());
        let (lines, windows) = if may_turn { (1, out_h * out_w) } else { (out_h, out_w) };
        let runs = equal_tiles(windows, max_height.min(out_w));
        let tiles: usize = runs.clone().map(|(_, _, count)| count).sum();
        let mut ahead = Ahead::new([next, &[], &[]], lines * tiles * parts);
        for (first, height, count) in runs {
            let (at, ahead) = ([first / out_w, first % out_w], ahead.take(lines * count * parts));
            compute(self, Run { at, height, count, lines, ahead });
        }
    }

    /// Whether a pixel is one of several windows in a row.
    fn slides<S: Simd>(&self) -> bool {
        let ConvShape { kernel, stride, .. } = *self.shape;
        kernel == slide::TAPS && stride == 1 && 0 < slide::max_height::<S>(1)
    }

    #[inline(always)]
    fn slide<'b>(&'b mut self, block: &'b Block, run: Run<'b>) -> Slide<'b> {
        let (x, y) = self.offsets(run.at);
        Slide {
            lines: run.lines,
            count: run.count,
            rows: self.shape.kernel,
            len: self.shape.in_ch,
            a: &self.x[x..],
            a_r: self.row,
            b: &block.weights,
            init: &self.init[block.first..],
            c: &mut self.y[y + block.first..],
            c_s: self.shape.out_w() * self.shape.out_ch,
            c_i: self.shape.out_ch,
            channels: block.channels,
            ahead: run.ahead,
        }
    }

    #[inline(always)]
    fn outer<'b>(
        &'b mut self,
        block: &'b Block,
        padded: usize,
        run: Run<'b>,
        taps: std::ops::Range<usize>,
    ) -> Tile<'b> {
        let ConvShape { in_ch, out_ch, stride, .. } = *self.shape;
        let Run { at, height, count, lines, ahead } = run;
        let (x, y) = self.offsets(at);
        let out_w = self.shape.out_w();
        let len = self.shape.kernel * self.shape.in_ch;
        Tile {
            lines,
            count,
            rows: taps.len(),
            len,
            a: &self.x[x + taps.start * self.row..],
            a_s: stride * self.row,
            a_t: height * stride * in_ch,
            a_r: self.row,
            a_l: 1,
            a_i: stride * in_ch,
            b: &block.weights[taps.start * len * padded..],
            b_r: len * padded,
            b_l: padded,
            start: if taps.start == 0 {
                Start::With(&self.init[block.first..])
            } else {
                Start::Resume
            },
            c: &mut self.y[y + block.first..],
            c_s: out_w * out_ch,
            c_t: height * out_ch,
            c_i: out_ch,
            turn: Turn {
                first: out_w - at[1],
                row: out_w,
                skip: [stride * (self.row - out_w * in_ch), 0],
            },
            channels: block.channels,
            ahead,
        }
    }

    #[inline(always)]
    fn inner<'b>(&'b mut self, block: &'b Block, lanes: usize, at: [usize; 2]) -> Dots<'b> {
        let (x, y) = self.offsets(at);
        let len = self.shape.kernel * self.shape.in_ch;
        Dots {
            rows: self.shape.kernel,
            len,
            a: &self.x[x..],
            a_r: self.row,
            a_i: self.shape.stride * self.shape.in_ch,
            b: &block.weights,
            b_r: len.div_ceil(lanes) * block.channels * lanes,
            b_l: block.channels * lanes,
            b_v: lanes,
            init: &self.init[block.first..][..block.channels],
            c: &mut self.y[y + block.first..],
            c_i: self.shape.out_ch,
        }
    }

    /// Where an output's window begins, and where the output goes.
    fn offsets(&self, [row, col]: [usize; 2]) -> (usize, usize) {
        let ConvShape { in_ch, out_ch, stride, .. } = *self.shape;
        (stride * (row * self.row + col * in_ch), (row * self.shape.out_w() + col) * out_ch)
    }
}
