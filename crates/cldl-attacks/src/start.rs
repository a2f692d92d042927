//! Where PGD's random start comes from: u in [-1, 1) for each pixel, of which eps · u is added.

use candle::{Result, Tensor, bail};
use cldl_core::Stream;

/// The source of the uniform noise of attacks that start at random; the others ignore it.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// One stream for each example, named by this seed and the example's position in the batch.
    Seed(u64),
    /// One stream for each example, named by a seed and the example's own number: what is drawn does
    /// not depend on how examples are cut into batches.
    Examples {
        /// The attack's seed.
        seed: u64,
        /// A number for each example of the batch, such as its position in the data set.
        numbers: &'a [u64],
    },
    /// The noise itself, of the images' shape, in [-1, 1].
    Noise(&'a Tensor),
}

impl Start<'_> {
    /// The noise u for `images`.
    ///
    /// # Shapes
    /// - `images`: `[B, Ch, H, W]`
    /// - returns the same shape, type and device; uniform in [-1, 1) unless given
    ///
    /// # Errors
    /// If there are not as many numbers as images, or given noise has another shape.
    pub(crate) fn noise(&self, images: &Tensor) -> Result<Tensor> {
        let batch = images.dim(0)?;
        match self {
            Self::Noise(noise) if noise.dims() != images.dims() => {
                bail!("noise of shape {:?} for images of {:?}", noise.dims(), images.dims())
            }
            Self::Noise(noise) => noise.to_device(images.device())?.to_dtype(images.dtype()),
            Self::Seed(seed) => draw(*seed, &(0..batch as u64).collect::<Vec<_>>(), images),
            Self::Examples { numbers, .. } if numbers.len() != batch => {
                bail!("{} example numbers for {batch} images", numbers.len())
            }
            Self::Examples { seed, numbers } => draw(*seed, numbers, images),
        }
    }
}

fn draw(seed: u64, numbers: &[u64], images: &Tensor) -> Result<Tensor> {
    let pixels = images.elem_count() / numbers.len().max(1);
    let mut noise = Vec::with_capacity(images.elem_count());
    for number in numbers {
        let mut stream = Stream::new(seed, "pgd", &[*number]);
        noise.extend((0..pixels).map(|_| 2.0 * stream.uniform() - 1.0));
    }
    Tensor::from_vec(noise, images.dims(), images.device())?.to_dtype(images.dtype())
}

#[cfg(test)]
mod tests {
    use candle::{DType, Device, Tensor};

    use super::Start;

    fn noise(start: Start<'_>, batch: usize) -> candle::Result<Vec<Vec<f32>>> {
        let images = Tensor::zeros((batch, 1, 2, 2), DType::F32, &Device::Cpu)?;
        start.noise(&images)?.flatten_from(1)?.to_vec2()
    }

    #[test]
    fn an_example_has_its_own_noise_in_any_batch() {
        let numbers = [7, 3, 9];
        let all = noise(Start::Examples { seed: 1, numbers: &numbers }, 3).unwrap();
        for (number, row) in numbers.iter().zip(&all) {
            let alone = noise(Start::Examples { seed: 1, numbers: &[*number] }, 1).unwrap();
            assert_eq!(&alone[0], row);
            assert!(row.iter().all(|u| (-1.0..1.0).contains(u)));
        }
        assert_ne!(all[0], all[1]);
        assert_ne!(all, noise(Start::Examples { seed: 2, numbers: &numbers }, 3).unwrap());
    }

    #[test]
    fn noise_that_does_not_fit_is_refused() {
        let given = Tensor::zeros((2, 1, 2, 2), DType::F32, &Device::Cpu).unwrap();
        assert!(noise(Start::Noise(&given), 3).is_err());
        assert!(noise(Start::Examples { seed: 1, numbers: &[1] }, 3).is_err());
    }
}
