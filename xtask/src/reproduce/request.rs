//! The request that `cldl table` answers from the outcome store. The reading side is
//! `cldl_eval::table::Request`; the two agree field by field.

use super::args::Settings;
use super::common::Common;
use super::grid;
use super::plan::{Plan, PlannedColumn};
use anyhow::Result;
use cldl_grid::write_whole;
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::Path;

#[derive(Debug, Serialize)]
pub(crate) struct Request {
    table: u8,
    title: String,
    dataset: String,
    arch: String,
    members: usize,
    scale: String,
    variant: String,
    protocol: String,
    seeds: Vec<u64>,
    shared_init: bool,
    limit_train: Option<usize>,
    epochs: usize,
    examples: usize,
    wall_seconds: f64,
    command: String,
    columns: Vec<Column>,
    /// For each seed, the run directories; empty until they are trained.
    surrogates: Vec<Vec<String>>,
    attacks: Vec<String>,
    eps: Vec<f64>,
    losses: Vec<String>,
    attack_seeds: usize,
    steps: usize,
    paper: Vec<PaperRow>,
}

#[derive(Debug, Serialize)]
struct Column {
    key: String,
    label: String,
    control: bool,
    seeds: Vec<u64>,
    /// One run directory for each seed, or null and why.
    runs: Option<Vec<String>>,
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct PaperRow {
    attack: String,
    eps: f64,
    cells: Map<String, Value>,
}

impl Request {
    pub(crate) fn new(
        plan: &Plan,
        common: &Common,
        settings: &Settings,
        wall_seconds: f64,
    ) -> Self {
        let table = &plan.table;
        let surrogates =
            plan.surrogates.iter().map(|indices| plan.finished(indices).unwrap_or_default());
        Self {
            table: table.table,
            title: table.title.clone(),
            dataset: table.dataset.clone(),
            arch: table.arch.clone(),
            members: table.members,
            scale: settings.scale.to_string(),
            variant: settings.variant.to_string(),
            protocol: settings.protocol.to_string(),
            seeds: (common.seeds.target..).take(settings.seeds).collect(),
            shared_init: settings.shared_init,
            limit_train: plan.size.limit_train,
            epochs: plan.size.epochs,
            examples: plan.size.examples,
            wall_seconds: (wall_seconds * 10.0).round() / 10.0,
            command: settings.command(table.table),
            columns: columns(plan),
            surrogates: surrogates.collect(),
            attacks: table.attacks.clone(),
            eps: table.eps.clone(),
            losses: common.attack.losses(settings.protocol).to_vec(),
            attack_seeds: common.attack.seeds,
            steps: common.attack.steps,
            paper: paper(plan),
        }
    }

    /// Seconds spent by earlier calls on the same table, in the same settings.
    pub(crate) fn earlier_seconds(&self, path: &Path) -> f64 {
        let earlier = std::fs::read_to_string(path).unwrap_or_default();
        let earlier: Value = serde_json::from_str(&earlier).unwrap_or_default();
        let now = serde_json::to_value(self).unwrap_or_default();
        let same =
            ["variant", "protocol", "seeds", "shared_init", "limit_train", "epochs", "examples"];
        let same = same.iter().all(|key| earlier[key] == now[key]);
        if same { earlier["wall_seconds"].as_f64().unwrap_or(0.0) } else { 0.0 }
    }

    /// Writes the request; a reader sees the old one or the new one, never a part.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        Ok(write_whole(path, (serde_json::to_string_pretty(self)? + "\n").as_bytes())?)
    }
}

fn columns(plan: &Plan) -> Vec<Column> {
    let why = |column: &PlannedColumn| {
        if column.selected { "not trained yet" } else { "not asked for" }.to_owned()
    };
    (plan.columns.iter())
        .map(|column| {
            let runs = plan.runs(column);
            Column {
                key: column.column.key(),
                label: column.column.label.clone(),
                control: column.column.control,
                seeds: column.seeds.clone(),
                why: if runs.is_some() { None } else { Some(why(column)) },
                runs,
            }
        })
        .collect()
}

fn paper(plan: &Plan) -> Vec<PaperRow> {
    let table = &plan.table;
    let published: Vec<String> =
        table.columns.iter().filter(|c| !c.control).map(grid::Column::key).collect();
    let row = |attack: &String, line: usize| PaperRow {
        attack: attack.clone(),
        eps: table.eps[line],
        cells: (published.iter().enumerate())
            .filter_map(|(column, key)| {
                Some((key.clone(), table.paper(attack, line, column)?.into()))
            })
            .collect(),
    };
    let lines = |attack| (0..table.eps.len()).map(move |line| row(attack, line));
    table.attacks.iter().flat_map(lines).collect()
}
