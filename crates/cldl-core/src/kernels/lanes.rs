//! Vectors that are computed with as single numbers are.

use pulp::Simd;
use std::ops::{Add, Mul, Sub};

/// A vector of numbers. Every operation is rounded by itself, as with single numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lanes<S: Simd> {
    simd: S,
    of: S::f32s,
}

impl<S: Simd> Lanes<S> {
    #[inline(always)]
    pub(super) fn new(simd: S, of: S::f32s) -> Self {
        Self { simd, of }
    }

    #[inline(always)]
    pub(super) fn get(self) -> S::f32s {
        self.of
    }

    /// [`super::activation::branch`]: `d` where `self > 0`, `slope · d` elsewhere.
    #[inline(always)]
    pub(super) fn branch(self, slope: f32, d: Self) -> Self {
        let Self { simd, of } = self;
        let zero = simd.splat_f32s(0.0);
        let below = if slope == 0.0 { zero } else { simd.mul_f32s(simd.splat_f32s(slope), d.of) };
        Self { simd, of: simd.select_f32s(simd.less_than_or_equal_f32s(of, zero), below, d.of) }
    }

    /// [`super::activation::leaky_relu_of`].
    #[inline(always)]
    pub(super) fn leaky_relu(self, slope: f32) -> Self {
        self.branch(slope, self)
    }
}

impl<S: Simd> Add for Lanes<S> {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self { of: self.simd.add_f32s(self.of, other.of), ..self }
    }
}

impl<S: Simd> Sub for Lanes<S> {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self { of: self.simd.sub_f32s(self.of, other.of), ..self }
    }
}

impl<S: Simd> Mul for Lanes<S> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self { of: self.simd.mul_f32s(self.of, other.of), ..self }
    }
}
