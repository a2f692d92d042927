//! Targets under attacks, as rows of attack and radius: what black-box and white-box share.

use anyhow::Result;
use cldl_attacks::AttackKind;
use cldl_eval::{Key, Model, Protocol, Score, Sets, Store, robust_accuracy};
use serde_json::{Value, json};

use crate::output::{Grid, percent};

/// What is known at the end, to be shown.
pub(super) struct Report<'a> {
    pub(super) store: &'a Store,
    pub(super) targets: Vec<(Model<'a>, Key)>,
    /// The models on which attacks were crafted; each target itself if there is none.
    pub(super) surrogates: Vec<Model<'a>>,
    pub(super) attacks: Vec<(AttackKind, f64)>,
    pub(super) sets: Sets,
    pub(super) protocol: Protocol,
}

impl<'a> Report<'a> {
    pub(super) fn clean(&self, target: &Key) -> Result<Option<Score>> {
        Ok(self.store.load(target)?.map(|record| Score::of(&record.outcome)))
    }

    /// Accuracy as `protocol` counts it.
    pub(super) fn attacked(
        &self,
        target: &Key,
        attack: (AttackKind, f64),
        protocol: &Protocol,
    ) -> Result<Option<Score>> {
        let from = match self.surrogates.as_slice() {
            [] => vec![target.target.clone()],
            surrogates => surrogates.iter().map(|s| s.digest.to_owned()).collect(),
        };
        Ok(robust_accuracy(self.store, target, &from, &self.sets, attack, protocol)?)
    }

    pub(super) fn grid(&self) -> Result<Grid> {
        let names = self.targets.iter().map(|(model, _)| model.name.to_owned());
        let head = ["attack".to_owned(), "eps".to_owned()].into_iter().chain(names).collect();
        let cell = |score: Option<Score>| percent(score.and_then(|score| score.percent()));
        let mut row = vec!["clean".to_owned(), "0".to_owned()];
        for (_, key) in &self.targets {
            row.push(cell(self.clean(key)?));
        }
        let mut rows = vec![row];
        for (attack, eps) in &self.attacks {
            let mut row = vec![attack.to_string(), eps.to_string()];
            for (_, key) in &self.targets {
                row.push(cell(self.attacked(key, (*attack, *eps), &self.protocol)?));
            }
            rows.push(row);
        }
        Ok(Grid { head, rows })
    }

    pub(super) fn losses(&self) -> String {
        let losses: Vec<&str> = self.sets.losses.iter().map(|loss| loss.as_str()).collect();
        losses.join(" and ")
    }

    pub(super) fn examples(&self) -> usize {
        self.targets.first().map_or(0, |(_, key)| key.count)
    }

    /// The report as JSON. Of each row, `also` adds the accuracy as other protocols count it.
    pub(super) fn value(&self, also: &[(&str, Protocol)]) -> Result<Value> {
        let mut targets = Vec::new();
        for (model, key) in &self.targets {
            let mut rows = Vec::new();
            for (attack, eps) in &self.attacks {
                let mut row = json!({"attack": attack, "eps": eps});
                let score = self.attacked(key, (*attack, *eps), &self.protocol)?;
                extend(&mut row, scored(score));
                for (name, protocol) in also {
                    let score = self.attacked(key, (*attack, *eps), protocol)?;
                    row[*name] = json!(score.and_then(|score| score.percent()));
                }
                rows.push(row);
            }
            let clean = scored(self.clean(key)?);
            let (run, digest) = (model.name, model.digest);
            targets.push(json!({"run": run, "digest": digest, "clean": clean, "attacks": rows}));
        }
        Ok(json!({
            "protocol": self.protocol.name,
            "losses": self.sets.losses,
            "attack_seeds": self.sets.seeds.len(),
            "steps": self.sets.steps,
            "examples": self.examples(),
            "examples_digest": self.targets.first().map(|(_, key)| &key.examples),
            "targets": targets,
            "sets": self.audits()?,
        }))
    }

    /// What each attack did to the images, set by set.
    fn audits(&self) -> Result<Vec<Value>> {
        let mut sets = Vec::new();
        for (surrogate, key) in self.crafted() {
            for (attack, eps) in &self.attacks {
                for spec in self.sets.of(*attack, *eps)? {
                    let (name, digest) = (surrogate.name, surrogate.digest);
                    let mut set = json!({"surrogate": name, "surrogate_digest": digest});
                    extend(&mut set, json!(spec));
                    let record = self.store.load(&key.attacked(surrogate.digest, spec))?;
                    extend(&mut set, json!({"audit": record.and_then(|record| record.audit)}));
                    sets.push(set);
                }
            }
        }
        Ok(sets)
    }

    /// The models that attacks were crafted on, each with a target that saw them.
    fn crafted(&self) -> Vec<(Model<'a>, Key)> {
        match (self.surrogates.as_slice(), self.targets.first()) {
            ([], _) => self.targets.clone(),
            (_, None) => Vec::new(),
            (surrogates, Some((_, key))) => {
                surrogates.iter().map(|model| (*model, key.clone())).collect()
            }
        }
    }
}

fn scored(score: Option<Score>) -> Value {
    json!({
        "percent": score.and_then(|score| score.percent()),
        "right": score.map(|score| score.right),
        "total": score.map(|score| score.total),
        "interval": score.and_then(|score| score.interval()),
    })
}

/// Adds the entries of one JSON object to another.
fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
