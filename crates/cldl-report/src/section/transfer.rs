//! Transfer among members, as maps.

use cldl_attacks::{AttackKind, AttackLoss};
use cldl_eval::{Bench, Observe, Sets, Store, TransferMatrix, agreed_examples, member_models};

use super::Section;
use crate::picture::{Heat, Matrix, heat};
use crate::{ReportError, Study};

/// Images that are looked at for each that all members are to get right: of members that are right so rarely,
/// the few that there are must do.
const LOOKED_AT: usize = 20;

pub(super) fn section(study: &Study, observe: &mut Observe<'_>) -> Result<Section, ReportError> {
    let eps = study.eps();
    let lead = format!(
        "Adversarial examples crafted on one member (rows), shown to each member and to the whole \
         ensemble (columns): the percentage that is fooled. PGD at eps {eps}, on images that all \
         members get right. Dark off the diagonal is what diversity is for."
    );
    let mut section = Section::new("transfer", "What fools one member, fools the others?", &lead);
    let (Some(test), false) = (&study.test, study.runs.is_empty()) else {
        section.notes.push(study.no_runs());
        return Ok(section);
    };
    let n = study.settings.examples;
    let among = n.saturating_mul(LOOKED_AT);
    let attack = (AttackKind::Pgd, eps);
    let sets = Sets { losses: vec![AttackLoss::Ce], seeds: vec![0], steps: 10 };
    let store = Store::new(&study.settings.store);
    let device = &study.settings.device;
    let mut matrices = Vec::new();
    for run in &study.runs {
        let names = member_models(&run.inner.digest, &run.inner.ensemble.members);
        let members: Vec<_> = names.iter().map(cldl_eval::NamedMember::model).collect();
        if members.len() < 2 {
            section.notes.push(format!("{} is one member alone", run.label));
            continue;
        }
        let found = agreed_examples(test, &members, n, among, device, observe);
        let examples = match found {
            Err(cldl_eval::EvalError::Argument(why)) => {
                section.notes.push(format!("{}: {why}", run.label));
                continue;
            }
            other => other?,
        };
        let bench = Bench {
            examples: &examples,
            store: &store,
            device: device.clone(),
            batch_size: super::curves::BATCH,
        };
        let Some(matrix) =
            TransferMatrix::measure(&bench, &members, run.model(), &sets, &[attack], observe)?
                .pop()
        else {
            continue;
        };
        if let Some(mean) = matrix.mean_transfer() {
            section
                .notes
                .push(format!("{}: {mean:.1} % from member to member on average", run.label));
        }
        matrices.push(map(&run.label, &matrix));
    }
    if matrices.is_empty() {
        return Ok(section);
    }
    section.pictures.push(heat(&Heat {
        name: "transfer".to_owned(),
        title: "Transfer among members".to_owned(),
        caption: format!(
            "Percentage of up to {n} images that are wrong after PGD at eps {eps} on another member: those of \
             the first {among} that all members get right.",
        ),
        matrices,
        axes: ["crafted on".to_owned(), "shown to".to_owned()],
        unit: "fooled, %".to_owned(),
        range: (0.0, 100.0),
        cell: (40, 52),
        columns: 3,
        decimals: 1,
    })?);
    Ok(section)
}

fn map(label: &str, matrix: &TransferMatrix) -> Matrix {
    let names = |n: usize| (1..=n).map(|i| format!("{i}")).collect::<Vec<_>>();
    let rows = matrix.members.iter().zip(&matrix.ensemble);
    Matrix {
        title: label.to_owned(),
        rows: names(matrix.members.len()),
        columns: [names(matrix.members.len()), vec!["all".to_owned()]].concat(),
        values: rows.map(|(row, all)| [&row[..], &[*all]].concat()).collect(),
    }
}
