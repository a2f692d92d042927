//! `cargo xtask reproduce`: from a table's number to the table, by way of the `cldl` binary.
//!
//! Everything that takes time is kept by `cldl` (run directories, outcome store); this file only asks
//! what is missing and has it done, so that a call that was interrupted or killed goes on where it was.

mod args;
mod attacks;
mod cldl;
mod common;
mod controls;
mod files;
mod grid;
mod job;
mod plan;
mod request;
mod show;

pub(crate) use args::Args;
pub(crate) use cldl::Cldl;

use crate::interrupt::{self, Interrupted};
use crate::{Usage, workspace};
use anyhow::{Context as _, Result, bail, ensure};
use args::Settings;
use common::Common;
use files::Files;
use grid::{Column, Experiment, TABLES};
use plan::{Plan, State};
use request::Request;
use std::path::PathBuf;
use std::time::Instant;

/// Runs the chore.
pub(crate) fn run(args: &Args) -> Result<()> {
    let settings = Settings::new(args)?;
    let tables = tables(args, &settings)?;
    let common = Common::read(&workspace::experiments())?;
    interrupt::watch()?;
    let root = args.root.clone().unwrap_or_else(workspace::root);
    let cldl = match &args.cldl {
        Some(program) => Cldl { program: std::path::absolute(program)?, root },
        None => Cldl { root, ..Cldl::build(&workspace::root())? },
    };
    let mut failed = Vec::new();
    for table in tables {
        let (number, command) = (table.table, settings.command(table.table));
        match reproduce(&cldl, table, &common, &settings, args.dry_run) {
            Ok(()) => {}
            Err(error) if error.is::<Interrupted>() => {
                bail!("interrupted; `{command}` goes on where it was")
            }
            Err(error) if args.all => {
                eprintln!("error: table {number}: {error:#}");
                failed.push(number.to_string());
            }
            Err(error) => return Err(error.context(format!("table {number}"))),
        }
    }
    ensure!(failed.is_empty(), "no table {}; the reasons are above", failed.join(", "));
    Ok(())
}

fn tables(args: &Args, settings: &Settings) -> Result<Vec<Experiment>> {
    let numbers = args.table.map_or_else(|| TABLES.collect(), |table| vec![table]);
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

fn reproduce(
    cldl: &Cldl,
    table: Experiment,
    common: &Common,
    settings: &Settings,
    dry_run: bool,
) -> Result<()> {
    let began = Instant::now();
    let mut plan = Plan::ask(cldl, table, common, settings)?;
    let folder = PathBuf::from(format!("results/table{}-{}", plan.table.table, settings.scale));
    let mut files = Files { cldl, common, settings, began, earlier: 0.0, folder };
    if dry_run {
        let slices = files.in_passing(&plan)?;
        print!("{}", show::plan(&plan, &slices, common, settings));
        return Ok(());
    }
    files.earlier = Request::new(&plan, common, settings, 0.0).earlier_seconds(&files.request());
    let mut slices = files.write(&plan)?;
    eprint!("{}", show::plan(&plan, &slices, common, settings));

    let to_train = plan.to_train();
    for (done, &index) in to_train.iter().enumerate() {
        let training = &plan.trainings[index];
        let State::ToDo { run, .. } = &training.state else { continue };
        let run = run.clone();
        eprintln!("[{}/{}] train {}", done + 1, to_train.len(), training.job.name);
        cldl.train(&training.job.args, &run).with_context(|| training.job.name.clone())?;
        plan.trainings[index].state = State::Done { run };
        slices = files.write(&plan)?;
    }
    let mut left = slices.clone();
    for slice in &slices {
        eprintln!("attack {} at eps {}", slice.attack, show::list(&slice.eps));
        for (surrogates, targets) in pairs(&plan)? {
            let args = attacks::eval_args(slice, &targets, &surrogates, &plan, common, settings);
            cldl.eval_blackbox(&args)?;
        }
        left = files.write(&plan)?;
    }
    files.show()?;
    files.report(&plan)?;
    eprintln!("written to {}/table.{{json,md,csv,tex}}", files.folder.display());
    eprintln!("look at {0}/report.html, pictures in {0}/pictures/", files.folder.display());
    ensure!(left.is_empty(), "no outcomes for {}", show::slices(&left));
    Ok(())
}

/// Targets that share their surrogates, so that each adversarial set is crafted once for all of them.
fn pairs(plan: &Plan) -> Result<Vec<(Vec<String>, Vec<String>)>> {
    let mut pairs: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for (seed, indices) in plan.surrogates.iter().enumerate() {
        let surrogates = plan.finished(indices).context("a surrogate is not trained")?;
        let columns = plan.columns.iter().filter(|column| column.selected);
        let runs = columns.filter_map(|column| plan.runs(column)?.get(seed).cloned());
        match pairs.iter_mut().find(|pair| pair.0 == surrogates) {
            Some(pair) => pair.1.extend(runs),
            None => pairs.push((surrogates, runs.collect())),
        }
    }
    pairs.retain(|(_, targets)| !targets.is_empty());
    Ok(pairs)
}
