//! How far a grid is, read from its files by whoever wants to know.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use crate::attempt::{self, Seen};
use crate::holder::now;
use crate::{Grid, How, Kind, Queue, Task, Work, slurm, wall_time};

/// How far a grid is.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// As a person calls it.
    pub name: String,
    /// Where its `grid.json` is.
    pub folder: PathBuf,
    /// The command that goes on with it.
    pub command: String,
    /// Number of tasks that are done.
    pub done: usize,
    /// Number of tasks that are being worked on.
    pub running: usize,
    /// Number of tasks that nobody has begun.
    pub waiting: usize,
    /// Number of tasks that ended badly.
    pub failed: usize,
    /// Somebody works on it, or Slurm will.
    pub alive: bool,
    /// Expected seconds to go; none if nobody works on it.
    pub seconds_left: Option<f64>,
    /// Seconds since 1970 when it should be over.
    pub expected_end: Option<u64>,
    /// Every task, in the grid's order.
    pub tasks: Vec<TaskStatus>,
}

/// How far a task is.
#[derive(Clone, Debug, Serialize)]
pub struct TaskStatus {
    /// Its name in files.
    pub id: String,
    /// As a person calls it.
    pub name: String,
    /// In one word.
    pub state: State,
    /// Where it runs or ran last.
    #[serde(rename = "where")]
    pub place: Option<String>,
    /// The Slurm job that will run it or runs it.
    pub job: Option<String>,
    /// Passes over the data that are done, of a training.
    pub epoch: Option<usize>,
    /// Passes over the data in all, of a training.
    pub epochs: Option<usize>,
    /// Expected seconds when it was planned.
    pub expected_seconds: f64,
    /// Seconds that the last attempt took, or takes so far.
    pub seconds: Option<f64>,
    /// Expected peak of memory in bytes.
    pub expected_memory: Option<u64>,
    /// Peak of memory of the last attempt in bytes.
    pub memory: Option<u64>,
    /// Its last log, below the grid's root.
    pub log: Option<PathBuf>,
    /// The last line of that log, of a task that failed.
    pub last_line: Option<String>,
    /// How to run it again, of a task that failed.
    pub again: Option<String>,
}

/// How far a task is, in one word.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its result is there.
    Done,
    /// Somebody who lives works on it.
    Running,
    /// Nobody works on it yet, or any more for now.
    Waiting,
    /// It ended badly, or whoever worked on it died.
    Failed,
}

/// Looks at the grid in `folder`.
///
/// # Errors
/// If there is none, or its files can't be read.
pub fn look(folder: &Path) -> io::Result<Status> {
    let grid = Grid::read(folder)?;
    let root = folder.join(&grid.root);
    let mut seen = Vec::new();
    for task in &grid.tasks {
        let folder = task.folder(&root);
        seen.push((attempt::last(&folder)?, slurm::noted_job(&folder)));
    }
    let holders =
        seen.iter().filter_map(|(seen, _)| Some(seen.as_ref()?.holder.slurm.as_ref()?.id.as_str()));
    let noted = seen.iter().filter_map(|(_, job)| job.as_deref());
    let queue = Queue::ask(holders.chain(noted));
    let tasks: Vec<TaskStatus> = (grid.tasks.iter().zip(seen))
        .map(|(task, (seen, job))| task_status(task, &grid, &root, seen.as_ref(), job, &queue))
        .collect();
    let count = |state| tasks.iter().filter(|task| task.state == state).count();
    let queued = tasks.iter().any(|task| task.job.is_some());
    let alive = 0 < count(State::Running) || queued;
    let seconds_left = alive.then(|| seconds_left(&grid, &tasks));
    Ok(Status {
        name: grid.name.clone(),
        folder: folder.to_path_buf(),
        command: grid.command.clone(),
        done: count(State::Done),
        running: count(State::Running),
        waiting: count(State::Waiting),
        failed: count(State::Failed),
        alive,
        seconds_left,
        expected_end: seconds_left.map(|seconds| now() + seconds.ceil() as u64),
        tasks,
    })
}

