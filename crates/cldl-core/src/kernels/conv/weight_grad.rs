//! The gradients of the convolution for its weight and its bias.

use super::ConvShape;
use super::padding::Padding;
use crate::kernels::tile::{MAX_WIDTH, Tile, max_height, tiles};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Chunks of images whose partial sums are added in order at the end. A constant, not the number
/// of threads: the order of the additions must depend on the shapes alone.
const CHUNKS: usize = 16;

/// Gradient of a convolution's weight:
///
/// `dw[o, c, i, j] = Σ_{b,p,q} x[b, p·stride + i − padding, q·stride + j − padding, c] · dy[b, p, q, o]`
///
/// # Shapes
/// - `x`: `[B, H, W, C]`; `dy`: `[B, out_h, out_w, O]`
/// - `dw`: `[O, C, K, K]`, overwritten
///
/// # Panics
/// If the length of a slice contradicts the shape.
pub fn conv_weight_grad(shape: &ConvShape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    assert_eq!(x.len(), shape.batch * shape.in_len());
    assert_eq!(dy.len(), shape.batch * shape.out_len());
    assert_eq!(dw.len(), shape.weight_len());
    pulp::Arch::new().dispatch(WeightGrad { shape, x, dy, dw });
}

/// Gradient of a bias: `db[o] = Σ_rows dy[row, o]`.
///
/// # Shapes
/// - `dy`: `[rows, channels]`; `db`: `[channels]`, overwritten
///
/// # Panics
/// If `dy` is not whole rows.
pub fn bias_grad(channels: usize, dy: &[f32], db: &mut [f32]) {
    assert_eq!(db.len(), channels);
    assert_eq!(dy.len() % channels, 0);
    let rows = (dy.len() / channels).div_ceil(CHUNKS).max(1);
    let partial = |chunk: &[f32]| {
        let mut sum = vec![0.0; channels];
        chunk.chunks_exact(channels).for_each(|row| add(&mut sum, row));
        sum
    };
    let partials: Vec<_> = dy.par_chunks(rows * channels).map(partial).collect();
    db.fill(0.0);
    partials.iter().for_each(|partial| add(db, partial));
}

fn add(sum: &mut [f32], terms: &[f32]) {
    for (sum, term) in sum.iter_mut().zip(terms) {
        *sum += term;
    }
}

struct WeightGrad<'a> {
    shape: &'a ConvShape,
    x: &'a [f32],
    dy: &'a [f32],
    dw: &'a mut [f32],
}

impl WithSimd for WeightGrad<'_> {
    type Output = ();

    fn with_simd<S: Simd>(self, simd: S) {
        let shape = self.shape;
        let images = shape.batch.div_ceil(CHUNKS).max(1);
        let x = self.x.par_chunks(images * shape.in_len());
        let dy = self.dy.par_chunks(images * shape.out_len());
        let partial = |(x, dy): (&[f32], &[f32])| partial_sum(simd, shape, x, dy);
        let partials: Vec<_> = x.zip(dy).map(partial).collect();
        let mut sum = vec![0.0; packed_len(shape, S::F32_LANES)];
        partials.iter().for_each(|partial| add(&mut sum, partial));
        unpack(shape, S::F32_LANES, &sum, self.dw);
    }
}

/// Floats in the packed gradient: blocks of output channels, in each the weights of an output in
/// the order (kernel row, kernel column, input channel), for each the channels of the block.
fn packed_len(shape: &ConvShape, lanes: usize) -> usize {
    shape.kernel * shape.kernel * shape.in_ch * shape.out_ch.next_multiple_of(lanes)
}

fn partial_sum<S: Simd>(simd: S, shape: &ConvShape, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let mut sum = vec![0.0; packed_len(shape, S::F32_LANES)];
    let padding = Padding::of_input(shape);
    // The last vector of the last position reads past the end.
    let slack = shape.out_ch.next_multiple_of(S::F32_LANES) - shape.out_ch;
    let dy_padding = Padding::at_end(shape.out_len(), slack);
    for (x, dy) in x.chunks_exact(shape.in_len()).zip(dy.chunks_exact(shape.out_len())) {
        padding.with(x, |x| {
            dy_padding.with(dy, |dy| {
                simd.vectorize(AddImage { shape, row: padding.row(), x, dy, sum: &mut sum });
            });
        });
    }
    sum
}

struct AddImage<'a> {
    shape: &'a ConvShape,
    /// Floats in a row of `x`.
    row: usize,
    x: &'a [f32],
    dy: &'a [f32],
    sum: &'a mut [f32],
}

impl WithSimd for AddImage<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let shape = self.shape;
        let len = shape.kernel * shape.in_ch;
        for (first, width) in blocks(shape.out_ch, S::F32_LANES) {
            let channels = width * S::F32_LANES;
            for row in 0..shape.kernel {
                for (weight, height) in tiles(len, max_height::<S>(width)) {
                    let to = first * shape.kernel * len + (row * len + weight) * channels;
                    let tile = Tile {
                        rows: shape.out_h(),
                        len: shape.out_w(),
                        a: &self.x[row * self.row + weight..],
                        a_row: shape.stride * self.row,
                        a_step: shape.stride * shape.in_ch,
                        a_tile: 1,
                        b: &self.dy[first..],
                        b_row: shape.out_w() * shape.out_ch,
                        b_step: shape.out_ch,
                        init: None,
                        c: &mut self.sum[to..],
                        c_tile: channels,
                        channels,
                    };
                    tile.run(simd, height, width);
                }
            }
        }
    }
}

/// Output channels in blocks of at most [`MAX_WIDTH`] vectors: first channel and vectors of each.
fn blocks(channels: usize, lanes: usize) -> impl Iterator<Item = (usize, usize)> {
    tiles(channels.div_ceil(lanes), MAX_WIDTH).map(move |(vector, width)| (vector * lanes, width))
}

fn unpack(shape: &ConvShape, lanes: usize, packed: &[f32], dw: &mut [f32]) {
    let taps = shape.kernel * shape.kernel * shape.in_ch;
    for (first, width) in blocks(shape.out_ch, lanes) {
        let channels = (shape.out_ch - first).min(width * lanes);
        let block = &packed[first * taps..][..width * lanes * taps];
        for (tap, from) in block.chunks_exact(width * lanes).enumerate() {
            let (position, c) = (tap / shape.in_ch, tap % shape.in_ch);
            for (o, from) in from[..channels].iter().enumerate() {
                let (i, j) = (position / shape.kernel, position % shape.kernel);
                dw[shape.weight_index(first + o, c, i, j)] = *from;
            }
        }
    }
}
