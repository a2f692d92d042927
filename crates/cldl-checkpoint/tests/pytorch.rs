//! Files that real PyTorch wrote (`fixtures/make.py`), and damaged ones.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::path::{Path, PathBuf};

use candle::Tensor;
use cldl_checkpoint::pytorch::{ImportOptions, import, read_state_dict};
use cldl_data::DatasetName;
use proptest::prelude::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn both_formats_hold_the_same_tensors() {
    for name in ["zip.pth", "legacy.pth"] {
        let state = read_state_dict(&fixture(name)).unwrap();
        let names: Vec<_> = state.tensors.keys().map(String::as_str).collect();
        let expected =
            ["brain", "empty", "half", "parameter", "plain", "scalar", "slice", "transposed"];
        assert_eq!(names, expected.map(|name| format!("model_0.{name}")));
        let values = |tensor: &str| {
            let tensor: &Tensor = &state.tensors[&format!("model_0.{tensor}")];
            (tensor.dims().to_vec(), tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        };
        let base = vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        for same in ["plain", "half", "brain"] {
            assert_eq!(values(same), (vec![2, 3], base.clone()), "{name} {same}");
        }
        assert_eq!(values("transposed"), (vec![3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        assert_eq!(values("slice"), (vec![4], vec![10.0, 13.0, 16.0, 19.0]));
        assert_eq!(values("parameter").1, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]);
        assert_eq!(values("scalar"), (vec![], vec![7.0]));
        assert_eq!(values("empty"), (vec![0, 3], vec![]));
    }
}

#[test]
fn code_is_never_run() {
    let error = read_state_dict(&fixture("evil.pth")).unwrap_err().to_string();
    assert!(error.contains("`posix.system`") && error.contains("nothing was run"), "{error}");
    let error = read_state_dict(&fixture("module.pth")).unwrap_err().to_string();
    assert!(error.contains("state_dict"), "{error}");
    let error = read_state_dict(&fixture("double.pth")).unwrap_err().to_string();
    assert!(error.contains("F64") && error.contains("float32"), "{error}");
    assert!(!Path::new("/tmp/cldl-was-run").exists());
}

#[test]
fn every_cut_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pth");
    for name in ["zip.pth", "legacy.pth"] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for length in (0..whole.len()).step_by(7) {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = read_state_dict(&path).unwrap_err().to_string();
            assert!(error.contains("cut.pth") && !error.contains('\n'), "{length}: {error}");
        }
    }
}

#[test]
fn what_is_no_ensemble_is_described() {
    let options = ImportOptions { dataset: DatasetName::Mnist.into(), leaky_slope: 0.0 };
    let error = import(&[fixture("zip.pth")], &options).unwrap_err().to_string();
    assert!(error.contains("neither a lenet5 nor a resnet20"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A byte that is changed changes numbers, or is refused; it never does harm.
    #[test]
    fn a_changed_byte_does_no_harm(at in 0usize..10_000, byte in any::<u8>(), zip in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = std::fs::read(fixture(if zip { "zip.pth" } else { "legacy.pth" })).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        let path = folder.path().join("changed.pth");
        std::fs::write(&path, bytes).unwrap();
        let _ = read_state_dict(&path);
    }
}
