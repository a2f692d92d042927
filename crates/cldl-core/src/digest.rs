//! Size and checksum of a file: what a manifest records of it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What a manifest says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// SHA-256 of the content, in lower-case hexadecimal.
    pub sha256: String,
    /// Size in bytes.
    pub bytes: u64,
}

impl FileDigest {
    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        let mut sha256 = String::new();
        for byte in Sha256::digest(content) {
            // Writing to a string can't fail.
            let _ = write!(sha256, "{byte:02x}");
        }
        Self { sha256, bytes: content.len() as u64 }
    }

    /// Whether `content` is what the manifest says.
    ///
    /// # Errors
    /// In words what differs: `has 3 bytes, its manifest says 4`.
    pub fn check(&self, content: &[u8]) -> Result<(), String> {
        let found = Self::of(content);
        if found.bytes != self.bytes {
            return Err(format!("has {} bytes, its manifest says {}", found.bytes, self.bytes));
        }
        if found.sha256 != self.sha256 {
            return Err("has another SHA-256 than its manifest says".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::FileDigest;

    #[test]
    fn another_byte_or_length_is_found() {
        let digest = FileDigest::of(b"abc");
        assert!(digest.sha256.starts_with("ba7816bf8f01cfea"));
        assert_eq!(digest.check(b"abc"), Ok(()));
        assert!(digest.check(b"abd").unwrap_err().contains("SHA-256"));
        assert!(digest.check(b"ab").unwrap_err().contains("2 bytes"));
    }
}
