//! `xtask work`: one task of a grid, as a Slurm job runs it.

use super::cldl::Cldl;
use super::perform::{Performed, Requeued, perform, requeue};
use crate::interrupt;
use anyhow::{Context as _, Result};
use cldl_grid::{Grid, SlurmJob};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// Time between two looks at a task that somebody else holds.
const POLL: Duration = Duration::from_secs(10);

/// Arguments of `xtask work`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The grid's folder
    folder: PathBuf,
    /// The task
    task: String,
    #[arg(long)]
    root: PathBuf,
    #[arg(long)]
    cldl: PathBuf,
}

/// Does the task, or waits until whoever holds it has done it.
pub(crate) fn run(args: &Args) -> Result<()> {
    interrupt::watch()?;
    let (program, root) = (args.cldl.clone(), args.root.clone());
    let cldl = Cldl { program, root, threads: None, unpacked: None };
    let grid = Grid::read(&args.folder)?;
    let none = || format!("no task `{}` in `{}`", args.task, args.folder.display());
    let task = grid.task(&args.task).with_context(none)?;
    let mut told = false;
    loop {
        match perform(&cldl, &grid, &args.folder, task, |line| eprintln!("{line}")) {
            Ok(Performed::Done) => return Ok(()),
            Ok(Performed::Busy(_)) if interrupt::requested() => {
                return SlurmJob::current().map_or(Ok(()), |job| requeue(&job));
            }
            Ok(Performed::Busy(holder)) => {
                if !std::mem::replace(&mut told, true) {
                    eprintln!("held by {}", holder.place());
                }
                thread::sleep(POLL);
            }
            Err(error) if error.is::<Requeued>() => return Ok(()),
            Err(error) => return Err(error.context(task.name.clone())),
        }
    }
}
