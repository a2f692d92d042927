//! Robust accuracy against eps: of tables as they are, of runs under white-box attacks.

use std::path::Path;

use cldl_attacks::{AttackKind, AttackLoss};
use cldl_eval::table::Table;
use cldl_eval::{
    Bench, EvalError, Key, Model, Observe, Protocol, Score, Sets, Store, robust_accuracy,
};

use super::{Section, tables};
use crate::picture::{Chart, Panel, Series, chart};
use crate::{ReportError, Study};

/// Examples at a time.
pub(super) const BATCH: usize = 200;
/// The attacks that runs are put under: the weakest and the strongest.
pub(super) const ATTACKS: [AttackKind; 2] = [AttackKind::Fgsm, AttackKind::Pgd];

/// Outcomes of white-box attacks on the runs.
pub(super) struct Found {
    store: Store,
}

impl Found {
    /// What is left of a run (`clean` is the key of its clean images) under one attack.
    pub(super) fn score(
        &self,
        sets: &Sets,
        clean: &Key,
        attack: AttackKind,
        eps: f64,
    ) -> Result<Option<Score>, EvalError> {
        let itself = [clean.target.clone()];
        robust_accuracy(&self.store, clean, &itself, sets, (attack, eps), &Protocol::WHITEBOX)
    }
}

/// One random start, on the cross-entropy.
pub(super) fn sets() -> Sets {
    Sets { losses: vec![AttackLoss::Ce], seeds: vec![0], steps: 10 }
}

/// Attacks every run on itself at every eps, as far as the store lacks it.
pub(super) fn measure(
    study: &Study,
    observe: &mut Observe<'_>,
) -> Result<(Found, Sets), ReportError> {
    let store = Store::new(&study.settings.store);
    let sets = sets();
    if let Some(examples) = study.examples(study.settings.examples)? {
        let device = study.settings.device.clone();
        let bench = Bench { examples: &examples, store: &store, device, batch_size: BATCH };
        let models: Vec<Model<'_>> = study.runs.iter().map(crate::Trained::model).collect();
        let eps = &study.settings.eps;
        let attacks = ATTACKS.iter().flat_map(|attack| eps.iter().map(|eps| (*attack, *eps)));
        bench.whitebox(&models, &attacks.collect::<Vec<_>>(), &sets, observe)?;
    }
    Ok((Found { store }, sets))
}

pub(super) fn section(study: &Study, observe: &mut Observe<'_>) -> Result<Section, ReportError> {
    let mut section = Section::new(
        "robustness",
        "Robust accuracy against eps",
        "How fast accuracy falls as the attacker may change more. Whiskers are 95 % confidence \
         intervals; hollow marks are the paper's numbers.",
    );
    for (i, (path, table)) in study.tables.iter().enumerate() {
        section.pictures.push(of_table(table, path, i, study.tables.len())?);
    }
    if study.runs.is_empty() {
        if study.tables.is_empty() {
            section.notes.push(study.no_runs());
        }
        return Ok(section);
    }
    section.pictures.push(of_runs(study, observe)?);
    Ok(section)
}

fn of_table(
    table: &Table,
    path: &Path,
    i: usize,
    of: usize,
) -> Result<crate::Picture, ReportError> {
    let mut attacks: Vec<&str> = table.rows.iter().map(|row| row.attack.as_str()).collect();
    attacks.dedup();
    let panel = |attack: &&str| {
        let rows: Vec<_> = table.rows.iter().filter(|row| row.attack == *attack).collect();
        let series = table.columns.iter().enumerate().map(|(index, column)| {
            let clean = table.clean(&column.key).map(|percent| (0.0, percent));
            let cells = || rows.iter().filter_map(|row| Some((row.eps, row.cell(&column.key)?)));
            let ours = cells().filter_map(|(eps, cell)| Some((eps, cell.ours?)));
            let points: Vec<(f64, f64)> = clean.into_iter().chain(ours).collect();
            let interval = |(_, ours): &(f64, f64)| tables::interval(table, &column.key, *ours);
            let intervals: Vec<(f64, f64)> = points.iter().filter_map(interval).collect();
            Series {
                label: column.label.replace('_', " "),
                index,
                intervals: if intervals.len() == points.len() { intervals } else { Vec::new() },
                points,
                published: cells().filter_map(|(eps, cell)| Some((eps, cell.paper?))).collect(),
            }
        });
        let mut ticks = vec![0.0];
        ticks.extend(rows.iter().map(|row| row.eps));
        Panel {
            title: format!("{} ({})", attack.to_uppercase(), table.dataset),
            x: "eps, in pixels of [0, 1]".to_owned(),
            y: "robust accuracy, %".to_owned(),
            x_ticks: Some(ticks),
            y_range: Some(-3.0..103.0),
            series: series.collect(),
        }
    };
    let seeds = if table.seeds.len() == 1 { "seed" } else { "seeds" };
    chart(&Chart {
        name: if of == 1 { "robustness".to_owned() } else { format!("robustness-{}", i + 1) },
        title: format!("Table {} as curves, scale {}", table.table, table.scale),
        caption: format!(
            "{}; {} {seeds}, {} images, protocol {}. At eps 0: clean accuracy. From {}.",
            table.title,
            table.seeds.len(),
            table.examples,
            table.protocol,
            path.display()
        ),
        panels: attacks.iter().map(panel).collect(),
    })
}

fn of_runs(study: &Study, observe: &mut Observe<'_>) -> Result<crate::Picture, ReportError> {
    let (found, sets) = measure(study, observe)?;
    let examples = study.examples(study.settings.examples)?;
    let (digest, count) = examples.as_ref().map_or(("", 0), |e| (e.digest(), e.len()));
    let mut panels = Vec::new();
    for attack in ATTACKS {
        let mut series = Vec::new();
        for (index, run) in study.runs.iter().enumerate() {
            let clean = Key::clean(&run.inner.digest, digest, count);
            let before = found.store.load_intact(&clean)?;
            let before = before.map(|record| (0.0, Score::of(&record.outcome)));
            let mut scores: Vec<(f64, Score)> = before.into_iter().collect();
            for eps in &study.settings.eps {
                let score = found.score(&sets, &clean, attack, *eps)?;
                scores.extend(score.map(|score| (*eps, score)));
            }
            let point = |(eps, score): &(f64, Score)| Some((*eps, score.percent()?));
            series.push(Series {
                label: run.label.clone(),
                index,
                points: scores.iter().filter_map(point).collect(),
                intervals: scores.iter().filter_map(|(_, score)| score.interval()).collect(),
                published: Vec::new(),
            });
        }
        let ticks = std::iter::once(0.0).chain(study.settings.eps.iter().copied());
        panels.push(Panel {
            title: format!("{}, white-box", attack.as_str().to_uppercase()),
            x: "eps, in pixels of [0, 1]".to_owned(),
            y: "robust accuracy, %".to_owned(),
            x_ticks: Some(ticks.collect()),
            y_range: Some(-3.0..103.0),
            series,
        });
    }
    chart(&Chart {
        name: "robustness-whitebox".to_owned(),
        title: "Under attackers who know the ensemble".to_owned(),
        caption: format!(
            "Right answers among all {count} test images; PGD takes 10 steps of eps/5 from one random \
             start, on the cross-entropy of the whole ensemble."
        ),
        panels,
    })
}
