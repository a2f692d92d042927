//! The plan as the tasks of a grid: trainings, then one attack with one radius each.

use super::args::Settings;
use super::attacks::{self, Slice};
use super::cldl::{RunState, STORE};
use super::common::Common;
use super::plan::{Group, Plan};
use anyhow::Result;
use cldl_grid::{Grid, Kind, Task, attempt};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Writing a table takes the test images and every model's digest: little, whichever table.
const TABLE_SECONDS: f64 = 10.0;
const TABLE_MEMORY: u64 = 500 << 20;

/// The grid of a table whose results are in `folder`; what is in no `missing` slice and finished is noted as done.
pub(crate) fn grid(
    plan: &Plan,
    missing: &[Slice],
    common: &Common,
    settings: &Settings,
    root: &Path,
    folder: &Path,
) -> Result<Grid> {
    let mut tasks = tasks(plan, missing, common, settings);
    for task in &mut tasks {
        task.earlier = attempt::last(&task.folder(root))?.map_or(0, |seen| seen.number);
    }
    keep_estimates(&mut tasks, &root.join(folder));
    let planned = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(Grid {
        name: format!("table {}, {}", plan.table.table, settings.scale),
        command: settings.command(plan.table.table),
        root: PathBuf::from("../.."),
        planned,
        workers: None,
        tasks,
    })
}

/// What was expected of a task that is done by now stays, for comparing it with what it took.
fn keep_estimates(tasks: &mut [Task], folder: &Path) {
    let Ok(earlier) = Grid::read(folder) else { return };
    for task in tasks.iter_mut().filter(|task| task.done) {
        if let Some(before) = earlier.task(&task.id) {
            (task.seconds, task.memory) = (before.seconds, before.memory);
        }
    }
}

/// The tasks of a table of which nothing is there.
pub(crate) fn everything(plan: &mut Plan, common: &Common, settings: &Settings) -> Vec<Task> {
    for training in &mut plan.trainings {
        (training.steps, training.state) = (training.cost.total_steps, RunState::New);
    }
    tasks(plan, &attacks::all(plan), common, settings)
}

/// The number of files in the outcome store of such a table: one for each target and set, and a clean one.
pub(crate) fn outcomes(plan: &Plan, common: &Common, settings: &Settings) -> usize {
    let sets = |attack: &String| attacks::sets(attack, common, settings) * plan.table.eps.len();
    let sets: usize = plan.table.attacks.iter().map(sets).sum();
    let files = |group: &Group| group.targets.len() * (1 + group.surrogates.len() * sets);
    plan.groups().iter().map(files).sum()
}

/// The task that writes the table, once all others are done.
pub(crate) fn table(grid: &Grid, plan: &Plan, settings: &Settings, folder: &Path) -> Task {
    let mut args = vec!["table".to_owned(), folder.join("request.json").display().to_string()];
    args.extend(["--store".to_owned(), STORE.to_owned(), "--out".to_owned()]);
    args.push(folder.display().to_string());
    args.extend(settings.data_args());
    let name = format!("table {}", plan.table.table);
    Task {
        id: format!("table{}-{}-{}", plan.table.table, settings.scale, digest(&args)),
        name,
        kind: Kind::Table,
        args,
        needs: grid.tasks.iter().map(|task| task.id.clone()).collect(),
        seconds: TABLE_SECONDS,
        memory: Some(TABLE_MEMORY),
        done: false,
        earlier: 0,
    }
}

fn tasks(plan: &Plan, missing: &[Slice], common: &Common, settings: &Settings) -> Vec<Task> {
    let mut tasks: Vec<Task> =
        plan.wanted().into_iter().map(|index| training(plan, index)).collect();
    for slice in attacks::all(plan).iter().flat_map(each_eps) {
        let lacking = missing.iter().flat_map(each_eps).any(|lacking| lacking == slice);
        for group in plan.groups() {
            tasks.push(attack(&slice, &group, !lacking, plan, common, settings));
        }
    }
    tasks
}

fn training(plan: &Plan, index: usize) -> Task {
    let training = &plan.trainings[index];
    Task {
        id: training.id(),
        name: format!("train {}", training.job.name),
        kind: Kind::Train { run: PathBuf::from(&training.run), epochs: plan.size.epochs },
        args: [&["train".to_owned()], &training.job.args[..], &["--json".to_owned()]].concat(),
        needs: Vec::new(),
        seconds: training.seconds(),
        memory: training.cost.memory,
        done: training.state == RunState::Done,
        earlier: 0,
    }
}

fn attack(
    slice: &Slice,
    group: &Group,
    done: bool,
    plan: &Plan,
    common: &Common,
    settings: &Settings,
) -> Task {
    let mut args = vec!["eval".to_owned(), "blackbox".to_owned()];
    args.extend(attacks::eval_args(slice, group, plan, common, settings));
    args.extend(["--store", STORE, "--json"].map(str::to_owned));
    let eps = super::show::list(&slice.eps);
    let needs = group.surrogates.iter().chain(&group.targets);
    // An attack holds no more than a training step does, on as many images; every model is small beside that.
    let memory = needs.clone().filter_map(|&index| plan.trainings[index].cost.memory).max();
    let mut needs: Vec<String> = needs.map(|&index| plan.trainings[index].id()).collect();
    needs.dedup();
    Task {
        id: format!("{}-{eps}-{}", slice.attack, digest(&args)),
        name: format!("attack {} at eps {eps}", slice.attack),
        kind: Kind::Attack,
        args,
        needs,
        seconds: attacks::seconds(slice, group, plan, common, settings),
        memory,
        done,
        earlier: 0,
    }
}

fn each_eps(slice: &Slice) -> Vec<Slice> {
    let one = |&eps: &f64| Slice { attack: slice.attack.clone(), eps: vec![eps] };
    slice.eps.iter().map(one).collect()
}

/// Twelve digits that tell these arguments from any others.
fn digest(args: &[String]) -> String {
    twelve_digits(args.join("\0").as_bytes())
}

/// The first twelve hexadecimal digits of the SHA-256 of `bytes`.
pub(super) fn twelve_digits(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(6).fold(String::new(), |mut digits, byte| {
        // Writing to a string can't fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}
