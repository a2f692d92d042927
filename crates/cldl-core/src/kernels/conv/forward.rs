//! The convolution itself.

use super::ConvShape;
use super::padding::Padding;
use crate::kernels::arch::arch;
use crate::kernels::dots::{self, Dots};
use crate::kernels::norm::{ExampleSums, norm_sums_of};
use crate::kernels::prefetch::prefetch;
use crate::kernels::tile::{self, Tile, tiles};
use crate::kernels::{Finish, Images, NormSums};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use tracing::instrument;

/// Convolution of a batch with a weight:
///
/// `y[b, p, q, o] = bias[o] + Σ_{i,j,c} x[b, p·stride + i − padding, q·stride + j − padding, c] · w[o, c, i, j]`
///
/// The bias is added to the first `biased` images only: the rest of a dual number is its tangent,
/// which constants do not reach. Then `finish`, on numbers alone: dual numbers have `biased` half.
///
/// # Shapes
/// - `x`: `[B, H, W, C]`; `weight`: `[O, C, K, K]`; `bias`: `[O]`
/// - `y`: `[B, out_h, out_w, O]`, overwritten
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(%shape, macs = shape.macs()))]
pub fn conv_forward(
    shape: &ConvShape,
    x: Images<'_>,
    weight: &[f32],
    bias: Option<&[f32]>,
    biased: usize,
    finish: Finish<'_>,
    y: &mut [f32],
) {
    assert!(finish.residual.is_none_or(|residual| residual.len() == y.len()));
    let forward = Forward { shape, lanes: 1, x, weight, bias, biased, finish, y, after: NoSums };
    arch().dispatch(forward);
}

/// [`conv_forward`] without bias and finish, and the sums that a normalization of the result needs,
/// taken of each example while it is still in the cache.
///
/// # Shapes
/// - as in [`conv_forward`]; with two `lanes` the second half of the images are tangents
///
/// # Panics
/// If the length of a slice contradicts the shape.
#[instrument(level = "trace", skip_all, fields(%shape, macs = shape.macs()))]
pub fn conv_forward_summed(
    shape: &ConvShape,
    lanes: usize,
    x: Images<'_>,
    weight: &[f32],
    y: &mut [f32],
) -> NormSums {
    let (bias, finish) = (None, Finish::default());
    let forward = Forward { shape, lanes, x, weight, bias, biased: 0, finish, y, after: Sums };
    norm_sums_of(shape.out_ch, &arch().dispatch(forward))
}

struct Forward<'a, A> {
    shape: &'a ConvShape,
    lanes: usize,
    x: Images<'a>,
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    biased: usize,
    finish: Finish<'a>,
    y: &'a mut [f32],
    after: A,
}

/// What is done with an example's outputs: those of an image, or of an image and its tangent.
trait After: Copy + Sync {
    type Output: Send;

    fn take<S: Simd>(self, simd: S, ch: usize, example: &[&mut [f32]]) -> Self::Output;
}

#[derive(Clone, Copy)]
struct NoSums;

impl After for NoSums {
    type Output = ();

    fn take<S: Simd>(self, _: S, _: usize, _: &[&mut [f32]]) {}
}

#[derive(Clone, Copy)]
struct Sums;

impl After for Sums {
    type Output = NormSums;

    fn take<S: Simd>(self, simd: S, ch: usize, example: &[&mut [f32]]) -> NormSums {
        let tangent = example.get(1).map(|tangent| &**tangent);
        simd.vectorize(ExampleSums { ch, value: &*example[0], tangent })
    }
}

impl<A: After> WithSimd for Forward<'_, A> {
    type Output = Vec<A::Output>;

    fn with_simd<S: Simd>(self, simd: S) -> Vec<A::Output> {
        let Self { shape, lanes, x, weight, bias, biased, finish, y, after } = self;
        assert_eq!(x.len(), shape.batch * shape.in_len());
        assert_eq!(weight.len(), shape.weight_len());
        assert_eq!(y.len(), shape.batch * shape.out_len());
        let zeros = vec![0.0; shape.out_ch.next_multiple_of(S::F32_LANES)];
        let mut initial = zeros.clone();
        if let Some(bias) = bias {
            initial[..shape.out_ch].copy_from_slice(bias);
        }
        let blocks = blocks(shape, S::F32_LANES, weight);
        let padding = Padding::of_input(shape);
        let examples = shape.batch / lanes;
        let compute = |(example, mut outputs): (usize, Vec<&mut [f32]>)| {
            for (lane, y) in outputs.iter_mut().enumerate() {
                let image = lane * examples + example;
                let init = if image < biased { &initial } else { &zeros };
                let next = if shape.skips_input() || shape.batch <= image + 1 {
                    &[]
                } else {
                    x.read((image + 1) * shape.in_len()..(image + 2) * shape.in_len())[0]
                };
                padding.with(simd, &x, image, |x| {
                    let (row, blocks, at) = (padding.row(), &blocks, image * shape.out_len());
                    simd.vectorize(Image { shape, blocks, row, x, next, init, at, finish, y });
                });
            }
            after.take(simd, shape.out_ch, &outputs)
        };
        by_example(y, examples, shape.out_len()).into_par_iter().enumerate().map(compute).collect()
    }
}

/// The images of each example, of `len` floats: its value and its tangents.
fn by_example(y: &mut [f32], examples: usize, len: usize) -> Vec<Vec<&mut [f32]>> {
    let mut images: Vec<Vec<_>> = (0..examples).map(|_| Vec::with_capacity(2)).collect();
    for (image, y) in y.chunks_exact_mut(len).enumerate() {
        images[image % examples].push(y);
    }
    images
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
            let max_height = match block.form {
                Form::Outer => tile::max_height::<S>(width),
                Form::Inner => dots::max_height::<S>(block.channels),
            };
            for row in 0..self.shape.out_h() {
                if block.first == 0 {
                    self.prefetch(row);
                }
                for (col, height) in tiles(self.shape.out_w(), max_height) {
                    match block.form {
                        Form::Outer => {
                            let tile = self.outer(block, width * S::F32_LANES, row, col);
                            tile.run(simd, height, width);
                        }
                        Form::Inner => {
                            self.inner(block, row, col).run(simd, height, block.channels);
                        }
                    }
                }
            }
        }
        self.finish.value(self.at, self.y);
    }
}

impl Image<'_> {
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
    fn inner<'a>(&'a mut self, block: &'a Block, row: usize, col: usize) -> Dots<'a> {
        let (x, y) = self.offsets(row, col);
        Dots {
            rows: self.shape.kernel,
            len: self.shape.kernel * self.shape.in_ch,
            a: &self.x[x..],
            a_r: self.row,
            a_i: self.shape.stride * self.shape.in_ch,
            b: &block.weights,
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
