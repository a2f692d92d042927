//! `cargo xtask plan`: how large the grid of a scale is, and how long it takes on how many workers.
//!
//! Steps are measured here and now; the rest is arithmetic and list scheduling (`cldl_grid::wall_time`).

mod counts;
mod page;
mod plot;

pub(crate) use counts::counts;

use crate::interrupt;
use crate::reproduce::{Cldl, Common, Plan, Settings, Timings, What, everything, outcomes, tables};
use crate::workspace::experiments;
use anyhow::{Context as _, Result};
use cldl_grid::{Task, Work, critical_path, wall_time, write_whole};
use counts::Count;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  cargo xtask plan --all --scale paper --seeds 5
  cargo xtask plan --table 1 --scale paper --json
  cargo xtask plan --all --scale paper --seeds 5 --out docs/scale.md   the page, and its picture";

/// Numbers of workers in the table.
const WORKERS: [usize; 4] = [1, 8, 64, 512];
/// Bytes of an outcome file beside its five for each example.
const OUTCOME_HEAD: u64 = 1000;

/// Arguments of `cargo xtask plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,
    /// Write a page of Markdown, and beside it the picture
    #[arg(long, value_name = "FILE.md")]
    out: Option<PathBuf>,
    /// Print the numbers as one JSON object
    #[arg(long)]
    json: bool,
}

/// All that the page says.
#[derive(Debug, Serialize)]
struct Scale {
    command: String,
    machine: String,
    cores: usize,
    steps: Vec<Measured>,
    /// Each table by itself, then all together: what they share counts once there.
    rows: Vec<Row>,
    /// Wall seconds of all together, for 1, 2, 4, .. workers.
    curve: Vec<(usize, f64)>,
}

/// What was measured of one kind of training.
#[derive(Debug, Serialize)]
struct Measured {
    name: String,
    step_seconds: f64,
    attack_seconds: f64,
    memory: Option<u64>,
}

/// The size of a table.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    count: Count,
    core_hours: f64,
    disk_bytes: u64,
    critical_path_seconds: f64,
    /// For each of [`WORKERS`].
    wall_seconds: [f64; 4],
}

/// Runs the chore.
pub(crate) fn run(args: &Args) -> Result<()> {
    interrupt::watch()?;
    let settings = Settings::new(&args.what)?;
    let tables = tables(&args.what, &settings)?;
    let common = Common::read(&experiments())?;
    let cldl: Cldl = crate::reproduce::binary(&args.what)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut timings = Timings::default();
    let (mut rows, mut steps, mut all, mut disk) = (Vec::new(), BTreeMap::new(), Vec::new(), 0);
    for table in tables {
        let name = format!("table {}", table.table);
        eprintln!("{name}: measuring");
        let mut plan = Plan::imagine(table, &common, &settings)?;
        plan.time(&cldl, &mut timings).context(name.clone())?;
        let tasks = everything(&mut plan, &common, &settings);
        let outcomes = outcomes(&plan, &common, &settings) as u64 * outcome_bytes(&plan);
        rows.push(row(name, &tasks, models(&plan, &tasks) + outcomes, cores));
        let fresh = counts::fresh(tasks, &all);
        disk += models(&plan, &fresh) + outcomes;
        all.extend(fresh);
        for index in plan.wanted() {
            let training = &plan.trainings[index];
            let cost = training.cost;
            steps.entry(format!("{}, {}", plan.table.arch, training.shape())).or_insert(Measured {
                name: format!(
                    "{} on {}, {}",
                    plan.table.arch,
                    plan.table.dataset,
                    training.shape()
                ),
                step_seconds: cost.step_seconds,
                attack_seconds: cost.attack_seconds,
                memory: cost.memory,
            });
        }
    }
    rows.push(row("all".to_owned(), &all, disk, cores));
    let work = work(&all);
    let curve = (0..10).map(|power| 1 << power).map(|workers| (workers, wall_time(&work, workers)));
    let scale = Scale {
        command: command(&args.what, &settings),
        machine: machine(),
        cores,
        steps: steps.into_values().collect(),
        rows,
        curve: curve.collect(),
    };
    if let Some(path) = &args.out {
        let picture = path.with_extension("svg");
        write_whole(&picture, plot::svg(&scale)?.as_bytes())?;
        let picture = picture.file_name().unwrap_or_default().to_string_lossy().into_owned();
        write_whole(path, page::page(&scale, &picture).as_bytes())?;
        eprintln!("written to {}", path.display());
    }
    if args.json {
        println!("{}", serde_json::to_string(&scale)?);
    } else {
        print!("{}", page::text(&scale));
    }
    Ok(())
}

fn row(name: String, tasks: &[Task], disk_bytes: u64, cores: usize) -> Row {
    let work = work(tasks);
    let seconds: f64 = work.iter().map(|task| task.seconds).sum();
    Row {
        count: Count::of(name, tasks),
        core_hours: seconds * cores as f64 / 3600.0,
        disk_bytes,
        critical_path_seconds: critical_path(&work),
        wall_seconds: WORKERS.map(|workers| wall_time(&work, workers)),
    }
}

fn work(tasks: &[Task]) -> Vec<Work> {
    let places: BTreeMap<&str, usize> =
        tasks.iter().enumerate().map(|(place, task)| (task.id.as_str(), place)).collect();
    let needs =
        |task: &Task| task.needs.iter().filter_map(|id| places.get(id.as_str()).copied()).collect();
    tasks.iter().map(|task| Work { seconds: task.seconds, needs: needs(task) }).collect()
}

/// Bytes of the models that these tasks train: a checkpoint each, and the next one while it is written.
fn models(plan: &Plan, tasks: &[Task]) -> u64 {
    let trained = |id: &str| tasks.iter().any(|task| task.id == id);
    let trainings = plan.trainings.iter().filter(|training| trained(&training.id()));
    trainings.map(|training| 2 * training.cost.checkpoint).sum()
}

fn outcome_bytes(plan: &Plan) -> u64 {
    5 * plan.size.examples as u64 + OUTCOME_HEAD
}

fn command(what: &What, settings: &Settings) -> String {
    let tables = what.table.map_or("--all".to_owned(), |table| format!("--table {table}"));
    settings.command(0).replace("reproduce --table 0", &format!("plan {tables}"))
}

/// The processor's name, where the system tells.
pub(crate) fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "this machine".to_owned(), |(_, name)| name.trim().to_owned())
}
