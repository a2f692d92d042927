//! What the tests find, kept for `docs/reliability.md`.

use std::path::PathBuf;

use serde_json::Value;

/// How many kills are wanted in all: a few, or as many as `cargo xtask torture` asks for.
pub(crate) fn kills() -> usize {
    std::env::var("CLDL_TORTURE").ok().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Whether this is `cargo xtask torture` and not an ordinary test.
pub(crate) fn thorough() -> bool {
    0 < kills()
}

/// Keeps `value` as `<name>.json`, if somebody wants it.
pub(crate) fn keep(name: &str, value: &Value) {
    let Some(folder) = std::env::var_os("CLDL_TORTURE_OUT").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).unwrap();
    let text = serde_json::to_string_pretty(value).unwrap();
    std::fs::write(folder.join(format!("{name}.json")), text + "\n").unwrap();
}
