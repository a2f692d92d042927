//! What reads files that may come from strangers, each as a function of bytes: what the fuzzers call
//! (`fuzz/`), and the ordinary tests with the files that the fuzzers found.
//!
//! A target must return, whatever the bytes are, and what it holds must be bounded by their number.

use std::path::Path;

use cldl_checkpoint::pytorch::{ImportOptions, ensemble_of};
use cldl_data::{DatasetName, untrusted};

#[path = "../xtask/src/reproduce/grid.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "of xtask's, which is no library: only its parser is called"
)]
mod grid;

/// Something that reads bytes.
pub type Target = fn(&[u8]);

/// Every reader of files from elsewhere, by name.
pub const TARGETS: [(&str, Target); 12] = [
    ("idx", idx),
    ("cifar", cifar),
    ("packed", packed),
    ("dataset", dataset),
    ("options", options),
    ("config", config),
    ("checkpoint", checkpoint),
    ("published", published),
    ("pytorch", pytorch),
    ("outcomes", outcomes),
    ("request", request),
    ("grid", grid),
];

/// The most that may come of `packed` bytes in a test; the real limit is the size that the file must have.
const UNPACKED: usize = 1 << 16;

fn idx(bytes: &[u8]) {
    for shape in [&[3usize, 2, 2][..], &[4], &[usize::MAX, 28, 28]] {
        if let Ok(elements) = untrusted::idx(bytes.to_vec(), shape) {
            assert_eq!(elements.len(), shape.iter().product::<usize>());
        }
    }
}

fn cifar(bytes: &[u8]) {
    if let Ok((images, labels)) = untrusted::cifar(bytes) {
        assert_eq!(images.len() + labels.len(), bytes.len());
    }
}

fn packed(bytes: &[u8]) {
    let (length, bytes) = match bytes.split_first_chunk::<2>() {
        Some((length, rest)) => (usize::from(u16::from_le_bytes(*length)), rest),
        None => (UNPACKED, bytes),
    };
    if let Ok(content) = untrusted::unpack(bytes, length) {
        assert_eq!(content.len(), length);
    }
    let _ = untrusted::unpack_idx(bytes, &[4, 4]);
}

fn dataset(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = untrusted::dataset_toml(text);
    }
}

fn options(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(options) = toml::from_str::<cldl_train::TrainOptions>(text)
    {
        let _ = options.on(&DatasetName::Mnist.into()).method();
    }
}

fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(config) = toml::from_str::<cldl_train::TrainConfig>(text) {
        let _ = (config.check(), config.run_name(), config.steps_per_epoch());
    }
    let _ = cldl_core::sums::parse(text);
}

fn checkpoint(bytes: &[u8]) {
    if let Ok((ensemble, config)) = cldl_train::ensemble_of(bytes) {
        assert_eq!(ensemble.config, config.ensemble);
    }
}

fn published(bytes: &[u8]) {
    if let Ok(config) = cldl_checkpoint::Config::parse(Path::new("config.json"), bytes) {
        assert_eq!(config.classes.len(), config.ensemble.n_classes);
    }
}

fn pytorch(bytes: &[u8]) {
    let options = ImportOptions { dataset: DatasetName::Mnist.into(), leaky_slope: 0.0 };
    if let Ok(ensemble) = ensemble_of(bytes, &options) {
        // Nothing shorter holds one member.
        assert!(ensemble.params.n_parameters() <= bytes.len());
    }
}

fn outcomes(bytes: &[u8]) {
    if let Ok(key) = cldl_eval::key_of(bytes)
        && let Ok(record) = cldl_eval::record_of(bytes, &key)
    {
        assert_eq!(record.outcome.len(), key.count);
    }
}

fn request(bytes: &[u8]) {
    let _ = cldl_eval::table::Request::parse(bytes);
}

fn grid(bytes: &[u8]) {
    let _ = cldl_grid::Grid::parse(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = grid::Experiment::parse(text, Path::new("table4.toml"), 4);
    }
}
