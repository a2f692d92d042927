//! Random changes to training images: crop, flip, noise.
//!
//! What happens to an example depends on (seed, epoch, example) and nothing else: not on the batch
//! it is in, not on threads, and switching one change on or off leaves the draws of the others alone.

use cldl_core::Stream;
use serde::{Deserialize, Serialize};

use crate::DataError;

/// Which random changes to make. The default makes none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Mirror an image left to right with probability 1/2.
    #[serde(default)]
    pub flip: bool,
    /// Shift an image by up to this many pixels along each axis, filling with zeros (black): what is
    /// elsewhere called a random crop after padding.
    #[serde(default)]
    pub crop_padding: usize,
    /// Add Gaussian noise to some images.
    #[serde(default)]
    pub noise: Option<Noise>,
}

/// Gaussian noise on an image in [0, 1]; the result is not clamped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// Standard deviation.
    pub std: f32,
    /// The chance of an image to receive noise.
    pub probability: f32,
}

impl Augmentation {
    /// The draws of this augmentation for one epoch.
    pub fn at(self, seed: u64, epoch: u64) -> EpochAugmentation {
        EpochAugmentation { augmentation: self, seed, epoch }
    }

    /// Checks the ranges of the fields.
    ///
    /// # Errors
    /// If the padding is more than 1024, or the noise's deviation is negative or not finite, or its
    /// probability is outside [0, 1].
    pub fn validate(&self) -> Result<(), DataError> {
        if self.crop_padding > 1024 {
            return Err(DataError::Argument(format!(
                "`crop_padding` is {}, expected at most 1024 pixels",
                self.crop_padding
            )));
        }
        let Some(noise) = self.noise else { return Ok(()) };
        if !(noise.std.is_finite() && 0.0 <= noise.std) {
            return Err(DataError::Argument(format!(
                "noise `std` is {}, expected a number from 0 up",
                noise.std
            )));
        }
        if !(0.0..=1.0).contains(&noise.probability) {
            return Err(DataError::Argument(format!(
                "noise `probability` is {}, expected a number in [0, 1]",
                noise.probability
            )));
        }
        Ok(())
    }
}

/// An [`Augmentation`] with the names of its random draws.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct EpochAugmentation {
    /// What to draw.
    pub augmentation: Augmentation,
    /// The run's seed.
    pub seed: u64,
    /// The epoch, counted from 0.
    pub epoch: u64,
}

impl EpochAugmentation {
    /// Writes the changed image of example `example` to `out`, as numbers near [0, 1].
    ///
    /// # Shapes
    /// `image` and `out`: channels x height x width, as `shape` says.
    pub(crate) fn apply(&self, image: &[u8], shape: [usize; 3], example: usize, out: &mut [f32]) {
        let [_, height, width] = shape;
        let stream = |purpose| Stream::new(self.seed, purpose, &[self.epoch, example as u64]);
        let Augmentation { flip, crop_padding, noise } = self.augmentation;

        let mut image = image.to_vec();
        if crop_padding != 0 {
            let mut stream = stream("augment crop");
            let positions = 2 * crop_padding as u32 + 1;
            let [down, right] = [(); 2].map(|()| stream.below(positions) as usize);
            image = cropped(&image, [height, width], crop_padding, [down, right]);
        }
        if flip && stream("augment flip").below(2) == 1 {
            mirror(&mut image, width);
        }
        for (out, pixel) in out.iter_mut().zip(&image) {
            *out = f32::from(*pixel) / 255.0;
        }
        if let Some(Noise { std, probability }) = noise {
            let mut stream = stream("augment noise");
            if stream.uniform() < probability {
                for pixel in out.iter_mut() {
                    *pixel += std * stream.normal();
                }
            }
        }
    }
}

/// The window of `image` at (`down`, `right`) after `padding` zeros were put around it; at
/// `padding`, `padding` it is the image itself.
fn cropped(
    image: &[u8],
    [height, width]: [usize; 2],
    padding: usize,
    [down, right]: [usize; 2],
) -> Vec<u8> {
    let mut out = vec![0; image.len()];
    // Columns of the window that lie on the image, and the column of the image where they begin.
    let (first, from) = (padding.saturating_sub(right), right.saturating_sub(padding));
    let columns = width.saturating_sub(first.max(from));
    for (row, out) in out.chunks_exact_mut(width).enumerate() {
        let (channel, row) = (row / height, row % height);
        let Some(source) = (row + down).checked_sub(padding) else { continue };
        if source < height && columns != 0 {
            let start = (channel * height + source) * width + from;
            out[first..first + columns].copy_from_slice(&image[start..start + columns]);
        }
    }
    out
}

