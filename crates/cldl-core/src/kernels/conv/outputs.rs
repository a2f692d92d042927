//! The convolution of one image.

use super::ConvShape;
use super::padding::Padding;
use crate::kernels::dots::{self, Dots};
use crate::kernels::prefetch::prefetch;
use crate::kernels::slide::{self, Slide};
use crate::kernels::tile::{self, Tile, tiles};
use crate::kernels::{Finish, Images};
use pulp::{Simd, WithSimd};

/// Computes the outputs of one image at a time.
pub(super) struct Outputs<'a> {
    shape: &'a ConvShape,
    x: Images<'a>,
    padding: Padding,
    blocks: Vec<Block>,
    /// What the sums of the first `biased` images begin with, and those of the others.
    bias: Vec<f32>,
    zeros: Vec<f32>,
    biased: usize,
}

impl<'a> Outputs<'a> {
    /// For a weight in OIHW order, a bias of the first `biased` images, and vectors of so many lanes.
    pub(super) fn new(
        shape: &'a ConvShape,
        lanes: usize,
        x: Images<'a>,
        weight: &[f32],
        bias: Option<&[f32]>,
        biased: usize,
    ) -> Self {
        assert_eq!(x.len(), shape.batch * shape.in_len());
        assert_eq!(weight.len(), shape.weight_len());
        let zeros = vec![0.0; shape.out_ch.next_multiple_of(lanes)];
        let mut initial = zeros.clone();
        if let Some(bias) = bias {
            initial[..shape.out_ch].copy_from_slice(bias);
        }
        let (padding, blocks) = (Padding::of_input(shape), blocks(shape, lanes, weight));
        Self { shape, x, padding, blocks, bias: initial, zeros, biased }
    }

