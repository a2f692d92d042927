//! A folder of its own with a tiny run in it, and a Hub of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use cldl_fake_hub::FakeHub;
use serde_json::Value;

use crate::run::{Ran, Sandbox};

/// A Hub, and a folder with a tiny trained run, `run`.
pub(crate) struct World {
    pub(crate) hub: FakeHub,
    pub(crate) sandbox: Sandbox,
    pub(crate) token: &'static str,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(FakeHub::start().unwrap(), Sandbox::new())
    }

    /// A Hub whose large files go through Xet.
    pub(crate) fn with_xet() -> Self {
        let sandbox = Sandbox::new();
        let folder = sandbox.path("xet");
        std::fs::create_dir(&folder).unwrap();
        Self::with(FakeHub::with_xet(folder).unwrap(), sandbox)
    }

    fn with(hub: FakeHub, sandbox: Sandbox) -> Self {
        copy(&trained(), &sandbox.path("run"));
        Self { hub, sandbox, token: "writer" }
    }

    /// The binary, which knows this Hub and no other.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = self.sandbox.command(arguments);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let datasets = crate::run::datasets();
        command.env_clear().env("PATH", path).env("CLDL_DATA_DIR", datasets);
        command.env("HF_HOME", self.sandbox.path("hf")).env("HF_ENDPOINT", &self.hub.url);
        command.env("NO_PROXY", "127.0.0.1").env("HF_HUB_DISABLE_TELEMETRY", "1");
        if !self.token.is_empty() {
            command.env("HF_TOKEN", self.token);
        }
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

    /// Runs a command that must fail, and returns its one line.
    pub(crate) fn failure(&self, arguments: &str) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.status, 1, "{arguments}: {ran:?}");
        assert_eq!(
            ran.stderr.lines().filter(|line| line.starts_with("cldl: ")).count(),
            1,
            "{ran:?}"
        );
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
        ran.stderr
    }

    /// Pushes the run to `me/model`; returns the commit.
    pub(crate) fn push(&self, more: &str) -> String {
        let pushed = self.json(&format!("hub push run --repo-id me/model {more} --json"));
        pushed["commit"].as_str().unwrap().to_owned()
    }

    /// Forgets what was downloaded, if anything was.
    pub(crate) fn clear_cache(&self) {
        let cache = self.sandbox.path("hf");
        if cache.exists() {
            std::fs::remove_dir_all(cache).unwrap();
        }
    }
}

/// One tiny training serves all tests.
fn trained() -> PathBuf {
    static TRAINED: OnceLock<PathBuf> = OnceLock::new();
    let folder = TRAINED.get_or_init(|| {
        let run = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hub-run");
        let out = run.to_str().unwrap();
        let options = "--method cldl --members 2 --limit-train 256 --epochs 1";
        // A run that an earlier test left is found again by its settings, or replaced.
        if Sandbox::new().run(&format!("train {options} --out {out}")).status != 0 {
            std::fs::remove_dir_all(&run).unwrap();
            Sandbox::new().json(&format!("train {options} --out {out} --json"));
        }
        run
    });
    folder.clone()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(path, to).unwrap();
        }
    }
}
