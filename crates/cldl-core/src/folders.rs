//! Folders that appear whole or not at all: fill a temporary one beside, fsync, rename.

use std::fs;
use std::io;
use std::path::Path;

/// Makes the folder `path` of what `fill` puts into a temporary folder beside it. If `fill` fails, nothing
/// is left behind. What was at `path` before is kept, unless `replace` is set.
///
/// # Errors
/// If something is at `path` and is not to be replaced, whatever the file system says (the message names
/// `path`), or whatever `fill` says.
pub fn create_folder<E: From<io::Error>>(
    path: &Path,
    replace: bool,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let named =
        |e: io::Error| io::Error::new(e.kind(), format!("can't make `{}`: {e}", path.display()));
    check_free(path, replace)?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(named)?;
    let temporary = |suffix: &str| {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".cldl-").suffix(suffix);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        builder.tempdir_in(parent).map_err(named)
    };
    let draft = temporary(".tmp")?;
    fill(draft.path())?;
    crate::files::sync_folder(draft.path()).map_err(named)?;
    // What was there moves out of the way, and is removed when the new folder is in place.
    let old = temporary(".old")?;
    let aside = old.path().join("old");
    if path.exists() {
        fs::rename(path, &aside).map_err(named)?;
    }
    if let Err(error) = fs::rename(draft.path(), path) {
        if aside.exists() {
            fs::rename(&aside, path).map_err(named)?;
        }
        return Err(named(error).into());
    }
    // It has its final name: it is not temporary any more.
    let _ = draft.keep();
    Ok(crate::files::sync_folder(parent).map_err(named)?)
}

/// Finds out before long work whether [`create_folder`] would keep what is at `path`.
///
/// # Errors
/// If something is there and `replace` is not set; an empty folder is nothing.
pub fn check_free(path: &Path, replace: bool) -> io::Result<()> {
    let empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    if replace || !path.exists() || empty() {
        return Ok(());
    }
    let message =
        format!("`{}` exists already: choose another name, or add --force", path.display());
    Err(io::Error::new(io::ErrorKind::AlreadyExists, message))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
    use std::path::Path;

    use super::create_folder;

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_folder_appears_whole_and_is_replaced_on_request_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("deep/folder");
        let fill = |text: &'static str| move |draft: &Path| fs::write(draft.join("file"), text);
        create_folder(&path, false, fill("old")).unwrap();
        let error = create_folder(&path, false, fill("new")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(path.join("file")).unwrap(), b"old");
        create_folder(&path, true, fill("new")).unwrap();
        assert_eq!(fs::read(path.join("file")).unwrap(), b"new");
        assert_eq!((entries(&path), entries(path.parent().unwrap())), (1, 1));
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let fill = |draft: &Path| {
            fs::write(draft.join("file"), b"half")?;
            Err(io::Error::other("interrupted"))
        };
        create_folder(&root.path().join("folder"), false, fill).unwrap_err();
        assert_eq!(entries(root.path()), 0);
    }
}