    /// Writes the outputs of image `index` into `y`, finished.
    #[inline(always)]
    pub(super) fn image<S: Simd>(&self, simd: S, index: usize, finish: Finish<'_>, y: &mut [f32]) {
        let Self { shape, x, padding, blocks, .. } = self;
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

/// Neighboring output channels that one inner loop computes together.
#[derive(Debug)]
struct Block {
    first: usize,
    channels: usize,
    form: Form,
    /// In the order in which the inner loop reads.
    weights: Vec<f32>,
}

/// What a vector register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Neighboring output channels: [`Tile`].
    Outer,
    /// Neighboring terms of one output's sum: [`Dots`].
    Inner,
}

/// What adding up the lanes of a dot product costs, in multiplications of vectors.
const LANE_SUM: usize = 6;

/// The blocks of all output channels: dot products for the last ones if that fills more lanes.
fn blocks(shape: &ConvShape, lanes: usize, weight: &[f32]) -> Vec<Block> {
    let tail = shape.out_ch % lanes;
    let (rows, len) = (shape.kernel, shape.kernel * shape.in_ch);
    let dots_pay = tail * (rows * len.div_ceil(lanes) + LANE_SUM) < rows * len;
    let outer = if dots_pay { shape.out_ch - tail } else { shape.out_ch };
    let outer_blocks = tiles(outer.div_ceil(lanes), tile::MAX_WIDTH).map(|(vector, width)| {
        let first = vector * lanes;
        let channels = (outer - first).min(width * lanes);
        let weights = pack_outer(shape, weight, first..first + channels, width * lanes);
        Block { first, channels, form: Form::Outer, weights }
    });
    let inner_blocks = tiles(shape.out_ch - outer, dots::MAX_WIDTH).map(|(channel, channels)| {
        let first = outer + channel;
        let weights = pack_inner(shape, weight, first..first + channels, lanes);
        Block { first, channels, form: Form::Inner, weights }
    });
    outer_blocks.chain(inner_blocks).collect()
}

/// In the order (kernel row, kernel column, input channel, output channel), with zeros up to
/// `padded` output channels.
fn pack_outer(
    shape: &ConvShape,
    weight: &[f32],
    channels: std::ops::Range<usize>,
    padded: usize,
) -> Vec<f32> {
    let taps = shape.kernel * shape.kernel;
    let mut packed = vec![0.0; taps * shape.in_ch * padded];
    for (to, out_ch) in channels.enumerate() {
        for in_ch in 0..shape.in_ch {
            let from = &weight[(out_ch * shape.in_ch + in_ch) * taps..][..taps];
            for (tap, from) in from.iter().enumerate() {
                packed[(tap * shape.in_ch + in_ch) * padded + to] = *from;
            }
        }
    }
    packed
}

/// In the order (kernel row, vector of terms, output channel, lane), where the terms of a row are
/// its columns and input channels; zeros after the last.
fn pack_inner(
    shape: &ConvShape,
    weight: &[f32],
    channels: std::ops::Range<usize>,
    lanes: usize,
) -> Vec<f32> {
    let len = shape.kernel * shape.in_ch;
    let vectors = len.div_ceil(lanes);
    let mut packed = vec![0.0; shape.kernel * vectors * channels.len() * lanes];
    for (row, to) in packed.chunks_exact_mut(vectors * channels.len() * lanes).enumerate() {
        for term in 0..len {
            let (col, in_ch) = (term / shape.in_ch, term % shape.in_ch);
            for (channel, out_ch) in channels.clone().enumerate() {
                to[(term / lanes * channels.len() + channel) * lanes + term % lanes] =
                    weight[shape.weight_index(out_ch, in_ch, row, col)];
            }
        }
    }
    packed
}

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
        for block in self.blocks {
            let width = block.channels.div_ceil(S::F32_LANES);
            let slides = block.form == Form::Outer && width == 1 && self.slides::<S>();
            let max_height = match block.form {
                Form::Outer if slides => slide::max_height::<S>(width),
                Form::Outer => tile::max_height::<S>(width),
                Form::Inner => dots::max_height::<S>(block.channels),
            };
            for row in 0..self.shape.out_h() {
                if block.first == 0 {
                    self.prefetch(row);
                }
                for (col, height) in tiles(self.shape.out_w(), max_height) {
                    match block.form {
                        Form::Outer if slides => self.slide(block, row, col).run(simd, height),
                        Form::Outer => {
                            let tile = self.outer(block, width * S::F32_LANES, row, col);
                            tile.run(simd, height, width);
                        }
                        Form::Inner => {
                            let dots = self.inner(block, S::F32_LANES, row, col);
                            dots.run(simd, height, block.channels);
                        }
                    }
                }
            }
        }
        self.finish.value(self.at, self.y);
    }
}

impl Image<'_> {
    /// Whether a pixel is one of several windows in a row.
    fn slides<S: Simd>(&self) -> bool {
        let ConvShape { kernel, stride, .. } = *self.shape;
        kernel == slide::TAPS && stride == 1 && 0 < slide::max_height::<S>(1)
    }

    #[inline(always)]
    fn slide<'a>(&'a mut self, block: &'a Block, row: usize, col: usize) -> Slide<'a> {
        let (x, y) = self.offsets(row, col);
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
        row: usize,
        col: usize,
    ) -> Tile<'a> {
        let (x, y) = self.offsets(row, col);
        let len = self.shape.kernel * self.shape.in_ch;
        Tile {
            rows: self.shape.kernel,
            len,
            a: &self.x[x..],
            a_r: self.row,
            a_l: 1,
            a_i: self.shape.stride * self.shape.in_ch,
            b: &block.weights,
            b_r: len * padded,
            b_l: padded,
            init: Some(&self.init[block.first..]),
            c: &mut self.y[y + block.first..],
            c_i: self.shape.out_ch,
            channels: block.channels,
        }
    }

    #[inline(always)]
    fn inner<'a>(
        &'a mut self,
        block: &'a Block,
        lanes: usize,
        row: usize,
        col: usize,
    ) -> Dots<'a> {
        let (x, y) = self.offsets(row, col);
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
    fn offsets(&self, row: usize, col: usize) -> (usize, usize) {
        let ConvShape { in_ch, out_ch, stride, .. } = *self.shape;
        (stride * (row * self.row + col * in_ch), (row * self.shape.out_w() + col) * out_ch)
    }
}
