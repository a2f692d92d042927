//! Repositories: commits, and the branches and tags that point to them.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

/// The files of a commit by name.
pub type Revision = BTreeMap<String, Vec<u8>>;

/// A repository.
#[derive(Debug, Clone, Default)]
pub struct Repo {
    /// Whether it is hidden from strangers.
    pub private: bool,
    /// Every commit: its name and its files.
    pub commits: Vec<(String, Revision)>,
    /// What branches and tags point to.
    pub refs: BTreeMap<String, String>,
}

impl Repo {
    /// A repository with a first commit on `main`, as the Hub makes it.
    pub fn new(private: bool) -> Self {
        let mut repo = Self { private, ..Self::default() };
        repo.commit("main", Revision::from([(".gitattributes".to_owned(), Vec::new())]));
        repo
    }

    /// Puts a commit with these files on a branch; returns its name.
    pub fn commit(&mut self, branch: &str, files: Revision) -> String {
        let mut hash = Sha256::new();
        hash.update(self.commits.len().to_le_bytes());
        for (name, content) in &files {
            hash.update(name);
            hash.update(content);
        }
        let name = hex(&hash.finalize())[..40].to_owned();
        self.commits.push((name.clone(), files));
        self.refs.insert(branch.to_owned(), name.clone());
        name
    }

    /// The commit that `revision` (a branch, a tag, a commit) is, and its files.
    pub fn at(&self, revision: &str) -> Option<(&str, &Revision)> {
        let name = self.refs.get(revision).map_or(revision, String::as_str);
        let found = self.commits.iter().find(|(commit, _)| commit == name)?;
        Some((&found.0, &found.1))
    }

    /// Replaces a file of a commit, behind everybody's back.
    pub fn tamper(&mut self, revision: &str, name: &str, content: &[u8]) {
        let commit = self.at(revision).map(|(commit, _)| commit.to_owned());
        for (found, files) in &mut self.commits {
            if Some(&*found) == commit.as_ref() {
                files.insert(name.to_owned(), content.to_owned());
            }
        }
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The SHA-256 of `content` in hexadecimal.
pub(crate) fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}
