//! The convolution of one image.

mod blocks;

use super::ConvShape;
use super::padding::Padding;
use crate::kernels::arch::Registers;
use crate::kernels::dots::{self, Dots};
use crate::kernels::prefetch::prefetch;
use crate::kernels::slide::{self, Slide};
use crate::kernels::tile::{self, Start, Tile, Turn, tiles};
use crate::kernels::{Finish, Images};
use blocks::{Block, Form, blocks};
use pulp::{Simd, WithSimd};

/// Computes the outputs of one image at a time.
pub(super) struct Outputs {
    shape: ConvShape,
    padding: Padding,
    blocks: Vec<Block>,
    /// What the sums of the first `biased` images begin with, and those of the others.
    bias: Vec<f32>,
    zeros: Vec<f32>,
    biased: usize,
}

impl Outputs {
    /// For a weight in OIHW order and a bias of the first `biased` images.
    pub(super) fn new(
        shape: &ConvShape,
        registers: Registers,
        weight: &[f32],
        bias: Option<&[f32]>,
        biased: usize,
    ) -> Self {
        assert_eq!(weight.len(), shape.weight_len());
        let zeros = vec![0.0; shape.out_ch.next_multiple_of(registers.lanes)];
        let mut initial = zeros.clone();
        if let Some(bias) = bias {
            initial[..shape.out_ch].copy_from_slice(bias);
        }
        let (padding, blocks) = (Padding::of_input(shape), blocks(shape, registers, weight));
        Self { shape: *shape, padding, blocks, bias: initial, zeros, biased }
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
        let Self { shape, padding, blocks, .. } = self;
        assert!(y.len() == shape.out_len());
        let init = if index < self.biased { &self.bias } else { &self.zeros };
        let next = if shape.skips_input() || shape.batch <= index + 1 {
            &[]
        } else {
            x.read((index + 1) * shape.in_len()..(index + 2) * shape.in_len())[0]
        };
        padding.with(simd, x, index, |x| {
            let (row, at) = (padding.row(), index * shape.out_len());
            simd.vectorize(Image { shape, blocks, row, x, next, init, at, finish, y });
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
            let fetches = block.first == 0;
            if block.form == Form::Inner {
                let max_height = dots::max_height::<S>(block.channels);
                self.each_tile(max_height, false, fetches, |image, at, height| {
                    let dots = image.inner(block, S::F32_LANES, at);
                    dots.run(simd, height, block.channels);
                });
            } else if width == 1 && self.slides::<S>() {
                self.each_tile(slide::max_height::<S>(1), false, fetches, |image, at, height| {
                    image.slide(block, at).run(simd, height);
                });
            } else {
                let max_height = tile::max_height::<S>(width);
                let passes = if few { block.weights.len().div_ceil(KEPT) } else { 1 };
                for (tap, taps) in tiles(self.shape.kernel, self.shape.kernel.div_ceil(passes)) {
                    self.each_tile(max_height, few, fetches && tap == 0, |image, at, height| {
                        let tile = image.outer(block, width * S::F32_LANES, at, tap..tap + taps);
                        tile.run(simd, height, width);
                    });
                }
            }
        }
        self.finish.value(self.at, self.y);
    }
}

impl Image<'_> {
    /// Calls `compute` with the row and column of the first, and the number, of the windows of each tile:
    /// neighbors in a row or, if a tile `turns`, also the last ones of a row and the first ones of the next.
    #[inline(always)]
    fn each_tile(
        &mut self,
        max_height: usize,
        turns: bool,
        fetches: bool,
        mut compute: impl FnMut(&mut Self, [usize; 2], usize),
    ) {
        let (out_h, out_w) = (self.shape.out_h(), self.shape.out_w());
        let (lines, windows) = if turns { (1, out_h * out_w) } else { (out_h, out_w) };
        let heights = tiles(windows, max_height.min(out_w));
        let (mut row, mut col, mut fetched) = (0, 0, 0);
        for _ in 0..lines {
            for (_, height) in heights.clone() {
                if fetches && fetched <= row {
                    self.prefetch(row);
                    fetched = row + 1;
                }
                compute(self, [row, col], height);
                col += height;
                if out_w <= col {
                    (row, col) = (row + 1, col - out_w);
                }
            }
        }
    }

    /// Whether a pixel is one of several windows in a row.
    fn slides<S: Simd>(&self) -> bool {
        let ConvShape { kernel, stride, .. } = *self.shape;
        kernel == slide::TAPS && stride == 1 && 0 < slide::max_height::<S>(1)
    }

    #[inline(always)]
    fn slide<'a>(&'a mut self, block: &'a Block, at: [usize; 2]) -> Slide<'a> {
        let (x, y) = self.offsets(at);
        Slide {
            rows: self.shape.kernel,
            len: self.shape.in_ch,
            a: &self.x[x..],
            a_r: self.row,
            b: &block.weights,
            init: &self.init[block.first..],
            c: &mut self.y[y + block.first..],
            c_i: self.shape.out_ch,
            channels: block.channels,
        }
    }

    #[inline(always)]
    fn outer<'a>(
        &'a mut self,
        block: &'a Block,
        padded: usize,
        at: [usize; 2],
        taps: std::ops::Range<usize>,
    ) -> Tile<'a> {
        let ConvShape { in_ch, out_ch, stride, .. } = *self.shape;
        let (x, y) = self.offsets(at);
        let out_w = self.shape.out_w();
        let len = self.shape.kernel * self.shape.in_ch;
        Tile {
            rows: taps.len(),
            len,
            a: &self.x[x + taps.start * self.row..],
            a_r: self.row,
            a_l: 1,
            a_i: stride * in_ch,
            a_turn: Turn { at: out_w - at[1], skip: stride * (self.row - out_w * in_ch) },
            b: &block.weights[taps.start * len * padded..],
            b_r: len * padded,
            b_l: padded,
            start: if taps.start == 0 {
                Start::With(&self.init[block.first..])
            } else {
                Start::Resume
            },
            c: &mut self.y[y + block.first..],
            c_i: out_ch,
            channels: block.channels,
        }
    }

    #[inline(always)]
    fn inner<'a>(&'a mut self, block: &'a Block, lanes: usize, at: [usize; 2]) -> Dots<'a> {
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

    /// Fetches of the next image as much as a row of outputs uses up of this one.
    #[inline(always)]
    fn prefetch(&self, row: usize) {
        let width = self.shape.in_w * self.shape.in_ch;
        let rows = self.next.chunks_exact(width).skip(row * self.shape.stride);
        rows.take(self.shape.stride).for_each(prefetch);
    }

    /// Where an output's window begins, and where the output goes.
    fn offsets(&self, [row, col]: [usize; 2]) -> (usize, usize) {
        let ConvShape { in_ch, out_ch, stride, .. } = *self.shape;
        (stride * (row * self.row + col * in_ch), (row * self.shape.out_w() + col) * out_ch)
    }
}
