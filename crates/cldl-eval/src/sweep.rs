//! Which adversarial sets are meant: attacks x eps x losses x seeds, on each surrogate.

use cldl_attacks::{AttackKind, AttackLoss};

use crate::{AttackSpec, EvalError, Key, Outcome, Protocol, Score, Store};

/// What the attacks of a sweep share.
#[derive(Debug, Clone, PartialEq)]
pub struct Sets {
    /// The losses.
    pub losses: Vec<AttackLoss>,
    /// Seeds of random starts. Attacks without one are crafted once and stand for all seeds.
    pub seeds: Vec<u64>,
    /// Steps of size eps / 5; FGSM takes one step.
    pub steps: usize,
}

impl Sets {
    /// The sets of one attack and eps on one surrogate, each once.
    ///
    /// # Errors
    /// If eps is outside [0, 1], or there is no loss, seed or step.
    pub fn of(&self, attack: AttackKind, eps: f64) -> Result<Vec<AttackSpec>, EvalError> {
        if self.losses.is_empty() || self.seeds.is_empty() {
            return Err(EvalError::Argument("attacks need at least 1 loss and 1 seed".to_owned()));
        }
        let mut specs = Vec::new();
        for loss in &self.losses {
            for seed in &self.seeds {
                let spec = AttackSpec::new(attack, eps, *loss, self.steps, *seed)?;
                if !specs.contains(&spec) {
                    specs.push(spec);
                }
            }
        }
        Ok(specs)
    }
}

/// The accuracy of a target under one attack and eps from all `surrogates` (digests), if the store has
/// all that it takes. `clean` is the key of the target's clean images.
///
/// # Errors
/// As [`Sets::of`], or if a file can't be read.
pub fn robust_accuracy(
    store: &Store,
    clean: &Key,
    surrogates: &[String],
    sets: &Sets,
    (attack, eps): (AttackKind, f64),
    protocol: &Protocol,
) -> Result<Option<Score>, EvalError> {
    let Some(before) = store.load_intact(clean)? else { return Ok(None) };
    let mut after: Vec<Outcome> = Vec::new();
    for surrogate in surrogates {
        for spec in sets.of(attack, eps)? {
            match store.load_intact(&clean.attacked(surrogate, spec))? {
                Some(record) => after.push(record.outcome),
                None => return Ok(None),
            }
        }
    }
    if after.is_empty() { Ok(None) } else { protocol.score(&before.outcome, &after).map(Some) }
}

#[cfg(test)]
mod tests {
    use cldl_attacks::{AttackKind, AttackLoss};

    use super::Sets;

    #[test]
    fn only_random_starts_multiply_sets() {
        let sets =
            Sets { losses: vec![AttackLoss::Ce, AttackLoss::Cw], seeds: vec![0, 1, 2], steps: 10 };
        for (attack, count) in [
            (AttackKind::Fgsm, 2),
            (AttackKind::Bim, 2),
            (AttackKind::Mim, 2),
            (AttackKind::Pgd, 6),
        ] {
            assert_eq!(sets.of(attack, 0.1).unwrap().len(), count, "{attack}");
        }
        assert!(Sets { seeds: vec![], ..sets.clone() }.of(AttackKind::Bim, 0.1).is_err());
        assert!(sets.of(AttackKind::Bim, 1.5).unwrap_err().to_string().starts_with("eps 1.5"));
    }
}
