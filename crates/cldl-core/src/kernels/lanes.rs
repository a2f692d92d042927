//! Vectors that are computed with as single numbers are.
#![allow(unsafe_code, reason = "a vector is loaded and stored in place")]

use super::vector::{load, read, store};
use pulp::Simd;
use std::ops::{Add, Mul, Range, Sub};

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

    /// `self` where it is above 0, `slope · self` elsewhere.
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

/// Replaces the numbers `y` by what `map` makes of them, a vector at a time; it gets their place, too.
#[inline(always)]
pub(super) fn replace<S: Simd>(
    simd: S,
    y: &mut [f32],
    map: impl Fn(Lanes<S>, Range<usize>) -> Lanes<S>,
) {
    let whole = y.len() / S::F32_LANES * S::F32_LANES;
    let to = y.as_mut_ptr();
    // The compiler must not know that this is the same place: where some numbers stay what they are it would store the
    // others alone, with masks, for which some processors take long.
    let from = std::hint::black_box(to.cast_const());
    for at in (0..whole).step_by(S::F32_LANES) {
        // SAFETY: there are so many whole vectors.
        unsafe {
            let x = Lanes::new(simd, load::<S>(from.add(at)));
            let x = map(x, at..at + S::F32_LANES);
            to.add(at).cast::<S::f32s>().write_unaligned(x.get());
        }
    }
    let place = whole..y.len();
    if !place.is_empty() {
        let rest = &mut y[place.clone()];
        let x = Lanes::new(simd, read(simd, rest));
        store(simd, map(x, place).get(), rest);
    }
}

#[cfg(test)]
mod tests {
    use super::Lanes;
    use crate::kernels::activation::branch;
    use crate::kernels::arch::{arch, tests::for_each_arch};
    use crate::kernels::vector::{read, store};
    use pulp::{Simd, WithSimd};

    const SPECIAL: [f32; 8] =
        [f32::NAN, f32::NEG_INFINITY, -3.0, -0.0, 0.0, 1e-40, 2.5, f32::INFINITY];

    /// `branch(v, slope, d) · d + v − d`, vector by vector.
    struct Formula<'a>(f32, &'a [f32], &'a [f32], &'a mut [f32]);

    impl WithSimd for Formula<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self(slope, v, d, out) = self;
            for ((v, d), out) in
                v.chunks(S::F32_LANES).zip(d.chunks(S::F32_LANES)).zip(out.chunks_mut(S::F32_LANES))
            {
                let [v, d] = [v, d].map(|x| Lanes::new(simd, read(simd, x)));
                store(simd, (v.branch(slope, d) * d + v - d).get(), out);
            }
        }
    }

    #[test]
    fn lanes_are_computed_as_numbers_are() {
        let (v, d): (Vec<f32>, Vec<f32>) =
            SPECIAL.iter().flat_map(|v| SPECIAL.map(|d| (*v, d))).unzip();
        for slope in [0.0, 0.1, 1.0] {
            let expected = v.iter().zip(&d).map(|(v, d)| branch(*v, slope, *d) * d + v - d);
            let expected: Vec<f32> = expected.collect();
            for_each_arch(|| {
                let mut out = vec![9.0; v.len()];
                arch().dispatch(Formula(slope, &v, &d, &mut out));
                for (out, expected) in out.iter().zip(&expected) {
                    assert!(
                        out.to_bits() == expected.to_bits() || out.is_nan() && expected.is_nan()
                    );
                }
            });
        }
    }
}
