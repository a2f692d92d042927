//! Downloads from a server on this machine that serves the repository's own files.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use cldl_data::{DataDirs, Dataset, DatasetName, FetchOptions, Progress, Split, fetch};

use crate::datasets;
use crate::server::{Answer, Server};

const LABELS: &str = "t10k-labels-idx1-ubyte.gz";

fn options(mirrors: &[&Server]) -> FetchOptions {
    FetchOptions {
        mirrors: mirrors.iter().map(|server| server.url.clone()).collect(),
        rounds: 2,
        pause: Duration::from_millis(1),
        patience: Duration::from_secs(2),
    }
}

fn serve(answers: &[Answer]) -> Server {
    Server::start(datasets().join("mnist"), answers)
}

/// A folder in which everything but the test labels is in place already.
fn all_but_labels() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mnist = folder.path().join("mnist");
    std::fs::create_dir(&mnist).unwrap();
    for entry in std::fs::read_dir(datasets().join("mnist")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if name != LABELS {
            std::fs::copy(&path, mnist.join(name)).unwrap();
        }
    }
    folder
}

fn fetch_quietly(dir: &Path, options: &FetchOptions) -> Result<usize, String> {
    fetch(DatasetName::Mnist, dir, options, &mut |_| ())
        .map(|files| files.iter().filter(|file| file.downloaded).count())
        .map_err(|e| e.to_string())
}

fn assert_complete(dir: &Path) {
    let mnist = dir.join("mnist");
    let names = |dir: &Path| {
        let mut names: Vec<_> =
            std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&mnist), names(&datasets().join("mnist")));
    let read = |dir: &Path| std::fs::read(dir.join(LABELS)).unwrap();
    assert_eq!(read(&mnist), read(&datasets().join("mnist")));
}

#[test]
fn a_whole_data_set() {
    let (folder, server) = (tempfile::tempdir().unwrap(), serve(&[]));
    let mut seen = Vec::new();
    let mut progress = |at: Progress| {
        assert!(at.done <= at.total);
        if at.done == at.total && seen.last().map(String::as_str) != Some(at.file) {
            seen.push(at.file.to_owned());
        }
    };
    let files =
        fetch(DatasetName::Mnist, folder.path(), &options(&[&server]), &mut progress).unwrap();
    assert!(files.len() == 4 && files.iter().all(|file| file.downloaded), "{files:?}");
    assert_eq!(seen.len(), 4);
    assert_complete(folder.path());
    let dirs = DataDirs::only([folder.path().to_path_buf()]);
    assert_eq!(Dataset::load(DatasetName::Mnist, Split::Train, &dirs).unwrap().len(), 60_000);
    // The second time there is nothing to do.
    assert_eq!(fetch_quietly(folder.path(), &options(&[&server])), Ok(0));
    assert_eq!(server.requests.lock().unwrap().len(), 4);
}

#[test]
fn a_cut_connection_is_resumed_where_it_broke_off() {
    let (folder, server) = (all_but_labels(), serve(&[Answer::Cut(1000), Answer::Cut(500)]));
    let error = fetch_quietly(folder.path(), &options(&[&server])).unwrap_err();
    assert!(error.contains("broke off at 1500 of 4542 bytes"), "{error}");
    // Another run goes on where this one gave up.
    assert_eq!(fetch_quietly(folder.path(), &options(&[&server])), Ok(1));
    assert_complete(folder.path());
    let ranges: Vec<_> = server.requests.lock().unwrap().iter().map(|(_, from)| *from).collect();
    assert_eq!(ranges, [None, Some(1000), Some(1500)]);
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let (folder, server) = (all_but_labels(), serve(&[Answer::Cut(1000), Answer::NoRanges]));
    assert_eq!(fetch_quietly(folder.path(), &options(&[&server])), Ok(1));
    assert_complete(folder.path());
}

#[test]
fn a_part_of_another_file_is_thrown_away() {
    for part in [vec![1; 4000], vec![1; 4542], vec![1; 9000]] {
        let (folder, server) = (all_but_labels(), serve(&[]));
        std::fs::write(folder.path().join(format!("mnist/{LABELS}.part")), part).unwrap();
        assert_eq!(fetch_quietly(folder.path(), &options(&[&server])), Ok(1));
        assert_complete(folder.path());
    }
}

#[test]
fn a_wrong_file_in_place_is_replaced() {
    let (folder, server) = (all_but_labels(), serve(&[]));
    std::fs::write(folder.path().join("mnist").join(LABELS), b"<html>").unwrap();
    assert_eq!(fetch_quietly(folder.path(), &options(&[&server])), Ok(1));
    assert_complete(folder.path());
}

#[test]
fn the_next_mirror_helps_when_one_misbehaves() {
    use Answer::{Cut, Endless, Fail, Page, Silent, Zeros};
    for answer in [Page, Zeros, Endless, Silent, Fail, Cut(7)] {
        let (folder, bad, good) = (all_but_labels(), serve(&[answer; 9]), serve(&[]));
        assert_eq!(fetch_quietly(folder.path(), &options(&[&bad, &good])), Ok(1), "{answer:?}");
        assert_complete(folder.path());
    }
}

#[test]
fn when_no_mirror_helps_one_line_says_why_and_nothing_is_left_behind() {
    let (folder, page) = (all_but_labels(), serve(&[Answer::Page; 9]));
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut options = options(&[&page]);
    options.mirrors.push(format!("http://{gone}"));
    let error = fetch_quietly(folder.path(), &options).unwrap_err();
    let start = format!("can't fetch `{LABELS}` of `mnist`: `127.0.0.1:");
    assert!(error.starts_with(&start) && !error.contains('\n'), "{error}");
    assert!(error.contains("sends 39 bytes, expected 4542"), "{error}");
    assert!(error.contains(&format!("`{gone}` failed: ")), "{error}");
    assert!(error.contains("; check the network, or copy the file to `"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path().join("mnist")).unwrap().count(), 3);
}

#[test]
fn two_programs_do_not_write_to_one_file() {
    let (folder, server) = (all_but_labels(), serve(&[]));
    let part = folder.path().join(format!("mnist/{LABELS}.part"));
    let other = std::fs::File::create(&part).unwrap();
    other.lock().unwrap();
    let error = fetch_quietly(folder.path(), &options(&[&server])).unwrap_err();
    assert!(error.starts_with("another program is downloading `"), "{error}");
    drop(other);
    assert_eq!(fetch_quietly(folder.path(), &options(&[&server])), Ok(1));
}
