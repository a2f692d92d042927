//! Taking a task: at most one process works on it, on whatever machine of a shared file system.
//!
//! The attempts at a task are numbered files, and only their numbers decide: a process may make number
//! n + 1 when n has ended or its holder is dead, and of all that try, `link(2)` lets one through. (It is
//! atomic on NFS too, where a lost reply is found out by the link count.) No file is ever removed or
//! replaced, so that nobody can act on a claim that is not there any more.
//!
//! A holder that is cut off for long and comes back may find a second one at work. Both then write the
//! same bytes, each file by a rename: work is lost, never a result.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use crate::files::{draft, named, write_whole};
use crate::{End, Holder, Queue};

/// Time between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// What came of asking for a task.
#[derive(Debug)]
pub enum Taken {
    /// It is ours until we [end](Attempt::end) it.
    Ours(Attempt),
    /// Somebody who lives works on it.
    Busy(Holder),
}

/// A task that this process holds.
#[derive(Debug)]
pub struct Attempt {
    folder: PathBuf,
    number: u32,
    heart: Option<(Sender<()>, JoinHandle<()>)>,
}

/// An attempt as others see it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// From 1.
    pub number: u32,
    /// Whose it is.
    pub holder: Holder,
    /// How it ended, if it did.
    pub end: Option<End>,
    /// Its log, which may not be there.
    pub log: PathBuf,
}

/// Takes the task in `folder` for `me`, unless somebody who lives has it.
///
/// # Errors
/// Whatever the file system says.
pub fn take(folder: &Path, me: &Holder) -> io::Result<Taken> {
    let claim = draft(folder, &serde_json::to_vec(me)?).map_err(|e| named(folder, &e))?;
    loop {
        let number = match last(folder)? {
            None => 1,
            Some(seen) => {
                // The file server's own clock: ours may be another.
                let now = claim.as_file().metadata()?.modified()?;
                if seen.lives(&seen.queue(), now) {
                    return Ok(Taken::Busy(seen.holder));
                }
                seen.number + 1
            }
        };
        if link(claim.path(), &file(folder, number, "json"))? {
            return Ok(Taken::Ours(Attempt::begin(folder.to_path_buf(), number)?));
        }
        // Somebody was faster: look again.
    }
}

/// The last attempt at the task in `folder`.
///
/// # Errors
/// Whatever the file system says.
pub fn last(folder: &Path) -> io::Result<Option<Seen>> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|e| named(folder, &e))?,
    };
    let mut number = None;
    for entry in entries {
        number = number.max(number_of(&entry?.file_name().to_string_lossy()));
    }
    let Some(number) = number else { return Ok(None) };
    seen(folder, number).map(Some)
}

fn seen(folder: &Path, number: u32) -> io::Result<Seen> {
    let path = file(folder, number, "json");
    let holder = fs::read(&path).map_err(|e| named(&path, &e))?;
    let holder = serde_json::from_slice(&holder).map_err(|e| named(&path, &e.into()))?;
    let end = fs::read(file(folder, number, "end.json")).ok();
    let end = end.and_then(|end| serde_json::from_slice(&end).ok());
    Ok(Seen { number, holder, end, log: file(folder, number, "log") })
}

impl Seen {
    /// Whether somebody works on it; `now` is the time on the clock that its files are stamped by.
    pub fn lives(&self, queue: &Queue, now: SystemTime) -> bool {
        let stamp = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
        let heard = stamp(&self.log.with_extension("beat"))
            .or_else(|_| stamp(&self.log.with_extension("json")));
        let silence = heard.ok().and_then(|heard| now.duration_since(heard).ok());
        self.end.is_none() && self.holder.lives(queue, silence.unwrap_or_default())
    }

    /// Asks Slurm about its holder.
    fn queue(&self) -> Queue {
        let job = self.holder.slurm.as_ref().filter(|_| self.end.is_none());
        Queue::ask(job.map(|job| job.id.as_str()))
    }
}

impl Attempt {
    fn begin(folder: PathBuf, number: u32) -> io::Result<Self> {
        let beat = file(&folder, number, "beat");
        fs::write(&beat, b"").map_err(|e| named(&beat, &e))?;
        let (stop, stopped) = mpsc::channel();
        let heart = thread::spawn(move || {
            while stopped.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                // Written, so that the server stamps it. One beat that is missed harms nobody.
                let _ = fs::write(&beat, b"");
            }
        });
        Ok(Self { folder, number, heart: Some((stop, heart)) })
    }

    /// Which attempt at the task it is, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The file for what the task says.
    pub fn log(&self) -> PathBuf {
        file(&self.folder, self.number, "log")
    }

    /// The attempt before this one.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn before(&self) -> io::Result<Option<Seen>> {
        if self.number == 1 { Ok(None) } else { seen(&self.folder, self.number - 1).map(Some) }
    }

    /// Gives the task back.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn end(self, end: &End) -> io::Result<()> {
        write_whole(&file(&self.folder, self.number, "end.json"), &serde_json::to_vec(end)?)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some((stop, heart)) = self.heart.take() {
            drop(stop);
            // It only sleeps and beats: nothing to learn from how it ended.
            let _ = heart.join();
        }
    }
}

