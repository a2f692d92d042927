//! Where the workspace is, and the cargo that works on it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Cargo, in the root of the workspace. What the cargo that runs us tells of this package is taken from
/// its environment: build scripts that look at such variables would run again, and all that depends on
/// them, whenever somebody calls cargo now directly and now through us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let told = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if told {
            command.env_remove(&name);
        }
    }
    command.current_dir(root());
    command
}

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
