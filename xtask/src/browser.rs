//! The browser of the tests: Debian's Chromium, put there where CI has a machine to itself.

use std::process::{Command, Stdio};

/// Programs that the tests take for a browser.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Installs Chromium if this is CI, as root on Debian, without one. Without a browser its test says that
/// it was skipped.
pub(crate) fn install() {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    if NAMES.iter().any(|name| runs(name, &["--version"])) || !is("CI", "true") {
        return;
    }
    let packages = ["install", "-y", "-qq", "chromium", "fonts-dejavu-core"];
    if !(runs("apt-get", &["update", "-qq"]) && runs("apt-get", &packages)) {
        eprintln!(
            "ci: no Chromium can be installed: the test of the report in a browser is skipped"
        );
    }
}

fn runs(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
