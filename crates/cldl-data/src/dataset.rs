//! A split of a data set in memory, and batches of it as tensors.

use candle::{Device, Tensor};

use crate::manifest::{manifest, sha256};
use crate::source::read_files;
use crate::{DataDirs, DataError, DatasetName, DatasetSpec, EpochAugmentation, Split, cifar, idx};

/// Images and labels in memory.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Which data set.
    pub spec: DatasetSpec,
    /// Which split of it.
    pub split: Split,
    /// The pixels, 0 to 255: example by example, in each channel by channel, row by row.
    pub images: Vec<u8>,
    /// The class of each example, below [`Self::n_classes`].
    pub labels: Vec<u8>,
    /// Channels, height and width of an image.
    pub image_shape: [usize; 3],
    /// The number of classes.
    pub n_classes: usize,
    /// The SHA-256 of the source, in hexadecimal: of the checksums of the unpacked contents of the files
    /// that were read.
    /// A subset keeps it.
    pub sha256: String,
}

/// Some examples as tensors.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[B, Ch, H, W]`, f32 in [0, 1] (noise may leave that range).
    pub images: Tensor,
    /// `[B]`, u32.
    pub labels: Tensor,
    /// The examples' positions in the data set.
    pub indices: Vec<usize>,
}

impl Dataset {
    /// Reads a split; a published one is checked against its checksums.
    ///
    /// # Errors
    /// If a file is not found, not readable, malformed, or not the published one; for a custom data
    /// set also if it has other classes than `spec`.
    pub fn load(
        spec: impl Into<DatasetSpec>,
        split: Split,
        dirs: &DataDirs,
    ) -> Result<Self, DataError> {
        Self::load_first(spec, split, usize::MAX, dirs)
    }

    /// Reads the first `examples` of a split, or all if there are fewer. Of CIFAR-10 only the files that
    /// hold them are read: unpacking all five takes longer than a short training.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_first(
        spec: impl Into<DatasetSpec>,
        split: Split,
        examples: usize,
        dirs: &DataDirs,
    ) -> Result<Self, DataError> {
        let spec = spec.into();
        let loaded = match &spec {
            DatasetSpec::Published(name) => Self::load_published(*name, split, examples, dirs)?,
            DatasetSpec::Custom(custom) => {
                let folder = dirs.custom(&custom.name)?;
                folder.check_against(custom)?;
                folder.load(spec, split)?
            }
        };
        Ok(loaded.take(examples))
    }

    fn load_published(
        name: DatasetName,
        split: Split,
        examples: usize,
        dirs: &DataDirs,
    ) -> Result<Self, DataError> {
        let [_, height, width] = name.image_shape();
        let n = name.n_examples(split);
        let files = manifest(name).files(split);
        let files = match name {
            DatasetName::Cifar10 => cifar::files_of_first(examples, files),
            _ => files,
        };
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        let mut checksums = String::new();
        for (content, source) in read_files(name, files, dirs) {
            let mut source = source?;
            let bytes = std::mem::take(&mut source.bytes);
            // The format first: "the magic number is .." says more than a checksum does.
            let parsed = match name {
                DatasetName::Cifar10 => cifar::parse(&bytes, &mut images, &mut labels),
                _ if content.name.contains("idx3") => {
                    idx::parse(bytes, &[n, height, width]).map(|parsed| images = parsed)
                }
                _ => idx::parse(bytes, &[n]).map(|parsed| labels = parsed),
            };
            parsed.map_err(|what| {
                let path = source.path.clone();
                DataError::Malformed { name, path, what }
            })?;
            source.check(name, content)?;
            tracing::debug!(path = %source.path.display(), sha256 = %source.sha256, "read");
            checksums.push_str(&source.sha256);
        }
        Self::checked(name.into(), split, images, labels, |_, _| sha256(checksums.as_bytes()))
    }

    /// A data set of images that are in memory already, of the shape that `spec` has.
    ///
    /// # Errors
    /// If the lengths do not fit each other, or a label is out of range.
    pub fn new(
        spec: impl Into<DatasetSpec>,
        split: Split,
        images: Vec<u8>,
        labels: Vec<u8>,
    ) -> Result<Self, DataError> {
        Self::checked(spec.into(), split, images, labels, |images, labels| {
            sha256(&[images, labels].concat())
        })
    }

    pub(crate) fn checked(
        spec: DatasetSpec,
        split: Split,
        images: Vec<u8>,
        labels: Vec<u8>,
        digest: impl FnOnce(&[u8], &[u8]) -> String,
    ) -> Result<Self, DataError> {
        let (image_shape, n_classes) = (spec.image_shape(), spec.n_classes());
        let expected = labels.len() * image_shape.iter().product::<usize>();
        if images.len() != expected {
            return Err(DataError::Argument(format!(
                "{} bytes of images, expected {expected} for {} labels",
                images.len(),
                labels.len()
            )));
        }
        if let Some((i, label)) =
            labels.iter().enumerate().find(|(_, label)| usize::from(**label) >= n_classes)
        {
            return Err(DataError::Argument(format!(
                "the label of example {i} of `{spec}` is {label}, expected less than {n_classes}"
            )));
        }
        let sha256 = digest(&images, &labels);
        Ok(Self { spec, split, images, labels, image_shape, n_classes, sha256 })
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of example `index`, `[Ch, H, W]`.
    ///
    /// # Panics
    /// If there is no such example.
    pub fn image(&self, index: usize) -> &[u8] {
        let pixels: usize = self.image_shape.iter().product();
        &self.images[index * pixels..][..pixels]
    }

    /// The first `n` examples, or all if there are fewer.
    #[must_use]
    pub fn take(mut self, n: usize) -> Self {
        self.labels.truncate(n);
        self.images.truncate(n.saturating_mul(self.image_shape.iter().product()));
        self
    }

    /// The examples at `indices`, in that order.
    ///
    /// # Errors
    /// If an index is out of range.
    pub fn subset(&self, indices: &[usize]) -> Result<Self, DataError> {
        self.check(indices)?;
        Ok(Self {
            images: indices.iter().flat_map(|i| self.image(*i)).copied().collect(),
            labels: indices.iter().map(|i| self.labels[*i]).collect(),
            spec: self.spec.clone(),
            sha256: self.sha256.clone(),
            ..*self
        })
    }

    /// The examples at `indices` as tensors on `device`.
    ///
    /// # Errors
    /// If an index is out of range, or the device refuses.
    pub fn batch(&self, indices: &[usize], device: &Device) -> Result<Batch, DataError> {
        self.augmented_batch(indices, &EpochAugmentation::default(), device)
    }

    /// The examples at `indices`, changed at random by `augmentation`, as tensors on `device`.
    ///
    /// # Errors
    /// If an index or the augmentation is out of range, or the device refuses.
    pub fn augmented_batch(
        &self,
        indices: &[usize],
        augmentation: &EpochAugmentation,
        device: &Device,
    ) -> Result<Batch, DataError> {
        self.check(indices)?;
        augmentation.augmentation.validate()?;
        let [channels, height, width] = self.image_shape;
        let pixels = channels * height * width;
        let mut images = vec![0.0f32; indices.len() * pixels];
        for (i, out) in indices.iter().zip(images.chunks_exact_mut(pixels)) {
            augmentation.apply(self.image(*i), self.image_shape, *i, out);
        }
        let labels: Vec<u32> = indices.iter().map(|i| u32::from(self.labels[*i])).collect();
        Ok(Batch {
            images: Tensor::from_vec(images, (indices.len(), channels, height, width), device)?,
            labels: Tensor::from_vec(labels, indices.len(), device)?,
            indices: indices.to_vec(),
        })
    }

    pub(crate) fn check(&self, indices: &[usize]) -> Result<(), DataError> {
        match indices.iter().find(|i| **i >= self.len()) {
            None => Ok(()),
            Some(i) => Err(DataError::Argument(format!(
                "example {i} is out of range: `{}` {} has {} examples here",
                self.spec,
                self.split,
                self.len()
            ))),
        }
    }
}

