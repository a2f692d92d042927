//! The kernels' transforms, in the order in which they are read, and back.

use super::transform::{of_taps, to_taps};
use super::{PLANES, SIDE};
use crate::kernels::aligned::Aligned;
use crate::kernels::conv::ConvShape;
use crate::kernels::conv::products::Blocks;
use crate::kernels::lanes::Lanes;
use crate::kernels::vector::{from_lanes, lanes_of, read, store};
use pulp::{Simd, WithSimd};

/// Taps of a kernel.
const TAPS: usize = 9;

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
        let (in_ch, plane) = (shape.in_ch, blocks.len(shape.in_ch));
        let kernel = in_ch * TAPS;
        let half = Lanes::new(simd, simd.splat_f32s(0.5));
        let mut planes = Aligned::zeros(PLANES * plane);
        for channel in (0..blocks.count * blocks.channels).step_by(S::F32_LANES) {
            let weight = &weight[(blocks.first + channel) * kernel..][..S::F32_LANES * kernel];
            for c in 0..in_ch {
                let mut columns = [[half; SIDE]; 3];
                for (j, column) in columns.iter_mut().enumerate() {
                    let mut taps = [half; 3];
                    for (i, tap) in taps.iter_mut().enumerate() {
                        let at = c * TAPS + i * 3 + j;
                        *tap = Lanes::new(simd, from_lanes::<S>(|lane| weight[lane * kernel + at]));
                    }
                    *column = of_taps(half, taps);
                }
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

/// `Gᵀ u G`: the gradient of the kernels of some output channels, from that of their transforms.
pub(super) struct Back<'a> {
    pub shape: &'a ConvShape,
    pub blocks: Blocks,
    pub planes: &'a [f32],
    /// In OIHW order.
    pub dw: &'a mut [f32],
}

impl WithSimd for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, blocks, planes, dw } = self;
        let (in_ch, plane) = (shape.in_ch, blocks.len(shape.in_ch));
        let kernel = in_ch * TAPS;
        let half = Lanes::new(simd, simd.splat_f32s(0.5));
        for channel in (0..blocks.count * blocks.channels).step_by(S::F32_LANES) {
            let dw = &mut dw[(blocks.first + channel) * kernel..][..S::F32_LANES * kernel];
            for c in 0..in_ch {
                let at = blocks.at(in_ch, c, channel);
                let mut columns = [[half; 3]; SIDE];
                for (j, column) in columns.iter_mut().enumerate() {
                    let mut numbers = [half; SIDE];
                    for (i, number) in numbers.iter_mut().enumerate() {
                        let from = &planes[(i * SIDE + j) * plane + at..][..S::F32_LANES];
                        *number = Lanes::new(simd, read(simd, from));
                    }
                    *column = to_taps(half, numbers);
                }
                for i in 0..3 {
                    let row = [columns[0][i], columns[1][i], columns[2][i], columns[3][i]];
                    for (j, tap) in to_taps(half, row).into_iter().enumerate() {
                        let tap = lanes_of::<S>(tap.get());
                        for (lane, tap) in tap.iter().enumerate().take(S::F32_LANES) {
                            dw[lane * kernel + c * TAPS + i * 3 + j] = *tap;
                        }
                    }
                }
            }
        }
    }
}
