//! Where it all comes from: settings, seeds, digests, times.

use serde_json::Value;

use super::{Grid, GridCell, Section};
use crate::{Study, Trained};

pub(super) fn section(study: &Study) -> Section {
    let mut section = Section::new(
        "provenance",
        "Where it comes from",
        "Equal settings give equal bytes on one type of machine: whoever has the digest can check.",
    );
    for ((path, table), digest) in study.tables.iter().zip(&study.table_digests) {
        section.notes.push(format!("{}, SHA-256 {digest}: {}", path.display(), table.command));
    }
    section.notes.push(format!(
        "computed from {}, the SHA-256 of the digests of tables, models and test images, a line each; every \
         picture and its numbers have it too",
        study.digest()
    ));
    if study.runs.is_empty() {
        section.notes.push(study.no_runs());
        return section;
    }
    let head = [
        "ensemble",
        "data",
        "images",
        "network",
        "epochs",
        "batch",
        "lr",
        "seed",
        "variant",
        "seconds",
        "SHA-256 of the model",
    ];
    let mut grid = Grid::new("The ensembles' trainings", &head);
    for run in &study.runs {
        grid.rows.push(row(run));
        let config = run.config.clone();
        section.texts.extend(config.map(|text| (format!("{}: config.toml", run.label), text)));
    }
    section.grids.push(grid);
    let settings = &study.settings;
    section.notes.push(format!(
        "measured on {} test images, eps {}, by cldl {}",
        settings.examples,
        settings.eps.iter().map(f64::to_string).collect::<Vec<_>>().join(", "),
        env!("CARGO_PKG_VERSION")
    ));
    section
}

fn row(run: &Trained) -> Vec<GridCell> {
    let config = &run.training;
    let seconds: f64 = run.metrics.iter().filter_map(|record| record["seconds"].as_f64()).sum();
    let variant = serde_json::to_value(config.variant).unwrap_or(Value::Null);
    vec![
        GridCell::text(&run.label).tip(run.path.clone()),
        GridCell::text(config.data.dataset.name()).tip(format!("SHA-256 {}", config.data.sha256)),
        GridCell::number(config.data.examples as f64, 0),
        GridCell::text(format!("{} x {}", config.ensemble.members, config.ensemble.arch)),
        GridCell::number(run.inner.epochs_done as f64, 0),
        GridCell::number(config.batch_size as f64, 0),
        GridCell { text: config.lr.to_string(), ..GridCell::number(config.lr, 4) },
        GridCell::number(config.seed as f64, 0),
        GridCell::text(variant.as_str().unwrap_or_default()),
        GridCell::number(seconds, 1),
        GridCell::text(&run.inner.digest[..12.min(run.inner.digest.len())])
            .tip(run.inner.digest.clone()),
    ]
}
