//! Output channels in blocks, and their weights in the order in which they are read.

use crate::kernels::aligned::Aligned;
use crate::kernels::arch::Registers;
use crate::kernels::conv::ConvShape;
use crate::kernels::dots;
use crate::kernels::tile::max_width;
use crate::kernels::tiles::tiles;

/// Neighboring output channels that one inner loop computes together.
#[derive(Debug)]
pub(super) struct Block {
    pub first: usize,
    pub channels: usize,
    pub form: Form,
    /// In the order in which the inner loop reads.
    pub weights: Aligned,
}

/// What a vector register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Neighboring output channels: [`crate::kernels::tile::Tile`].
    Outer,
    /// Neighboring terms of one output's sum: [`crate::kernels::dots::Dots`].
    Inner,
}

/// What adding up the lanes of a dot product costs, in multiplications of vectors.
const LANE_SUM: usize = 6;

/// The blocks of all output channels: dot products for the last ones if that fills more lanes.
pub(super) fn blocks(shape: &ConvShape, registers: Registers, weight: &[f32]) -> Vec<Block> {
    let lanes = registers.lanes;
    let tail = shape.out_ch % lanes;
    let (rows, len) = (shape.kernel, shape.kernel * shape.in_ch);
    let dots_pay = tail * (rows * len.div_ceil(lanes) + LANE_SUM) < rows * len;
    let outer = if dots_pay { shape.out_ch - tail } else { shape.out_ch };
    let outer_blocks = tiles(outer.div_ceil(lanes), max_width(registers)).map(|(vector, width)| {
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
) -> Aligned {
    let taps = shape.kernel * shape.kernel;
    let len = shape.in_ch * taps;
    let mut packed = Aligned::zeros(len * padded);
    // All taps of an input channel before the next one: the lines of the cache that they lie in are read once.
    for in_ch in 0..shape.in_ch {
        for tap in 0..taps {
            let to = &mut packed[(tap * shape.in_ch + in_ch) * padded..][..channels.len()];
            let from = weight[channels.start * len + in_ch * taps + tap..].iter().step_by(len);
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
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
) -> Aligned {
    let len = shape.kernel * shape.in_ch;
    let vectors = len.div_ceil(lanes);
    let mut packed = Aligned::zeros(shape.kernel * vectors * channels.len() * lanes);
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
