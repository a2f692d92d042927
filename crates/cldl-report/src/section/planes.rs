//! Decisions around an image: a single member, a baseline, a CLDL ensemble side by side.

use candle::Tensor;
use cldl_attacks::{AttackKind, Start};
use cldl_core::Classifier;
use cldl_eval::{EvalError, Observe, Outcome, Progress};

use super::Section;
use crate::analysis::{DecisionPlane, decision_plane};
use crate::picture::{
    Canvas, Ink, Painted, Picture, Raster, class_color, csv_of, digits, draw, raster_png,
    text_width, tick, ticks,
};
use crate::{ReportError, Study};

const SIDE: i32 = 280;
const GAP: i32 = 30;
const LEFT: i32 = 62;
const MARGIN: i32 = 14;
const HEAD: i32 = 28;
const FOOT: i32 = 48;

/// A panel: whose decisions, and the model.
struct Subject<'a> {
    title: String,
    model: &'a dyn Classifier,
}

pub(super) fn section(study: &Study, observe: &mut Observe<'_>) -> Result<Section, ReportError> {
    let mut section = Section::new(
        "planes",
        "Decisions around an image",
        "Each point is the test image at the center, changed along the sign of the model's own gradient \
         (to the right: the direction of attacks) and along random signs (up). The color is the class \
         that the model sees there. Dashed squares hold what an attacker with that eps can reach in \
         this plane: the larger the area of the right class, the better.",
    );
    if study.runs.is_empty() {
        section.notes.push(study.no_runs());
        return Ok(section);
    }
    let runs = study.closely(2);
    let mut subjects = Vec::new();
    let first = runs[0];
    if 1 < first.inner.ensemble.members.len() {
        let title = format!("{}, member 1 alone", first.label);
        subjects.push(Subject { title, model: &first.inner.ensemble.members[0] });
    }
    for run in &runs {
        let n = run.inner.ensemble.members.len();
        let title = format!("{}, ensemble of {n}", run.label);
        subjects.push(Subject { title, model: &run.inner.ensemble });
    }
    let reach = 1.15 * study.settings.eps.iter().copied().fold(0.01, f64::max);
    let Some((image, label, index)) = subject_image(study, &subjects)? else {
        section.notes.push(
            "no test image is right for all of these models: nothing to look around".to_owned(),
        );
        return Ok(section);
    };
    let side = if image.dims()[1] == 1 { 57 } else { 33 };
    let total = subjects.len() as u64;
    let mut planes = Vec::new();
    for (done, subject) in (0..).zip(&subjects) {
        let label_of = format!("decisions of {}", subject.title);
        if observe(&Progress { done, total, label: label_of }).is_break() {
            return Err(EvalError::Stopped.into());
        }
        let device = &study.settings.device;
        planes.push(decision_plane(subject.model, &image, &label, reach, side, 0, device)?);
    }
    let titled: Vec<(&str, &DecisionPlane)> =
        subjects.iter().map(|subject| subject.title.as_str()).zip(&planes).collect();
    for (title, plane) in &titled {
        let share = 100.0 * plane.share_of_center();
        section.notes.push(format!("{title}: right on {share:.0} % of the square"));
    }
    section.pictures.push(picture(study, &titled, index, label.to_vec1::<u32>()?[0])?);
    Ok(section)
}