impl Batch {
    /// The number of examples.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The same batch on `device`.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn to_device(&self, device: &Device) -> Result<Self, DataError> {
        Ok(Self {
            images: self.images.to_device(device)?,
            labels: self.labels.to_device(device)?,
            indices: self.indices.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Dataset {
        let images = (0..3 * 784).map(|i| (i / 784 * 100 + usize::from(i % 784 == 29)) as u8);
        Dataset::new(DatasetName::Mnist, Split::Test, images.collect(), vec![7, 8, 9]).unwrap()
    }

    #[test]
    fn a_batch_has_pixels_between_0_and_1_in_the_order_asked_for() {
        let batch = three().batch(&[2, 0], &Device::Cpu).unwrap();
        assert_eq!(batch.images.dims(), [2, 1, 28, 28]);
        assert_eq!(batch.labels.to_vec1::<u32>().unwrap(), [9, 7]);
        let images = batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(
            (images[0], images[29], images[784 + 29]),
            (200.0 / 255.0, 201.0 / 255.0, 1.0 / 255.0)
        );
        assert_eq!(batch.indices, [2, 0]);
        assert!(three().batch(&[], &Device::Cpu).unwrap().is_empty());
    }

    #[test]
    fn subsets() {
        let subset = three().subset(&[1, 1, 2]).unwrap();
        assert_eq!((subset.labels.as_slice(), subset.image(2)[0]), (&[8, 8, 9][..], 200));
        assert_eq!((subset.clone().take(2).len(), subset.clone().take(99).len()), (2, 3));
        assert_eq!(subset.take(1).images.len(), 784);
        let error = three().subset(&[0, 3]).unwrap_err().to_string();
        assert_eq!(error, "example 3 is out of range: `mnist` test has 3 examples here");
    }

    #[test]
    fn lengths_and_labels_are_checked() {
        let new = |bytes, labels: &[u8]| {
            Dataset::new(DatasetName::Mnist, Split::Test, vec![0; bytes], labels.to_vec())
        };
        assert!(new(784, &[9]).is_ok());
        assert_eq!(
            new(784, &[10]).unwrap_err().to_string(),
            "the label of example 0 of `mnist` is 10, expected less than 10"
        );
        assert_eq!(
            new(783, &[1]).unwrap_err().to_string(),
            "783 bytes of images, expected 784 for 1 labels"
        );
    }
}
