//! CIFAR-10, which is not in the repository: these tests run where `CLDL_DATA_DIR` has it.

use std::path::Path;

use cldl_data::{DataDirs, DataError, Dataset, DatasetName, FileState, Split, info, verify};
use flate2::{Compression, write::GzEncoder};

fn load(split: Split, dirs: &DataDirs) -> Option<Dataset> {
    match Dataset::load(DatasetName::Cifar10, split, dirs) {
        Ok(dataset) => Some(dataset),
        Err(error @ DataError::NotFound { .. }) => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn counts_and_moments_equal_the_published_ones() {
    let dirs = DataDirs::standard(None);
    if load(Split::Test, &dirs).is_none() {
        return;
    }
    let splits = info(DatasetName::Cifar10, &dirs).unwrap();
    let [train, test] = &splits[..] else { panic!("{splits:?}") };
    assert_eq!(
        (train.class_counts.as_slice(), test.class_counts.as_slice()),
        (&[5000; 10][..], &[1000; 10][..])
    );
    for (found, published) in train.mean.iter().zip([0.4914, 0.4822, 0.4465]) {
        assert!((found - published).abs() < 6e-5, "{found} {published}");
    }
    for (found, published) in train.std.iter().zip([0.2470, 0.2435, 0.2616]) {
        assert!((found - published).abs() < 6e-5, "{found} {published}");
    }
    let reports = verify(DatasetName::Cifar10, &dirs);
    assert!(reports.iter().all(|report| report.state == FileState::Ok), "{reports:?}");
}

#[test]
fn images_stand_upright() {
    let Some(test) = load(Split::Test, &DataDirs::standard(None)) else { return };
    assert_eq!(test.labels[..10], [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]);
    // Over all ships and airplanes, the top (sky) is bluer and brighter than the bottom, which no
    // flip or transposition keeps; left and right differ little.
    let mut mean = [[0.0; 2]; 2];
    for i in (0..test.len()).filter(|i| [0, 8].contains(&test.labels[*i])) {
        let blue = &test.image(i)[2048..];
        for (at, pixel) in blue.iter().enumerate() {
            let (row, column) = (at / 32, at % 32);
            mean[0][row / 16] += f64::from(*pixel) / 2000.0 / 512.0;
            mean[1][column / 16] += f64::from(*pixel) / 2000.0 / 512.0;
        }
    }
    let [[top, bottom], [left, right]] = mean;
    assert!(top - bottom > 8.0 && (left - right).abs() < 4.0, "{mean:?}");
}

#[test]
fn an_archive_or_plain_files_hold_the_same_examples() {
    let Some(test) = load(Split::Test, &DataDirs::standard(None)) else { return };
    let mut file = Vec::new();
    for (label, image) in test.labels.iter().zip(test.images.as_chunks::<3072>().0) {
        file.push(*label);
        file.extend(image);
    }
    let folder = tempfile::tempdir().unwrap();
    let reload = || {
        Dataset::load(DatasetName::Cifar10, Split::Test, &DataDirs::only([folder.path().into()]))
    };

    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(file.len() as u64);
    header.set_mode(0o644);
    let name = Path::new("cifar-10-batches-bin/test_batch.bin");
    archive.append_data(&mut header, name, &file[..]).unwrap();
    let packed = archive.into_inner().unwrap().finish().unwrap();
    let path = folder.path().join("cifar-10-binary.tar.gz");
    std::fs::write(&path, &packed).unwrap();
    let reloaded = reload().unwrap();
    assert!(reloaded.images == test.images && reloaded.labels == test.labels);
    assert_eq!(reloaded.sha256, test.sha256);

    std::fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    let error = reload().unwrap_err().to_string();
    assert!(error.contains("cifar-10-binary.tar.gz` is no usable file of `cifar-10`"), "{error}");

    // A record whose pixels are not known for sure may differ; any other may not.
    let plain = folder.path().join("cifar-10-batches-bin/test_batch.bin");
    std::fs::create_dir_all(plain.parent().unwrap()).unwrap();
    file[722 * 3073 + 1] ^= 1;
    std::fs::write(&plain, &file).unwrap();
    assert_ne!(reload().unwrap().sha256, test.sha256);
    file[723 * 3073 + 1] ^= 1;
    std::fs::write(&plain, &file).unwrap();
    assert!(matches!(reload(), Err(DataError::Checksum { .. })));
}
