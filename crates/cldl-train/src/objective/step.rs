//! What an objective is told of a training step.

use candle::{Result, Tensor};
use cldl_core::Stream;

/// One step's batch, and where in the training it stands: random draws are named by that.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// `[B, Ch, H, W]`; pixels in [0, 1], but for noise.
    pub images: &'a Tensor,
    /// `[B]`, u32.
    pub labels: &'a Tensor,
    /// As many images, drawn independently of the first: DVERGE's targets.
    pub partner: Option<&'a Tensor>,
    /// The examples' positions in the training set; none for those of a lone batch.
    pub examples: &'a [usize],
    /// The run's seed.
    pub seed: u64,
    /// Epoch, from 0.
    pub epoch: usize,
    /// How many epochs there will be.
    pub epochs: usize,
}

impl<'a> Step<'a> {
    /// A batch by itself: the first and only epoch, seed 0, examples numbered in their order.
    pub fn of(images: &'a Tensor, labels: &'a Tensor) -> Self {
        Self { images, labels, partner: None, examples: &[], seed: 0, epoch: 0, epochs: 1 }
    }

    /// How far the training has come, in [0, 1]: 0 in the first epoch, 1 in the last.
    pub(crate) fn progress(&self) -> f64 {
        self.epoch as f64 / self.epochs.saturating_sub(1).max(1) as f64
    }

    /// Uniform noise in [-1, 1) of the images' shape; each example's draws are its own in each epoch.
    pub(crate) fn noise(&self, purpose: &str) -> Result<Tensor> {
        let batch = self.images.dims()[0];
        let pixels = self.images.elem_count() / batch.max(1);
        let mut noise = Vec::with_capacity(self.images.elem_count());
        for row in 0..batch {
            let example = self.examples.get(row).copied().unwrap_or(row) as u64;
            let mut stream = Stream::new(self.seed, purpose, &[self.epoch as u64, example]);
            noise.extend((0..pixels).map(|_| 2.0 * stream.uniform() - 1.0));
        }
        Tensor::from_vec(noise, self.images.dims(), self.images.device())?
            .to_dtype(self.images.dtype())
    }
}

#[cfg(test)]
mod tests {
    use candle::{DType, Device, Tensor};

    use super::Step;

    #[test]
    fn an_examples_noise_is_its_own_in_any_batch_and_new_in_each_epoch() {
        let images = |n| Tensor::zeros((n, 1, 2, 2), DType::F32, &Device::Cpu).unwrap();
        let labels = Tensor::zeros(2, DType::U32, &Device::Cpu).unwrap();
        let rows = |examples: &[usize], epoch| {
            let images = images(examples.len());
            let step = Step { examples, epoch, ..Step::of(&images, &labels) };
            step.noise("test").unwrap().flatten_from(1).unwrap().to_vec2::<f32>().unwrap()
        };
        let both = rows(&[7, 3], 0);
        assert_eq!(both[1], rows(&[3], 0)[0]);
        assert_ne!(both[0], both[1]);
        assert_ne!(both, rows(&[7, 3], 1));
    }

    #[test]
    fn progress_runs_from_0_to_1() {
        let x = Tensor::zeros((1, 1, 1, 1), DType::F32, &Device::Cpu).unwrap();
        let at = |epoch, epochs| Step { epoch, epochs, ..Step::of(&x, &x) }.progress();
        for (epoch, epochs, expected) in [(0, 5, 0.0), (2, 5, 0.5), (4, 5, 1.0), (0, 1, 0.0)] {
            assert!((at(epoch, epochs) - expected).abs() < 1e-12, "{epoch} of {epochs}");
        }
    }
}
