//! What a store knows of one model's robustness, in a few numbers.

use std::collections::BTreeMap;

use crate::{AttackSpec, EvalError, Outcome, Protocol, Score, Store};

/// An accuracy of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The attack and its number of random starts; none for clean images. The seed is the first one's.
    pub attack: Option<(AttackSpec, usize)>,
    /// How many images are right under every start.
    pub score: Score,
}

/// What one set of examples tells: the clean outcome, and those of each attack by its name without seed.
#[derive(Default)]
struct About {
    clean: Option<Outcome>,
    attacks: BTreeMap<String, (AttackSpec, Vec<Outcome>)>,
}

/// The accuracies of the model with digest `target` on clean images and under white-box attacks, as
/// [`Protocol::WHITEBOX`] counts them: clean first, then by attack, loss and eps. If it was measured on several sets
/// of examples, those are taken that most attacks were made on, then the largest.
///
/// # Errors
/// If the store can't be read.
pub fn whitebox_scores(store: &Store, target: &str) -> Result<Vec<Measured>, EvalError> {
    let mut sets: BTreeMap<(usize, String), About> = BTreeMap::new();
    for (key, record) in store.about(target)? {
        let about = sets.entry((key.count, key.examples)).or_default();
        match key.transfer {
            None => about.clean = Some(record.outcome),
            Some(transfer) if transfer.surrogate == target => {
                let AttackSpec { attack, eps, loss, steps, .. } = transfer.attack;
                // Radii of a few digits: sorted as text they are in order.
                let name = format!("{attack} {loss} {steps:>6} {eps:.9}");
                let entry = about.attacks.entry(name);
                let (_, outcomes) = entry.or_insert_with(|| (transfer.attack, Vec::new()));
                outcomes.push(record.outcome);
            }
            Some(_) => {}
        }
    }
    let best = sets.into_iter().max_by_key(|((count, _), about)| (about.attacks.len(), *count));
    let Some((_, About { clean: Some(clean), attacks })) = best else { return Ok(Vec::new()) };
    let mut measured = vec![Measured { attack: None, score: Score::of(&clean) }];
    for (spec, outcomes) in attacks.into_values() {
        let score = Protocol::WHITEBOX.score(&clean, &outcomes)?;
        measured.push(Measured { attack: Some((spec, outcomes.len())), score });
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use cldl_attacks::{AttackKind, AttackLoss};

    use super::whitebox_scores;
    use crate::{AttackSpec, Key, Outcome, Record, Store};

    #[test]
    fn starts_are_joined_and_other_surrogates_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let clean = Key::clean("target", "examples", 4);
        let pgd = |seed| AttackSpec::new(AttackKind::Pgd, 0.1, AttackLoss::Ce, 10, seed).unwrap();
        let save = |key: &Key, right: [bool; 4]| {
            let outcome = Outcome { right: right.to_vec(), margin: vec![0.0; 4] };
            store.save(key, &Record { outcome, audit: None }).unwrap();
        };
        assert!(whitebox_scores(&store, "target").unwrap().is_empty());
        save(&clean, [true, true, true, false]);
        save(&clean.attacked("target", pgd(0)), [true, true, false, false]);
        save(&clean.attacked("target", pgd(1)), [true, false, true, false]);
        save(&clean.attacked("other", pgd(2)), [false; 4]);
        save(&Key::clean("other", "examples", 4), [false; 4]);
        let scores = whitebox_scores(&store, "target").unwrap();
        let numbers: Vec<_> = scores
            .iter()
            .map(|m| (m.attack.map(|(_, starts)| starts), m.score.right, m.score.total))
            .collect();
        assert_eq!(numbers, [(None, 3, 4), (Some(2), 1, 4)]);
    }
}
