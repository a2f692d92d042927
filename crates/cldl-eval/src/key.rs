//! What an outcome is an outcome of: the name under which the store keeps it.

use std::fmt;

use cldl_attacks::{AttackKind, AttackLoss, Linf};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::EvalError;
use crate::examples::hex;

/// Grows when the same key would stand for other numbers: a change of an attack, say.
const FORMAT: u32 = 1;

/// An attack with everything that its result depends on but the model and the images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackSpec {
    /// The attack.
    pub attack: AttackKind,
    /// Radius, in pixels of [0, 1].
    pub eps: f64,
    /// What is maximized.
    pub loss: AttackLoss,
    /// Number of steps of size eps / 5; 1 for FGSM.
    pub steps: usize,
    /// Seed of the random start; 0 for attacks that have none.
    pub seed: u64,
}

impl AttackSpec {
    /// An attack in normal form: what it does not depend on (steps of FGSM, seed of all but PGD) is
    /// replaced, so that equal attacks are equal keys.
    ///
    /// # Errors
    /// If eps is outside [0, 1], or there is no step.
    pub fn new(
        attack: AttackKind,
        eps: f64,
        loss: AttackLoss,
        steps: usize,
        seed: u64,
    ) -> Result<Self, EvalError> {
        let steps = if attack == AttackKind::Fgsm { 1 } else { steps };
        let seed = if attack.is_random() { seed } else { 0 };
        // -0 equals 0 but is written differently.
        let spec = Self { attack, eps: eps + 0.0, loss, steps, seed };
        spec.linf().validate().map_err(|e| {
            // With RUST_BACKTRACE set, candle's message goes on below its first line.
            let message = e.to_string();
            EvalError::Argument(message.lines().next().unwrap_or_default().to_owned())
        })?;
        Ok(spec)
    }

    /// The attack itself.
    pub fn linf(&self) -> Linf {
        Linf { loss: self.loss, ..self.attack.attack(self.eps, self.steps) }
    }
}

impl fmt::Display for AttackSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} eps {}", self.attack, self.loss, self.eps)?;
        if self.attack.is_random() { write!(f, " seed {}", self.seed) } else { Ok(()) }
    }
}

/// An attack crafted on a surrogate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Digest of the model that crafts; the target's own in a white-box attack.
    pub surrogate: String,
    /// How.
    pub attack: AttackSpec,
}

/// The name of one outcome: which model, on which examples, clean or attacked how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub(crate) format: u32,
    /// Digest of the model under test.
    pub target: String,
    /// Digest of the examples, see [`Examples::digest`](crate::Examples::digest).
    pub examples: String,
    /// Number of examples.
    pub count: usize,
    /// The attack; none for clean images.
    pub transfer: Option<Transfer>,
}

impl Key {
    /// Clean images.
    pub fn clean(target: &str, examples: &str, count: usize) -> Self {
        let (target, examples) = (target.to_owned(), examples.to_owned());
        Self { format: FORMAT, target, examples, count, transfer: None }
    }

    /// The same examples after `attack` on `surrogate`.
    #[must_use]
    pub fn attacked(&self, surrogate: &str, attack: AttackSpec) -> Self {
        let transfer = Some(Transfer { surrogate: surrogate.to_owned(), attack });
        Self { transfer, ..self.clone() }
    }

    /// SHA-256 of the key's JSON, in hexadecimal.
    ///
    /// # Errors
    /// If the key can't be written as JSON (a number that is not finite).
    pub fn digest(&self) -> Result<String, EvalError> {
        Ok(hex(&Sha256::digest(self.json()?)))
    }

    /// The key as JSON: fields in a fixed order, numbers in their shortest form.
    fn json(&self) -> Result<String, EvalError> {
        serde_json::to_string(self).map_err(|e| EvalError::Argument(format!("no such key: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use cldl_attacks::{AttackKind, AttackLoss};

    use super::{AttackSpec, Key};

    fn spec(attack: AttackKind, steps: usize, seed: u64) -> AttackSpec {
        AttackSpec::new(attack, 0.1, AttackLoss::Ce, steps, seed).unwrap()
    }

    #[test]
    fn equal_attacks_are_equal_keys() {
        assert_eq!(spec(AttackKind::Fgsm, 10, 2), spec(AttackKind::Fgsm, 50, 0));
        assert_eq!(spec(AttackKind::Bim, 10, 2), spec(AttackKind::Bim, 10, 0));
        assert_ne!(spec(AttackKind::Bim, 10, 0), spec(AttackKind::Bim, 50, 0));
        assert_ne!(spec(AttackKind::Pgd, 10, 2), spec(AttackKind::Pgd, 10, 0));
        assert_eq!(spec(AttackKind::Pgd, 10, 2).to_string(), "pgd ce eps 0.1 seed 2");
    }

    #[test]
    fn bad_attacks_are_refused() {
        let error = AttackSpec::new(AttackKind::Bim, 1.5, AttackLoss::Ce, 10, 0).unwrap_err();
        assert_eq!(error.to_string(), "eps 1.5 is outside [0, 1]");
        assert!(AttackSpec::new(AttackKind::Bim, 0.1, AttackLoss::Ce, 0, 0).is_err());
    }

    #[test]
    fn every_part_of_a_key_is_in_its_digest() {
        let clean = Key::clean("target", "examples", 7);
        let attacked = clean.attacked("surrogate", spec(AttackKind::Pgd, 10, 1));
        let keys = [
            clean.clone(),
            Key::clean("other", "examples", 7),
            Key::clean("target", "others", 7),
            Key::clean("target", "examples", 8),
            attacked.clone(),
            clean.attacked("other", spec(AttackKind::Pgd, 10, 1)),
            clean.attacked("surrogate", spec(AttackKind::Pgd, 10, 2)),
            clean.attacked("surrogate", spec(AttackKind::Mim, 10, 1)),
        ];
        let digests: std::collections::BTreeSet<String> =
            keys.iter().map(|key| key.digest().unwrap()).collect();
        assert_eq!(digests.len(), keys.len());
        let json = serde_json::to_string(&attacked).unwrap();
        assert_eq!(serde_json::from_str::<Key>(&json).unwrap(), attacked);
    }
}
