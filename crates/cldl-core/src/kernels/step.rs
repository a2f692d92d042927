//! What a sign-gradient attack does to pixels, in one pass.

use crate::kernels::arch::arch;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use tracing::instrument;

/// Floats that one task works on.
const CHUNK: usize = 1 << 15;
/// Sums that run side by side, so that an addition does not wait for the last one.
const SUMS: usize = 64;

/// `d ← clamp(x + clamp(d + step_size · sign g, -eps, eps), 0, 1) - x`, with `sign 0 = 0`.
///
/// # Panics
/// If the lengths differ.
#[instrument(level = "trace", skip_all, fields(moved = 4 * x.len()))]
pub fn sign_step(step_size: f32, eps: f32, x: &[f32], g: &[f32], d: &mut [f32]) {
    assert!(x.len() == g.len() && x.len() == d.len());
    let chunks = x.par_chunks(CHUNK).zip(g.par_chunks(CHUNK)).zip(d.par_chunks_mut(CHUNK));
    chunks.for_each(|((x, g), d)| arch().dispatch(Step { size: step_size, eps, x, g, d }));
}

/// `Σ |x|` of each example of so many floats.
///
/// # Panics
/// If `x` is not whole examples.
#[instrument(level = "trace", skip_all, fields(moved = x.len()))]
pub fn l1_norms(len: usize, x: &[f32]) -> Vec<f32> {
    assert!(0 < len && x.len().is_multiple_of(len));
    x.par_chunks_exact(len).map(|x| arch().dispatch(Norm { x })).collect()
}

struct Step<'a> {
    size: f32,
    eps: f32,
    x: &'a [f32],
    g: &'a [f32],
    d: &'a mut [f32],
}

impl WithSimd for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { size, eps, x, g, d } = self;
        for ((d, x), g) in d.iter_mut().zip(x).zip(g) {
            let sign = f32::from(0.0 < *g) - f32::from(*g < 0.0);
            let moved = (*d + sign * size).clamp(-eps, eps);
            *d = (x + moved).clamp(0.0, 1.0) - x;
        }
    }
}

struct Norm<'a> {
    x: &'a [f32],
}

impl WithSimd for Norm<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f32 {
        let mut sums = [0.0f32; SUMS];
        for x in self.x.chunks(SUMS) {
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum += x.abs();
            }
        }
        sums.iter().sum()
    }
}
