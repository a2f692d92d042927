//! The gradient of the convolution for its input.
//!
//! An output position touches, in each row of its window, `K · C` neighboring floats of the input.
//! So the sums run over output channels (and the kernel rows that reach an input row), a vector
//! holds neighbors among those floats, and overlapping windows are added as they are stored. No
//! multiplication is spent on padding, and any stride is the same to it. Some shapes have a better way.

use super::ConvShape;
use super::outputs::Outputs;
use super::padding::Padding;
use super::planar_grad::PlanarGradients;
use super::pointwise::PointwiseGradients;
use super::rgb_grad::RgbGradients;
use super::strided_grad::StridedGradients;
use super::winograd;
use crate::kernels::aligned::Aligned;
use crate::kernels::arch::Registers;
use crate::kernels::prefetch::Ahead;
use crate::kernels::scratch::with_scratch;
use crate::kernels::tile::{Start, Tile, max_height, max_width};
use crate::kernels::tiles::{equal_tiles, tiles};
use crate::kernels::turn::Turn;
use crate::kernels::{Finish, Images};
use pulp::{Simd, WithSimd};

/// Computes the gradient of one image at a time.
pub(super) struct InputGradients<'a> {
    shape: &'a ConvShape,
    way: Way<'a>,
}

/// How a gradient comes about.
enum Way<'a> {
    Planar(PlanarGradients<'a>),
    Pointwise(PointwiseGradients<'a>),
    Rgb(RgbGradients<'a>),
    Strided(StridedGradients<'a>),
    /// As the outputs of the convolution with the weight turned by half a turn.
    Turned(Outputs),
    Bands(Vec<Block>),
}

impl<'a> InputGradients<'a> {
    /// For a weight in OIHW order.
    pub(super) fn new<S: Simd>(simd: S, shape: &'a ConvShape, weight: &[f32]) -> Self {
        let registers = Registers::of::<S>();
        let way = if let Some(planar) = PlanarGradients::new(shape, weight) {
            Way::Planar(planar)
        } else if let Some(pointwise) = PointwiseGradients::new(shape, registers, weight) {
            Way::Pointwise(pointwise)
        } else if let Some(rgb) = RgbGradients::new(shape, registers, weight) {
            Way::Rgb(rgb)
        } else if let Some(strided) = StridedGradients::new(shape, registers, weight) {
            Way::Strided(strided)
        } else if turns(shape, registers) {
            Way::Turned(turned(simd, shape, weight))
        } else {
            Way::Bands(blocks(shape, registers, weight))
        };
        Self { shape, way }
    }

    /// Writes into `dx`, or adds to it, the gradient of an image whose output's is `dy`.
    #[inline(always)]
    pub(super) fn image<S: Simd>(&self, simd: S, dy: &[f32], dx: &mut [f32], add: bool) {
        let Self { shape, way } = self;
        match way {
            Way::Planar(planar) => planar.image(simd, dy, dx, add),
            Way::Pointwise(pointwise) => pointwise.image(simd, dy, dx, add),
            Way::Rgb(rgb) => rgb.image(simd, dy, dx, add),
            Way::Strided(strided) => strided.image(simd, dy, dx, add),
            Way::Turned(outputs) => {
                let write = |dx: &mut [f32]| {
                    outputs.image(simd, &Images::Stored(dy), 0, Finish::default(), dx);
                };
                if add {
                    with_scratch(dx.len(), |terms| {
                        write(&mut *terms);
                        dx.iter_mut().zip(terms).for_each(|(dx, term)| *dx += *term);
                    });
                } else {
                    write(dx);
                }
            }
            Way::Bands(blocks) => in_bands(shape, dx, add, |first, rows| {
                simd.vectorize(Band { shape, blocks, first, dy, rows });
            }),
        }
    }
}

/// Whether it is a convolution that is better than bands: with fewer multiplications, or where few sums are in
/// registers, so that additions to overlapping windows cost more.
fn turns(shape: &ConvShape, registers: Registers) -> bool {
    shape.stride == 1
        && shape.padding < shape.kernel
        && (winograd::fit(&turned_shape(shape))
            || !registers.are_many() && 2 * shape.padding + 1 == shape.kernel)
}

fn turned_shape(shape: &ConvShape) -> ConvShape {
    let ConvShape { in_ch, out_ch, kernel, padding, .. } = *shape;
    ConvShape {
        batch: 1,
        in_h: shape.out_h(),
        in_w: shape.out_w(),
        in_ch: out_ch,
        out_ch: in_ch,
        padding: kernel - 1 - padding,
        ..*shape
    }
}

/// The convolution of an output's gradient that gives the input's.
fn turned<S: Simd>(simd: S, shape: &ConvShape, weight: &[f32]) -> Outputs {
    let ConvShape { in_ch, out_ch, kernel, .. } = *shape;
    let taps = kernel * kernel;
    let mut weights = vec![0.0; weight.len()];
    for (at, weights) in weights.chunks_exact_mut(taps).enumerate() {
        let (c, o) = (at / out_ch, at % out_ch);
        weights.copy_from_slice(&weight[(o * in_ch + c) * taps..][..taps]);
        weights.reverse();
    }
    Outputs::new(simd, &turned_shape(shape), &weights, None, 0)
}

/// Floats of padded input rows to work on together: few enough to stay in the first-level cache.
const BAND: usize = 4096;

/// Lets `fill` fill padded rows, from the `first` on, and moves to `dx` what is inside the image.
#[inline(always)]
fn in_bands(shape: &ConvShape, dx: &mut [f32], add: bool, fill: impl Fn(usize, &mut [f32])) {
    let padding = Padding::of_input(shape);
    let width = shape.in_w * shape.in_ch;
    // Without padding nothing is moved.
    let band = if shape.padding == 0 { shape.in_h } else { (BAND / padding.row()).max(1) };
    for (band_at, dx) in dx.chunks_mut(band * width).enumerate() {
        let padding = padding.of_rows(dx.len() / width);
        padding.unpad(dx, add, |rows| fill(band_at * band, rows));
    }
}

/// Output positions whose windows are computed as one, with zeros for the weights between: as many
/// as one vector holds, so that narrow windows are not stored one by one. The output's width is a
/// multiple, and enough groups remain for the additions of one not to wait for each other.
fn group(shape: &ConvShape, lanes: usize) -> usize {
    let fits = |group: &usize| {
        shape.out_w().is_multiple_of(*group)
            && 8 * group <= shape.out_w()
            && window(shape, *group) <= lanes
    };
    (1..=lanes).rev().find(fits).unwrap_or(1)
}

/// Floats in a row of the windows of a group.
fn window(shape: &ConvShape, group: usize) -> usize {
    ((group - 1) * shape.stride + shape.kernel) * shape.in_ch
}

/// Neighboring floats of a group's row, at most [`max_width`] vectors.
#[derive(Debug)]
struct Block {
    group: usize,
    first: usize,
    len: usize,
    /// In the order (kernel row from the last to the first, output of the group, output channel,
    /// float), zeros up to whole vectors.
    weights: Aligned,
}

fn blocks(shape: &ConvShape, registers: Registers, weight: &[f32]) -> Vec<Block> {
    let lanes = registers.lanes;
    let ConvShape { in_ch, out_ch, kernel, stride, .. } = *shape;
    let group = group(shape, lanes);
    let window = window(shape, group);
    let offsets: Vec<_> = (0..kernel * in_ch)
        .map(|float| shape.weight_index(0, float % in_ch, 0, float / in_ch))
        .collect();
    let block = |(vector, width): (usize, usize)| {
        let first = vector * lanes;
        let len = (window - first).min(width * lanes);
        let mut weights = Aligned::zeros(kernel * group * out_ch * width * lanes);
        // All rows of an output channel before the next one: its weights stay in the first-level cache.
        for o in 0..out_ch {
            for (row, member) in (0..kernel).flat_map(|row| (0..group).map(move |n| (row, n))) {
                let to = &mut weights[((row * group + member) * out_ch + o) * width * lanes..];
                let from = &weight[shape.weight_index(o, 0, kernel - 1 - row, 0)..];
                let shift = member * stride * in_ch;
                let (begin, end) = (shift.max(first), (shift + offsets.len()).min(first + len));
                if begin < end {
                    let offsets = &offsets[begin - shift..end - shift];
                    let to = &mut to[begin - first..end - first];
                    to.iter_mut().zip(offsets).for_each(|(to, offset)| *to = from[*offset]);
                }
            }
        }
        Block { group, first, len, weights }
    };
    tiles(window.div_ceil(lanes), max_width(registers)).map(block).collect()
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
    fn with_simd<S: Simd>(mut self, simd: S) {
        let ConvShape { kernel, stride, padding, .. } = *self.shape;
        let (blocks, out_h) = (self.blocks, self.shape.out_h());
        for block in blocks {
            // Output rows whose windows hold a row, which is counted from the top of the padding.
            let (mut begin, mut end) = (0, 0);
            for row in 0..self.rows.len() / self.row_len() {
                let in_padded = self.first + row + padding;
                while begin * stride + kernel <= in_padded {
                    begin += 1;
                }
                while end < out_h && end * stride <= in_padded {
                    end += 1;
                }
                if begin < end {
                    self.add(simd, block, row, begin..end);
                }
            }
        }
    }
}

impl Band<'_> {
    /// Floats in a row.
    fn row_len(&self) -> usize {
        (self.shape.in_w + 2 * self.shape.padding) * self.shape.in_ch
    }

    /// Adds to `row` what reaches it from these `outputs`.
    #[inline(always)]
    fn add<S: Simd>(
        &mut self,
        simd: S,
        block: &Block,
        row: usize,
        outputs: std::ops::Range<usize>,
    ) {
        let ConvShape { in_ch, out_ch, kernel, stride, padding, .. } = *self.shape;
        let (row_len, dy_row) = (self.row_len(), self.shape.out_w() * out_ch);
        let width = block.len.div_ceil(S::F32_LANES);
        let group_ch = block.group * out_ch;
        let group_stride = block.group * stride * in_ch;
        let tap_len = group_ch * width * S::F32_LANES;
        let tap = kernel - 1 - (self.first + row + padding - outputs.start * stride);
        let columns = equal_tiles(self.shape.out_w() / block.group, max_height::<S>(width));
        // The output row after them, for the next row.
        let next = if block.first == 0 { outputs.end * dy_row } else { self.dy.len() };
        let next = &self.dy[next..self.dy.len().min(next + dy_row)];
        let tiles: usize = columns.clone().map(|(_, _, count)| count).sum();
        let mut ahead = Ahead::new([next, &[], &[]], tiles * outputs.len());
        for (col, height, count) in columns {
            let tile = Tile {
                lines: 1,
                count,
                rows: outputs.len(),
                len: group_ch,
                a: &self.dy[outputs.start * dy_row + col * group_ch..],
                a_s: 0,
                a_t: height * group_ch,
                a_r: dy_row,
                a_l: 1,
                a_i: group_ch,
                b: &block.weights[tap * tap_len..],
                b_r: stride * tap_len,
                b_l: width * S::F32_LANES,
                start: Start::Add,
                c: &mut self.rows[row * row_len + col * group_stride + block.first..],
                c_s: 0,
                c_t: height * group_stride,
                c_i: group_stride,
                turn: Turn::NONE,
                channels: block.len,
                ahead: ahead.take(count * outputs.len()),
            };
            tile.run(simd, height, width);
        }
    }
}
