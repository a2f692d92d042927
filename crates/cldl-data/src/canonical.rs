//! The published files of a data set, made again from its images: what they are worth is told by their checksums.

use std::path::{Path, PathBuf};

use cldl_core::files::write_atomically;

use crate::manifest::{Content, manifest, sha256};
use crate::{DataError, DatasetName, Fetched, Split};

/// Puts the files of a split into `dir/<name>/`, made of `pixels` (image after image, channel by channel) and `labels`, if
/// they are the published files, byte for byte. Files that are there already, and right, are kept.
///
/// # Errors
/// If a file would differ from the published one, or can't be written.
pub fn install(
    name: DatasetName,
    split: Split,
    pixels: &[u8],
    labels: &[u8],
    dir: &Path,
) -> Result<Vec<Fetched>, DataError> {
    let files = manifest(name).files(split);
    let contents = match name {
        DatasetName::Cifar10 => records(pixels, labels, files.len()),
        DatasetName::Mnist | DatasetName::FashionMnist => idx(name, pixels, labels),
    };
    let place = |file: &Content| dir.join(name.as_str()).join(&file.name);
    let wrong = |file: &Content, found: String| DataError::Checksum {
        name,
        path: place(file),
        expected: file.sha256.clone(),
        found,
    };
    // All are checked before the first is written.
    for (i, file) in files.iter().enumerate() {
        let content = contents.get(i).map_or(&[][..], Vec::as_slice);
        let found = sha256(content);
        if !file.is_published(content, &found) {
            return Err(wrong(file, found));
        }
    }
    let install = |(file, content): (&Content, &Vec<u8>)| {
        let (path, bytes) = (place(file), content.len() as u64);
        let downloaded = std::fs::read(&path).ok().as_ref() != Some(content);
        if downloaded {
            write_atomically(&path, content).map_err(|reason| unwritable(&path, reason))?;
        }
        Ok(Fetched { path, bytes, downloaded })
    };
    files.iter().zip(&contents).map(install).collect()
}

fn unwritable(path: &Path, reason: std::io::Error) -> DataError {
    DataError::Io { what: "write", path: PathBuf::from(path), reason }
}

/// Images and labels as MNIST's two files.
fn idx(name: DatasetName, pixels: &[u8], labels: &[u8]) -> Vec<Vec<u8>> {
    let [_, height, width] = name.image_shape();
    let file = |sizes: &[usize], data: &[u8]| {
        let mut file = vec![0, 0, 8, sizes.len() as u8];
        file.extend(sizes.iter().flat_map(|size| (*size as u32).to_be_bytes()));
        file.extend(data);
        file
    };
    vec![file(&[labels.len(), height, width], pixels), file(&[labels.len()], labels)]
}

/// Images and labels as `count` files of CIFAR-10: records of a label and its pixels.
fn records(pixels: &[u8], labels: &[u8], count: usize) -> Vec<Vec<u8>> {
    let images: Vec<&[u8]> = pixels.chunks(crate::cifar::PIXELS).collect();
    let pairs: Vec<(u8, &[u8])> = labels.iter().copied().zip(images).collect();
    let each = pairs.len().div_ceil(count).max(1);
    let record = |(label, pixels): &(u8, &[u8])| [&[*label], *pixels].concat();
    pairs.chunks(each).map(|pairs| pairs.iter().flat_map(record).collect()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::install;
    use crate::{DataDirs, DataError, Dataset, DatasetName, Split};

    /// The repository's own copy of MNIST.
    fn mnist() -> Dataset {
        let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
        Dataset::load(DatasetName::Mnist, Split::Test, &DataDirs::only([datasets])).unwrap()
    }

    #[test]
    fn the_published_files_come_out_and_nothing_else_is_taken() {
        let data = mnist();
        let dir = tempfile::tempdir().unwrap();
        let put = |labels: &[u8]| {
            install(DatasetName::Mnist, Split::Test, &data.images, labels, dir.path())
        };
        let mut wrong = data.labels.clone();
        wrong.swap(0, 1);
        let error = put(&wrong).unwrap_err();
        assert!(matches!(error, DataError::Checksum { .. }), "{error}");
        assert!(put(&[]).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let files = put(&data.labels).unwrap();
        assert!(files.iter().all(|file| file.downloaded) && files.len() == 2);
        assert!(put(&data.labels).unwrap().iter().all(|file| !file.downloaded));
        let again = DataDirs::only([dir.path().to_owned()]);
        let again = Dataset::load(DatasetName::Mnist, Split::Test, &again).unwrap();
        assert_eq!((again.images, again.labels), (data.images, data.labels));
    }
}
