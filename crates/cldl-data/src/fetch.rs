//! Downloads of data sets: from mirror to mirror, resumed where they broke off, checked, then put in
//! place by a rename, so that a file under its final name is always whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use ureq::Agent;

use crate::manifest::{Download, manifest};
use crate::part::{Failure, Part, checksum, local};
use crate::{DataError, DatasetName};

/// How to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchOptions {
    /// Base URLs to use in place of the published mirrors, if there are any.
    pub mirrors: Vec<String>,
    /// How often to go through the mirrors, at least once.
    pub rounds: u32,
    /// The pause before the second round; each later one is twice as long.
    pub pause: Duration,
    /// How long a mirror may be silent.
    pub patience: Duration,
}

impl Default for FetchOptions {
    fn default() -> Self {
        let (pause, patience) = (Duration::from_secs(1), Duration::from_secs(30));
        Self { mirrors: Vec::new(), rounds: 3, pause, patience }
    }
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file's name.
    pub file: &'a str,
    /// Bytes that are here.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// A file that is in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Whether it had to be downloaded; if not, it was there, with the right checksum.
    pub downloaded: bool,
}

/// Puts the files of `name` into `dir/<name>/`, those that are not there yet.
///
/// `progress` is called from time to time, and once for each finished file.
///
/// # Errors
/// If no mirror delivers a file, or it cannot be written.
pub fn fetch(
    name: DatasetName,
    dir: &Path,
    options: &FetchOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Fetched>, DataError> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_resolve(Some(options.patience))
        .timeout_connect(Some(options.patience))
        .timeout_recv_response(Some(options.patience))
        .timeout_per_read(Some(options.patience))
        // A mirror that unpacked the file on its way would spoil size and checksum.
        .accept_encoding("identity")
        .user_agent(concat!("cldl/", env!("CARGO_PKG_VERSION")))
        .build();
    let agent = config.new_agent();
    let folder = dir.join(name.as_str());
    let files = &manifest(name).downloads;
    files.iter().map(|file| fetch_file(name, file, &folder, &agent, options, progress)).collect()
}

fn fetch_file(
    name: DatasetName,
    file: &Download,
    folder: &Path,
    agent: &Agent,
    options: &FetchOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Fetched, DataError> {
    let path = folder.join(&file.name);
    let fetched = |downloaded| Fetched { path: path.clone(), bytes: file.bytes, downloaded };
    let whole = Progress { file: &file.name, done: file.bytes, total: file.bytes };
    if is_published(&path, file) {
        progress(whole);
        return Ok(fetched(false));
    }
    fs::create_dir_all(folder).map_err(local("make", folder))?;
    let mut part = Part::open(folder, file)?;
    // Another process may have finished it between the look and the lock.
    if is_published(&path, file) {
        part.discard()?;
        return Ok(fetched(false));
    }

    let mirrors: &[String] =
        if options.mirrors.is_empty() { &manifest(name).mirrors } else { &options.mirrors };
    let mut reasons = vec![String::new(); mirrors.len()];
    for round in 0..options.rounds.max(1) {
        if round != 0 {
            thread::sleep(options.pause * (1 << (round - 1).min(8)));
        }
        for (mirror, reason) in mirrors.iter().zip(&mut reasons) {
            let url = format!("{}/{}", mirror.trim_end_matches('/'), file.name);
            match part.download(agent, &url, file, progress) {
                Ok(()) => {
                    part.finish(&path)?;
                    progress(whole);
                    return Ok(fetched(true));
                }
                Err(Failure::Local(error)) => return Err(error),
                Err(Failure::Mirror(why)) => {
                    tracing::debug!(url, why, "download failed");
                    *reason = format!("`{}` {}", host(mirror), why.replace('\n', " "));
                }
            }
        }
    }
    // A part that holds nothing is of no use to the next attempt.
    part.discard_if_empty()?;
    let reasons = reasons.join(", ");
    Err(DataError::Fetch { name, file: file.name.clone(), reasons, folder: folder.to_path_buf() })
}

fn is_published(path: &Path, download: &Download) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    file.metadata().is_ok_and(|metadata| metadata.len() == download.bytes)
        && checksum(&mut file).is_ok_and(|found| found == download.sha256)
}

/// The part of `url` that tells mirrors apart.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}
