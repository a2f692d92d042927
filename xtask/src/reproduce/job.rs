//! The trainings of a table, each as the arguments of one `cldl train`.

use super::args::Settings;
use super::common::{Common, Size};
use super::grid::{Column, Experiment};

/// Folder of the run directories, under the root.
pub(crate) const RUNS: &str = "runs";

/// One training.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Job {
    /// As the plan calls it.
    pub(crate) name: String,
    /// After `cldl train`.
    pub(crate) args: Vec<String>,
}

/// The seeds of one column: a control column has its own, for it may train what the surrogates are.
pub(crate) fn seeds_of(column: &Column, common: &Common, settings: &Settings) -> Vec<u64> {
    let first = if column.control { common.seeds.control } else { common.seeds.target };
    (first..).take(settings.seeds).collect()
}

/// The training of one column with one seed.
pub(crate) fn target(
    column: &Column,
    seed: u64,
    table: &Experiment,
    size: &Size,
    common: &Common,
    settings: &Settings,
) -> Job {
    let method = Method { name: &column.method, members: table.members, seed };
    let mut args = training(&method, table, size, common, settings);
    for (flag, value) in [
        ("--gamma", column.gamma),
        ("--alpha", column.alpha),
        ("--beta", column.beta),
        ("--label-smoothing", column.label_smoothing),
        ("--leaky-slope", column.leaky_slope),
        ("--noise-std", column.noise_std),
    ] {
        if let Some(value) = value {
            args.extend([flag.to_owned(), value.to_string()]);
        }
    }
    Job { name: format!("{}, seed {seed}", column.key()), args }
}

/// The trainings of the surrogates that attack the targets of seed number `index`.
pub(crate) fn surrogates(
    index: usize,
    table: &Experiment,
    size: &Size,
    common: &Common,
    settings: &Settings,
) -> Vec<Job> {
    let seed = if settings.shared_init {
        common.seeds.target + index as u64
    } else {
        common.seeds.surrogate
    };
    let name = common.surrogates.method.as_str();
    let job = |&members: &usize| Job {
        name: format!("surrogate, {members} members, seed {seed}"),
        args: training(&Method { name, members, seed }, table, size, common, settings),
    };
    common.surrogates.members.iter().map(job).collect()
}

struct Method<'a> {
    name: &'a str,
    members: usize,
    seed: u64,
}

fn training(
    method: &Method<'_>,
    table: &Experiment,
    size: &Size,
    common: &Common,
    settings: &Settings,
) -> Vec<String> {
    let mut args = vec![
        "--method".to_owned(),
        method.name.to_owned(),
        "--dataset".to_owned(),
        table.dataset.clone(),
        "--arch".to_owned(),
        table.arch.clone(),
        "--members".to_owned(),
        method.members.to_string(),
        "--epochs".to_owned(),
        size.epochs.to_string(),
        "--batch-size".to_owned(),
        size.batch.unwrap_or(common.training.batch_size).to_string(),
        "--lr".to_owned(),
        common.training.lr.to_string(),
        "--seed".to_owned(),
        method.seed.to_string(),
        "--variant".to_owned(),
        settings.variant.to_string(),
        "--runs".to_owned(),
        RUNS.to_owned(),
    ];
    if let Some(limit) = size.limit_train {
        args.extend(["--limit-train".to_owned(), limit.to_string()]);
    }
    args.extend(settings.data_args());
    args
}
