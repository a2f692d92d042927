//! The weight's gradient: a sum of patches of the input.
#![allow(unsafe_code, reason = "bounds are checked once per row of windows, not once per product")]

use super::{COPIED, PooledGradients};
use crate::kernels::tile::{load, store};
use crate::kernels::unroll::unroll;
use pulp::{Simd, WithSimd};

/// An image's part of the weight's gradient.
pub(super) struct Products<'a> {
    pub of: &'a PooledGradients<'a>,
    pub x: &'a [f32],
    pub dy: &'a [f32],
    pub argmax: &'a [f32],
    /// Those of two rows of outputs: few enough to stay in the first-level cache.
    pub patches: &'a mut [f32],
    pub places: &'a mut [f32],
    pub sum: &'a mut [f32],
}

/// `CHANNELS` at a time: enough sums for one addition not to wait for the last one.
pub(super) struct SizedProducts<'a, const VECTORS: usize, const CHANNELS: usize>(
    pub(super) Products<'a>,
);

impl<const VECTORS: usize, const CHANNELS: usize> WithSimd
    for SizedProducts<'_, VECTORS, CHANNELS>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Products { of, x, dy, argmax, patches, places, sum } = self.0;
        let PooledGradients { shape, grid, padding, .. } = of;
        let whole = grid.ch / CHANNELS * CHANNELS;
        let windows = of.row_of_maxima();
        let rows = dy.chunks_exact(windows).zip(argmax.chunks_exact(windows));
        for (row, (dy, argmax)) in rows.enumerate() {
            of.patches_of(argmax, places);
            of.copy_patches(&x[2 * row * shape.stride * padding.row()..], patches);
            for first in (0..whole).step_by(CHANNELS) {
                of.add_products::<S, VECTORS, CHANNELS>(simd, first, dy, places, patches, sum);
            }
            for first in whole..grid.ch {
                of.add_products::<S, VECTORS, 1>(simd, first, dy, places, patches, sum);
            }
        }
    }
}

impl PooledGradients<'_> {
    /// The windows of two rows of outputs, which begin with the first row of `x`.
    #[inline(always)]
    fn copy_patches(&self, x: &[f32], patches: &mut [f32]) {
        let Self { shape, grid, padding, patch, .. } = self;
        for (row, patches) in patches.chunks_exact_mut(grid.w * patch).enumerate() {
            for i in 0..shape.kernel {
                let x = &x[(row * shape.stride + i) * padding.row()..];
                for (col, patch) in patches.chunks_exact_mut(*patch).enumerate() {
                    let from = &x[col * shape.stride..][..COPIED];
                    patch[i * shape.kernel..][..COPIED].copy_from_slice(from);
                }
            }
        }
    }

    /// Adds the products of a row of windows with the patches of their outputs, for the channels from
    /// `first` on.
    #[inline(always)]
    fn add_products<S: Simd, const VECTORS: usize, const CHANNELS: usize>(
        &self,
        simd: S,
        first: usize,
        dy: &[f32],
        places: &[f32],
        patches: &[f32],
        sum: &mut [f32],
    ) {
        let Self { grid, .. } = self;
        let patch = VECTORS * S::F32_LANES;
        assert!(patch == self.patch && 2 * grid.w * patch <= patches.len());
        assert!(dy.len() == places.len() && first + CHANNELS <= grid.ch);
        let sum = &mut sum[first * patch..(first + CHANNELS) * patch];
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; CHANNELS];
        for col in 0..dy.len() / grid.ch {
            let at = col * grid.ch + first;
            let (dy, places) = (&dy[at..at + CHANNELS], &places[at..at + CHANNELS]);
            unroll!(for c in 0..CHANNELS {
                let dy = simd.splat_f32s(dy[c]);
                let place = places[c].to_bits() as usize;
                unroll!(for v in 0..VECTORS {
                    // SAFETY: `place` was made by `patches_of`: it is the patch of a pixel in two rows of
                    // outputs, whose patches are all there by the assertions above.
                    let x = unsafe { load::<S>(patches.as_ptr().add(place + v * S::F32_LANES)) };
                    sums[c][v] = simd.mul_add_e_f32s(dy, x, sums[c][v]);
                });
            });
        }
        unroll!(for c in 0..CHANNELS {
            unroll!(for v in 0..VECTORS {
                let to = &mut sum[c * patch + v * S::F32_LANES..][..S::F32_LANES];
                let sum = simd.add_f32s(simd.partial_load_f32s(to), sums[c][v]);
                store(simd, sum, to);
            });
        });
    }
}
