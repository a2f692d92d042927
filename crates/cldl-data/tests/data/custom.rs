//! Data sets of one's own: folders with a `dataset.toml`.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use cldl_data::{DataDirs, DataError, Dataset, DatasetSpec, Split};
use flate2::{Compression, write::GzEncoder};

fn idx(elements: &[u8], dimensions: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    bytes.extend(dimensions.iter().flat_map(|dimension| dimension.to_be_bytes()));
    [bytes, elements.to_vec()].concat()
}

fn gz(content: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(content).unwrap();
    packer.finish().unwrap()
}

/// Two gray images of 2x3 pixels to train on, one to test on.
fn letters(root: &Path, description: &str) -> DataDirs {
    let folder = root.join("letters");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("dataset.toml"), description).unwrap();
    let images = [0, 51, 102, 153, 204, 255, 0, 0, 0, 255, 255, 255];
    fs::write(folder.join("a.gz"), gz(&idx(&images, &[2, 2, 3]))).unwrap();
    fs::write(folder.join("b"), idx(&[1, 0], &[2])).unwrap();
    fs::write(folder.join("c"), idx(&images[6..], &[1, 2, 3])).unwrap();
    fs::write(folder.join("d"), idx(&[1], &[1])).unwrap();
    DataDirs::only([root.to_path_buf()])
}

const LETTERS: &str = "format = 'idx'\nclasses = ['a', 'b']\nimage_shape = [1, 2, 3]\n\
                       train = ['a', 'b']\ntest = ['c', 'd']\n";

fn load(dirs: &mut DataDirs, text: &str, split: Split) -> Result<Dataset, DataError> {
    let spec = dirs.dataset(text)?;
    Dataset::load(spec, split, dirs)
}

#[test]
fn a_folder_of_idx_files_by_name_and_by_path() {
    let root = tempfile::tempdir().unwrap();
    let mut dirs = letters(root.path(), LETTERS);
    let train = load(&mut dirs, "letters", Split::Train).unwrap();
    assert_eq!((train.len(), train.labels.as_slice(), train.image(0)[1]), (2, &[1, 0][..], 51));
    assert_eq!(train.spec.class_names(), ["a", "b"]);
    // Left out, mean and deviation are those of the training images.
    assert!((train.spec.mean()[0] - 0.5).abs() < 1e-6);
    assert!((train.spec.std()[0] - 0.428_174).abs() < 1e-5, "{:?}", train.spec.std());

    let path = root.path().join("letters");
    let mut elsewhere = DataDirs::only([]);
    let test = load(&mut elsewhere, path.to_str().unwrap(), Split::Test).unwrap();
    assert_eq!((test.len(), test.spec), (1, train.spec));
}

#[test]
fn a_folder_of_cifar_files_with_two_classes() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("pets");
    fs::create_dir(&folder).unwrap();
    let description = "format = 'cifar-binary'\nclasses = ['cat', 'dog']\ntrain = ['x', 'y']\n\
                       test = ['x']\nmean = [0.5, 0.5, 0.5]\nstd = [0.2, 0.2, 0.2]\n";
    fs::write(folder.join("dataset.toml"), description).unwrap();
    let record = |label: u8| [vec![label], vec![7; 3072]].concat();
    fs::write(folder.join("x"), record(0)).unwrap();
    fs::write(folder.join("y.gz"), gz(&[record(1), record(1)].concat())).unwrap();
    let mut dirs = DataDirs::only([root.path().to_path_buf()]);
    let train = load(&mut dirs, "pets", Split::Train).unwrap();
    assert_eq!((train.labels.as_slice(), train.image_shape), (&[0, 1, 1][..], [3, 32, 32]));
    assert_eq!(load(&mut dirs, "pets", Split::Test).unwrap().len(), 1);

    fs::write(folder.join("x"), record(2)).unwrap();
    let error = load(&mut dirs, "pets", Split::Test).unwrap_err().to_string();
    assert!(error.contains("is 2, expected less than 2"), "{error}");
    fs::write(folder.join("x"), [0; 3000]).unwrap();
    assert!(load(&mut dirs, "pets", Split::Test).is_err());
}

#[test]
fn bad_descriptions_are_told_in_one_line() {
    let root = tempfile::tempdir().unwrap();
    for (from, to, expected) in [
        ("'idx'", "'png'", "line 1: unknown variant `png`"),
        ("classes", "klasses", "line 2: unknown field `klasses`"),
        ("['a', 'b']\nimage", "['a']\nimage", "1 classes, expected 2 to 256"),
        ("[1, 2, 3]", "[1, 3, 2]", "the dimensions are [2, 2, 3], expected any number of [3, 2]"),
        ("[1, 2, 3]", "[0, 2, 3]", "a side outside 1 to 4096"),
        ("train = ['a', 'b']", "train = ['a']", "two files each: images, labels"),
        ("train = ['a', 'b']", "train = ['z', 'b']", "not there"),
        ("train = ['a', 'b']", "train = ['a', 'd']", "expected 6 for 1 labels"),
        ("format", "mean = [1.0, 2.0]\nformat", "each of 1 channels"),
        ("format", "std = [0.0]\nformat", "not above 0"),
    ] {
        let mut dirs = letters(root.path(), &LETTERS.replacen(from, to, 1));
        let error = load(&mut dirs, "letters", Split::Train).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
        assert!(error.contains("letters"), "{error}");
    }
    let mut dirs = DataDirs::only([root.path().to_path_buf()]);
    let error = dirs.dataset("words").unwrap_err().to_string();
    assert!(error.starts_with("unknown data set `words`"), "{error}");
}

#[test]
fn a_model_s_classes_must_be_those_of_the_folder() {
    let root = tempfile::tempdir().unwrap();
    let mut dirs = letters(root.path(), LETTERS);
    let spec = dirs.dataset("letters").unwrap();
    letters(root.path(), &LETTERS.replace("'b']\nimage", "'c']\nimage"));
    let error = Dataset::load(&spec, Split::Test, &dirs).unwrap_err().to_string();
    assert!(error.contains(r#"["a", "c"]"#) && error.contains(r#"["a", "b"]"#), "{error}");

    let DatasetSpec::Custom(custom) = spec else { panic!("{spec:?}") };
    let gone =
        DatasetSpec::Custom(Box::new(cldl_data::CustomSpec { name: "gone".into(), ..*custom }));
    let error = Dataset::load(gone, Split::Test, &dirs).unwrap_err().to_string();
    assert!(
        error.contains("`gone/dataset.toml` not found") && error.contains("--data-dir"),
        "{error}"
    );
}

#[test]
fn a_header_that_claims_more_than_the_file_holds_costs_no_memory() {
    let root = tempfile::tempdir().unwrap();
    let mut dirs = letters(root.path(), LETTERS);
    let huge = idx(&[0; 12], &[u32::MAX, 2, 3]);
    fs::write(root.path().join("letters/a.gz"), gz(&huge)).unwrap();
    let error = load(&mut dirs, "letters", Split::Train).unwrap_err().to_string();
    assert!(error.contains("12 bytes of content, expected 25769803770"), "{error}");
}
