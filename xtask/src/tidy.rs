//! The repository's own rules, where no lint knows them.

use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};

/// Lines of a Rust file, at most.
const LONGEST: usize = 500;

/// Folders and files that we write.
const OURS: [&str; 9] =
    ["crates", "xtask", "tests", "docs", "datasets", ".ci", ".cargo", "README.md", "Cargo.toml"];

/// Files whose text is checked; others (data, golden cases) are somebody else's.
const TEXTS: [&str; 6] = ["rs", "toml", "md", "py", "sh", "run"];

/// Checks every file; the error lists all that break a rule.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut broken = Vec::new();
    for folder in OURS {
        for path in files(&root.join(folder))? {
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("can't read `{}`", path.display()))?;
            broken.extend(rules(&name, &text).into_iter().map(|rule| format!("{name}: {rule}")));
        }
    }
    match broken.len() {
        0 => Ok(()),
        1 => bail!("{}", broken[0]),
        count => bail!("{count} files break a rule:\n  {}", broken.join("\n  ")),
    }
}

/// The rules that a file breaks.
fn rules(name: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    if Path::new(name).extension().is_some_and(|extension| extension == "rs") {
        let lines = text.lines().count();
        if LONGEST < lines {
            broken.push(format!("{lines} lines; at most {LONGEST}: split it by idea"));
        }
        let in_src = name.starts_with("xtask/src") || name.contains("/src/");
        if in_src && !text.starts_with("//!") {
            broken.push("must open with a `//!` line: what it is, what it is not".to_owned());
        }
        // Spelled in two parts, so that this file keeps its own rule.
        if text.contains(concat!("#[", "ignore")) {
            broken.push("a test is run or it is removed; none is ignored".to_owned());
        }
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(path) = machine_path(line) {
            broken.push(format!("line {}: `{path}` is a path of one machine", number + 1));
        }
    }
    broken
}

/// A folder that exists on its author's machine alone.
fn machine_path(line: &str) -> Option<&'static str> {
    let paths = [
        concat!("/", "home/"),
        concat!("/", "Users/"),
        concat!("/", "root/"),
        concat!("/", "work/"),
        concat!("C:", "\\"),
    ];
    paths.into_iter().find(|path| {
        line.match_indices(path).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            // Part of a longer path or an address is not the start of one.
            !before.is_some_and(|c| c.is_alphanumeric() || "._-/}~)".contains(c))
        })
    })
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            // One of our single files, or nothing.
            files.extend(folder.is_file().then_some(folder));
            continue;
        }
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("can't read `{}`", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let extension = path.extension().or(path.file_name()).unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if TEXTS.iter().any(|text| extension == *text) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::rules;

    #[test]
    fn a_tidy_file_breaks_no_rule() {
        assert!(rules("crates/a/src/lib.rs", "//! A.\nfn a() {}\n").is_empty());
        assert!(rules("docs/a.md", "see https://example.org/home/a and `$DIR/work/a`").is_empty());
    }

    #[test]
    fn each_rule_is_found() {
        let broken = |name: &str, text: &str| rules(name, text).join("; ");
        assert!(broken("crates/a/src/lib.rs", "fn a() {}").contains("must open with"));
        assert!(broken("tests/a.rs", &"\n".repeat(501)).contains("501 lines"));
        let ignored = format!("#[{}]\nfn a() {{}}", "ignore");
        assert!(broken("tests/a.rs", &ignored).contains("none is ignored"));
        let path = format!("text\nlet a = \"/{}/me/data\";", "home");
        assert!(broken("docs/a.md", &path).contains("line 2"));
    }
}
