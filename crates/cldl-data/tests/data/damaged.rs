//! Files that are missing, cut, changed or of another kind: one clear line each, and never a panic.

use std::io::Write as _;
use std::path::Path;

use cldl_data::{DataDirs, Dataset, DatasetName, FileState, Split, verify};
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use crate::datasets;

const IMAGES: &str = "t10k-images-idx3-ubyte.gz";
const LABELS: &str = "t10k-labels-idx1-ubyte.gz";

/// What loading the test split says when its labels are `labels`.
fn error_with(labels: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mnist = folder.path().join("mnist");
    std::fs::create_dir(&mnist).unwrap();
    std::fs::hard_link(datasets().join("mnist").join(IMAGES), mnist.join(IMAGES))
        .or_else(|_| {
            std::fs::copy(datasets().join("mnist").join(IMAGES), mnist.join(IMAGES)).map(drop)
        })
        .unwrap();
    std::fs::write(mnist.join(LABELS), labels).unwrap();
    let dirs = DataDirs::only([folder.path().to_path_buf()]);
    let error = Dataset::load(DatasetName::Mnist, Split::Test, &dirs).unwrap_err().to_string();
    let path = mnist.join(LABELS);
    assert!(!error.contains('\n'), "{error}");
    error.replace(&*path.to_string_lossy(), "LABELS")
}

fn gz(content: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(content).unwrap();
    packer.finish().unwrap()
}

fn published() -> Vec<u8> {
    std::fs::read(datasets().join("mnist").join(LABELS)).unwrap()
}

const HINT: &str = "; remove it, then run `cldl data fetch mnist`";

#[test]
fn a_cut_file() {
    let error = error_with(&published()[..2000]);
    assert!(error.starts_with("`LABELS` is no usable file of `mnist`: damaged after "), "{error}");
    assert!(error.ends_with(HINT), "{error}");
}

#[test]
fn an_empty_file_and_a_web_page() {
    let expected = |n| {
        format!("`LABELS` is no usable file of `mnist`: {n} bytes of content, expected 10008{HINT}")
    };
    assert_eq!(error_with(b""), expected(0));
    assert_eq!(error_with(b"<html>no</html>"), expected(15));
}

#[test]
fn a_header_that_claims_more_than_there_is() {
    let mut content = vec![0, 0, 8, 1, 0xff, 0xff, 0xff, 0xff];
    content.resize(10_008, 0);
    let expected = format!(
        "`LABELS` is no usable file of `mnist`: the dimensions are [4294967295], expected [10000]{HINT}"
    );
    assert_eq!(error_with(&gz(&content)), expected);
}

#[test]
fn another_content_of_the_same_form() {
    let mut content = vec![0, 0, 8, 1, 0, 0, 0x27, 0x10];
    content.resize(10_008, 0);
    let error = error_with(&gz(&content));
    assert!(
        error.starts_with("`LABELS` is not the published file of `mnist`: SHA-256 is "),
        "{error}"
    );
    assert!(
        error.contains("expected ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
        "{error}"
    );
}

#[test]
fn a_missing_file_is_reported_with_the_places_looked_at() {
    let dirs = DataDirs::only([Path::new("/nowhere/at/all").to_path_buf()]);
    for report in verify(DatasetName::FashionMnist, &dirs) {
        assert_eq!(report.state, FileState::Missing);
        let problem = report.problem.unwrap();
        assert!(
            problem.contains("not found in `/nowhere/at/all`; run `cldl data fetch fashion-mnist`"),
            "{problem}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_flipped_bit_or_a_cut_is_always_an_error(at in 0usize..4542, bit in 0u8..8) {
        let mut file = published();
        error_with(&file[..at]);
        // Bits of gzip's own header (time, system) say nothing about the content.
        prop_assume!(at > 30);
        file[at] ^= 1 << bit;
        error_with(&file);
    }
}
