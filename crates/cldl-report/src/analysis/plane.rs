//! Decisions around an image, in the plane of the loss's gradient and a random direction: Fig. 1 of
//! the paper made real.

use candle::{D, DType, Device, IndexOp as _, Result, Tensor, Var};
use cldl_attacks::{AttackLoss, Goal};
use cldl_core::{Classifier, Stream, input_gradient};

/// The classes predicted on a square grid around an image.
///
/// A point (a, b) is the image `clamp(x + a·u + b·v, 0, 1)` with u the sign of the gradient of the
/// model's own cross-entropy at x, and v random signs. Its distance from x in the maximum norm is at
/// most |a| + |b|.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionPlane {
    /// Half the side of the square, in pixels of [0, 1].
    pub reach: f64,
    /// `[row][column]`: a grows with the column, b falls with the row.
    pub classes: Vec<Vec<u32>>,
}

/// The plane around one image.
///
/// # Shapes
/// - `image`: `[1, Ch, H, W]`, pixels in [0, 1]
/// - `label`: `[1]`, u32
///
/// # Errors
/// If the image does not fit the model.
pub fn decision_plane(
    model: &dyn Classifier,
    image: &Tensor,
    label: &Tensor,
    reach: f64,
    side: usize,
    seed: u64,
    device: &Device,
) -> Result<DecisionPlane> {
    let x = Var::from_tensor(&image.to_device(device)?)?;
    let loss =
        AttackLoss::Ce.objective(&model.logits(&x)?, &label.to_device(device)?, Goal::Leave)?;
    let up = input_gradient(&loss.sum_all()?, &x)?.sign()?;
    let mut stream = Stream::new(seed, "decision plane", &[]);
    let signs: Vec<f32> =
        (0..image.elem_count()).map(|_| if stream.uniform() < 0.5 { -1.0 } else { 1.0 }).collect();
    let across = Tensor::from_vec(signs, image.dims(), device)?;
    let image = x.as_detached_tensor();
    let at = |step: usize| reach * (2.0 * step as f64 / (side - 1).max(1) as f64 - 1.0);
    let mut classes = Vec::with_capacity(side);
    for row in 0..side {
        let base = (&image + (&across * at(side - 1 - row))?)?;
        let points = (0..side).map(|column| (&base + (&up * at(column))?)?.clamp(0.0, 1.0));
        let points = Tensor::cat(&points.collect::<Result<Vec<_>>>()?, 0)?;
        classes.push(model.logits(&points)?.argmax(D::Minus1)?.to_dtype(DType::U32)?.to_vec1()?);
    }
    Ok(DecisionPlane { reach, classes })
}

impl DecisionPlane {
    /// The share of the square where the decision is that at its center, in [0, 1].
    pub fn share_of_center(&self) -> f64 {
        let side = self.classes.len();
        let center = self.classes[side / 2][side / 2];
        let same = self.classes.iter().flatten().filter(|class| **class == center).count();
        same as f64 / (side * side).max(1) as f64
    }

    /// Where to write the name of `class`: the middle of a long run along a row, of the runs nearly as
    /// long as the longest the one nearest to the middle row; if it is at least `shortest` points long.
    /// (row, column).
    pub fn place(&self, class: u32, shortest: usize) -> Option<(usize, usize)> {
        let mut runs: Vec<(usize, usize, usize)> = Vec::new();
        for (row, classes) in self.classes.iter().enumerate() {
            let mut start = 0;
            for run in classes.chunk_by(|a, b| a == b) {
                if run[0] == class {
                    runs.push((run.len(), row, start + run.len() / 2));
                }
                start += run.len();
            }
        }
        let longest = runs.iter().map(|run| run.0).max().filter(|longest| shortest <= *longest)?;
        runs.retain(|run| 4 * longest <= 5 * run.0);
        let middle = self.classes.len() / 2;
        runs.into_iter().min_by_key(|run| run.1.abs_diff(middle)).map(|run| (run.1, run.2))
    }
}

/// The image of the `i`-th example of a batch, `[1, Ch, H, W]`.
///
/// # Errors
/// If there is none.
pub(crate) fn one(images: &Tensor, i: usize) -> Result<Tensor> {
    images.i(i..=i)
}

#[cfg(test)]
mod tests {
    use candle::{Device, Result, Tensor};
    use cldl_core::Classifier;

    use super::decision_plane;

    /// Class 0 where the pixels' mean is below one half.
    struct Brightness;

    impl Classifier for Brightness {
        fn logits(&self, images: &Tensor) -> Result<Tensor> {
            let mean = (images.flatten_from(1)?.mean_keepdim(1)? - 0.5)?;
            Tensor::cat(&[&mean.neg()?, &mean], 1)
        }
    }

    #[test]
    fn the_gradient_leads_over_the_boundary_and_a_random_direction_does_not() {
        let image = Tensor::full(0.4f32, (1, 1, 8, 8), &Device::Cpu).unwrap();
        let label = Tensor::new(&[0u32], &Device::Cpu).unwrap();
        let plane = decision_plane(&Brightness, &image, &label, 0.2, 21, 0, &Device::Cpu).unwrap();
        let middle = &plane.classes[10];
        // The boundary is 0.1 away: at three quarters of the row.
        assert_eq!(&middle[..15], [0; 15]);
        assert_eq!(&middle[16..], [1; 5]);
        assert!(plane.classes.iter().all(|row| row[10] == 0));
        assert!((0.6..0.85).contains(&plane.share_of_center()));
        let (_, column) = plane.place(1, 3).unwrap();
        assert!(15 < column);
        assert_eq!(plane.place(7, 1), None);
    }
}
