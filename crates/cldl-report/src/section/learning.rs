//! Learning curves: loss terms, and what the probe saw after each epoch.

use serde_json::Value;

use super::Section;
use crate::picture::{Chart, Panel, Series, chart};
use crate::{ReportError, Study};

/// Not curves.
const OTHER: [&str; 4] = ["epoch", "lr", "seconds", "probe"];

pub(super) fn section(study: &Study) -> Result<Section, ReportError> {
    let mut section = Section::new(
        "learning",
        "Learning curves",
        "The loss and its terms, means over an epoch's training images; and a quick look after each \
         epoch at images that no table reports on.",
    );
    let mut terms: Vec<&str> = Vec::new();
    for record in study.runs.iter().flat_map(|run| &run.metrics) {
        let names = record.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        for name in names.filter(|name| !OTHER.contains(name)) {
            if !terms.contains(&name) {
                terms.push(name);
            }
        }
    }
    if terms.is_empty() {
        let why = if study.runs.is_empty() { study.no_runs() } else { no_metrics() };
        section.notes.push(why);
        return Ok(section);
    }
    let mut panels = Vec::new();
    for (pointer, title, y) in [
        ("/probe/clean", "Clean accuracy (probe)", "accuracy, %"),
        ("/probe/fgsm", "Accuracy under FGSM (probe)", "accuracy, %"),
    ] {
        panels.extend(panel(study, pointer, title, y));
    }
    for term in terms {
        panels.extend(panel(study, &format!("/{term}"), &meaning(term), term));
    }
    section.pictures.push(chart(&Chart {
        name: "learning".to_owned(),
        title: "Learning curves".to_owned(),
        caption:
            "One point an epoch. Losses of different methods are not comparable; their terms of \
                  the same name are."
                .to_owned(),
        panels,
    })?);
    Ok(section)
}

/// The curves of one number of the metrics, if any run has it.
fn panel(study: &Study, pointer: &str, title: &str, y: &str) -> Option<Panel> {
    let series = study.runs.iter().enumerate().map(|(index, run)| {
        let point = |record: &Value| Some((epoch(record)?, record.pointer(pointer)?.as_f64()?));
        let points = run.metrics.iter().filter_map(point).collect();
        Series { label: run.label.clone(), index, points, ..Series::default() }
    });
    let series: Vec<Series> = series.filter(|series| !series.points.is_empty()).collect();
    (!series.is_empty()).then(|| Panel {
        title: title.to_owned(),
        x: "epoch".to_owned(),
        y: y.to_owned(),
        x_ticks: Some(epochs(&series)),
        y_range: None,
        series,
    })
}

/// At most ten whole epochs, evenly.
pub(super) fn epochs(series: &[Series]) -> Vec<f64> {
    let last = series.iter().flat_map(|s| &s.points).map(|point| point.0).fold(1.0, f64::max);
    let step = (last / 10.0).ceil().max(1.0) as usize;
    (1..=last as usize).filter(|epoch| epoch % step == 0 || step == 1).map(|e| e as f64).collect()
}

pub(super) fn epoch(record: &Value) -> Option<f64> {
    record.get("epoch")?.as_f64()
}

pub(super) fn no_metrics() -> String {
    "no `metrics.jsonl` beside the checkpoints: nothing is known of the training".to_owned()
}

fn meaning(term: &str) -> String {
    match term {
        "loss" => "Loss".to_owned(),
        "kl" => "Members' loss (Eq. 7)".to_owned(),
        "ld" => "Label diversity (Eq. 9)".to_owned(),
        "gd" => "Gradient alignment (Eq. 10)".to_owned(),
        "ce" => "Cross-entropy".to_owned(),
        other => format!("Term `{other}`"),
    }
}
