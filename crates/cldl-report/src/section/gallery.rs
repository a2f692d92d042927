//! Adversarial examples to look at.

use cldl_attacks::{AttackKind, AttackLoss};
use cldl_eval::{AttackSpec, Observe};

use super::Section;
use crate::analysis::{Specimen, specimens};
use crate::picture::{
    Canvas, Ink, Painted, Picture, Raster, WRONG, csv_of, draw, raster_png, shorten, text_width,
};
use crate::{ReportError, Study, Trained};

const SPECIMENS: usize = 6;
const IMAGE: i32 = 88;
const GAP: i32 = 8;
const TEXT: i32 = 168;
const MARGIN: i32 = 14;
const HEAD: i32 = 24;

pub(super) fn section(study: &Study, observe: &mut Observe<'_>) -> Result<Section, ReportError> {
    let eps = study.eps();
    let lead = format!(
        "Images that the ensemble gets right, what PGD at eps {eps} changes, the result, and what every \
         member makes of it (× is wrong). The change is amplified: gray is none, black and white are -eps and +eps."
    );
    let mut section = Section::new("gallery", "Adversarial examples", &lead);
    if study.runs.is_empty() {
        section.notes.push(study.no_runs());
        return Ok(section);
    }
    let Some(examples) = study.examples(200)? else { return Ok(section) };
    let attack = AttackSpec::new(AttackKind::Pgd, eps, AttackLoss::Ce, 10, 0)?;
    let runs = study.closely(2);
    for run in &runs {
        let (ensemble, device) = (&run.inner.ensemble, &study.settings.device);
        let found = specimens(ensemble, &examples, &attack, SPECIMENS, device, observe)?;
        if found.is_empty() {
            section.notes.push(format!("{} gets no image right: nothing to attack", run.label));
            continue;
        }
        section.pictures.push(picture(study, run, &found, 1 < runs.len())?);
    }
    Ok(section)
}

fn picture(
    study: &Study,
    run: &Trained,
    found: &[Specimen],
    named: bool,
) -> Result<Picture, ReportError> {
    let name = if named { format!("gallery-{}", run.label) } else { "gallery".to_owned() };
    let rasters = rasters(run, found, study.eps())
        .map_err(|problem| ReportError::Picture { name: name.clone(), problem })?;
    let classes = study.classes();
    let lines = 2 + run.inner.ensemble.members.len() as i32;
    let high = HEAD + IMAGE.max(lines * 17) + 14;
    let wide = 3 * (IMAGE + GAP) + TEXT;
    let rows = (found.len() as i32 + 1) / 2;
    let columns = (found.len() as i32).min(2);
    let size = (2 * MARGIN + columns * wide, 2 * MARGIN + rows * high);
    let svg = draw(&name, size, |canvas| {
        for (i, (specimen, images)) in (0..).zip(found.iter().zip(&rasters)) {
            let corner = (MARGIN + i % 2 * wide, MARGIN + i / 2 * high);
            one(canvas, specimen, images, &classes, corner)?;
        }
        Ok(())
    })?;
    let head = ["example", "label", "ensemble before", "ensemble after", "members after"];
    let row = |specimen: &Specimen| {
        let members = specimen.members.iter().map(|(_, after)| after.to_string());
        vec![
            specimen.index.to_string(),
            specimen.label.to_string(),
            specimen.ensemble.0.to_string(),
            specimen.ensemble.1.to_string(),
            members.collect::<Vec<_>>().join(" "),
        ]
    };
    Ok(Picture {
        title: format!("Adversarial examples of {}", run.label),
        caption: format!(
            "PGD on the whole ensemble {}, eps {}, 10 steps. Numbers of images are positions in the \
             test split.",
            run.label,
            study.eps()
        ),
        csv: csv_of(&head, found.iter().map(row)),
        name,
        svg,
        computed_from: String::new(),
    })
}

/// Each specimen's image, amplified change, and result, as PNG files.
fn rasters(run: &Trained, found: &[Specimen], eps: f64) -> Result<Vec<[Vec<u8>; 3]>, String> {
    let shape = run.inner.ensemble.config.arch.image_shape();
    let png = |pixels: Vec<f32>| raster_png(&Raster { shape, pixels });
    let amplify = 0.5 / eps.max(1e-9) as f32;
    let images = |specimen: &Specimen| {
        let pixels = specimen.image.iter().zip(&specimen.adversarial);
        let change = pixels.map(|(before, after)| 0.5 + amplify * (after - before)).collect();
        Ok([png(specimen.image.clone())?, png(change)?, png(specimen.adversarial.clone())?])
    };
    found.iter().map(images).collect()
}

fn one(
    canvas: &mut Canvas<'_>,
    specimen: &Specimen,
    images: &[Vec<u8>; 3],
    classes: &[String],
    (left, top): (i32, i32),
) -> Painted {
    for (i, (png, head)) in (0..).zip(images.iter().zip(["image", "change", "adversarial"])) {
        let x = left + i * (IMAGE + GAP);
        canvas.text((x, top + 12), head, Ink::LEFT.muted().small())?;
        canvas.image((x, top + HEAD), (IMAGE, IMAGE), png);
    }
    let x = left + 3 * (IMAGE + GAP) + 4;
    let class = |class: u32| {
        let name = classes.get(class as usize).cloned().unwrap_or_else(|| class.to_string());
        shorten(&name, 13.0, TEXT - 96)
    };
    let place = format!("test image {}", specimen.index);
    canvas.text((x, top + 12), &place, Ink::LEFT.muted().small())?;
    let said = text_width("member 10 ", 13.0) + 6;
    let mut lines = vec![("label".to_owned(), specimen.label, false)];
    for (i, (_, after)) in specimen.members.iter().enumerate() {
        lines.push((format!("member {}", i + 1), *after, *after != specimen.label));
    }
    let all = specimen.ensemble.1;
    lines.push(("ensemble".to_owned(), all, all != specimen.label));
    for (i, (who, what, wrong)) in (0..).zip(lines) {
        let y = top + HEAD + 8 + i * 17;
        canvas.text((x, y), &who, Ink::LEFT.muted())?;
        let name = class(what);
        let (text, ink) =
            if wrong { (format!("{name} ×"), Ink::TITLE.on(WRONG)) } else { (name, Ink::LEFT) };
        canvas.text((x + said, y), &text, ink)?;
    }
    Ok(())
}
