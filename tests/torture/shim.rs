//! A library that makes system calls fail: see `shim.c`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The library, compiled once.
pub(crate) fn library() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("shim.so");
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/torture/shim.c");
            let mut command = Command::new("cc");
            command.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
            assert!(command.status().expect("a C compiler").success());
            library
        })
        .clone()
}
