//! A root folder with a stand-in for `cldl` in it, and the experiments with scales of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const FAKE: &str = include_str!("../fake_cldl.sh");

pub(crate) struct Sandbox(tempfile::TempDir);

impl Sandbox {
    pub(crate) fn new() -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        root.experiments(include_str!("../common.toml"));
        root.program("cldl", FAKE);
        root
    }

    /// Table 4's experiment, with these scales.
    pub(crate) fn experiments(&self, common: &str) {
        let experiments = self.path("package/experiments");
        fs::create_dir_all(&experiments).unwrap();
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::copy(package.join("experiments/table4.toml"), experiments.join("table4.toml")).unwrap();
        fs::write(experiments.join("common.toml"), common).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn program(&self, name: &str, script: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("reproduce").args(args).env("CARGO_MANIFEST_DIR", self.path("package"));
        command.arg("--cldl").arg(self.path("cldl")).arg("--root").arg(self.path(""));
        command
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
