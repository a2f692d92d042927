//! Answers to a table's questions from the outcome store.

use cldl_attacks::{AttackKind, AttackLoss};

use crate::table::Request;
use crate::{EvalError, Examples, Key, Protocol, Score, Sets, Store, robust_accuracy};

/// What a request fixes for all of its questions.
#[derive(Debug, Clone)]
pub struct Answers<'a> {
    store: &'a Store,
    examples: &'a str,
    count: usize,
    protocol: Protocol,
    sets: Sets,
}

impl<'a> Answers<'a> {
    /// Answers to the questions of `request` about the examples with the digest `examples`. Its losses
    /// count, whatever the protocol would take.
    ///
    /// # Errors
    /// If the protocol, an attack or a loss is unknown, or eps is outside [0, 1].
    pub fn about(
        request: &Request,
        store: &'a Store,
        examples: &'a str,
    ) -> Result<Self, EvalError> {
        let protocol = request.protocol.parse().map_err(EvalError::Argument)?;
        let losses: Result<Vec<AttackLoss>, _> =
            request.losses.iter().map(|name| name.parse()).collect();
        let sets = Sets {
            losses: losses.map_err(EvalError::Argument)?,
            seeds: (0..request.attack_seeds as u64).collect(),
            steps: request.steps,
        };
        for name in &request.attacks {
            let attack = name.parse().map_err(EvalError::Argument)?;
            for eps in &request.eps {
                sets.of(attack, *eps)?;
            }
        }
        Ok(Self { store, examples, count: request.examples, protocol, sets })
    }

    /// As [`Self::about`], with the examples at hand.
    ///
    /// # Errors
    /// As [`Self::about`], or if the request asks for another number of examples.
    pub fn new(
        request: &Request,
        store: &'a Store,
        examples: &'a Examples<'a>,
    ) -> Result<Self, EvalError> {
        if request.examples != examples.len() {
            return Err(EvalError::Argument(format!(
                "the request is about {} examples, not {}",
                request.examples,
                examples.len()
            )));
        }
        Self::about(request, store, examples.digest())
    }

    /// Accuracy in percent of the model with digest `target`, clean or under an attack with one eps from
    /// `surrogates` (digests); none if the store lacks something, NaN if no image counts.
    ///
    /// # Errors
    /// If the attack is unknown, or a file of the store can't be read.
    pub fn percent(
        &self,
        target: &str,
        surrogates: &[String],
        attack: Option<(&str, f64)>,
    ) -> Result<Option<f64>, EvalError> {
        let clean = Key::clean(target, self.examples, self.count);
        let score = match attack {
            None => self.store.load_intact(&clean)?.map(|record| Score::of(&record.outcome)),
            Some((name, eps)) => {
                let kind: AttackKind = name.parse().map_err(EvalError::Argument)?;
                let (sets, protocol) = (&self.sets, &self.protocol);
                robust_accuracy(self.store, &clean, surrogates, sets, (kind, eps), protocol)?
            }
        };
        Ok(score.map(|score| score.percent().unwrap_or(f64::NAN)))
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use candle::Device;
    use cldl_attacks::{AttackKind, AttackLoss};

    use super::Answers;
    use crate::fixture::{Net, dataset};
    use crate::table::{Column, Request, Table};
    use crate::{Bench, Examples, Model, Sets, Store};

    fn request() -> Request {
        let column = |key: &str| Column {
            key: key.to_owned(),
            label: key.to_owned(),
            control: false,
            seeds: vec![0],
            runs: Some(vec![key.to_owned()]),
            why: None,
        };
        Request {
            table: 4,
            title: "Accuracy".to_owned(),
            dataset: "mnist".to_owned(),
            arch: "lenet5".to_owned(),
            members: 3,
            scale: "smoke".to_owned(),
            variant: "paper".to_owned(),
            protocol: "paper".to_owned(),
            seeds: vec![0],
            shared_init: false,
            limit_train: None,
            epochs: 1,
            examples: 8,
            wall_seconds: 0.0,
            command: String::new(),
            columns: vec![column("one"), column("two")],
            surrogates: vec![vec!["three".to_owned()]],
            attacks: vec!["bim".to_owned(), "pgd".to_owned()],
            eps: vec![0.1],
            losses: vec!["ce".to_owned()],
            attack_seeds: 2,
            steps: 2,
            paper: vec![],
        }
    }

    #[test]
    fn a_table_is_filled_with_what_the_store_has() {
        let data = dataset(8, 0);
        let examples = Examples::all(&data).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let bench =
            Bench { examples: &examples, store: &store, device: Device::Cpu, batch_size: 8 };
        let (one, three) = (Net::new(1), Net::new(3));
        let one = Model { name: "one", digest: "one", classifier: &one };
        let three = Model { name: "three", digest: "three", classifier: &three };
        let sets = Sets { losses: vec![AttackLoss::Ce], seeds: vec![0, 1], steps: 2 };
        let bim = [(AttackKind::Bim, 0.1)];
        let go_on = &mut |_: &_| ControlFlow::Continue(());
        bench.blackbox(&[one], &[three], &bim, &sets, go_on).unwrap();

        let request = request();
        let answers = Answers::new(&request, &store, &examples).unwrap();
        let table =
            Table::fill(&request, |q| answers.percent(q.run, q.surrogates, q.attack)).unwrap();
        assert!(table.clean("one").is_some() && table.clean("two").is_none());
        let ours = |row: usize, key: &str| table.rows[row].cell(key).unwrap().ours;
        assert!(ours(0, "one").is_some() && ours(0, "two").is_none() && ours(1, "one").is_none());
    }

    #[test]
    fn requests_that_can_t_be_answered_are_refused() {
        let data = dataset(8, 0);
        let examples = Examples::all(&data).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let refused = |change: &dyn Fn(&mut Request)| {
            let mut request = request();
            change(&mut request);
            Answers::new(&request, &store, &examples).unwrap_err().to_string()
        };
        assert!(refused(&|r| r.protocol = "median".to_owned()).contains("unknown protocol"));
        assert!(refused(&|r| r.attacks = vec!["jsma".to_owned()]).contains("unknown attack"));
        assert!(refused(&|r| r.losses = vec!["dlr".to_owned()]).contains("unknown loss"));
        assert!(refused(&|r| r.eps = vec![1.5]).starts_with("eps 1.5"));
        assert!(refused(&|r| r.examples = 9).contains("about 9 examples"));
    }
}
