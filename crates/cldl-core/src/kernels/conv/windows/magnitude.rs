//! How large numbers are.

use crate::kernels::vector::read;
use pulp::{Simd, WithSimd};

/// The sum of the numbers' magnitudes: NaN if one of them is. The sum of any of their products with others is
/// at most the product of both magnitudes.
pub(super) struct Magnitude<'a>(pub &'a [f32]);

impl WithSimd for Magnitude<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        // One sum after the other would wait for its last addition.
        let mut sums = [simd.splat_f32s(0.0); 4];
        for numbers in self.0.chunks(sums.len() * S::F32_LANES) {
            for (sum, numbers) in sums.iter_mut().zip(numbers.chunks(S::F32_LANES)) {
                *sum = simd.add_f32s(*sum, simd.abs_f32s(read(simd, numbers)));
            }
        }
        let [a, b, c, d] = sums;
        simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d)))
    }
}
