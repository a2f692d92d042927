//! Data sets of the user's own: a folder with `dataset.toml` and files in MNIST's or CIFAR-10's format.
//!
//! ```toml
//! format = "idx"                      # or "cifar-binary", whose images are 3x32x32
//! classes = ["alpha", "beta", "gamma"]
//! image_shape = [1, 28, 28]           # channels, height, width; this is the default for idx
//! # What models subtract and divide by, for pixels in [0, 1]; left out, the training images' own.
//! mean = [0.17]
//! std = [0.33]
//! # Left out: the names of MNIST's or CIFAR-10's files. Any may be packed (.gz, .xz).
//! train = ["train-images", "train-labels"]
//! test = ["test-images", "test-labels"]
//! ```

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::dirs::find_in;
use crate::manifest::sha256;
use crate::unpack::{unpack_all, unpack_idx};
use crate::{CustomSpec, DataError, Dataset, DatasetSpec, Split, cifar};

/// The file that makes a folder a data set.
pub(crate) const DESCRIPTION: &str = "dataset.toml";

/// A label is a byte.
const MOST_CLASSES: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Format {
    Idx,
    CifarBinary,
}

/// `dataset.toml` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    format: Format,
    classes: Vec<String>,
    image_shape: Option<[usize; 3]>,
    mean: Option<Vec<f32>>,
    std: Option<Vec<f32>>,
    train: Option<Vec<String>>,
    test: Option<Vec<String>>,
}

/// A described folder.
pub(crate) struct CustomFolder {
    folder: PathBuf,
    name: String,
    description: Description,
}

impl CustomFolder {
    /// # Errors
    /// If the folder's description can't be read, or makes no sense.
    pub(crate) fn open(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join(DESCRIPTION);
        let text = std::fs::read_to_string(&path).map_err(|reason| DataError::Io {
            what: "read",
            path: path.clone(),
            reason,
        })?;
        Self::parse(folder, &text)
    }

