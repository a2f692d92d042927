//! Files that appear whole or not at all, without candle beside them.

use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Puts `bytes` at `path` by way of a temporary file that is synchronized and renamed; readers on any machine see
/// the old content or the new one. Folders on the way are made.
///
/// # Errors
/// Whatever the file system says; the message names `path`.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let write = || draft(folder, bytes)?.persist(path).map_err(|e| e.error);
    write().map(drop).map_err(|e| named(path, &e))
}

/// A file beside its place: synchronized, and gone again when dropped.
pub(crate) fn draft(folder: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    std::fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".cldl-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// The same error, with the path in its message.
pub(crate) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}
