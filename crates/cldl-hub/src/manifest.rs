//! The list of a checkpoint's files: which they are, how large, with which SHA-256.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use cldl_core::FileDigest;
use serde::Deserialize;

use crate::HubError;

/// The file that holds the manifest.
pub const CONFIG: &str = "config.json";

/// What files may be called at their end: nothing that a program would run.
const EXTENSIONS: [&str; 4] = ["safetensors", "json", "md", "txt"];

/// Files of a checkpoint but `config.json`, which lists them under `files`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Manifest {
    /// Size and SHA-256 by name.
    pub files: BTreeMap<String, FileDigest>,
}

impl Manifest {
    /// Reads a `config.json`, from `place`.
    ///
    /// # Errors
    /// If it has no manifest, or one with a name that is not that of a file in the directory itself.
    pub fn parse(place: &str, config: &[u8]) -> Result<Self, HubError> {
        let wrong = |problem: String| HubError::Manifest { place: place.to_owned(), problem };
        let manifest: Self = serde_json::from_slice(config)
            .map_err(|e| wrong(format!("is no config of a cldl checkpoint: {e}")))?;
        for (name, digest) in &manifest.files {
            if !is_safe(name) {
                let name = name.escape_debug();
                return Err(wrong(format!("lists a file `{name}`, which is refused")));
            }
            if digest.sha256.len() != 64 || !digest.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(wrong(format!("has no SHA-256 for `{name}`")));
            }
        }
        Ok(manifest)
    }
}

/// Whether `name` is that of a file in a checkpoint's directory: relative, without tricks, and nothing that runs.
fn is_safe(name: &str) -> bool {
    let path = Path::new(name);
    let normal = |component: Component<'_>| matches!(component, Component::Normal(_));
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.');
    name.len() <= 200
        && name != CONFIG
        && name.chars().all(allowed)
        && name.split('/').all(part)
        && path.components().all(normal)
        && path.extension().is_some_and(|found| EXTENSIONS.iter().any(|known| found == *known))
}

#[cfg(test)]
mod tests {
    use super::Manifest;

    fn manifest(name: &str) -> Result<Manifest, crate::HubError> {
        let config = serde_json::json!({"files": {name: {"sha256": "0".repeat(64), "bytes": 1}}});
        Manifest::parse("here", config.to_string().as_bytes())
    }

    #[test]
    fn plain_names_are_taken() {
        for name in ["model.safetensors", "README.md", "member_0/model.safetensors"] {
            assert!(manifest(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        for name in [
            "../evil.json",
            "/etc/evil.json",
            "a/../../evil.json",
            "a\\..\\evil.json",
            "C:evil.json",
            ".ssh/evil.json",
            "model.safetensors/",
            "a//b.json",
            "config.json",
            "run.sh",
            "plain",
            "",
            "a\0.json",
            "a\n.json",
            "nul .json",
            "./a.json",
        ] {
            let error = manifest(name).unwrap_err().to_string();
            assert!(error.contains("refused") && !error.contains('\n'), "{name:?}: {error}");
        }
    }

    #[test]
    fn what_is_no_manifest_is_told() {
        for config in [&b"{}"[..], b"", b"{\"error\": \"Forbidden\"}", b"{\"files\": [1]}"] {
            assert!(Manifest::parse("here", config).is_err());
        }
        let config = br#"{"files": {"a.json": {"sha256": "12", "bytes": 1}}}"#;
        assert!(Manifest::parse("here", config).unwrap_err().to_string().contains("no SHA-256"));
    }
}
