//! The gradient of the convolution for its input.
//!
//! An output position touches, in each row of its window, `K · C` neighboring floats of the input.
//! So the sums run over output channels (and the kernel rows that reach an input row), a vector
//! holds neighbors among those floats, and overlapping windows are added as they are stored. No
//! multiplication is spent on padding, and any stride is the same to it.

use super::ConvShape;
use super::padding::with_scratch;
use crate::kernels::tile::{MAX_WIDTH, Tile, max_height, tiles};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Gradient of a convolution's input:
///
/// `dx[b, h, w, c] = Σ_{o,i,j} dy[b, (h + padding − i) / stride, (w + padding − j) / stride, o] · w[o, c, i, j]`
///
/// over the `i`, `j` for which the divisions leave no remainder.
///
/// # Shapes
/// - `dy`: `[B, out_h, out_w, O]`; `weight`: `[O, C, K, K]`
/// - `dx`: `[B, H, W, C]`, overwritten
///
/// # Panics
/// If the length of a slice contradicts the shape.
pub fn conv_input_grad(shape: &ConvShape, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
    assert_eq!(dy.len(), shape.batch * shape.out_len());
    assert_eq!(weight.len(), shape.weight_len());
    assert_eq!(dx.len(), shape.batch * shape.in_len());
    pulp::Arch::new().dispatch(InputGrad { shape, dy, weight, dx });
}

struct InputGrad<'a> {
    shape: &'a ConvShape,
    dy: &'a [f32],
    weight: &'a [f32],
    dx: &'a mut [f32],
}

impl WithSimd for InputGrad<'_> {
    type Output = ();

    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, dy, weight, dx } = self;
        let blocks = &blocks(shape, S::F32_LANES, weight);
        let dy = dy.par_chunks_exact(shape.out_len());
        dx.par_chunks_exact_mut(shape.in_len()).zip(dy).for_each(|(dx, dy)| {
            if shape.padding == 0 {
                dx.fill(0.0);
                simd.vectorize(Band { shape, blocks, first: 0, dy, rows: dx });
            } else {
                in_bands(shape, dx, |first, rows| {
                    simd.vectorize(Band { shape, blocks, first, dy, rows });
                });
            }
        });
    }
}

/// Floats of padded input rows to work on together: few enough to stay in the first-level cache.
const BAND: usize = 4096;

/// Lets `add` fill padded rows, from the `first` on, and copies to `dx` what is inside the image.
fn in_bands(shape: &ConvShape, dx: &mut [f32], add: impl Fn(usize, &mut [f32])) {
    let padded = (shape.in_w + 2 * shape.padding) * shape.in_ch;
    let inside = shape.padding * shape.in_ch..(shape.padding + shape.in_w) * shape.in_ch;
    let band = (BAND / padded).max(1);
    for (band_at, dx) in dx.chunks_mut(band * inside.len()).enumerate() {
        with_scratch(dx.len() / inside.len() * padded, |rows| {
            rows.fill(0.0);
            add(band_at * band, rows);
            for (dx, row) in dx.chunks_exact_mut(inside.len()).zip(rows.chunks_exact(padded)) {
                dx.copy_from_slice(&row[inside.clone()]);
            }
        });
    }
}

/// Neighboring floats of a window's row, at most [`MAX_WIDTH`] vectors.
#[derive(Debug)]
struct Block {
    first: usize,
    len: usize,
    /// In the order (kernel row from the last to the first, output channel, float), zeros up to
    /// whole vectors.
    weights: Vec<f32>,
}

fn blocks(shape: &ConvShape, lanes: usize, weight: &[f32]) -> Vec<Block> {
    let ConvShape { in_ch, out_ch, kernel, .. } = *shape;
    let window: Vec<_> = (0..kernel * in_ch)
        .map(|float| shape.weight_index(0, float % in_ch, 0, float / in_ch))
        .collect();
    let block = |(vector, width)| {
        let window = &window[vector * lanes..];
        let window = &window[..window.len().min(width * lanes)];
        let mut weights = vec![0.0; kernel * out_ch * width * lanes];
        for (at, to) in weights.chunks_exact_mut(width * lanes).enumerate() {
            let row = kernel - 1 - at / out_ch;
            let from = &weight[shape.weight_index(at % out_ch, 0, row, 0)..];
            to.iter_mut().zip(window).for_each(|(to, offset)| *to = from[*offset]);
        }
        Block { first: vector * lanes, len: window.len(), weights }
    };
    tiles(window.len().div_ceil(lanes), MAX_WIDTH).map(block).collect()
}

/// Rows of the input's gradient, with the padding's columns.
struct Band<'a> {
    shape: &'a ConvShape,
    blocks: &'a [Block],
    /// The first row, counted in the image.
    first: usize,
    dy: &'a [f32],
    rows: &'a mut [f32],
}

impl WithSimd for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, blocks, first, dy, rows } = self;
        let ConvShape { in_ch, out_ch, kernel, stride, padding, .. } = *shape;
        let (out_h, out_w) = (shape.out_h(), shape.out_w());
        let row_len = (shape.in_w + 2 * padding) * in_ch;
        for block in blocks {
            let width = block.len.div_ceil(S::F32_LANES);
            let tap_len = out_ch * width * S::F32_LANES;
            for (row, to) in rows.chunks_exact_mut(row_len).enumerate() {
                // Output rows whose windows hold this row, counted from the top of the padding.
                let row = first + row + padding;
                let begin = (row + 1).saturating_sub(kernel).div_ceil(stride);
                let end = (row / stride + 1).min(out_h);
                if end <= begin {
                    continue;
                }
                for (col, height) in tiles(out_w, max_height::<S>(width)) {
                    let tile = Tile {
                        rows: end - begin,
                        len: out_ch,
                        a: &dy[(begin * out_w + col) * out_ch..],
                        a_row: out_w * out_ch,
                        a_step: 1,
                        a_tile: out_ch,
                        b: &block.weights[(kernel - 1 - (row - begin * stride)) * tap_len..],
                        b_row: stride * tap_len,
                        b_step: width * S::F32_LANES,
                        init: None,
                        c: &mut to[col * stride * in_ch + block.first..],
                        c_tile: stride * in_ch,
                        channels: block.len,
                    };
                    tile.run(simd, height, width);
                }
            }
        }
    }
}