    /// The folder with `text` for a description.
    ///
    /// # Errors
    /// If the description makes no sense.
    pub(crate) fn parse(folder: &Path, text: &str) -> Result<Self, DataError> {
        let path = folder.join(DESCRIPTION);
        let wrong = |what: String| DataError::Custom { path: path.clone(), what };
        let description: Description = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            wrong(format!("line {line}: {}", e.message().replace('\n', " ")))
        })?;
        // "." has no name of its own.
        let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
        let name = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = Self { folder: folder.to_path_buf(), name, description };
        folder.check().map_err(wrong)?;
        Ok(folder)
    }

    fn check(&self) -> Result<(), String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Err(format!(
                "the folder's name `{}` names the data set: letters, digits, `-`, `_` and `.`",
                self.name
            ));
        }
        let Description { format, classes, image_shape, .. } = &self.description;
        if !(2..=MOST_CLASSES).contains(&classes.len()) {
            return Err(format!("{} classes, expected 2 to {MOST_CLASSES}", classes.len()));
        }
        let shape = self.image_shape();
        if *format == Format::CifarBinary && image_shape.is_some_and(|s| s != cifar::SHAPE) {
            return Err(format!("cifar-binary is 3x32x32, not {shape:?}"));
        }
        if !shape.iter().all(|side| (1..=4096).contains(side)) {
            return Err(format!("image_shape {shape:?} has a side outside 1 to 4096"));
        }
        for (name, values) in [("mean", &self.description.mean), ("std", &self.description.std)] {
            let Some(values) = values else { continue };
            if values.len() != shape[0] || !values.iter().all(|value| value.is_finite()) {
                return Err(format!(
                    "{name} {values:?} is not a number for each of {} channels",
                    shape[0]
                ));
            }
        }
        if self.description.std.iter().flatten().any(|std| *std <= 0.0) {
            return Err("a std is not above 0".to_owned());
        }
        let inside = |name: &str| {
            !name.is_empty()
                && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
        };
        let named =
            [&self.description.train, &self.description.test].into_iter().flatten().flatten();
        if let Some(name) = named.into_iter().find(|name| !inside(name)) {
            return Err(format!("the file `{name}` is not in the folder"));
        }
        let files = Split::ALL.map(|split| self.files(split).len());
        match format {
            Format::Idx if files != [2, 2] => {
                Err("train and test of idx are two files each: images, labels".to_owned())
            }
            Format::CifarBinary if files.contains(&0) => {
                Err("train and test of cifar-binary are at least one file each".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn image_shape(&self) -> [usize; 3] {
        match self.description.format {
            Format::Idx => self.description.image_shape.unwrap_or([1, 28, 28]),
            Format::CifarBinary => cifar::SHAPE,
        }
    }

    fn files(&self, split: Split) -> Vec<String> {
        let (named, usual): (_, &[&str]) = match (split, self.description.format) {
            (Split::Train, Format::Idx) => {
                (&self.description.train, &["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
            }
            (Split::Test, Format::Idx) => {
                (&self.description.test, &["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
            }
            (Split::Train, Format::CifarBinary) => (
                &self.description.train,
                &[
                    "data_batch_1.bin",
                    "data_batch_2.bin",
                    "data_batch_3.bin",
                    "data_batch_4.bin",
                    "data_batch_5.bin",
                ],
            ),
            (Split::Test, Format::CifarBinary) => (&self.description.test, &["test_batch.bin"]),
        };
        named.clone().unwrap_or_else(|| usual.iter().map(|name| (*name).to_owned()).collect())
    }

    /// What is fixed about the data set. Mean and deviation that the description leaves out are
    /// measured on the training images.
    ///
    /// # Errors
    /// If the training images have to be read and can't be.
    pub(crate) fn spec(&self) -> Result<DatasetSpec, DataError> {
        let mut spec = CustomSpec {
            name: self.name.clone(),
            classes: self.description.classes.clone(),
            image_shape: self.image_shape(),
            mean: self.description.mean.clone().unwrap_or_default(),
            std: self.description.std.clone().unwrap_or_default(),
        };
        if self.description.mean.is_none() || self.description.std.is_none() {
            let train = self.load(DatasetSpec::Custom(Box::new(spec.clone())), Split::Train)?;
            let measured = train.info();
            let short = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
            if self.description.mean.is_none() {
                spec.mean = short(measured.mean);
            }
            if self.description.std.is_none() {
                spec.std = short(measured.std);
            }
            if let Some(channel) = spec.std.iter().position(|std| *std <= 0.0) {
                let what = format!("channel {channel} of the training images is constant: set std");
                return Err(DataError::Custom { path: self.folder.join(DESCRIPTION), what });
            }
        }
        Ok(DatasetSpec::Custom(Box::new(spec)))
    }

    /// # Errors
    /// If the description is no longer what `spec` says: a model is of no use on other classes.
    pub(crate) fn check_against(&self, spec: &CustomSpec) -> Result<(), DataError> {
        let (here, there) = (&self.description.classes, &spec.classes);
        let (shape, expected) = (self.image_shape(), spec.image_shape);
        if here == there && shape == expected {
            return Ok(());
        }
        let what = format!(
            "its classes are {here:?} of images {shape:?}; the model's are {there:?} of {expected:?}"
        );
        Err(DataError::Custom { path: self.folder.join(DESCRIPTION), what })
    }

    /// Reads a split.
    ///
    /// # Errors
    /// If a file is missing or malformed, or its images and labels do not fit each other.
    pub(crate) fn load(&self, spec: DatasetSpec, split: Split) -> Result<Dataset, DataError> {
        let files = self.files(split);
        let mut contents = Vec::new();
        for (i, name) in files.iter().enumerate() {
            let path = find_in(&self.folder, name).ok_or_else(|| DataError::Custom {
                path: self.folder.join(name),
                what: format!("not there: {DESCRIPTION} names the {split} files, or leave it to the usual names"),
            })?;
            let read = match self.description.format {
                Format::Idx if i == 0 => unpack_idx(&path, &self.idx_shape()),
                Format::Idx => unpack_idx(&path, &[]),
                Format::CifarBinary => unpack_all(&path),
            };
            let content = match read {
                Ok(Ok(content)) => content,
                Ok(Err(what)) => return Err(DataError::Custom { path, what }),
                Err(reason) => return Err(DataError::Io { what: "read", path, reason }),
            };
            contents.push((path, content));
        }
        let checksums: String = contents.iter().map(|(_, content)| sha256(content)).collect();
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        match self.description.format {
            Format::Idx => {
                let mut contents = contents.into_iter().map(|(_, content)| content);
                images = contents.next().unwrap_or_default();
                labels = contents.next().unwrap_or_default();
            }
            Format::CifarBinary => {
                for (path, content) in contents {
                    cifar::parse(&content, &mut images, &mut labels)
                        .map_err(|what| DataError::Custom { path, what })?;
                }
            }
        }
        if labels.is_empty() {
            let what = format!("the {split} split has no example");
            return Err(DataError::Custom { path: self.folder.clone(), what });
        }
        let digest = |_: &[u8], _: &[u8]| sha256(checksums.as_bytes());
        Dataset::checked(spec, split, images, labels, digest)
            .map_err(|e| DataError::Custom { path: self.folder.clone(), what: e.to_string() })
    }

    /// What follows the number of images in the header of an IDX file of them: gray images need not
    /// say that they have one channel.
    fn idx_shape(&self) -> Vec<usize> {
        match self.image_shape() {
            [1, height, width] => vec![height, width],
            shape => shape.to_vec(),
        }
    }
}
