//! Files that appear whole or not at all: write to a temporary file, fsync, rename.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// How the names of temporary files begin and end.
const PREFIX: &str = ".cldl-";
const SUFFIX: &str = ".tmp";

/// Puts `bytes` at `path`: readers see the old content or the new one, never a part, even when the
/// machine loses power. Folders on the way are made.
///
/// # Errors
/// Whatever the file system says; the message names `path`.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// [`write_atomically`] what `write` writes into the temporary file.
///
/// # Errors
/// Whatever `write` or the file system says; the message names `path`.
pub fn write_atomically_with(
    path: &Path,
    write: impl FnOnce(&mut NamedTempFile) -> io::Result<()>,
) -> io::Result<()> {
    let named =
        |e: io::Error| io::Error::new(e.kind(), format!("can't write `{}`: {e}", path.display()));
    let folder = folder_of(path);
    std::fs::create_dir_all(&folder).map_err(named)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    builder.permissions(public());
    let mut file = builder.tempfile_in(&folder).map_err(named)?;
    write(&mut file).map_err(named)?;
    file.as_file().sync_all().map_err(named)?;
    file.persist(path).map_err(|e| named(e.error))?;
    sync_folder(&folder).map_err(named)
}

/// Finds out before long work whether [`write_atomically`] will be able to write `path`. Folders on the way
/// are made.
///
/// # Errors
/// Whatever the file system says; the message names `path`.
pub fn check_writable(path: &Path) -> io::Result<()> {
    let named =
        |e: io::Error| io::Error::new(e.kind(), format!("can't write `{}`: {e}", path.display()));
    let folder = folder_of(path);
    std::fs::create_dir_all(&folder).map_err(named)?;
    // It is gone again at the end of the line.
    tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(&folder).map_err(named)?;
    if path.is_dir() {
        return Err(named(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    Ok(())
}

/// Removes from `folder` what processes that were killed in [`write_atomically`] left there. Only for whoever
/// knows that nobody is writing there now.
///
/// # Errors
/// Whatever the file system says.
pub fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Makes renames and removals inside `folder` durable.
///
/// # Errors
/// Whatever the file system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    // Only Unix lets a folder be opened and synchronized; elsewhere the rename itself must do.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Permissions of an ordinary new file (before the umask); a temporary file's own default is private.
#[cfg(unix)]
fn public() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::Permissions::from_mode(0o666)
}

#[cfg(test)]
mod tests {
    use super::{check_writable, remove_unfinished, write_atomically};

    #[test]
    fn replaces_a_file_and_leaves_no_temporary_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/file");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_was_never_finished_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".cldl-a1b2c3.tmp", ".lock", "metrics.jsonl"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        remove_unfinished(folder.path()).unwrap();
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert!(left == 2 && folder.path().join(".lock").exists());
    }

    #[test]
    fn a_check_tells_what_writing_would() {
        let folder = tempfile::tempdir().unwrap();
        check_writable(&folder.path().join("new/file")).unwrap();
        assert_eq!(std::fs::read_dir(folder.path().join("new")).unwrap().count(), 0);
        let error = check_writable(folder.path()).unwrap_err().to_string();
        assert!(error.contains("directory"), "{error}");
        std::fs::write(folder.path().join("file"), b"").unwrap();
        assert!(check_writable(&folder.path().join("file/below")).is_err());
    }

    #[test]
    fn an_error_names_the_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"").unwrap();
        let error = write_atomically(&folder.path().join("file/below"), b"").unwrap_err();
        assert!(error.to_string().contains("file/below"), "{error}");
    }
}
