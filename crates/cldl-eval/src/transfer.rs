//! Transfer among the members of an ensemble: what is crafted on one, shown to the others and to all.

use candle::Device;
use cldl_attacks::AttackKind;
use cldl_core::Classifier;
use cldl_data::{Dataset, holdout_split};
use serde::Serialize;

use crate::blackbox::{Observe, Progress};
use crate::{
    Bench, EvalError, Examples, Key, Model, Outcome, Protocol, Sets, Store, robust_accuracy,
};

/// Examples at a time while looking for those that all members get right.
const BATCH: usize = 200;

/// Success rates, in percent, of an attack crafted on each member alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TransferMatrix {
    /// The attack.
    pub attack: AttackKind,
    /// Its radius, in pixels of [0, 1].
    pub eps: f64,
    /// Entry \[i\]\[j\]: of the examples, those that member j gets wrong under some restart on member i.
    pub members: Vec<Vec<f64>>,
    /// Entry \[i\]: the same for the whole ensemble.
    pub ensemble: Vec<f64>,
}

/// A member of an ensemble as a model of its own: its outcomes are named by the ensemble's digest and
/// its number.
pub struct NamedMember<'a> {
    name: String,
    digest: String,
    classifier: &'a dyn Classifier,
}

/// The members of the ensemble with this digest, in order.
pub fn member_models<'a, M: Classifier>(digest: &str, members: &'a [M]) -> Vec<NamedMember<'a>> {
    let named = |(i, member): (usize, &'a M)| NamedMember {
        name: format!("member {i}"),
        digest: format!("{digest}#{i}"),
        classifier: member,
    };
    members.iter().enumerate().map(named).collect()
}

impl NamedMember<'_> {
    /// The member as a target or a surrogate.
    pub fn model(&self) -> Model<'_> {
        Model { name: &self.name, digest: &self.digest, classifier: self.classifier }
    }
}

impl TransferMatrix {
    /// The matrix of each attack, computed as far as the bench's store lacks it.
    ///
    /// # Errors
    /// As [`Bench::blackbox`].
    pub fn measure(
        bench: &Bench<'_>,
        members: &[Model<'_>],
        ensemble: Model<'_>,
        sets: &Sets,
        attacks: &[(AttackKind, f64)],
        observe: &mut Observe<'_>,
    ) -> Result<Vec<Self>, EvalError> {
        let targets: Vec<Model<'_>> = members.iter().copied().chain([ensemble]).collect();
        bench.blackbox(&targets, members, attacks, sets, observe)?;
        let keys: Vec<Key> = members.iter().map(|member| bench.key(member.digest)).collect();
        let whole = bench.key(ensemble.digest);
        let matrix = |attack: &(AttackKind, f64)| {
            let found = Self::query(bench.store, &keys, &whole, sets, *attack)?;
            let lost = "the store has lost what was just computed";
            found.ok_or_else(|| EvalError::Argument(lost.to_owned()))
        };
        attacks.iter().map(matrix).collect()
    }

    /// The matrix, if `store` has all that it takes: the outcomes of `members` and `ensemble` (keys of
    /// their clean images) under attacks from each member.
    ///
    /// # Errors
    /// As [`robust_accuracy`].
    pub fn query(
        store: &Store,
        members: &[Key],
        ensemble: &Key,
        sets: &Sets,
        (attack, eps): (AttackKind, f64),
    ) -> Result<Option<Self>, EvalError> {
        let success = |target: &Key, from: &Key| {
            let from = [from.target.clone()];
            let score =
                robust_accuracy(store, target, &from, sets, (attack, eps), &Protocol::WHITEBOX)?;
            Ok(score.and_then(|score| score.percent()).map(|percent| 100.0 - percent))
        };
        let row = |from: &Key| members.iter().map(|to| success(to, from)).collect();
        let entries: Result<Vec<Option<Vec<f64>>>, EvalError> = members.iter().map(row).collect();
        let whole: Result<Option<Vec<f64>>, EvalError> =
            members.iter().map(|from| success(ensemble, from)).collect();
        let entries: Option<Vec<Vec<f64>>> = entries?.into_iter().collect();
        let matrix = |(members, ensemble)| Self { attack, eps, members, ensemble };
        Ok(entries.zip(whole?).map(matrix))
    }

    /// Mean of the entries off the diagonal: how far one member's examples fool another. None for a
    /// member alone.
    pub fn mean_transfer(&self) -> Option<f64> {
        let off = |(i, row): (usize, &Vec<f64>)| {
            row.iter()
                .enumerate()
                .filter(move |(j, _)| *j != i)
                .map(|(_, v)| *v)
                .collect::<Vec<_>>()
        };
        let entries: Vec<f64> = self.members.iter().enumerate().flat_map(off).collect();
        (!entries.is_empty()).then(|| entries.iter().sum::<f64>() / entries.len() as f64)
    }
}

/// The first `n` examples that every one of `members` gets right among the first `among` of `test`'s evaluation
/// split; fewer if there are not so many.
///
/// # Errors
/// [`EvalError::Stopped`] if `observe` says so; if a model fails, or no example is right everywhere.
pub fn agreed_examples<'a>(
    test: &'a Dataset,
    members: &[Model<'_>],
    n: usize,
    among: usize,
    device: &Device,
    observe: &mut Observe<'_>,
) -> Result<Examples<'a>, EvalError> {
    let whole = holdout_split(test.len()).1.len();
    let candidates = Examples::evaluation(test, whole.min(among))?;
    let label = "which images all members get right".to_owned();
    let mut progress = Progress { done: 0, total: n as u64, label };
    let mut agreed = Vec::new();
    for range in candidates.batches(BATCH) {
        if observe(&progress).is_break() {
            return Err(EvalError::Stopped);
        }
        // Each member sees what all before it got right.
        let mut right = candidates.indices()[range].to_vec();
        for member in members {
            if right.is_empty() {
                break;
            }
            let batch = test.batch(&right, device)?;
            let mut outcome = Outcome::default();
            outcome.extend(&member.classifier.logits(&batch.images)?, &batch.labels)?;
            let mut verdicts = outcome.right.iter();
            right.retain(|_| verdicts.next().is_some_and(|right| *right));
        }
        agreed.extend(right);
        progress.done = agreed.len().min(n) as u64;
        if n <= agreed.len() {
            break;
        }
    }
    agreed.truncate(n);
    if agreed.is_empty() {
        let message = "no image is right for all members: there is nothing to attack";
        return Err(EvalError::Argument(message.to_owned()));
    }
    Examples::new(test, agreed)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use candle::Device;
    use cldl_attacks::{AttackKind, AttackLoss};

