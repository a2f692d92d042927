//! The binaries under test: those beside this test, as `cargo test --workspace` builds them.

use std::path::PathBuf;

pub(crate) fn cldl() -> PathBuf {
    beside("cldl")
}

/// `cldl` without optimization, if `cargo xtask torture` has built it.
pub(crate) fn debug() -> Option<PathBuf> {
    std::env::var_os("CLDL_TORTURE_DEBUG").map(PathBuf::from)
}

pub(crate) fn xtask() -> PathBuf {
    beside("xtask")
}

fn beside(name: &str) -> PathBuf {
    // target/release/deps/torture-0123: the binaries are two levels up.
    let this = std::env::current_exe().unwrap();
    let binary = this.ancestors().nth(2).unwrap().join(name);
    assert!(
        binary.is_file(),
        "no `{}`: cargo build --release -p cldl-cli -p xtask",
        binary.display()
    );
    binary
}
