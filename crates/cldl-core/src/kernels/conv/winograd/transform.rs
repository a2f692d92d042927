//! The matrices of F(2, 3), each applied to one row or column.
//!
//! ```text
//!      1  0 -1  0          1   0   0
//! Bᵀ = 0  1  1  0     G =  ½   ½   ½     Aᵀ = 1  1  1  0
//!      0 -1  1  0          ½  -½   ½          0  1 -1  1
//!      0 -1  0  1          0   0   1
//! ```

use std::ops::{Add, Mul, Sub};

/// Numbers, or vectors of them.
pub(super) trait Number:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self>
{
}

impl<T: Copy + Add<Output = T> + Sub<Output = T> + Mul<Output = T>> Number for T {}

/// `Bᵀ d`, of pixels.
#[inline(always)]
pub(super) fn of_pixels<T: Number>([d0, d1, d2, d3]: [T; 4]) -> [T; 4] {
    [d0 - d2, d1 + d2, d2 - d1, d3 - d1]
}

/// `Aᵀ m`: outputs.
#[inline(always)]
pub(super) fn to_outputs<T: Number>([m0, m1, m2, m3]: [T; 4]) -> [T; 2] {
    [m0 + m1 + m2, m1 - m2 + m3]
}

/// `A y`, of the outputs' gradient.
#[inline(always)]
pub(super) fn of_gradient<T: Number>([y0, y1]: [T; 2]) -> [T; 4] {
    [y0, y0 + y1, y0 - y1, y1]
}

/// `G g`, of taps.
#[inline(always)]
pub(super) fn of_taps<T: Number>(half: T, [g0, g1, g2]: [T; 3]) -> [T; 4] {
    let (even, odd) = (half * (g0 + g2), half * g1);
    [g0, even + odd, even - odd, g2]
}

/// `Gᵀ u`: the taps' gradient.
#[inline(always)]
pub(super) fn to_taps<T: Number>(half: T, [u0, u1, u2, u3]: [T; 4]) -> [T; 3] {
    let even = half * (u1 + u2);
    [u0 + even, half * (u1 - u2), even + u3]
}
