//! The binaries under test, built once.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

struct Binaries {
    cldl: PathBuf,
    xtask: PathBuf,
}

fn binaries() -> &'static Binaries {
    static BUILT: OnceLock<Binaries> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["build", "-p", "cldl-cli", "-p", "xtask", "--bins", "--locked"]);
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        command.arg("--message-format=json-render-diagnostics");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit());
        let output = command.output().expect("cargo runs");
        assert!(output.status.success(), "the binaries do not build");
        let messages = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
        let executable = |name: &str| {
            let of = |line: &str| {
                let message: serde_json::Value = serde_json::from_str(line).ok()?;
                let found = message["target"]["name"] == name;
                found.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
            };
            messages.lines().rev().find_map(of).expect("cargo names the binary")
        };
        Binaries { cldl: executable("cldl"), xtask: executable("xtask") }
    })
}

pub(crate) fn cldl() -> PathBuf {
    binaries().cldl.clone()
}

pub(crate) fn xtask() -> PathBuf {
    binaries().xtask.clone()
}
