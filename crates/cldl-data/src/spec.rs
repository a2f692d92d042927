//! What is fixed about a data set, be it a published one or a folder of the user's own.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::DatasetName;

/// A data set: one of the published ones, or a custom one.
///
/// As JSON or TOML a published one is its name; a custom one is all of [`CustomSpec`], so that a
/// model's config says what its classes are without the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DatasetSpec {
    /// A data set that the program knows.
    Published(DatasetName),
    /// A folder of the user's own, see [`DataDirs::dataset`](crate::DataDirs::dataset).
    Custom(Box<CustomSpec>),
}

/// What is fixed about a data set of the user's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomSpec {
    /// The name of its folder.
    pub name: String,
    /// What the classes are called; a label is a position in this list.
    pub classes: Vec<String>,
    /// Channels, height and width of an image.
    pub image_shape: [usize; 3],
    /// The mean of each channel that models subtract, for pixels in [0, 1].
    pub mean: Vec<f32>,
    /// The standard deviation of each channel that models divide by.
    pub std: Vec<f32>,
}

impl DatasetSpec {
    /// The name in flags, files and messages.
    pub fn name(&self) -> &str {
        match self {
            Self::Published(name) => name.as_str(),
            Self::Custom(custom) => &custom.name,
        }
    }

    /// Channels, height and width of an image.
    pub fn image_shape(&self) -> [usize; 3] {
        match self {
            Self::Published(name) => name.image_shape(),
            Self::Custom(custom) => custom.image_shape,
        }
    }

    /// The number of classes.
    pub fn n_classes(&self) -> usize {
        match self {
            Self::Published(name) => name.n_classes(),
            Self::Custom(custom) => custom.classes.len(),
        }
    }

    /// What the classes are called; a label is a position in this list.
    pub fn class_names(&self) -> Vec<&str> {
        match self {
            Self::Published(name) => name.class_names().to_vec(),
            Self::Custom(custom) => custom.classes.iter().map(String::as_str).collect(),
        }
    }

    /// The mean of each channel that models subtract, for pixels in [0, 1].
    pub fn mean(&self) -> &[f32] {
        match self {
            Self::Published(name) => name.mean(),
            Self::Custom(custom) => &custom.mean,
        }
    }

    /// The standard deviation of each channel that models divide by.
    pub fn std(&self) -> &[f32] {
        match self {
            Self::Published(name) => name.std(),
            Self::Custom(custom) => &custom.std,
        }
    }

    /// The published data set whose settings (architecture, radii, epochs) serve as defaults: for a
    /// custom one MNIST if its images are gray, else CIFAR-10.
    pub fn like(&self) -> DatasetName {
        match self {
            Self::Published(name) => *name,
            Self::Custom(custom) if custom.image_shape[0] == 1 => DatasetName::Mnist,
            Self::Custom(_) => DatasetName::Cifar10,
        }
    }
}

impl From<DatasetName> for DatasetSpec {
    fn from(name: DatasetName) -> Self {
        Self::Published(name)
    }
}

impl From<&Self> for DatasetSpec {
    fn from(spec: &Self) -> Self {
        spec.clone()
    }
}

impl fmt::Display for DatasetSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_one_is_its_name_and_a_custom_one_all_that_is_fixed() {
        let published = DatasetSpec::from(DatasetName::FashionMnist);
        let custom = DatasetSpec::Custom(Box::new(CustomSpec {
            name: "letters".to_owned(),
            classes: vec!["a".to_owned(), "b".to_owned()],
            image_shape: [1, 28, 28],
            mean: vec![0.5],
            std: vec![0.25],
        }));
        assert_eq!(serde_json::to_string(&published).unwrap(), "\"fashion-mnist\"");
        for spec in [published, custom.clone()] {
            let json = serde_json::to_string(&spec).unwrap();
            assert_eq!(serde_json::from_str::<DatasetSpec>(&json).unwrap(), spec);
        }
        assert_eq!((custom.n_classes(), custom.class_names()), (2, vec!["a", "b"]));
        assert_eq!((custom.like(), custom.name()), (DatasetName::Mnist, "letters"));
    }
}
