//! Accuracies that were measured, as a config and a model card carry them.

use serde::{Deserialize, Serialize};

/// A measured accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// Images that were classified right: under every start of the attack, if there is one.
    pub right: usize,
    /// Images in all.
    pub examples: usize,
    /// 100 · right / examples.
    pub percent: f64,
    /// What was done to the images by somebody who knows the whole ensemble; nothing if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<Attack>,
}

/// An attack, as far as its result depends on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// `fgsm`, `bim`, `mim` or `pgd`.
    pub name: String,
    /// Radius in the maximum norm, in pixels of [0, 1].
    pub eps: f64,
    /// Steps of size eps/5; one of size eps for `fgsm`.
    pub steps: usize,
    /// The loss that is maximized.
    pub loss: String,
    /// Random starts.
    pub starts: usize,
}

impl Accuracy {
    /// What was measured, for people: `PGD-10, Linf eps 0.1, ce, 5 starts`.
    pub fn title(&self) -> String {
        let Some(Attack { name, eps, steps, loss, starts }) = &self.attack else {
            return "clean".to_owned();
        };
        let name = name.to_uppercase();
        let steps = if *steps == 1 { String::new() } else { format!("-{steps}") };
        let starts = if *starts == 1 { String::new() } else { format!(", {starts} starts") };
        format!("{name}{steps}, Linf eps {eps}, {loss}{starts}")
    }
}
