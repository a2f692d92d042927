//! The input's gradient: patches of weights, laid over each other.
#![allow(unsafe_code, reason = "bounds are checked once per row of windows, not once per product")]

use super::PooledGradients;
use crate::kernels::tile::load;
use crate::kernels::unroll::unroll;
use pulp::{Simd, WithSimd};

/// The input's gradient of an image.
pub(super) struct Input<'a> {
    pub of: &'a PooledGradients<'a>,
    pub dy: &'a [f32],
    pub argmax: &'a [f32],
    /// The gradient with the padding's.
    pub padded: &'a mut [f32],
    /// Those of two rows of outputs.
    pub patches: &'a mut [f32],
    pub places: &'a mut [f32],
    pub dx: &'a mut [f32],
    pub add: bool,
}

pub(super) struct SizedInput<'a, const VECTORS: usize>(pub(super) Input<'a>);

impl<const VECTORS: usize> WithSimd for SizedInput<'_, VECTORS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Input { of, dy, argmax, padded, patches, places, dx, add } = self.0;
        let PooledGradients { shape, padding, .. } = of;
        padded.fill(0.0);
        let windows = of.row_of_maxima();
        let rows = dy.chunks_exact(windows).zip(argmax.chunks_exact(windows));
        for (row, (dy, argmax)) in rows.enumerate() {
            patches.fill(0.0);
            of.patches_of(argmax, places);
            of.weigh::<S, VECTORS>(simd, dy, places, patches);
            let padded = &mut padded[2 * row * shape.stride * padding.row()..];
            match shape.kernel {
                3 => of.lay::<3>(padded, patches),
                _ => of.lay::<5>(padded, patches),
            }
        }
        let rows = padded.chunks_exact(padding.row()).skip(shape.padding);
        for (dx, row) in dx.chunks_exact_mut(shape.in_w).zip(rows) {
            let row = &row[shape.padding..shape.padding + shape.in_w];
            if add {
                dx.iter_mut().zip(row).for_each(|(dx, row)| *dx += row);
            } else {
                dx.copy_from_slice(row);
            }
        }
    }
}

impl PooledGradients<'_> {
    /// Adds the weights, times the gradients of a row of windows, to the patches of their outputs: channel
    /// by channel, so that an addition does not meet the last one to the same patch.
    #[inline(always)]
    fn weigh<S: Simd, const VECTORS: usize>(
        &self,
        simd: S,
        dy: &[f32],
        places: &[f32],
        patches: &mut [f32],
    ) {
        let Self { grid, weights, .. } = self;
        let patch = VECTORS * S::F32_LANES;
        assert!(patch == self.patch && 2 * grid.w * patch <= patches.len());
        assert!(dy.len() == self.row_of_maxima() && places.len() == dy.len());
        for (o, weights) in weights.chunks_exact(patch).enumerate() {
            let mut w = [simd.splat_f32s(0.0); VECTORS];
            unroll!(for v in 0..VECTORS {
                w[v] = simd.partial_load_f32s(&weights[v * S::F32_LANES..(v + 1) * S::F32_LANES]);
            });
            for col in 0..grid.w / 2 {
                let at = col * grid.ch + o;
                let (dy, place) = (simd.splat_f32s(dy[at]), places[at].to_bits() as usize);
                unroll!(for v in 0..VECTORS {
                    // SAFETY: as in `add_products`.
                    unsafe {
                        let to = patches.as_mut_ptr().add(place + v * S::F32_LANES);
                        let sum = simd.mul_add_e_f32s(dy, w[v], load::<S>(to));
                        to.cast::<S::f32s>().write_unaligned(sum);
                    }
                });
            }
        }
    }

    /// Adds the patches of two rows of outputs to the padded input, from the first one's row on.
    #[inline(always)]
    fn lay<const KERNEL: usize>(&self, padded: &mut [f32], patches: &[f32]) {
        let Self { shape, grid, patch, padding, .. } = self;
        // A load that meets a store which is still under way has to wait for it: so neighbors, which
        // overlap, are far from each other in time.
        for shift in 0..KERNEL {
            for i in 0..KERNEL {
                for row in 0..2 {
                    let to = &mut padded[(row * shape.stride + i) * padding.row()..];
                    for col in (shift..grid.w).step_by(KERNEL) {
                        let to = &mut to[col * shape.stride..][..KERNEL];
                        let from = &patches[(row * grid.w + col) * patch + i * KERNEL..][..KERNEL];
                        let sum: [f32; KERNEL] = std::array::from_fn(|j| to[j] + from[j]);
                        to.copy_from_slice(&sum);
                    }
                }
            }
        }
    }
}