/// Turns every row of `image` around.
fn mirror(image: &mut [u8], width: usize) {
    image.chunks_exact_mut(width).for_each(<[u8]>::reverse);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHAPE: [usize; 3] = [2, 3, 4];

    fn image() -> Vec<u8> {
        (1..=24).collect()
    }

    #[test]
    fn a_crop_moves_every_channel_and_fills_with_zeros() {
        assert_eq!(cropped(&image(), [3, 4], 1, [1, 1]), image());
        let moved = cropped(&image(), [3, 4], 1, [0, 2]);
        assert_eq!(moved[..12], [0, 0, 0, 0, 2, 3, 4, 0, 6, 7, 8, 0]);
        assert_eq!(moved[12..], [0, 0, 0, 0, 14, 15, 16, 0, 18, 19, 20, 0]);
        assert_eq!(cropped(&image(), [3, 4], 9, [0, 0]), [0; 24]);
        assert_eq!(cropped(&image(), [3, 4], 9, [9, 18]), [0; 24]);
    }

    #[test]
    fn a_mirrored_row_is_reversed() {
        let mut image = image();
        mirror(&mut image, 4);
        assert_eq!(image[..8], [4, 3, 2, 1, 8, 7, 6, 5]);
    }

    #[test]
    fn half_of_the_images_flip_and_every_shift_occurs() {
        let flip = Augmentation { flip: true, ..Augmentation::default() }.at(3, 0);
        let crop = Augmentation { crop_padding: 1, ..Augmentation::default() }.at(3, 0);
        let mut out = [0.0; 24];
        let mut flipped = 0;
        let mut shifts = std::collections::BTreeSet::new();
        for example in 0..1000 {
            flip.apply(&image(), SHAPE, example, &mut out);
            flipped += usize::from(out[0] > out[1]);
            crop.apply(&image(), SHAPE, example, &mut out);
            shifts.insert(out.map(|pixel| (pixel * 255.0) as u8));
        }
        assert!((430..570).contains(&flipped), "{flipped}");
        assert_eq!(shifts.len(), 9);
    }

    #[test]
    fn noise_has_its_deviation_and_leaves_the_other_images_alone() {
        let noise = Some(Noise { std: 0.1, probability: 0.25 });
        let augmentation = Augmentation { noise, ..Augmentation::default() }.at(0, 2);
        let mut out = [0.0; 24];
        let (mut noisy, mut square) = (0, 0.0);
        for example in 0..2000 {
            augmentation.apply(&[0; 24], SHAPE, example, &mut out);
            noisy += usize::from(out.iter().any(|pixel| *pixel != 0.0));
            square += out.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        }
        assert!((420..580).contains(&noisy), "{noisy}");
        let std = (square / f64::from(noisy as u32 * 24)).sqrt();
        assert!((std - 0.1).abs() < 0.003, "{std}");
    }

    #[test]
    fn fields_out_of_range_are_refused() {
        let with = |std, probability| {
            let noise = Some(Noise { std, probability });
            Augmentation { noise, ..Augmentation::default() }.validate()
        };
        assert!(with(0.0, 1.0).is_ok());
        for (std, probability) in [(-0.1, 0.5), (f32::NAN, 0.5), (0.1, 1.5), (0.1, f32::NAN)] {
            assert!(with(std, probability).is_err(), "{std} {probability}");
        }
        let wide = Augmentation { crop_padding: usize::MAX, ..Augmentation::default() };
        assert!(wide.validate().is_err());
    }

    proptest! {
        #[test]
        fn draws_depend_on_their_names_alone(seed: u64, epoch in 0u64..9, example in 0usize..99) {
            let full = Augmentation {
                flip: true,
                crop_padding: 2,
                noise: Some(Noise { std: 0.0, probability: 1.0 }),
            };
            let without_noise = Augmentation { noise: None, ..full };
            let mut outs = [[0.0; 24]; 3];
            full.at(seed, epoch).apply(&image(), SHAPE, example, &mut outs[0]);
            full.at(seed, epoch).apply(&image(), SHAPE, example, &mut outs[1]);
            without_noise.at(seed, epoch).apply(&image(), SHAPE, example, &mut outs[2]);
            let bits = outs.map(|out| out.map(f32::to_bits));
            prop_assert!(bits[0] == bits[1] && bits[0] == bits[2]);
        }
    }
}
