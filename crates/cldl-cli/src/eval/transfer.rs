//! `cldl eval transfer`

use std::path::PathBuf;

use anyhow::Result;
use cldl_attacks::AttackKind;
use cldl_eval::{Bench, Model, NamedMember, Store, TransferMatrix, agreed_examples, member_models};
use serde_json::json;

use super::options::{Basics, WhiteboxArgs};
use crate::models::{self, BATCH_SIZE, Loaded, USUAL_EXAMPLES, Watch};
use crate::output::{Grid, percent};

/// How far what fools one member fools the others.
///
/// Takes test images that all members get right, attacks each member alone on its own logits, and shows
/// the result to every member and to the whole ensemble. A number is the percentage of the images that
/// are wrong under some restart: low numbers off the diagonal are what diversity is for.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Run directory, checkpoint, model file, or a repository of the Hub (OWNER/NAME@REVISION)
    #[arg(value_name = "RUN")]
    run: PathBuf,
    #[command(flatten)]
    attacker: WhiteboxArgs,
    #[command(flatten)]
    basics: Basics,
}

const EXAMPLES: &str = "Examples:
  cldl eval transfer runs/cldl-3-4-4-* --attacks pgd --eps 0.1
  cldl eval transfer runs/plain --attacks pgd --csv";

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let device = self.basics.compute.start()?;
        let run = Loaded::read(&self.run, &device)?;
        let dataset = run.dataset();
        let test = self.basics.data.images(&dataset)?;
        let attack = &self.attacker.attack;
        let members = &run.inner.ensemble.members;
        let named = member_models(&run.inner.digest, members);
        let members: Vec<Model<'_>> = named.iter().map(NamedMember::model).collect();
        let names: Vec<String> = members.iter().map(|member| member.name.to_owned()).collect();
        let ensemble = run.model();

        let mut watch = Watch::start()?;
        let see = &mut |progress: &_| watch.see(progress);
        let examples = agreed_examples(
            &test,
            &members,
            attack.examples.unwrap_or(USUAL_EXAMPLES),
            usize::MAX,
            &device,
            see,
        )
        .map_err(models::classify)?;
        let store = Store::new(&attack.store);
        let bench = Bench { examples: &examples, store: &store, device, batch_size: BATCH_SIZE };
        let attacks = attack.attacks(&dataset);
        let sets = attack.sets(cldl_eval::Protocol::WHITEBOX.losses, self.attacker.restarts);
        let matrices = TransferMatrix::measure(&bench, &members, ensemble, &sets, &attacks, see)
            .map_err(models::classify)?;
        watch.end();
        let value = json!({
            "run": run.name,
            "digest": run.inner.digest,
            "examples": examples.len(),
            "examples_digest": examples.digest(),
            "losses": sets.losses,
            "restarts": self.attacker.restarts,
            "steps": sets.steps,
            "matrices": matrices,
        });
        let notes = format!(
            "percentage of {} images, right for all members before, that are wrong after; {} restarts \
             of pgd\n{}",
            examples.len(),
            self.attacker.restarts,
            summary(&matrices)
        );
        self.basics.output.print(&value, &grid(&matrices, &names), notes.trim_end())
    }
}

fn grid(matrices: &[TransferMatrix], names: &[String]) -> Grid {
    let mut head: Vec<String> = ["attack", "eps", "crafted on"].map(str::to_owned).to_vec();
    head.extend(names.iter().cloned());
    head.push("ensemble".to_owned());
    let mut rows = Vec::new();
    for matrix in matrices {
        for (name, (row, ensemble)) in names.iter().zip(matrix.members.iter().zip(&matrix.ensemble))
        {
            let mut cells = vec![matrix.attack.to_string(), matrix.eps.to_string(), name.clone()];
            cells.extend(row.iter().chain([ensemble]).map(|value| percent(Some(*value))));
            rows.push(cells);
        }
    }
    Grid { head, rows }
}

fn summary(matrices: &[TransferMatrix]) -> String {
    let line = |attack: AttackKind, eps: f64, mean: f64| {
        format!("{attack} eps {eps}: {mean:.2} % from member to member on average\n")
    };
    let means = matrices.iter().filter_map(|m| Some(line(m.attack, m.eps, m.mean_transfer()?)));
    means.collect()
}