/// A test image that all models get right: the first that each of them loses to FGSM at the largest
/// eps, or else that one of them does, or else the first. The image, its label, its position.
fn subject_image(
    study: &Study,
    subjects: &[Subject<'_>],
) -> Result<Option<(Tensor, Tensor, usize)>, ReportError> {
    let Some(examples) = study.examples(100)? else { return Ok(None) };
    let batch = examples.batch(0..examples.len(), &study.settings.device)?;
    let largest = study.settings.eps.iter().copied().fold(0.0, f64::max);
    let mut losses = vec![Some(0); batch.len()];
    for subject in subjects {
        let right = |images: &Tensor| {
            let mut outcome = Outcome::default();
            outcome.extend(&subject.model.logits(images)?, &batch.labels)?;
            Ok::<_, candle::Error>(outcome.right)
        };
        let before = right(&batch.images)?;
        let fgsm = AttackKind::Fgsm.attack(largest, 1);
        let attacked = fgsm.perturb(subject.model, &batch.images, &batch.labels, Start::Seed(0))?;
        let after = right(&attacked)?;
        for (lost, (before, after)) in losses.iter_mut().zip(before.into_iter().zip(after)) {
            *lost = lost.filter(|_| before).map(|lost| lost + usize::from(!after));
        }
    }
    let most = losses.iter().flatten().copied().max();
    let Some(i) = most.and_then(|most| losses.iter().position(|lost| *lost == Some(most))) else {
        return Ok(None);
    };
    let image = batch.images.narrow(0, i, 1)?;
    Ok(Some((image, batch.labels.narrow(0, i, 1)?, batch.indices[i])))
}

fn picture(
    study: &Study,
    planes: &[(&str, &DecisionPlane)],
    index: usize,
    label: u32,
) -> Result<Picture, ReportError> {
    let name = "planes";
    let classes = study.classes();
    let class = |i: u32| classes.get(i as usize).cloned().unwrap_or_else(|| i.to_string());
    let rasters: Result<Vec<Vec<u8>>, String> =
        planes.iter().map(|(_, plane)| raster(plane)).collect();
    let rasters =
        rasters.map_err(|problem| ReportError::Picture { name: name.to_owned(), problem })?;
    let width = MARGIN + LEFT + planes.len() as i32 * (SIDE + GAP) - GAP + MARGIN;
    let svg = draw(name, (width, 2 * MARGIN + HEAD + SIDE + FOOT), |canvas| {
        for (i, ((title, plane), png)) in (0..).zip(planes.iter().zip(&rasters)) {
            let corner = (MARGIN + LEFT + i * (SIDE + GAP), MARGIN + HEAD);
            canvas.image(corner, (SIDE, SIDE), png);
            canvas.text((corner.0, corner.1 - 16), title, Ink::TITLE)?;
            axes(canvas, plane, corner, i == 0)?;
            marks(canvas, study, plane, &class, corner);
        }
        Ok(())
    })?;
    let rows = planes.iter().flat_map(|(title, plane)| {
        let at = |i: usize| plane.reach * (2.0 * i as f64 / (plane.classes.len() - 1) as f64 - 1.0);
        plane.classes.iter().enumerate().flat_map(move |(row, classes)| {
            let b = at(plane.classes.len() - 1 - row);
            classes.iter().enumerate().map(move |(column, class)| {
                vec![(*title).to_owned(), at(column).to_string(), b.to_string(), class.to_string()]
            })
        })
    });
    Ok(Picture {
        name: name.to_owned(),
        title: format!("Around a {}", class(label)),
        caption: format!(
            "Test image {index}, class {}: the first of those that most of these models get right and \
             lose to FGSM at the largest eps. Axes in pixels of [0, 1]; random signs are the same in \
             all panels, the gradient is each model's own.",
            class(label)
        ),
        csv: csv_of(&["panel", "along the gradient", "along random signs", "class"], rows),
        svg,
        computed_from: String::new(),
    })
}

fn raster(plane: &DecisionPlane) -> Result<Vec<u8>, String> {
    let side = plane.classes.len();
    let channel = |of: fn(plotters::style::RGBColor) -> u8| {
        let classes = plane.classes.iter().flatten();
        classes.map(move |class| f32::from(of(class_color(*class as usize))) / 255.0)
    };
    let pixels = channel(|c| c.0).chain(channel(|c| c.1)).chain(channel(|c| c.2)).collect();
    raster_png(&Raster { shape: [3, side, side], pixels })
}

fn axes(
    canvas: &Canvas<'_>,
    plane: &DecisionPlane,
    (left, top): (i32, i32),
    first: bool,
) -> Painted {
    let half = SIDE / 2;
    let places = ticks(&(-plane.reach..plane.reach), 5);
    for place in &places {
        let offset = (place / plane.reach * f64::from(half)).round() as i32;
        let text = tick(*place, digits(&places));
        let (x, y) = (left + half + offset, top + half - offset);
        canvas.line(&[(x, top + SIDE), (x, top + SIDE + 4)], Ink::LEFT.color, 1)?;
        canvas.text((x, top + SIDE + 13), &text, Ink::CENTER.small())?;
        if first {
            canvas.line(&[(left - 4, y), (left, y)], Ink::LEFT.color, 1)?;
            canvas.text((left - 8, y), &text, Ink::RIGHT.small())?;
        }
    }
    let name = "along the sign of the gradient, pixels";
    canvas.text((left + half, top + SIDE + 32), name, Ink::CENTER.muted())?;
    if first {
        let ink = Ink { upwards: true, ..Ink::CENTER.muted() };
        canvas.text((left - LEFT + 8, top + half), "along random signs, pixels", ink)?;
    }
    Ok(())
}

/// What lies over the colors: names of classes, the image's place, what attackers reach.
fn marks(
    canvas: &mut Canvas<'_>,
    study: &Study,
    plane: &DecisionPlane,
    class: &impl Fn(u32) -> String,
    (left, top): (i32, i32),
) {
    let (half, side) = (SIDE / 2, plane.classes.len());
    let center = (left + half, top + half);
    for eps in &study.settings.eps {
        let r = (eps / plane.reach * f64::from(half)).round() as i32;
        let (x, y) = center;
        canvas.dashes(&[(x + r, y), (x, y - r), (x - r, y), (x, y + r)]);
    }
    let mut found: Vec<u32> = plane.classes.iter().flatten().copied().collect();
    found.sort_unstable();
    found.dedup();
    for i in found {
        let name = class(i);
        let room = text_width(&name, 14.0) + 6;
        let shortest = (room as usize * side).div_ceil(SIDE as usize).max(2);
        if let Some((row, column)) = plane.place(i, shortest) {
            let at = |k: usize| ((k as f64 + 0.5) / side as f64 * f64::from(SIDE)) as i32;
            let y = (top + at(row)).clamp(top + 10, top + SIDE - 10);
            let white = plotters::style::RGBColor(255, 255, 255);
            let ink = Ink { height: 14.0, ..Ink::CENTER.on(white) };
            canvas.label((left + at(column), y), &name, ink);
        }
    }
}
