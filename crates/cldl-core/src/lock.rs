//! A lock on a file: one process at a time, and the file says which one.
//!
//! The operating system lets go of it when its holder ends, however that happens: a lock never has to be
//! removed by hand. It is for the processes of one machine; network file systems may or may not honor it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

/// A lock that this process holds until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Why a lock can't be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("held by {0}")]
    Held(String),
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Lock {
    /// Takes the lock at `path`, whose folder must exist, without waiting for it.
    ///
    /// # Errors
    /// [`LockError::Held`] says by which process of which machine; or the file can't be opened.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let named = |e: io::Error| {
            io::Error::new(e.kind(), format!("can't lock `{}`: {e}", path.display()))
        };
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(named)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(holder(&mut file))),
            Err(TryLockError::Error(e)) => return Err(named(e).into()),
        }
        // Who holds it is a courtesy: a disk too full for this line is no reason to stop.
        let _ = file.set_len(0).and_then(|()| file.write_all(our_name().as_bytes()));
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The file stays: to remove it while somebody opens it would hand out two locks.
        let _ = self.file.set_len(0);
    }
}

fn our_name() -> String {
    let host = gethostname::gethostname();
    format!("process {} on {}", std::process::id(), host.display())
}

/// What the holder wrote; it may have had no time to.
fn holder(file: &mut File) -> String {
    let mut name = String::new();
    let read = file.rewind().and_then(|()| file.take(200).read_to_string(&mut name));
    match read {
        Ok(_) if !name.trim().is_empty() => name.trim().replace(char::is_control, " "),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Lock, LockError};

    #[test]
    fn a_lock_is_one_s_alone_and_says_whose() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let lock = Lock::take(&path).unwrap();
        let error = Lock::take(&path).unwrap_err();
        assert!(matches!(error, LockError::Held(_)), "{error}");
        assert!(error.to_string().contains(&format!("process {} on", std::process::id())));
        drop(lock);
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        Lock::take(&path).unwrap();
    }

    #[test]
    fn what_a_dead_holder_left_does_not_bind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        std::fs::write(&path, "process 1 on elsewhere").unwrap();
        let _lock = Lock::take(&path).unwrap();
        let error = Lock::take(&path).unwrap_err().to_string();
        assert!(!error.contains("elsewhere"), "{error}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Lock::take(&folder.path().join("no/.lock")).unwrap_err().to_string();
        assert!(error.starts_with("can't lock") && error.contains("no/.lock"), "{error}");
    }
}
