//! Pairs of members over training.

use serde_json::Value;

use super::Section;
use super::learning::{epoch, epochs, no_metrics};
use crate::picture::{Chart, Panel, Series, chart};
use crate::{ReportError, Study};

pub(super) fn section(study: &Study) -> Result<Section, ReportError> {
    let mut section = Section::new(
        "pairs",
        "Member pairs over training",
        "Members that are alike fall together. Gradient alignment is the mean absolute cosine of two \
         members' input gradients (Eq. 10): the lower, the less an attack on one carries over. The \
         divergence of their soft labels off the largest entry (Eq. 8) is what label diversity wants \
         high.",
    );
    let measured = |record: &Value| record.pointer("/probe/pairs").is_some();
    if study.runs.is_empty() {
        section.notes.push(study.no_runs());
        return Ok(section);
    }
    if !study.runs.iter().flat_map(|run| &run.metrics).any(measured) {
        section.notes.push(if study.runs.iter().all(|run| run.metrics.is_empty()) {
            no_metrics()
        } else {
            "these runs were trained without the probe of pairs".to_owned()
        });
        return Ok(section);
    }
    let panels = [
        ("gradient_cosine", "Gradient alignment", "mean |cosine|"),
        ("divergence", "Divergence of soft labels", "divergence, nats"),
    ];
    let panel = |(key, title, y): (&str, &str, &str)| {
        let series = series(study, key);
        Panel {
            title: title.to_owned(),
            x: "epoch".to_owned(),
            y: y.to_owned(),
            x_ticks: Some(epochs(&series)),
            y_range: None,
            series,
        }
    };
    let each = if study.runs.len() == 1 { "each pair of members" } else { "each ensemble's pairs" };
    section.pictures.push(chart(&Chart {
        name: "pairs".to_owned(),
        title: "Pairs of members".to_owned(),
        caption: format!(
            "A curve for {each}, measured after each epoch on images for tuning. The divergence is of \
             simulated label distributions where there is a label confusion model, of predicted \
             probabilities elsewhere."
        ),
        panels: panels.into_iter().map(panel).collect(),
    })?);
    Ok(section)
}

/// Of one run each pair, of several runs the mean over pairs.
fn series(study: &Study, key: &str) -> Vec<Series> {
    let values = |record: &Value| -> Option<Vec<(String, f64)>> {
        let pairs = record.pointer("/probe/pairs")?.as_array()?;
        let named = |pair: &Value| {
            let member = |i: usize| pair["members"][i].as_u64().map(|member| member + 1);
            Some((format!("members {} and {}", member(0)?, member(1)?), pair[key].as_f64()?))
        };
        pairs.iter().map(named).collect()
    };
    let mut all: Vec<Series> = Vec::new();
    let mut add = |label: &str, point: (f64, f64)| {
        let index = all.len();
        match all.iter_mut().find(|series| series.label == label) {
            Some(series) => series.points.push(point),
            None => all.push(Series {
                label: label.to_owned(),
                index,
                points: vec![point],
                ..Series::default()
            }),
        }
    };
    for run in &study.runs {
        for record in &run.metrics {
            let (Some(epoch), Some(pairs)) = (epoch(record), values(record)) else { continue };
            if study.runs.len() == 1 {
                for (name, value) in &pairs {
                    add(name, (epoch, *value));
                }
            } else if !pairs.is_empty() {
                let sum: f64 = pairs.iter().map(|(_, value)| value).sum();
                add(&run.label, (epoch, sum / pairs.len() as f64));
            }
        }
    }
    all
}
