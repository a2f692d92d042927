//! What the label confusion model learned.

use cldl_eval::Observe;

use super::{Grid, GridCell, Section};
use crate::analysis::{LabelDependencies, label_dependencies};
use crate::picture::{Heat, Matrix, Picture, heat};
use crate::{ReportError, Study, Trained};

/// Images that means are taken over, for each that attacks are measured on: a look is cheaper than an attack.
const IMAGES: usize = 10;

pub(super) fn section(study: &Study, observe: &mut Observe<'_>) -> Result<Section, ReportError> {
    let mut section = Section::new(
        "labels",
        "Which labels look alike",
        "The label confusion vector says, image by image, which labels the label confusion model finds \
         near (Eq. 6). Here are its means over the test images of each class, by member and over \
         members; rows sum to 1.",
    );
    if study.runs.is_empty() {
        section.notes.push(study.no_runs());
        return Ok(section);
    }
    let Some(examples) = study.examples(study.settings.examples.saturating_mul(IMAGES))? else {
        return Ok(section);
    };
    let classes = study.classes();
    let mut without = Vec::new();
    let models = study.runs.iter().filter(|run| run.inner.ensemble.lcm.is_some()).count();
    for run in &study.runs {
        let device = &study.settings.device;
        match label_dependencies(&run.inner.ensemble, &examples, device, observe)? {
            None => without.push(run.label.as_str()),
            Some(found) => {
                section.pictures.push(picture(run, &found, &classes, 1 < models)?);
                section.grids.push(nearest(run, &found, &classes));
                section.notes.extend(collapse(run, &found, &classes));
            }
        }
    }
    if !without.is_empty() {
        section.notes.push(format!("no label confusion model: {}", without.join(", ")));
    }
    Ok(section)
}

fn picture(
    run: &Trained,
    found: &LabelDependencies,
    classes: &[String],
    named: bool,
) -> Result<Picture, ReportError> {
    let mean = found.mean();
    let matrix = |title: String, values: &Vec<Vec<f64>>| Matrix {
        title,
        rows: classes.to_vec(),
        columns: classes.to_vec(),
        values: values.clone(),
    };
    let mut matrices = vec![matrix(format!("{}, mean over members", run.label), &mean)];
    let member = |(i, values)| matrix(format!("member {}", i + 1), values);
    matrices.extend(found.members.iter().enumerate().map(member));
    let entries = matrices.iter().flat_map(|matrix| matrix.values.iter().flatten());
    let most = entries.copied().fold(1e-3, f64::max);
    heat(&Heat {
        name: if named { format!("labels-{}", run.label) } else { "labels".to_owned() },
        title: format!("Label dependencies of {}", run.label),
        caption: format!(
            "Mean label confusion vector of each class over {} test images.",
            found.counts.iter().sum::<usize>()
        ),
        matrices,
        axes: ["true class".to_owned(), "label".to_owned()],
        unit: "mean LCV".to_owned(),
        range: (0.0, most),
        cell: (28, 34),
        columns: 2,
        decimals: 2,
    })
}

/// Whether the label confusion model still tells classes apart, in a line.
fn collapse(run: &Trained, found: &LabelDependencies, classes: &[String]) -> Option<String> {
    let constant = |(i, rows): (usize, &Vec<Vec<f64>>)| {
        let label = LabelDependencies::constant(rows)?;
        Some(format!("member {} says {}", i + 1, classes.get(label)?))
    };
    let said: Vec<String> = found.members.iter().enumerate().filter_map(constant).collect();
    (!said.is_empty()).then(|| {
        format!(
            "{}: the label confusion model has collapsed: {} whatever the class. Members that name \
             different labels are as diverse as label diversity can make them (Eq. 9), but the soft \
             labels say nothing of the image any more.",
            run.label,
            said.join(", ")
        )
    })
}

/// `4 looks like 9`, for the mean and each member.
fn nearest(run: &Trained, found: &LabelDependencies, classes: &[String]) -> Grid {
    let mut grid = Grid::new(
        &format!("{}: the nearest other labels", run.label),
        &["class", "looks like", "mean LCV", "and like", "mean LCV"],
    );
    grid.head.extend((1..=found.members.len()).map(|i| (format!("member {i}"), String::new())));
    let mean = found.mean();
    let name = |class: usize| classes.get(class).cloned().unwrap_or_else(|| class.to_string());
    for class in 0..found.counts.len() {
        let mut row = vec![GridCell {
            number: Some(class as f64),
            tip: format!("{} test images", found.counts[class]),
            ..GridCell::text(name(class))
        }];
        for (label, value) in LabelDependencies::nearest(&mean, class).into_iter().take(2) {
            row.push(GridCell::text(name(label)));
            row.push(GridCell::number(value, 3));
        }
        for rows in &found.members {
            let nearest = LabelDependencies::nearest(rows, class).first().copied();
            row.push(nearest.map_or_else(GridCell::default, |(label, value)| {
                GridCell::text(name(label)).tip(format!("mean LCV {value:.3}"))
            }));
        }
        grid.rows.push(row);
    }
    grid
}
