//! A folder with a tiny data set, in which the binary runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::binary;

pub(crate) const TRAIN: usize = 192;
pub(crate) const TEST: usize = 60;

/// What is common to the tiny trainings.
pub(crate) const TINY: &str =
    "--dataset data/digits --members 2 --batch-size 32 --epochs 3 --checkpoint-every 2steps";

pub(crate) struct Sandbox {
    folder: TempDir,
}

/// How a run of the binary ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The line that says what went wrong: the one that begins with the program's name.
    pub(crate) fn complaint(&self) -> String {
        let lines: Vec<&str> =
            self.stderr.lines().filter(|line| line.starts_with("cldl: ")).collect();
        assert_eq!(lines.len(), 1, "expected one line of complaint: {self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        lines[0].to_owned()
    }
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let sandbox = Self { folder: tempfile::tempdir().unwrap() };
        sandbox.write_data();
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The binary with `arguments` (split at spaces), not yet started.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        self.command_of(&binary::cldl(), arguments)
    }

    pub(crate) fn command_of(&self, binary: &Path, arguments: &str) -> Command {
        let mut command = Command::new(binary);
        command
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env("RAYON_NUM_THREADS", "2")
            .env("CLDL_DATA_DIR", self.path("data"))
            .env_remove("RUST_LOG");
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    pub(crate) fn succeeds(&self, arguments: &str) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.status, Some(0), "{arguments}: {ran:?}");
        ran
    }

    /// Images of ten things in CIFAR-10's format, each of one color of its own, as `data/things`.
    pub(crate) fn write_things(&self, train: usize, test: usize) {
        let folder = self.path("data/things");
        std::fs::create_dir_all(&folder).unwrap();
        for (name, n) in [("data_batch_1.bin", train), ("test_batch.bin", test)] {
            let record = |i: usize| [vec![(i % 10) as u8], vec![(9 * i) as u8; 3072]].concat();
            std::fs::write(folder.join(name), (0..n).flat_map(record).collect::<Vec<u8>>())
                .unwrap();
        }
        let classes: Vec<String> = (0..10).map(|class| format!("\"{class}\"")).collect();
        let description = format!(
            "format = \"cifar-binary\"\nclasses = [{}]\nmean = [0.5, 0.5, 0.5]\nstd = [0.2, 0.2, 0.2]\n\
             train = [\"data_batch_1.bin\"]\ntest = [\"test_batch.bin\"]\n",
            classes.join(", ")
        );
        std::fs::write(folder.join("dataset.toml"), description).unwrap();
    }

    /// Ten classes of 28x28 images that a network can tell apart: a bright column in noise.
    pub(crate) fn write_data(&self) {
        let folder = self.path("data/digits");
        std::fs::create_dir_all(&folder).unwrap();
        let classes: Vec<String> = (0..10).map(|class| format!("\"c{class}\"")).collect();
        let description = format!(
            "format = \"idx\"\nclasses = [{}]\nmean = [0.2]\nstd = [0.3]\n",
            classes.join(", ")
        );
        std::fs::write(folder.join("dataset.toml"), description).unwrap();
        for (stem, n, salt) in [("train", TRAIN, 1), ("t10k", TEST, 2)] {
            let (mut images, mut labels) = (vec![0, 0, 8, 3], vec![0, 0, 8, 1]);
            for side in [n, 28, 28] {
                images.extend((side as u32).to_be_bytes());
            }
            labels.extend((n as u32).to_be_bytes());
            let mut state: u32 = salt;
            for i in 0..n {
                let class = i % 10;
                labels.push(class as u8);
                for pixel in 0..784 {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let noise = (state >> 26) as u8;
                    let bright = (pixel % 28) / 2 == class + 2;
                    images.push(if bright { 150 + noise } else { noise });
                }
            }
            std::fs::write(folder.join(format!("{stem}-images-idx3-ubyte")), images).unwrap();
            std::fs::write(folder.join(format!("{stem}-labels-idx1-ubyte")), labels).unwrap();
        }
    }
}

/// Everything in a run directory that must not depend on what happened to the process: its files by name,
/// without times.
pub(crate) fn result_of(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut result = files_below(run);
    result.remove(".lock");
    // The list has a checksum of the metrics, which hold times.
    assert!(result.remove("done").is_some(), "`{}` is not done", run.display());
    let metrics = String::from_utf8(result["metrics.jsonl"].clone()).unwrap();
    let timeless: Vec<String> = metrics
        .lines()
        .map(|line| {
            let mut record: Value = serde_json::from_str(line).unwrap();
            record.as_object_mut().unwrap().remove("seconds");
            record.to_string()
        })
        .collect();
    result.insert("metrics.jsonl".to_owned(), timeless.join("\n").into_bytes());
    result
}

/// Every file below `folder` by its name there. Temporary ones of a process that was killed are not
/// anybody's.
pub(crate) fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|extension| extension != "tmp") {
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    files
}
