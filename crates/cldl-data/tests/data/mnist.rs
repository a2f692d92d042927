//! MNIST as it is in the repository, and Fashion-MNIST where it is installed.

use std::path::Path;

use cldl_data::{DataDirs, Dataset, DatasetName, FileState, Split, info, unpacked, verify};

use crate::datasets;

#[test]
fn counts_and_moments_equal_the_published_ones() {
    let splits = info(DatasetName::Mnist, &DataDirs::only([datasets()])).unwrap();
    let [train, test] = &splits[..] else { panic!("{splits:?}") };
    assert_eq!((train.examples, test.examples), (60_000, 10_000));
    assert_eq!(train.class_counts, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    assert_eq!(test.class_counts, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    assert!((train.mean[0] - 0.1307).abs() < 5e-5, "{}", train.mean[0]);
    assert!((train.std[0] - 0.3081).abs() < 5e-5, "{}", train.std[0]);
    assert_ne!(train.sha256, test.sha256);
}

#[test]
fn the_first_test_image_is_an_upright_seven() {
    let dirs = DataDirs::only([datasets()]);
    let test = Dataset::load(DatasetName::Mnist, Split::Test, &dirs).unwrap();
    assert_eq!(test.labels[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    // Its bar is at the top, its foot at the bottom left.
    let ink = |row: usize| test.image(0)[row * 28..][..28].iter().filter(|p| **p > 127).count();
    assert!(ink(8) > 10 && ink(24) < 6 && ink(2) == 0, "{} {} {}", ink(8), ink(24), ink(2));
}

#[test]
fn verify_finds_every_file() {
    let reports = verify(DatasetName::Mnist, &DataDirs::only([datasets()]));
    assert_eq!(reports.len(), 4);
    for report in reports {
        assert_eq!(report.state, FileState::Ok, "{report:?}");
        assert!(report.path.is_some() && report.sha256.is_some() && report.problem.is_none());
    }
}

#[test]
fn fashion_mnist_has_as_many_of_each_class() {
    let dirs = DataDirs::standard(Some(&datasets()));
    let splits = match info(DatasetName::FashionMnist, &dirs) {
        Ok(splits) => splits,
        Err(e) => return println!("skipped: {e}"),
    };
    assert_eq!(splits[0].class_counts, [6000; 10]);
    assert_eq!(splits[1].class_counts, [1000; 10]);
    assert!((splits[0].mean[0] - 0.2860).abs() < 5e-5, "{}", splits[0].mean[0]);
    assert!((splits[0].std[0] - 0.3530).abs() < 5e-5, "{}", splits[0].std[0]);
}

#[test]
fn an_unpacked_copy_is_the_same_data_and_made_once() {
    let (packed, folder) = (DataDirs::only([datasets()]), tempfile::tempdir().unwrap());
    let unpack = |dirs| unpacked(DatasetName::Mnist, usize::MAX, dirs, folder.path()).unwrap();
    let copy = unpack(&packed).unwrap();
    let plain = DataDirs::only([copy.clone()]);
    let load = |dirs| Dataset::load(DatasetName::Mnist, Split::Test, dirs).unwrap();
    let (one, other) = (load(&packed), load(&plain));
    assert!((one.sha256, one.images, one.labels) == (other.sha256, other.images, other.labels));
    let files = std::fs::read_dir(copy.join("mnist")).unwrap();
    let written = |path: &Path| path.metadata().unwrap().modified().unwrap();
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    let before: Vec<_> = files.iter().map(|file| written(file)).collect();
    assert_eq!((unpack(&packed), before.len()), (Some(copy), 4));
    assert_eq!(files.iter().map(|file| written(file)).collect::<Vec<_>>(), before);
    assert_eq!(unpack(&plain), None);
}
