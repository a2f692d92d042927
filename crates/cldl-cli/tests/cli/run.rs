//! Runs the binary in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A temporary folder in which the binary runs, with the repository's MNIST.
pub(crate) struct Sandbox {
    folder: TempDir,
}

/// What a run of the binary gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The binary with `arguments` (split at spaces), not yet started.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cldl"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env("CLDL_DATA_DIR", datasets())
            .env_remove("RUST_LOG");
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    /// Runs a command that must succeed and print one JSON object.
    pub(crate) fn json(&self, arguments: &str) -> Value {
        let ran = self.run(arguments);
        assert_eq!(ran.status, 0, "{arguments}: {ran:?}");
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// Trains a tiny baseline into `name`.
    pub(crate) fn baseline(&self, name: &str, members: usize) {
        self.json(&format!(
            "train --method baseline --members {members} --limit-train 256 --epochs 1 --out {name} --json"
        ));
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            // A process that a signal ended has no status.
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The repository's datasets.
pub(crate) fn datasets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets")
}

/// The bytes of a run's model.
pub(crate) fn model(run: &Path) -> Vec<u8> {
    let checkpoints = std::fs::read_dir(run.join("checkpoint")).unwrap();
    let places: Vec<PathBuf> = checkpoints.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(places.len(), 1, "{places:?}");
    std::fs::read(places[0].join("model.safetensors")).unwrap()
}
