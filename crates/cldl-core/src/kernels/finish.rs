//! What is done to a result while it is still at hand: a pass over memory less for each part.

use super::activation::Forward;
use super::lanes::{Lanes, replace};
use super::vector::read;
use pulp::{Simd, WithSimd};

/// Adds a residual, then takes the leaky ReLU; each if it is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finish<'a> {
    /// What is added: as long as the result.
    pub residual: Option<&'a [f32]>,
    /// Slope of the leaky ReLU; 0 is ReLU.
    pub slope: Option<f32>,
}

impl Finish<'_> {
    /// The slope; 1, with which the leaky ReLU is the identity, if there is none.
    pub(super) fn slope(&self) -> f32 {
        self.slope.unwrap_or(1.0)
    }

    /// Finishes the value `y` that begins at `at` of the whole result.
    #[inline(always)]
    pub(super) fn value<S: Simd>(&self, simd: S, at: usize, y: &mut [f32]) {
        let slope = self.slope();
        if let Some(residual) = self.residual {
            let residual = &residual[at..];
            replace(
                simd,
                y,
                #[inline(always)]
                |y, at| (y + Lanes::new(simd, read(simd, &residual[at]))).leaky_relu(slope),
            );
        } else if self.slope.is_some() {
            Forward { slope, values: y }.with_simd(simd);
        }
    }
}