fn task_status(
    task: &Task,
    grid: &Grid,
    root: &Path,
    seen: Option<&Seen>,
    job: Option<String>,
    queue: &Queue,
) -> TaskStatus {
    let job = job.filter(|job| queue.lists(job) == Some(true));
    let state = state(task, root, seen, job.is_some(), queue);
    let failed = state == State::Failed;
    let end = seen.and_then(|seen| seen.end.as_ref());
    let log = seen.map(|seen| &seen.log).filter(|log| log.exists());
    let below = |path: &PathBuf| path.strip_prefix(root).unwrap_or(path).to_path_buf();
    let (epoch, epochs) = match &task.kind {
        Kind::Train { run, epochs } => (Some(epochs_done(&root.join(run))), Some(*epochs)),
        Kind::Attack | Kind::Table => (None, None),
    };
    let running_for = || {
        seen.filter(|_| state == State::Running)
            .map(|seen| now().saturating_sub(seen.holder.since) as f64)
    };
    TaskStatus {
        id: task.id.clone(),
        name: task.name.clone(),
        state,
        place: seen.map(|seen| seen.holder.place()),
        job,
        epoch,
        epochs,
        expected_seconds: task.seconds,
        seconds: end.map(|end| end.seconds).or_else(running_for),
        expected_memory: task.memory,
        memory: end.and_then(|end| end.memory),
        log: log.map(below),
        last_line: failed.then(|| last_words(log, seen)),
        again: failed.then(|| grid.command.clone()),
    }
}

fn state(task: &Task, root: &Path, seen: Option<&Seen>, queued: bool, queue: &Queue) -> State {
    if task.done
        || matches!(&task.kind, Kind::Train { run, .. } if root.join(run).join("done").exists())
    {
        return State::Done;
    }
    let Some(seen) = seen else { return State::Waiting };
    if seen.lives(queue, SystemTime::now()) {
        return State::Running;
    }
    let ended = seen.end.as_ref().map(|end| end.how).filter(|_| task.earlier < seen.number);
    match ended {
        Some(How::Done) => State::Done,
        Some(How::Failed) if !queued => State::Failed,
        // It died without a word.
        None if task.earlier < seen.number && !queued => State::Failed,
        _ => State::Waiting,
    }
}

/// Lines of `metrics.jsonl`: one an epoch.
fn epochs_done(run: &Path) -> usize {
    fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count())
}

fn last_words(log: Option<&PathBuf>, seen: Option<&Seen>) -> String {
    let log = log.and_then(|log| fs::read(log).ok()).unwrap_or_default();
    let log = String::from_utf8_lossy(&log).into_owned();
    let line = log.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned);
    let message = || seen.and_then(|seen| seen.end.as_ref()?.message.clone());
    line.or_else(message).unwrap_or_else(|| "it was killed and said nothing".to_owned())
}

/// Expected seconds until all is done, as many at a time as the launcher said or as run now. What has ended
/// tells how well the estimates hold here.
fn seconds_left(grid: &Grid, tasks: &[TaskStatus]) -> f64 {
    let ended = tasks.iter().filter(|task| task.state == State::Done && task.seconds.is_some());
    let (mut took, mut expected) = (0.0, 0.0);
    for task in ended.filter(|task| 0.0 < task.expected_seconds) {
        took += task.seconds.unwrap_or(0.0);
        expected += task.expected_seconds;
    }
    let factor = if 0.0 < expected { took / expected } else { 1.0 };
    let places: BTreeMap<&str, usize> =
        grid.tasks.iter().enumerate().map(|(at, task)| (task.id.as_str(), at)).collect();
    let work: Vec<Work> = (grid.tasks.iter().zip(tasks))
        .map(|(task, status)| Work {
            seconds: match status.state {
                State::Done => 0.0,
                State::Running => (task.seconds * factor - status.seconds.unwrap_or(0.0)).max(0.0),
                State::Waiting | State::Failed => task.seconds * factor,
            },
            needs: task
                .needs
                .iter()
                .filter_map(|need| places.get(need.as_str()).copied())
                .collect(),
        })
        .collect();
    let running = tasks.iter().filter(|task| task.state == State::Running).count();
    wall_time(&work, grid.workers.unwrap_or(running).max(1))
}
