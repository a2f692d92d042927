//! Where the workspace is.

use std::path::{Path, PathBuf};

/// The root of the workspace: the parent of this package's folder. Cargo names that folder when it
/// runs us; the folder that we were built in serves when we are called directly.
pub(crate) fn root() -> PathBuf {
    let package = package();
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}

/// The folder of the experiment files.
pub(crate) fn experiments() -> PathBuf {
    package().join("experiments")
}

fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .filter(|folder| folder.join("experiments").is_dir())
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")))
}
