//! One download: a file that grows beside its final place, locked, resumable, checked when whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use cldl_core::files::sync_folder;
use sha2::{Digest as _, Sha256};
use ureq::Agent;

use crate::manifest::{Download, hex};
use crate::{DataError, Progress};

/// Why a download did not come about.
pub(crate) enum Failure {
    /// The mirror is to blame: another one may do.
    Mirror(String),
    /// The disk is: no mirror helps.
    Local(DataError),
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Self::Local(error)
    }
}

/// The file in which a download grows, locked against other processes.
pub(crate) struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    pub(crate) fn open(folder: &Path, download: &Download) -> Result<Self, DataError> {
        let path = folder.join(format!("{}.part", download.name));
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(local("write", &path))?;
        match file.try_lock() {
            // Not every file system has locks; the checksum guards the result in any case.
            Ok(()) | Err(fs::TryLockError::Error(_)) => Ok(Self { path, file }),
            Err(fs::TryLockError::WouldBlock) => Err(DataError::Busy { path }),
        }
    }

    /// Gets what is missing from `url` and checks the whole.
    pub(crate) fn download(
        &mut self,
        agent: &Agent,
        url: &str,
        download: &Download,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Failure> {
        let total = download.bytes;
        let mut done = self.len()?;
        if done > total {
            self.truncate()?;
            done = 0;
        }
        if done < total {
            self.receive(agent, url, download, done, progress)?;
        }
        self.file.sync_all().map_err(local("write", &self.path))?;
        let found = checksum(&mut self.file).map_err(local("read", &self.path))?;
        if found == download.sha256 {
            return Ok(());
        }
        self.truncate()?;
        let expected = &download.sha256;
        Err(Failure::Mirror(format!("sent a file whose SHA-256 is {found}, expected {expected}")))
    }

    fn receive(
        &mut self,
        agent: &Agent,
        url: &str,
        download: &Download,
        mut done: u64,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Failure> {
        let total = download.bytes;
        let mut request = agent.get(url);
        if done != 0 {
            request = request.header("Range", format!("bytes={done}-"));
        }
        let mut response = request.call().map_err(|e| Failure::Mirror(format!("failed: {e}")))?;
        let range = response.headers().get("Content-Range").and_then(|range| range.to_str().ok());
        let starts_here = range.is_some_and(|range| range.starts_with(&format!("bytes {done}-")));
        let start = match response.status().as_u16() {
            206 if starts_here => done,
            200 => 0,
            206 | 416 => {
                self.truncate()?;
                return Err(Failure::Mirror("cannot resume the download".to_owned()));
            }
            status => return Err(Failure::Mirror(format!("answered with status {status}"))),
        };
        if let Some(announced) = response.body().content_length()
            && announced != total - start
        {
            let expected = total - start;
            return Err(Failure::Mirror(format!("sends {announced} bytes, expected {expected}")));
        }
        if start == 0 {
            self.truncate()?;
            done = 0;
        }

        self.file.seek(SeekFrom::Start(done)).map_err(local("write", &self.path))?;
        let mut body = response.body_mut().as_reader();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let cut =
                |why: String| Failure::Mirror(format!("broke off at {done} of {total} bytes{why}"));
            let read = match body.read(&mut buffer) {
                Ok(0) if done < total => return Err(cut(String::new())),
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(cut(format!(" ({e})"))),
            };
            if done + read as u64 > total {
                self.truncate()?;
                return Err(Failure::Mirror(format!("sends more than the {total} bytes expected")));
            }
            self.file.write_all(&buffer[..read]).map_err(local("write", &self.path))?;
            done += read as u64;
            progress(Progress { file: &download.name, done, total });
        }
    }

    pub(crate) fn finish(self, path: &Path) -> Result<(), DataError> {
        fs::rename(&self.path, path).map_err(local("write", path))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        sync_folder(folder).map_err(local("write", folder))
    }

    fn len(&self) -> Result<u64, DataError> {
        Ok(self.file.metadata().map_err(local("read", &self.path))?.len())
    }

    fn truncate(&mut self) -> Result<(), DataError> {
        self.file.set_len(0).map_err(local("write", &self.path))
    }

    pub(crate) fn discard_if_empty(self) -> Result<(), DataError> {
        if self.len()? == 0 { self.discard() } else { Ok(()) }
    }

    pub(crate) fn discard(self) -> Result<(), DataError> {
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(local("remove", &self.path)(e)),
            _ => Ok(()),
        }
    }
}

/// The SHA-256 of all of `file`, in hexadecimal.
pub(crate) fn checksum(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Names what failed and where.
pub(crate) fn local(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataError {
    move |reason| DataError::Io { what, path: path.to_path_buf(), reason }
}
