//! `cargo xtask reproduce`: from a table's number to the table, by way of the `cldl` binary.
//!
//! Everything that takes time is kept by `cldl` (run directories, outcome store); this file only asks
//! what is missing and has it done, here or by Slurm, so that a call that was interrupted or killed goes
//! on where it was.

mod args;
mod attacks;
mod cldl;
mod common;
mod controls;
mod files;
mod grid;
mod headway;
mod job;
mod local;
mod perform;
mod plan;
mod request;
mod show;
mod slurm;
mod tasks;
mod timing;
pub(crate) mod work;

pub(crate) use crate::interrupt::{self, Interrupted};
use crate::{Usage, workspace};
use anyhow::{Context as _, Result, bail, ensure};
use args::Launcher;
pub(crate) use args::{Args, Settings, What};
use attacks::Slice;
pub(crate) use cldl::Cldl;
use cldl_grid::{Grid, Kind, Task};
pub(crate) use common::Common;
use files::Files;
use grid::{Column, Experiment, TABLES};
use local::Local;
pub(crate) use plan::Plan;
use request::Request;
pub(crate) use show::{aligned, duration};
use slurm::{Profile, Slurm};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;
pub(crate) use tasks::{everything, outcomes};
pub(crate) use timing::Timings;

/// Runs the chore.
pub(crate) fn run(args: &Args) -> Result<()> {
    args.check()?;
    let settings = Settings::new(&args.what)?;
    let tables = tables(&args.what, &settings)?;
    let common = Common::read(&workspace::experiments())?;
    interrupt::watch()?;
    let profile = args.slurm.profile()?;
    let mut cldl = binary(&args.what)?;
    cldl.threads = threads(args, &profile);
    let mut launch = Launch {
        args,
        common: &common,
        settings: &settings,
        timings: Timings::default(),
        slurm: Slurm {
            cldl: &cldl,
            profile: &profile,
            dry_run: args.dry_run,
            submitted: BTreeMap::new(),
        },
    };
    let mut failed = Vec::new();
    for table in tables {
        let (number, command) = (table.table, settings.command(table.table));
        match launch.reproduce(&cldl, table) {
            Ok(()) => {}
            Err(error) if error.is::<Interrupted>() => {
                bail!("interrupted; `{command}` goes on where it was")
            }
            Err(error) if args.what.all => {
                eprintln!("error: table {number}: {error:#}");
                failed.push(number.to_string());
            }
            Err(error) => return Err(error.context(format!("table {number}"))),
        }
    }
    ensure!(failed.is_empty(), "no table {}; the reasons are above", failed.join(", "));
    Ok(())
}

pub(crate) fn tables(what: &What, settings: &Settings) -> Result<Vec<Experiment>> {
    let numbers = what.table.map_or_else(|| TABLES.collect(), |table| vec![table]);
    let folder = workspace::experiments();
    let read = numbers.into_iter().map(|number| Experiment::read(&folder, number));
    let mut tables = read.collect::<Result<Vec<_>>>()?;
    if settings.controls {
        for table in &mut tables {
            table.columns.extend(controls::columns(table, settings.variant));
        }
    }
    for name in &settings.only {
        let mut columns = tables.iter().flat_map(|table| &table.columns);
        if !columns.any(|column| column.is_called(name)) {
            let mut keys: Vec<String> =
                tables.iter().flat_map(|table| &table.columns).map(Column::key).collect();
            keys.sort();
            keys.dedup();
            let message = format!("no column `{name}`; there are {}", keys.join(", "));
            return Err(Usage(message).into());
        }
    }
    tables.retain(|table| table.columns.iter().any(|column| settings.selects(column)));
    Ok(tables)
}

/// `cldl`, built unless there is one.
pub(crate) fn binary(what: &What) -> Result<Cldl> {
    let root = what.root.clone().unwrap_or_else(workspace::root);
    let unusable = || format!("can't use `{}` as the root", root.display());
    std::fs::create_dir_all(&root).with_context(unusable)?;
    Ok(match &what.cldl {
        Some(program) => {
            Cldl { program: std::path::absolute(program)?, root, threads: None, unpacked: None }
        }
        None => Cldl { root, ..Cldl::build(&workspace::root())? },
    })
}

/// Threads of a task, if not as many as it likes: estimates are measured with as many.
fn threads(args: &Args, profile: &Profile) -> Option<usize> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    match (args.launcher, args.jobs) {
        (Launcher::Slurm, _) => Some(profile.cores()),
        (Launcher::Local, 1) => None,
        (Launcher::Local, jobs) => Some((cores() / usize::from(jobs)).max(1)),
    }
}

/// What is the same for all tables of a call.
struct Launch<'a> {
    args: &'a Args,
    common: &'a Common,
    settings: &'a Settings,
    timings: Timings,
    slurm: Slurm<'a>,
}