    use super::{TransferMatrix, agreed_examples};
    use crate::fixture::{Net, dataset};
    use crate::{Bench, Examples, Model, Protocol, Sets, Store, robust_accuracy};

    fn matrix(nets: &[Net], seeds: u64, eps: f64) -> (TransferMatrix, Vec<f64>) {
        let data = dataset(12, 0);
        let examples = Examples::all(&data).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let bench =
            Bench { examples: &examples, store: &store, device: Device::Cpu, batch_size: 5 };
        let digests: Vec<String> = (0..nets.len()).map(|i| format!("run#{i}")).collect();
        let members: Vec<Model<'_>> = nets
            .iter()
            .zip(&digests)
            .map(|(net, digest)| Model { name: digest, digest, classifier: net })
            .collect();
        let ensemble = Model { name: "run", digest: "run", classifier: &nets[0] };
        let sets = Sets { losses: vec![AttackLoss::Ce], seeds: (0..seeds).collect(), steps: 3 };
        let attack = (AttackKind::Pgd, eps);
        let go_on = &mut |_: &_| ControlFlow::Continue(());
        let targets: Vec<Model<'_>> = members.iter().copied().chain([ensemble]).collect();
        bench.blackbox(&targets, &members, &[attack], &sets, go_on).unwrap();
        bench.whitebox(&members, &[attack], &sets, go_on).unwrap();
        let keys: Vec<_> = digests.iter().map(|digest| bench.key(digest)).collect();
        let own = keys.iter().map(|key| {
            let from = [key.target.clone()];
            let score = robust_accuracy(&store, key, &from, &sets, attack, &Protocol::WHITEBOX);
            score.unwrap().unwrap().percent().unwrap()
        });
        let own = own.collect();
        let found = TransferMatrix::query(&store, &keys, &bench.key("run"), &sets, attack);
        (found.unwrap().unwrap(), own)
    }

    #[test]
    fn the_diagonal_is_what_whitebox_attacks_take() {
        let (matrix, own) = matrix(&[Net::new(1), Net::new(2), Net::new(3)], 2, 0.1);
        for (i, own) in own.into_iter().enumerate() {
            assert!((matrix.members[i][i] - (100.0 - own)).abs() < 1e-9);
        }
        assert_eq!(matrix.ensemble[0].to_bits(), matrix.members[0][0].to_bits());
        assert!(matrix.mean_transfer().unwrap() > 0.0);
    }

    #[test]
    fn members_that_are_one_model_have_one_number() {
        let (matrix, _) = matrix(&[Net::new(4), Net::new(4)], 1, 0.1);
        let all = matrix.members.iter().flatten().chain(&matrix.ensemble);
        assert!(all.clone().all(|v| v.to_bits() == matrix.ensemble[0].to_bits()));
    }

    #[test]
    fn a_member_alone_has_no_transfer_and_restarts_only_help_the_attacker() {
        let (one, _) = matrix(&[Net::new(5)], 1, 0.05);
        let (many, _) = matrix(&[Net::new(5)], 4, 0.05);
        assert_eq!(one.mean_transfer(), None);
        assert!(one.members[0][0] <= many.members[0][0]);
    }

    #[test]
    fn agreed_examples_are_right_for_all_and_in_order() {
        let data = dataset(10_000, 0);
        let nets = [Net::new(1), Net::new(2)];
        let members = nets.each_ref().map(|net| Model { name: "", digest: "", classifier: net });
        let go_on = &mut |_: &_| ControlFlow::Continue(());
        let few = agreed_examples(&data, &members, 5, 10_000, &Device::Cpu, go_on).unwrap();
        let more = agreed_examples(&data, &members, 20, 10_000, &Device::Cpu, go_on).unwrap();
        assert_eq!((few.len(), few.indices()), (5, &more.indices()[..5]));
        let first = Examples::evaluation(&data, 40).unwrap();
        let near = agreed_examples(&data, &members, 10_000, 40, &Device::Cpu, go_on).unwrap();
        let taken: Vec<_> =
            more.indices().iter().filter(|i| first.indices().contains(i)).copied().collect();
        assert!(near.indices().starts_with(&taken) && near.len() <= 40);
        for net in &nets {
            let outcome = crate::clean_outcome(net, &more, &Device::Cpu, 7, go_on).unwrap();
            assert_eq!(outcome.count_right(), 20);
        }
    }
}
