//! What is in a data set: counts, means and deviations, computed from integers, hence exactly.

use serde::Serialize;

use crate::{DataDirs, DataError, Dataset, DatasetSpec, Split};

/// What is in one split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitInfo {
    /// The data set.
    pub dataset: String,
    /// The split.
    pub split: Split,
    /// The number of examples.
    pub examples: usize,
    /// Channels, height and width of an image.
    pub image_shape: [usize; 3],
    /// The number of examples of each class.
    pub class_counts: Vec<usize>,
    /// The mean pixel of each channel, in [0, 1]; 0 if there is no example.
    pub mean: Vec<f64>,
    /// The standard deviation of each channel's pixels, over all of them; 0 if there is no example.
    pub std: Vec<f64>,
    /// The SHA-256 of the source, see [`Dataset::sha256`].
    pub sha256: String,
}

/// Reads, checks and describes both splits of `spec`.
///
/// # Errors
/// As [`Dataset::load`].
pub fn info(spec: impl Into<DatasetSpec>, dirs: &DataDirs) -> Result<Vec<SplitInfo>, DataError> {
    let spec = spec.into();
    Split::ALL.into_iter().map(|split| Ok(Dataset::load(&spec, split, dirs)?.info())).collect()
}

impl Dataset {
    /// Describes the examples.
    pub fn info(&self) -> SplitInfo {
        let mut class_counts = vec![0; self.n_classes];
        for label in &self.labels {
            class_counts[usize::from(*label)] += 1;
        }
        let [channels, height, width] = self.image_shape;
        let mut histograms = vec![[0u64; 256]; channels];
        for (i, plane) in self.images.chunks_exact(height * width).enumerate() {
            for pixel in plane {
                histograms[i % channels][usize::from(*pixel)] += 1;
            }
        }
        let (mean, std) = histograms.iter().map(moments).unzip();
        SplitInfo {
            dataset: self.spec.to_string(),
            split: self.split,
            examples: self.len(),
            image_shape: self.image_shape,
            class_counts,
            mean,
            std,
            sha256: self.sha256.clone(),
        }
    }
}

/// Mean and standard deviation of the pixels, scaled to [0, 1], that `histogram` counts.
fn moments(histogram: &[u64; 256]) -> (f64, f64) {
    let sum = |power| -> u64 { (0..256u64).zip(histogram).map(|(v, n)| n * v.pow(power)).sum() };
    let count = sum(0).max(1) as f64;
    let mean = sum(1) as f64 / count;
    let variance = sum(2) as f64 / count - mean * mean;
    (mean / 255.0, variance.max(0.0).sqrt() / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DatasetName;

    #[test]
    fn channels_are_counted_apart() {
        let mut images = vec![0; 2 * 3072];
        images[1024..2048].fill(255); // green of the first image
        images[2048..3072].fill(51); // blue of the first image
        images[3072 + 2048..].fill(51);
        let dataset = Dataset::new(DatasetName::Cifar10, Split::Test, images, vec![3, 3]).unwrap();
        let info = dataset.info();
        assert_eq!((info.mean, info.std), (vec![0.0, 0.5, 0.2], vec![0.0, 0.5, 0.0]));
        assert_eq!(info.class_counts, [0, 0, 0, 2, 0, 0, 0, 0, 0, 0]);
        assert_eq!(dataset.take(0).info().mean, [0.0; 3]);
    }
}