impl Launch<'_> {
    fn reproduce(&mut self, cldl: &Cldl, table: Experiment) -> Result<()> {
        let (common, settings, began) = (self.common, self.settings, Instant::now());
        let here = self.args.launcher == Launcher::Local && !self.args.dry_run && !self.args.cancel;
        let unpacked = here.then(|| {
            let first = common.size(&table, settings.scale, settings.variant)?.limit_train;
            cldl.with_unpacked(&table.dataset, first, &settings.data_args())
        });
        let unpacked = unpacked.transpose()?;
        let cldl = unpacked.as_ref().unwrap_or(cldl);
        let mut plan = Plan::ask(cldl, table, common, settings)?;
        let folder = PathBuf::from(format!("results/table{}-{}", plan.table.table, settings.scale));
        let mut files = Files { cldl, common, settings, began, earlier: 0.0, folder };
        if self.args.cancel {
            let grid = Grid::read(&cldl.root.join(&files.folder))?;
            let cancelled = self.slurm.cancel(&grid, &files.folder)?;
            println!("cancelled {cancelled} jobs of {}", grid.name);
            return Ok(());
        }
        let dry_run = self.args.dry_run;
        let missing = if dry_run {
            files.in_passing(&plan)?
        } else {
            let request = Request::new(&plan, common, settings, 0.0);
            files.earlier = request.earlier_seconds(&files.request());
            files.write(&plan)?
        };
        if !plan.to_train().is_empty() || !missing.is_empty() {
            plan.time(cldl, &mut self.timings)?;
        }
        let shown = show::plan(&plan, &missing, common, settings);
        if dry_run {
            print!("{shown}");
        } else {
            eprint!("{shown}");
        }
        let mut grid = tasks::grid(&plan, &missing, common, settings, &cldl.root, &files.folder)?;
        match self.args.launcher {
            Launcher::Local if dry_run => Ok(()),
            Launcher::Local => self.run(&files, &mut plan, &mut grid),
            Launcher::Slurm => self.submit(&files, &mut plan, &mut grid),
        }
    }

    /// Does the tasks on this machine; the table so far is always on disk.
    fn run(&self, files: &Files<'_>, plan: &mut Plan, grid: &mut Grid) -> Result<()> {
        let jobs = usize::from(self.args.jobs);
        grid.workers = Some(jobs);
        if 1 < jobs {
            grid.command = format!("{} --jobs {jobs}", grid.command);
        }
        grid.write(&files.cldl.root.join(&files.folder))?;
        let local = Local { cldl: files.cldl, grid, folder: &files.folder, jobs };
        let mut left: Vec<Slice> = Vec::new();
        local.run(&mut |task: &Task| {
            plan.finish(task);
            left = files.write(plan)?;
            Ok(())
        })?;
        files.show()?;
        files.report(plan)?;
        eprintln!("written to {}/table.{{json,md,csv,tex}}", files.folder.display());
        eprintln!("look at {0}/report.html, pictures in {0}/pictures/", files.folder.display());
        ensure!(left.is_empty(), "no outcomes for {}", show::slices(&left));
        Ok(())
    }

    /// Has Slurm do the tasks, and write the table at the end.
    fn submit(&mut self, files: &Files<'_>, plan: &mut Plan, grid: &mut Grid) -> Result<()> {
        let folder = files.cldl.root.join(&files.folder);
        grid.command = format!("{} --launcher slurm{}", grid.command, self.args.slurm.words());
        grid.workers = self.slurm.profile.max_parallel.map(|count| count as usize);
        let table = tasks::table(grid, plan, self.settings, &files.folder);
        grid.tasks.push(table);
        if !self.args.dry_run {
            let open = grid.tasks.clone();
            open.iter().filter(|task| !task.done).for_each(|task| plan.finish(task));
            let seconds = files.earlier + files.began.elapsed().as_secs_f64();
            let request = Request::new(plan, self.common, self.settings, seconds);
            request.write(&folder.join(perform::FINAL_REQUEST))?;
            // Cancelled before, wanted again.
            let _ = std::fs::remove_file(folder.join(perform::CANCELLED));
            grid.write(&folder)?;
        }
        let submitted = self.slurm.submit(grid, &files.folder)?;
        if self.args.dry_run {
            return Ok(());
        }
        if submitted == 0 && grid.tasks.iter().all(|task| task.done || task.kind == Kind::Table) {
            eprintln!("nothing to submit: all is there");
            return files.show();
        }
        if submitted == 0 {
            eprintln!("nothing to submit: what is not there is queued");
        }
        eprintln!("`cldl status {}` shows how far it is", files.folder.display());
        Ok(())
    }
}
