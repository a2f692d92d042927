//! The launcher of a cluster: Slurm's own arrays and dependencies.
//!
//! Trainings, attacks, table: arrays of tasks of the grid, later ones with `afterok` on what they need. A job
//! runs `xtask work` on one task. What exists is not submitted, and neither is what waits or runs in Slurm
//! already, whichever table it was submitted for.

mod array;
mod profile;
mod script;

pub(crate) use profile::{Flags, Profile};

use super::cldl::Cldl;
use super::perform::CANCELLED;
use super::show::{aligned, duration};
use anyhow::{Context as _, Result, ensure};
use array::Array;
use cldl_grid::{Grid, Kind, Queue, Task, slurm, write_whole};
use script::{Paths, script};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Submits grids.
pub(crate) struct Slurm<'a> {
    pub(crate) cldl: &'a Cldl,
    pub(crate) profile: &'a Profile,
    /// Print, and submit nothing.
    pub(crate) dry_run: bool,
    /// Jobs that this call has submitted, by task: what two tables share is submitted once.
    pub(crate) submitted: BTreeMap<String, String>,
}

impl Slurm<'_> {
    /// Submits what is neither there nor queued; returns the number of tasks that it submitted.
    pub(crate) fn submit(&mut self, grid: &Grid, folder: &Path) -> Result<usize> {
        let root = fs::canonicalize(&self.cldl.root)?;
        let queued = self.queued(grid, &root)?;
        let lacking = |task: &&Task| !task.done && !queued.contains_key(&task.id);
        let mut todo: Vec<&Task> = grid.tasks.iter().filter(lacking).collect();
        if todo.iter().any(|task| task.kind != Kind::Table) {
            // A table that waits in Slurm waits for older jobs only.
            let table = grid.tasks.iter().filter(|task| task.kind == Kind::Table);
            todo.retain(|task| task.kind != Kind::Table);
            todo.extend(table);
        } else if !todo.is_empty() && queued.is_empty() {
            // Nothing but the table is left: that takes no job.
            todo.clear();
        }
        let there: BTreeSet<&str> =
            grid.tasks.iter().filter(|task| task.done).map(|task| task.id.as_str()).collect();
        let arrays = array::arrays(&todo, &there);
        if arrays.is_empty() {
            return Ok(0);
        }
        let folder = root.join(folder);
        let binaries = self.binaries(&root)?;
        let paths = Paths { cldl: &binaries[0], xtask: &binaries[1], root: &root, folder: &folder };
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut jobs = queued;
        for array in &arrays {
            let text = script(array, &name, &paths, self.profile);
            let file = folder.join("slurm").join(format!("{}.sbatch", array.name));
            let after = dependency(array, &jobs);
            let job = if self.dry_run {
                println!("# sbatch{} {}\n{text}", flag(&after), file.display());
                format!("<{}>", array.name)
            } else {
                write_whole(&file, text.as_bytes())?;
                sbatch(&file, &after)?
            };
            for (index, task) in array.tasks.iter().enumerate() {
                let job = format!("{job}_{index}");
                if !self.dry_run {
                    slurm::note_job(&task.folder(&root), &job)?;
                }
                jobs.insert(task.id.clone(), job.clone());
                self.submitted.insert(task.id.clone(), job);
            }
        }
        eprint!("{}", self.summary(&arrays, &jobs));
        Ok(todo.len())
    }

    /// Takes a grid's jobs out of Slurm; tasks that run save their work.
    pub(crate) fn cancel(&self, grid: &Grid, folder: &Path) -> Result<usize> {
        let root = fs::canonicalize(&self.cldl.root)?;
        let queued = self.queued(grid, &root)?;
        write_whole(&root.join(folder).join(CANCELLED), b"")?;
        if !queued.is_empty() {
            let output = Command::new("scancel").args(queued.values()).output();
            let output = output.context("can't run `scancel`")?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "scancel: {}", said.trim());
        }
        Ok(queued.len())
    }

    /// The jobs that wait or run for tasks of the grid.
    fn queued(&self, grid: &Grid, root: &Path) -> Result<BTreeMap<String, String>> {
        let noted = |task: &Task| {
            let known = self.submitted.get(&task.id).cloned();
            Some((task.id.clone(), known.or_else(|| slurm::noted_job(&task.folder(root)))?))
        };
        let mut jobs: BTreeMap<String, String> =
            grid.tasks.iter().filter(|task| !task.done).filter_map(noted).collect();
        let queue = Queue::ask(jobs.values().map(String::as_str));
        if !self.dry_run {
            let known = jobs.values().all(|job| queue.lists(job).is_some());
            ensure!(known, "`squeue` does not answer: can't tell what is queued already");
        }
        let listed =
            |id: &str, job: &str| self.submitted.contains_key(id) || queue.lists(job) == Some(true);
        jobs.retain(|id, job| listed(id, job));
        Ok(jobs)
    }

    /// Copies of `cldl` and of ourselves that later builds leave alone, named by what is in them.
    fn binaries(&self, root: &Path) -> Result<[PathBuf; 2]> {
        let keep = |program: &Path, name: &str| -> Result<PathBuf> {
            let failed = || format!("can't copy `{}`", program.display());
            let bytes = fs::read(program).with_context(failed)?;
            let digest = Sha256::digest(&bytes);
            let digest: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
            let copy = root.join("runs/bin").join(format!("{name}-{digest}"));
            if !copy.exists() && !self.dry_run {
                write_whole(&copy, &bytes).with_context(failed)?;
                fs::set_permissions(&copy, fs::metadata(program)?.permissions())?;
            }
            Ok(copy)
        };
        Ok([keep(&self.cldl.program, "cldl")?, keep(&std::env::current_exe()?, "xtask")?])
    }

    fn summary(&self, arrays: &[Array<'_>], jobs: &BTreeMap<String, String>) -> String {
        let header = ["job", "tasks", "after", "memory", "expected", "limit"].map(str::to_owned);
        let mut lines = vec![header];
        for array in arrays {
            let job = array.tasks.first().and_then(|task| jobs.get(&task.id));
            let job = job.and_then(|job| job.split('_').next()).unwrap_or_default();
            let longest = array.tasks.first().map_or(0.0, |task| task.seconds);
            let parent = |job: &String| job.split('_').next().unwrap_or(job).to_owned();
            let mut after: Vec<String> = dependency(array, jobs).iter().map(parent).collect();
            after.dedup();
            lines.push([
                job.to_owned(),
                format!("{} {}", array.tasks.len(), array.name),
                if after.is_empty() { "-".to_owned() } else { after.join(", ") },
                format!("{} GB", array.asks.gigabytes),
                duration(longest),
                array.asks.time(self.profile),
            ]);
        }
        aligned(&lines)
    }
}

