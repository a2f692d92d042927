//! What the attacks really did, and whether an attacker from outside does better than one from inside:
//! then gradients are masked, not robustness gained.

use cldl_attacks::AttackKind;
use cldl_eval::{Bench, Model, Observe, Protocol, Score, Sets, Store, robust_accuracy};

use super::{Grid, GridCell, Section, curves};
use crate::picture::{Heat, Matrix, heat};
use crate::{ReportError, Study};

/// Runs that are shown to each other, at most: the work grows with the square.
const MOST: usize = 8;

pub(super) fn section(study: &Study, observe: &mut Observe<'_>) -> Result<Section, ReportError> {
    let mut section = Section::new(
        "audit",
        "Audit of the attacks",
        "An attack that does nothing looks like a strong defense. For each white-box attack: images \
         whose first gradient was zero at every pixel, images that were changed at all, and how far the \
         loss rose. A run that other runs' examples hurt more than its own hides its gradients.",
    );
    let Some(examples) = study.examples(study.settings.examples)? else {
        section.notes.push(study.no_runs());
        return Ok(section);
    };
    let (found, sets) = curves::measure(study, observe)?;
    let store = Store::new(&study.settings.store);
    let device = study.settings.device.clone();
    let bench = Bench { examples: &examples, store: &store, device, batch_size: curves::BATCH };
    section.grids.push(audits(study, &bench, &found, &sets)?);
    if 1 < study.runs.len() {
        among_runs(study, &bench, &sets, &mut section, observe)?;
    }
    Ok(section)
}

fn audits(
    study: &Study,
    bench: &Bench<'_>,
    found: &curves::Found,
    sets: &Sets,
) -> Result<Grid, ReportError> {
    let mut grid = Grid::new(
        "White-box attacks",
        &[
            "ensemble",
            "attack",
            "eps",
            "right, %",
            "no gradient, %",
            "moved, %",
            "loss rise",
            "largest change",
        ],
    );
    for run in &study.runs {
        let clean = bench.key(&run.inner.digest);
        for attack in curves::ATTACKS {
            for &eps in &study.settings.eps {
                let spec = sets.of(attack, eps)?[0];
                let record = bench.store.load_intact(&clean.attacked(&run.inner.digest, spec))?;
                let Some(audit) = record.and_then(|record| record.audit) else { continue };
                let score = found.score(sets, &clean, attack, eps)?.and_then(|s| s.percent());
                let count = |n: usize| format!("{n} of {} images", audit.examples);
                grid.rows.push(vec![
                    GridCell::text(&run.label),
                    GridCell::text(attack.as_str()),
                    GridCell { text: eps.to_string(), ..GridCell::number(eps, 3) },
                    score.map_or_else(GridCell::default, |percent| GridCell::number(percent, 1)),
                    GridCell::number(audit.zero_gradient_percent(), 1)
                        .tip(count(audit.zero_gradients)),
                    GridCell::number(audit.moved_percent(), 1).tip(count(audit.moved)),
                    GridCell::number(audit.mean_loss_rise(), 2),
                    GridCell::number(audit.max_change, 4),
                ]);
            }
        }
    }
    Ok(grid)
}

/// Shows every run's strongest examples to every run. Whoever wants to know how a run fares on its own finds
/// that in the store then: each set is crafted once.
pub(super) fn measure(study: &Study, observe: &mut Observe<'_>) -> Result<(), ReportError> {
    let Some(examples) = study.examples(study.settings.examples)? else { return Ok(()) };
    let store = Store::new(&study.settings.store);
    let device = study.settings.device.clone();
    let bench = Bench { examples: &examples, store: &store, device, batch_size: curves::BATCH };
    let models = shown(study);
    Ok(bench.blackbox(&models, &models, &[attack(study)], &curves::sets(), observe)?)
}

/// The runs that are shown to each other.
fn shown(study: &Study) -> Vec<Model<'_>> {
    study.runs.iter().take(MOST).map(crate::Trained::model).collect()
}

fn attack(study: &Study) -> (AttackKind, f64) {
    (AttackKind::Pgd, study.eps())
}

/// Which run's adversarial examples fool which.
fn among_runs(
    study: &Study,
    bench: &Bench<'_>,
    sets: &Sets,
    section: &mut Section,
    observe: &mut Observe<'_>,
) -> Result<(), ReportError> {
    measure(study, observe)?;
    let (models, attack) = (shown(study), attack(study));
    let score = |target: &Model<'_>, surrogate: &Model<'_>| {
        let clean = bench.key(target.digest);
        let from = [surrogate.digest.to_owned()];
        robust_accuracy(bench.store, &clean, &from, sets, attack, &Protocol::WHITEBOX)
    };
    let mut values = Vec::new();
    for surrogate in &models {
        let mut row = Vec::new();
        for target in &models {
            let found: Option<Score> = score(target, surrogate)?;
            row.push(found.and_then(|score| score.percent()).unwrap_or(f64::NAN));
        }
        values.push(row);
    }
    let names: Vec<String> = models.iter().map(|model| model.name.to_owned()).collect();
    let mut masked = Vec::new();
    for (t, target) in names.iter().enumerate() {
        let own = values[t][t];
        for (s, surrogate) in names.iter().enumerate() {
            if s != t && values[s][t] < own {
                masked.push(format!(
                    "flag: {target} keeps {own:.1} % under its own examples, {:.1} % under those of \
                     {surrogate}: black-box is stronger than white-box",
                    values[s][t]
                ));
            }
        }
    }
    if masked.is_empty() {
        section
            .notes
            .push("no run is hurt more by another run's examples than by its own".to_owned());
    }
    section.notes.extend(masked);
    section.pictures.push(heat(&Heat {
        name: "audit".to_owned(),
        title: "Which run's examples fool which".to_owned(),
        caption: format!(
            "Right answers among {} test images under PGD at eps {}; on the diagonal each run under its \
             own examples.",
            bench.examples.len(),
            attack.1
        ),
        matrices: vec![Matrix {
            title: format!("PGD at eps {}", attack.1),
            rows: names.clone(),
            columns: names,
            values,
        }],
        axes: ["crafted on".to_owned(), "shown to".to_owned()],
        unit: "right, %".to_owned(),
        range: (0.0, 100.0),
        cell: (34, 54),
        columns: 1,
        decimals: 1,
    })?);
    Ok(())
}
