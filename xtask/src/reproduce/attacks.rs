//! The attacks that a table still needs, and what they cost.

use super::args::Settings;
use super::common::Common;
use super::plan::{Group, Plan};
use serde_json::Value;

/// One attack with those of its eps that the outcome store can't answer yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slice {
    pub(crate) attack: String,
    pub(crate) eps: Vec<f64>,
}

/// Every attack with every eps.
pub(crate) fn all(plan: &Plan) -> Vec<Slice> {
    let slice = |attack: &String| Slice { attack: attack.clone(), eps: plan.table.eps.clone() };
    plan.table.attacks.iter().map(slice).collect()
}

/// The rows of `table.json` in which a selected column has no number yet.
pub(crate) fn missing(plan: &Plan, table: &Value) -> Vec<Slice> {
    let selected = plan.columns.iter().filter(|column| column.selected);
    let columns: Vec<String> = selected.map(|column| column.column.key()).collect();
    let lacks = |row: &Value| {
        columns.iter().any(|key| {
            let cell = &row["cells"][key];
            let unknown = cell["ours"].is_null() && cell["undefined"] != true;
            unknown || table["clean"][key].is_null()
        })
    };
    let rows = table["rows"].as_array().map_or(&[][..], Vec::as_slice);
    let unanswered = |attack: &str, eps: f64| {
        let row = |row: &&Value| row["attack"] == attack && row["eps"].as_f64() == Some(eps);
        rows.iter().find(row).is_none_or(lacks)
    };
    let mut slices = all(plan);
    for slice in &mut slices {
        slice.eps.retain(|&eps| !columns.is_empty() && unanswered(&slice.attack, eps));
    }
    slices.retain(|slice| !slice.eps.is_empty());
    slices
}

/// The attack's adversarial sets for one eps on one surrogate: a loss each, and for PGD a random start each.
pub(crate) fn sets(attack: &str, common: &Common, settings: &Settings) -> usize {
    let starts = if attack == "pgd" { common.attack.seeds } else { 1 };
    common.attack.losses(settings.protocol).len() * starts
}

/// Expected seconds on one group: a gradient step on the surrogate for each step, set and image; and every
/// target looks once at every set, which costs about a third of a gradient step.
pub(crate) fn seconds(
    slice: &Slice,
    group: &Group,
    plan: &Plan,
    common: &Common,
    settings: &Settings,
) -> f64 {
    let steps = if slice.attack == "fgsm" { 1 } else { common.attack.steps };
    let sets = sets(&slice.attack, common, settings) * slice.eps.len();
    let gradients = |indices: &[usize]| {
        indices.iter().map(|&index| plan.trainings[index].cost.attack_seconds).sum::<f64>()
    };
    let crafting = gradients(&group.surrogates) * steps as f64;
    let answering = gradients(&group.targets) / 3.0 * group.surrogates.len() as f64;
    (sets * plan.size.examples) as f64 * (crafting + answering)
}

/// The arguments of `cldl eval blackbox` for one slice of one group.
pub(crate) fn eval_args(
    slice: &Slice,
    group: &Group,
    plan: &Plan,
    common: &Common,
    settings: &Settings,
) -> Vec<String> {
    let mut args = plan.run_names(&group.targets);
    args.push("--surrogates".to_owned());
    args.extend(plan.run_names(&group.surrogates));
    args.extend(["--attacks".to_owned(), slice.attack.clone(), "--eps".to_owned()]);
    args.extend(slice.eps.iter().map(f64::to_string));
    args.push("--losses".to_owned());
    args.extend_from_slice(common.attack.losses(settings.protocol));
    for (flag, value) in [
        ("--attack-seeds", common.attack.seeds),
        ("--steps", common.attack.steps),
        ("--examples", plan.size.examples),
    ] {
        args.extend([flag.to_owned(), value.to_string()]);
    }
    args.extend(settings.data_args());
    args
}
