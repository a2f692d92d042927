//! One task, done here and now: claimed, run, its words kept, its end recorded.

use super::cldl::{Cldl, RunState, parsed};
use super::headway::{self, Headway, Stuck};
use crate::child::{self, Ended};
use crate::interrupt::Interrupted;
use anyhow::{Context as _, Result, ensure};
use cldl_grid::{End, Grid, Holder, How, Kind, SlurmJob, Taken, Task, attempt, write_whole};
use serde::Deserialize;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// A task whose process is killed so often is not started again.
const KILLS: u32 = 3;

/// The file, beside `grid.json`, that says that a person cancelled the grid.
pub(crate) const CANCELLED: &str = "cancelled";

/// The request of the finished table, beside `grid.json`.
pub(crate) const FINAL_REQUEST: &str = "final-request.json";

/// What came of it.
#[derive(Debug)]
pub(crate) enum Performed {
    Done,
    /// Somebody else is at it.
    Busy(Holder),
}

/// What `cldl` says of a training.
#[derive(Deserialize)]
struct Trained {
    run: std::path::PathBuf,
    state: RunState,
}

/// The error of a task that Slurm starts again.
#[derive(Debug)]
pub(crate) struct Requeued;

impl std::fmt::Display for Requeued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("requeued")
    }
}

impl std::error::Error for Requeued {}

/// The error of a process that a signal ended that we did not send.
#[derive(Debug)]
struct Killed(String);

impl std::fmt::Display for Killed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Killed {}

/// Does a task of the grid in `folder`; each line that it says goes to its log and to `say`.
pub(crate) fn perform(
    cldl: &Cldl,
    grid: &Grid,
    folder: &Path,
    task: &Task,
    say: impl FnMut(&str) + Send + 'static,
) -> Result<Performed> {
    let attempt = match attempt::take(&task.folder(&cldl.root), &Holder::current())? {
        Taken::Ours(attempt) => attempt,
        Taken::Busy(holder) => return Ok(Performed::Busy(holder)),
    };
    let (began, mut memory) = (Instant::now(), None);
    let folder = cldl.root.join(folder);
    let headway = Headway::begin(task, cldl);
    let mut result = work(cldl, grid, &folder, task, &attempt.log(), say).and_then(|ended| {
        memory = ended.memory;
        check(task, &ended)
    });
    let job = SlurmJob::current().filter(|_| !folder.join(CANCELLED).exists());
    let stopped = result.as_ref().is_err_and(anyhow::Error::is::<Interrupted>);
    let mut idle = 0;
    if let Some(job) = job.as_ref().filter(|_| stopped) {
        idle = headway.idle(task, cldl, &attempt, job)?;
        result = headway::bounded(idle).and(result);
    }
    let again = job.filter(|job| match &result {
        Ok(()) => false,
        Err(error) if error.is::<Interrupted>() => true,
        Err(error) => error.is::<Killed>() && job.restarts < KILLS,
    });
    let how = match &result {
        Ok(()) => How::Done,
        Err(_) if again.is_some() => How::Requeued,
        Err(error) if error.is::<Interrupted>() => How::Stopped,
        Err(_) => How::Failed,
    };
    if let Err(error) = &result
        && (error.is::<Killed>() || error.is::<Stuck>())
    {
        // What happened to a process it could not say itself.
        append(&attempt.log(), &format!("{error}"));
    }
    let message = result.as_ref().err().map(|error| format!("{error:#}"));
    let seconds = began.elapsed().as_secs_f64();
    attempt.end(&End { how, seconds, memory, message, idle })?;
    if let Some(job) = again {
        requeue(&job)?;
        return Err(Requeued.into());
    }
    result.map(|()| Performed::Done)
}

/// A log that can't be written must not keep a task from ending.
fn append(log: &Path, line: &str) {
    let _ = File::options().append(true).open(log).and_then(|mut log| writeln!(log, "{line}"));
}

/// Runs the task's command to its end.
fn work(
    cldl: &Cldl,
    grid: &Grid,
    folder: &Path,
    task: &Task,
    log: &Path,
    mut say: impl FnMut(&str) + Send + 'static,
) -> Result<Ended> {
    if task.kind == Kind::Table {
        complete_request(folder, grid)?;
    }
    let mut file = File::create(log).with_context(|| format!("can't write `{}`", log.display()))?;
    let tee = move |line: &str| {
        // A log that can't be written must not end the work.
        let _ = writeln!(file, "{line}");
        say(line);
    };
    child::watch(cldl.task(&task.args).stdout(Stdio::piped()), tee)
}

/// Whether the command did what it was to do.
fn check(task: &Task, ended: &Ended) -> Result<()> {
    let what = match &task.kind {
        Kind::Train { run, .. } => format!("`cldl train` of `{}`", run.display()),
        Kind::Attack => "`cldl eval blackbox`".to_owned(),
        Kind::Table => "`cldl table`".to_owned(),
    };
    if let Some(signal) = signal(ended.status) {
        let hint = if signal == 9 { "; out of memory?" } else { "" };
        return Err(Killed(format!("{what} was killed by signal {signal}{hint}")).into());
    }
    ensure!(ended.status.success(), "{what} failed ({})", ended.status);
    if let Kind::Train { run, .. } = &task.kind {
        let trained: Trained = parsed("train", &ended.stdout)?;
        let (found, wanted) = (trained.run.display(), run.display());
        ensure!(trained.run == *run, "`cldl train` wrote `{found}`, not `{wanted}`");
        ensure!(trained.state == RunState::Done, "`cldl train` left `{wanted}` unfinished");
    }
    if task.kind == Kind::Table {
        print!("{}", ended.stdout);
    }
    Ok(())
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// The request that was made with the plan, with the time that has gone since, in its place.
fn complete_request(folder: &Path, grid: &Grid) -> Result<()> {
    let path = folder.join(FINAL_REQUEST);
    let text = std::fs::read(&path).with_context(|| format!("can't read `{}`", path.display()))?;
    let mut request: serde_json::Value = serde_json::from_slice(&text)?;
    let planned = SystemTime::UNIX_EPOCH + Duration::from_secs(grid.planned);
    let gone = SystemTime::now().duration_since(planned).unwrap_or_default().as_secs();
    let earlier = request["wall_seconds"].as_f64().unwrap_or(0.0);
    request["wall_seconds"] = (earlier + gone as f64).into();
    let text = serde_json::to_string_pretty(&request)? + "\n";
    Ok(write_whole(&folder.join("request.json"), text.as_bytes())?)
}

/// Puts our own job back into Slurm's queue.
pub(crate) fn requeue(job: &SlurmJob) -> Result<()> {
    let output = Command::new("scontrol").args(["requeue", &job.id]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "can't requeue Slurm job {}: {}", job.id, said.trim());
    Ok(())
}
