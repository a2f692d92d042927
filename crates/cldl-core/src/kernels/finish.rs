//! What is done to a result while it is still at hand: a pass over memory less for each part.

use super::activation::leaky_relu_of;

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
    pub(super) fn value(&self, at: usize, y: &mut [f32]) {
        let slope = self.slope();
        match self.residual {
            Some(r) => {
                for (y, r) in y.iter_mut().zip(&r[at..]) {
                    *y = leaky_relu_of(*y + r, slope);
                }
            }
            None if self.slope.is_some() => {
                for y in y {
                    *y = leaky_relu_of(*y, slope);
                }
            }
            None => {}
        }
    }
}
