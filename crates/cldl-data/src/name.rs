//! The data sets by name, and what is fixed about each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::DataError;

/// A data set that the program knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetName {
    /// Handwritten digits, 28x28 gray.
    Mnist,
    /// Articles of clothing, 28x28 gray.
    FashionMnist,
    /// Animals and vehicles, 32x32 RGB.
    #[serde(rename = "cifar-10")]
    Cifar10,
}

impl DatasetName {
    /// Every data set.
    pub const ALL: [Self; 3] = [Self::Mnist, Self::FashionMnist, Self::Cifar10];

    /// The name in flags, files and JSON, as in `fashion-mnist`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Cifar10 => "cifar-10",
        }
    }

    /// Its repository on the Hugging Face Hub.
    pub fn hub_id(self) -> &'static str {
        match self {
            Self::Mnist => "ylecun/mnist",
            Self::FashionMnist => "zalando-datasets/fashion_mnist",
            Self::Cifar10 => "uoft-cs/cifar10",
        }
    }

    /// Channels, height and width of an image.
    pub fn image_shape(self) -> [usize; 3] {
        match self {
            Self::Mnist | Self::FashionMnist => [1, 28, 28],
            Self::Cifar10 => [3, 32, 32],
        }
    }

    /// The number of classes.
    pub fn n_classes(self) -> usize {
        self.class_names().len()
    }

    /// What the classes are called; a label is a position in this list.
    pub fn class_names(self) -> &'static [&'static str] {
        match self {
            Self::Mnist => &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
            Self::FashionMnist => &[
                "t-shirt",
                "trouser",
                "pullover",
                "dress",
                "coat",
                "sandal",
                "shirt",
                "sneaker",
                "bag",
                "ankle boot",
            ],
            Self::Cifar10 => &[
                "airplane",
                "automobile",
                "bird",
                "cat",
                "deer",
                "dog",
                "frog",
                "horse",
                "ship",
                "truck",
            ],
        }
    }

    /// The mean of each channel that the paper's code subtracts, for pixels in [0, 1].
    ///
    /// For Fashion-MNIST and for CIFAR-10's deviations these are not quite the measured values:
    /// [`info`](crate::info) gives those.
    pub fn mean(self) -> &'static [f32] {
        match self {
            Self::Mnist => &[0.1307],
            Self::FashionMnist => &[0.2854],
            Self::Cifar10 => &[0.4914, 0.4822, 0.4465],
        }
    }

    /// The standard deviation of each channel that the paper's code divides by; see [`Self::mean`].
    pub fn std(self) -> &'static [f32] {
        match self {
            Self::Mnist => &[0.3081],
            Self::FashionMnist => &[0.3527],
            Self::Cifar10 => &[0.2023, 0.1994, 0.2010],
        }
    }

    /// The number of examples in a whole split.
    pub fn n_examples(self, split: Split) -> usize {
        match (self, split) {
            (Self::Cifar10, Split::Train) => 50_000,
            (_, Split::Train) => 60_000,
            (_, Split::Test) => 10_000,
        }
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DatasetName {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        Self::ALL
            .into_iter()
            .find(|name| name.as_str() == text)
            .ok_or_else(|| DataError::UnknownName { found: text.to_owned() })
    }
}

/// One of the two parts in which each data set is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// The examples to train on.
    Train,
    /// The examples to measure on.
    Test,
}

impl Split {
    /// Both splits.
    pub const ALL: [Self; 2] = [Self::Train, Self::Test];
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Train => "train",
            Self::Test => "test",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_text_and_in_json() {
        for name in DatasetName::ALL {
            assert_eq!(name.to_string().parse::<DatasetName>().unwrap(), name);
            assert_eq!(serde_json::to_string(&name).unwrap(), format!("\"{name}\""));
            assert_eq!(name.mean().len(), name.image_shape()[0]);
            assert_eq!(name.std().len(), name.image_shape()[0]);
            assert_eq!(name.n_classes(), 10);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "imagenet".parse::<DatasetName>().unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown data set `imagenet`: expected `mnist`, `fashion-mnist`, `cifar-10` or a folder with \
             a `dataset.toml`"
        );
    }
}
