//! Checksums of files, in the form that `sha256sum` writes and checks.

use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::path::{Component, Path};

use sha2::{Digest as _, Sha256};

use crate::files;

/// The file that holds the checksums of those beside it.
pub const SUMS: &str = "SHA256SUMS";

/// The SHA-256 of `bytes`, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The SHA-256 of a file, of which little is in memory at a time.
fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut file = std::fs::File::open(path)?;
    let mut part = vec![0; 1 << 16];
    loop {
        match file.read(&mut part) {
            Ok(0) => return Ok(hexadecimal(&digest.finalize())),
            Ok(len) => digest.update(&part[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes the checksums of the files `names` of `folder` to its file `list`.
///
/// # Errors
/// If a file can't be read, or `list` can't be written.
pub fn write(folder: &Path, list: &str, names: &[String]) -> io::Result<()> {
    let mut text = String::new();
    for name in names {
        let path = folder.join(name);
        let sum = sha256_of_file(&path).map_err(|e| {
            io::Error::new(e.kind(), format!("can't read `{}`: {e}", path.display()))
        })?;
        // Writing to a string can't fail.
        let _ = writeln!(text, "{sum}  {name}");
    }
    files::write_atomically(&folder.join(list), text.as_bytes())
}

/// The names and checksums in the text of a list.
///
/// # Errors
/// A line that is none, or a name that leads out of the list's folder.
pub fn parse<'a>(text: &'a str) -> Result<Vec<(&'a str, &'a str)>, String> {
    let sum_of = |(number, line): (usize, &'a str)| match line.split_once("  ") {
        Some((sum, name)) if is_sum(sum) && stays_inside(name) => Ok((name, sum)),
        _ => Err(format!("line {} is no checksum of a file beside it", number + 1)),
    };
    text.lines().enumerate().map(sum_of).collect()
}

/// Checks every file in the list at `folder/list`; returns their number.
///
/// # Errors
/// One line: what is wrong with which file.
pub fn check(folder: &Path, list: &str) -> Result<usize, String> {
    let path = folder.join(list);
    let text = std::fs::read_to_string(&path)
        .map_err(|e| format!("`{}` can't be read: {e}", path.display()))?;
    let sums = parse(&text).map_err(|what| format!("`{}`: {what}", path.display()))?;
    for (name, expected) in &sums {
        let file = folder.join(name);
        let found = sha256_of_file(&file)
            .map_err(|e| format!("`{}` can't be read: {e}", file.display()))?;
        if found != *expected {
            return Err(format!(
                "`{}` is damaged: SHA-256 is {found}, `{list}` says {expected}",
                file.display()
            ));
        }
    }
    Ok(sums.len())
}

fn is_sum(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn stays_inside(name: &str) -> bool {
    !name.is_empty()
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{check, parse, sha256, write};

    #[test]
    fn a_change_is_found_and_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        std::fs::write(folder.path().join("a"), "a").unwrap();
        std::fs::write(folder.path().join("deep/b"), "b").unwrap();
        write(folder.path(), "done", &["a".to_owned(), "deep/b".to_owned()]).unwrap();
        assert_eq!(check(folder.path(), "done"), Ok(2));
        std::fs::write(folder.path().join("deep/b"), "c").unwrap();
        let error = check(folder.path(), "done").unwrap_err();
        assert!(error.contains("deep/b` is damaged"), "{error}");
        std::fs::remove_file(folder.path().join("a")).unwrap();
        assert!(check(folder.path(), "done").unwrap_err().contains("can't be read"));
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for name in ["../a", "/etc/passwd", "a/../../b", "", "./a"] {
            let line = format!("{}  {name}\n", sha256(b""));
            assert!(parse(&line).is_err(), "{name}");
        }
        assert!(parse(&format!("{}  a/b\n", sha256(b""))).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_a_list_or_an_error(text: String) {
            let _ = parse(&text);
        }
    }
}