/// The jobs that an array waits for, task by task: of a whole array Slurm remembers that a task was killed,
/// even when it was requeued and did well.
fn dependency(array: &Array<'_>, jobs: &BTreeMap<String, String>) -> Vec<String> {
    let mut after: Vec<(&str, u32)> = (array.needs.iter())
        .filter_map(|&id| jobs.get(id)?.split_once('_'))
        .filter_map(|(job, index)| Some((job, index.parse().ok()?)))
        .collect();
    after.sort_unstable();
    after.dedup();
    after.into_iter().map(|(job, index)| format!("{job}_{index}")).collect()
}

fn flag(after: &[String]) -> String {
    if after.is_empty() {
        return String::new();
    }
    format!(" --dependency=afterok:{} --kill-on-invalid-dep=yes", after.join(":"))
}

fn sbatch(file: &Path, after: &[String]) -> Result<String> {
    let mut command = Command::new("sbatch");
    command.arg("--parsable").args(flag(after).split_whitespace()).arg(file);
    let output = command.stdin(Stdio::null()).output();
    let output = output.context("can't run `sbatch`; is this a machine of the cluster?")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    ensure!(output.status.success(), "sbatch: {}", line.trim_start_matches("sbatch: "));
    // `17` or, where there are several clusters, `17;cluster`.
    let job = String::from_utf8_lossy(&output.stdout);
    Ok(job.trim().split(';').next().unwrap_or_default().to_owned())
}
