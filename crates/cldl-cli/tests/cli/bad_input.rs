//! Bad input: one clear line (what, where, what to do), exit 1 or 2, nothing half-written.

use std::fs;
use std::path::Path;

use crate::run::{Ran, Sandbox, datasets};

/// A failure with `status` whose one line on stderr contains every one of `words`.
fn fails(ran: &Ran, status: i32, words: &[&str]) {
    assert_eq!(ran.status, status, "{ran:?}");
    assert_eq!(ran.stdout, "", "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "expected one line: {ran:?}");
    for word in words {
        assert!(ran.stderr.contains(word), "no `{word}` in: {}", ran.stderr);
    }
}

/// A copy of MNIST with one file replaced by `change` of its bytes.
fn broken_mnist(sandbox: &Sandbox, file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> String {
    let to = sandbox.path("data/mnist");
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(datasets().join("mnist")).unwrap() {
        let from = entry.unwrap().path();
        let bytes = fs::read(&from).unwrap();
        let name = from.file_name().unwrap().to_str().unwrap().to_owned();
        fs::write(to.join(&name), if name == file { change(bytes) } else { bytes }).unwrap();
    }
    sandbox.path("data").display().to_string()
}

const LABELS: &str = "train-labels-idx1-ubyte.gz";

#[test]
fn missing_data() {
    let sandbox = Sandbox::new();
    let ran = Ran::from(
        sandbox
            .command("train --dataset cifar-10 --data-dir nowhere")
            .env("CLDL_DATA_DIR", sandbox.path("empty"))
            .env("HOME", sandbox.path("home"))
            .env("XDG_DATA_HOME", sandbox.path("home"))
            .output()
            .unwrap(),
    );
    fails(&ran, 1, &["cifar-10", "data_batch_1", "nowhere"]);
    assert!(!sandbox.path("runs").exists());
}

#[test]
fn truncated_data_file() {
    let sandbox = Sandbox::new();
    let data = broken_mnist(&sandbox, LABELS, |mut bytes| {
        bytes.truncate(1000);
        bytes
    });
    let ran = sandbox.run(&format!("train --data-dir {data}"));
    fails(&ran, 1, &[LABELS]);
    assert!(!sandbox.path("runs").exists());
}

#[test]
fn wrong_checksum() {
    let sandbox = Sandbox::new();
    let data = broken_mnist(&sandbox, "t10k-labels-idx1-ubyte.gz", |_| {
        // The training labels are well-formed, but they are not the test labels.
        fs::read(datasets().join("mnist").join(LABELS)).unwrap()
    });
    let ran = sandbox.run(&format!("data info mnist --data-dir {data}"));
    fails(&ran, 1, &["t10k-labels-idx1-ubyte"]);
    let ran = sandbox.run(&format!("data verify mnist --data-dir {data}"));
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains("1 of 4 files"), "{ran:?}");
}

#[test]
fn wrong_usage() {
    let sandbox = Sandbox::new();
    fails(&sandbox.run("train --method magic"), 2, &["unknown method `magic`", "`cldl`"]);
    fails(&sandbox.run("train --members 0"), 2, &["--members is 0"]);
    fails(&sandbox.run("train --alpha -1"), 2, &["alpha -1"]);
    fails(&sandbox.run("train --members 1"), 2, &["at least 2, got 1"]);
    fails(&sandbox.run("train --arch resnet20"), 2, &["`resnet20` takes 3x32x32", "`mnist`"]);
    fails(&sandbox.run("train --resume"), 2, &["no run to go on with"]);
    fs::write(sandbox.path("options.toml"), "method = \"cldl\"\nlearning_rate = 3\n").unwrap();
    fails(
        &sandbox.run("train --config options.toml"),
        2,
        &["options.toml", "line 2", "learning_rate"],
    );
    assert!(!sandbox.path("runs").exists());
}

#[test]
fn eps_outside_the_pixel_range() {
    let sandbox = Sandbox::new();
    sandbox.baseline("run", 1);
    for eps in ["1.5", "-0.1", "NaN"] {
        let ran = sandbox.run(&format!("attack run --attack fgsm --eps={eps} --out adv"));
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.stderr.contains(&format!("eps {eps} is outside [0, 1]")), "{ran:?}");
    }
    assert!(!sandbox.path("adv").exists());
}

#[test]
fn settings_that_differ_from_the_runs_own() {
    let sandbox = Sandbox::new();
    sandbox.baseline("run", 1);
    let ran =
        sandbox.run("train --method baseline --members 2 --limit-train 256 --epochs 1 --out run");
    fails(&ran, 1, &["`run`", "other settings", "--out"]);
}

#[test]
fn checkpoints_that_are_not() {
    let sandbox = Sandbox::new();
    sandbox.baseline("run", 1);
    let model = sandbox.path("run/checkpoint/epoch-0001/model.safetensors");
    let whole = fs::read(&model).unwrap();

    fs::write(&model, &whole[..whole.len() / 2]).unwrap();
    fails(&sandbox.run("eval clean run"), 1, &["model.safetensors", "damaged"]);
    fs::write(&model, b"not a checkpoint").unwrap();
    fails(&sandbox.run("eval clean run"), 1, &["model.safetensors", "damaged"]);
    // The config says another architecture than the tensors are of.
    replace(
        &model,
        &whole,
        r#"\"arch\":\"lenet5\",\"members\":1"#,
        r#"\"arch\":\"lenet5\",\"members\":2"#,
    );
    fails(&sandbox.run("eval clean run"), 1, &["does not fit its own config", "model_1."]);
    fails(&sandbox.run("eval clean nowhere"), 1, &["nowhere", "no checkpoint"]);
}

/// Writes `bytes` with `from` replaced by `to`, which is as long.
fn replace(path: &Path, bytes: &[u8], from: &str, to: &str) {
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes());
    let at = at.unwrap_or_else(|| panic!("no {from} in the metadata"));
    let mut changed = bytes.to_vec();
    changed[at..at + to.len()].copy_from_slice(to.as_bytes());
    fs::write(path, changed).unwrap();
}

#[test]
fn an_output_directory_that_can_not_be_written() {
    let sandbox = Sandbox::new();
    // A file where the folder should be refuses root as well, which permissions do not.
    fs::write(sandbox.path("file"), b"").unwrap();
    let training = "train --method baseline --members 1 --limit-train 256 --epochs 1";
    fails(&sandbox.run(&format!("{training} --out file/run")), 1, &["file/run"]);
    #[cfg(unix)]
    if !can_write_everywhere(&sandbox) {
        fails(&sandbox.run(&format!("{training} --out locked/run")), 1, &["locked/run"]);
        assert_eq!(fs::read_dir(sandbox.path("locked")).unwrap().count(), 0);
    }
}

/// Makes the read-only folder `locked`; true if it does not stop this user.
#[cfg(unix)]
fn can_write_everywhere(sandbox: &Sandbox) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let locked = sandbox.path("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    fs::write(locked.join("probe"), b"")
        .is_ok_and(|()| fs::remove_file(locked.join("probe")).is_ok())
}

#[test]
fn an_attack_that_could_not_be_kept_is_not_made() {
    let sandbox = Sandbox::new();
    sandbox.baseline("run", 1);
    fs::write(sandbox.path("file"), b"").unwrap();
    let start = std::time::Instant::now();
    let ran = sandbox.run("attack run --steps 1000000 --out file/adv.safetensors");
    fails(&ran, 1, &["can't write `file/adv.safetensors`"]);
    assert!(start.elapsed().as_secs() < 60, "it attacked first");
}