/// Makes `to` another name of `from`; false if `to` is there already.
fn link(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(true),
        Err(_) if twice(from) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(named(to, &e)),
    }
}

/// Whether the file has two names: then the link was made, and only the server's reply was lost.
#[cfg(unix)]
fn twice(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).is_ok_and(|data| data.nlink() == 2)
}

#[cfg(not(unix))]
fn twice(_: &Path) -> bool {
    false
}

fn file(folder: &Path, number: u32, extension: &str) -> PathBuf {
    folder.join(format!("attempt-{number:04}.{extension}"))
}

/// The number in `attempt-0012.json`.
fn number_of(name: &str) -> Option<u32> {
    name.strip_prefix("attempt-")?.strip_suffix(".json")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Taken, last, take};
    use crate::{End, Holder, How};
    use std::path::Path;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, SystemTime};

    const DONE: End = End { how: How::Done, seconds: 1.0, memory: None, message: None, idle: 0 };

    fn ours(folder: &Path) -> super::Attempt {
        match take(folder, &Holder::current()).unwrap() {
            Taken::Ours(attempt) => attempt,
            Taken::Busy(holder) => panic!("held by {}", holder.place()),
        }
    }

    fn elsewhere() -> Holder {
        Holder { machine: Some("other".to_owned()), host: "node7".to_owned(), ..Holder::current() }
    }

    /// Makes the last attempt's files look as old as this.
    fn age(folder: &Path, seconds: u64) {
        let then = SystemTime::now() - Duration::from_secs(seconds);
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
            file.set_modified(then).unwrap();
        }
    }

    #[test]
    fn a_task_is_taken_once_and_again_when_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        let first = ours(folder.path());
        assert!(matches!(take(folder.path(), &Holder::current()).unwrap(), Taken::Busy(_)));
        assert!(first.before().unwrap().is_none());
        first.end(&DONE).unwrap();
        assert_eq!(last(folder.path()).unwrap().unwrap().end, Some(DONE));
        let second = ours(folder.path());
        assert_eq!(second.number(), 2);
        assert_eq!(second.before().unwrap().unwrap().end, Some(DONE));
    }

    #[test]
    fn of_many_at_once_one_gets_it() {
        let folder = tempfile::tempdir().unwrap();
        for round in 1..=20 {
            let (start, winners) = (Barrier::new(8), AtomicUsize::new(0));
            let winner = std::sync::Mutex::new(None);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        start.wait();
                        if let Taken::Ours(attempt) =
                            take(folder.path(), &Holder::current()).unwrap()
                        {
                            winners.fetch_add(1, Ordering::SeqCst);
                            *winner.lock().unwrap() = Some(attempt);
                        }
                    });
                }
            });
            assert_eq!(winners.into_inner(), 1);
            let attempt = winner.into_inner().unwrap().unwrap();
            assert_eq!(attempt.number(), round);
            attempt.end(&DONE).unwrap();
        }
    }

    #[test]
    fn a_dead_process_s_task_is_recovered_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let dead = Holder { pid: u32::MAX - 1, ..Holder::current() };
        drop(take(folder.path(), &dead).unwrap());
        if dead.started.is_none() {
            age(folder.path(), 3600);
        }
        let attempt = ours(folder.path());
        assert_eq!(attempt.number(), 2);
        assert!(matches!(take(folder.path(), &Holder::current()).unwrap(), Taken::Busy(_)));
    }

    #[test]
    fn a_silent_machine_s_task_is_recovered_after_a_while() {
        let folder = tempfile::tempdir().unwrap();
        drop(take(folder.path(), &elsewhere()).unwrap());
        age(folder.path(), 60);
        assert!(matches!(take(folder.path(), &Holder::current()).unwrap(), Taken::Busy(_)));
        age(folder.path(), 3600);
        assert_eq!(ours(folder.path()).number(), 2);
    }

    #[test]
    fn a_damaged_claim_is_one_line_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("attempt-0003.json"), "{").unwrap();
        let error = take(folder.path(), &Holder::current()).unwrap_err().to_string();
        assert!(error.contains("attempt-0003.json") && !error.contains('\n'), "{error}");
    }
}
