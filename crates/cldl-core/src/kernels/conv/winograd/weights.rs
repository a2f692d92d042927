//! The kernels' transforms, in the order in which they are read, and back.

use super::transform::{of_taps, to_taps};
use super::{PLANES, SIDE};
use crate::kernels::aligned::Aligned;
use crate::kernels::arch::Registers;
use crate::kernels::conv::ConvShape;
use crate::kernels::lanes::Lanes;
use crate::kernels::tile::max_width;
use crate::kernels::tiles::equal_tiles;
use crate::kernels::vector::{from_lanes, store};
use pulp::{Simd, WithSimd};

/// Taps of a kernel.
const TAPS: usize = 9;

/// Output channels in blocks as wide as the tiles that compute them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    /// The first channel.
    pub first: usize,
    /// How many blocks there are, and channels of each: whole vectors.
    pub count: usize,
    pub channels: usize,
}

/// Of all output channels, those of one width together.
pub(super) fn blocks(out_ch: usize, registers: Registers) -> impl Iterator<Item = Blocks> {
    let lanes = registers.lanes;
    equal_tiles(out_ch / lanes, max_width(registers)).map(move |(vector, width, count)| Blocks {
        first: vector * lanes,
        count,
        channels: width * lanes,
    })
}

impl Blocks {
    /// Floats of a plane.
    pub(super) fn plane(&self, in_ch: usize) -> usize {
        in_ch * self.count * self.channels
    }

    /// Where the number of an output channel is, counted from the first, in the order (plane, block, input channel,
    /// output channel).
    fn at(&self, in_ch: usize, c: usize, channel: usize) -> usize {
        let (block, channel) = (channel / self.channels, channel % self.channels);
        (block * in_ch + c) * self.channels + channel
    }

    /// The gradient of the weight in OIHW order, `Gᵀ u G`, from that of its transform.
    pub(super) fn to_weight(self, shape: &ConvShape, planes: &[f32], dw: &mut [f32]) {
        let (in_ch, plane) = (shape.in_ch, self.plane(shape.in_ch));
        for channel in 0..self.count * self.channels {
            let dw = &mut dw[(self.first + channel) * in_ch * TAPS..][..in_ch * TAPS];
            for (c, taps) in dw.chunks_exact_mut(TAPS).enumerate() {
                let at = self.at(in_ch, c, channel);
                let number = |i, j| planes[(i * SIDE + j) * plane + at];
                let column = |j| to_taps(0.5, [number(0, j), number(1, j), number(2, j), number(3, j)]);
                let columns = [column(0), column(1), column(2), column(3)];
                for (i, taps) in taps.chunks_exact_mut(3).enumerate() {
                    let row = [columns[0][i], columns[1][i], columns[2][i], columns[3][i]];
                    taps.copy_from_slice(&to_taps(0.5, row));
                }
            }
        }
    }
}

/// `G g Gᵀ` of the kernels of some output channels.
pub(super) struct Transform<'a> {
    pub shape: &'a ConvShape,
    pub blocks: Blocks,
    /// In OIHW order.
    pub weight: &'a [f32],
}

impl WithSimd for Transform<'_> {
    type Output = Aligned;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Aligned {
        let Self { shape, blocks, weight } = self;
        let (in_ch, plane) = (shape.in_ch, blocks.plane(shape.in_ch));
        let kernel = in_ch * TAPS;
        let half = Lanes::new(simd, simd.splat_f32s(0.5));
        let mut planes = Aligned::zeros(PLANES * plane);
        for channel in (0..blocks.count * blocks.channels).step_by(S::F32_LANES) {
            let weight = &weight[(blocks.first + channel) * kernel..][..S::F32_LANES * kernel];
            for c in 0..in_ch {
                let tap = |tap| {
                    Lanes::new(simd, from_lanes::<S>(|lane| weight[lane * kernel + c * TAPS + tap]))
                };
                let columns = [
                    of_taps(half, [tap(0), tap(3), tap(6)]),
                    of_taps(half, [tap(1), tap(4), tap(7)]),
                    of_taps(half, [tap(2), tap(5), tap(8)]),
                ];
                let at = blocks.at(in_ch, c, channel);
                for i in 0..SIDE {
                    let row = of_taps(half, [columns[0][i], columns[1][i], columns[2][i]]);
                    for (j, numbers) in row.into_iter().enumerate() {
                        let to = &mut planes[(i * SIDE + j) * plane + at..][..S::F32_LANES];
                        store(simd, numbers.get(), to);
                    }
                }
            }
        }
        planes
    }
}
