//! Transfer: examples crafted on surrogates, shown to targets that the attacker can't see (black-box),
//! or to the surrogate itself (white-box).
//!
//! Each adversarial set is crafted once, batch by batch, for all targets that lack its outcome; what
//! the store has is not computed again. An example's fate does not depend on the batch size.

use std::ops::ControlFlow;

use candle::Device;
use cldl_attacks::{AttackKind, Audit, Start};
use cldl_core::Classifier;

use crate::{AttackSpec, EvalError, Examples, Key, Outcome, Record, Sets, Store};

/// A model by the digest of its weights, which names its outcomes.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    /// What it is called in messages.
    pub name: &'a str,
    /// SHA-256 of its checkpoint.
    pub digest: &'a str,
    /// The model.
    pub classifier: &'a dyn Classifier,
}

/// Where and on what models are measured.
#[derive(Debug, Clone)]
pub struct Bench<'a> {
    /// The examples.
    pub examples: &'a Examples<'a>,
    /// Where outcomes are kept.
    pub store: &'a Store,
    /// Where models live.
    pub device: Device,
    /// Examples at a time: memory and speed, never results.
    pub batch_size: usize,
}

/// How far a computation is, in units of one forward pass of one example.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Units done, in this call.
    pub done: u64,
    /// Units to do, in this call.
    pub total: u64,
    /// What is being done.
    pub label: String,
}

/// Told of every batch; stops the computation by [`ControlFlow::Break`].
pub type Observe<'a> = dyn FnMut(&Progress) -> ControlFlow<()> + 'a;

/// Something to compute for all targets that lack it.
struct Job<'a> {
    /// None for clean images.
    attack: Option<(Model<'a>, AttackSpec)>,
    targets: Vec<(Model<'a>, Key)>,
}

impl Bench<'_> {
    /// The key of a model's outcomes on the clean examples.
    pub fn key(&self, digest: &str) -> Key {
        Key::clean(digest, self.examples.digest(), self.examples.len())
    }

    /// Puts into the store what it lacks of every target's outcomes: on the clean examples, and on the
    /// adversarial sets of each attack and eps from each surrogate.
    ///
    /// # Errors
    /// [`EvalError::Stopped`] if `observe` says so; what was finished is kept. If a model or an attack
    /// fails, or the store can't be used.
    pub fn blackbox(
        &self,
        targets: &[Model<'_>],
        surrogates: &[Model<'_>],
        attacks: &[(AttackKind, f64)],
        sets: &Sets,
        observe: &mut Observe<'_>,
    ) -> Result<(), EvalError> {
        let mut jobs = vec![self.job(None, targets)?];
        for (attack, eps) in attacks {
            for surrogate in surrogates {
                for spec in sets.of(*attack, *eps)? {
                    jobs.push(self.job(Some((*surrogate, spec)), targets)?);
                }
            }
        }
        self.run(&jobs, observe)
    }

    /// As [`Self::blackbox`] with every target attacked on itself: what an attacker who knows all of it
    /// can do.
    ///
    /// # Errors
    /// As [`Self::blackbox`].
    pub fn whitebox(
        &self,
        targets: &[Model<'_>],
        attacks: &[(AttackKind, f64)],
        sets: &Sets,
        observe: &mut Observe<'_>,
    ) -> Result<(), EvalError> {
        let mut jobs = vec![self.job(None, targets)?];
        for target in targets {
            for (attack, eps) in attacks {
                for spec in sets.of(*attack, *eps)? {
                    jobs.push(self.job(Some((*target, spec)), &[*target])?);
                }
            }
        }
        self.run(&jobs, observe)
    }

    fn job<'m>(
        &self,
        attack: Option<(Model<'m>, AttackSpec)>,
        targets: &[Model<'m>],
    ) -> Result<Job<'m>, EvalError> {
        let mut lacking = Vec::new();
        for target in targets {
            let clean = self.key(target.digest);
            let key = match &attack {
                Some((surrogate, spec)) => clean.attacked(surrogate.digest, *spec),
                None => clean,
            };
            if self.store.load_intact(&key)?.is_none() {
                lacking.push((*target, key));
            }
        }
        Ok(Job { attack, targets: lacking })
    }

    fn run(&self, jobs: &[Job<'_>], observe: &mut Observe<'_>) -> Result<(), EvalError> {
        let total = jobs.iter().map(|job| job.cost() * self.examples.len() as u64).sum();
        let mut progress = Progress { done: 0, total, label: String::new() };
        for job in jobs.iter().filter(|job| !job.targets.is_empty()) {
            progress.label = job.label();
            self.compute(job, &mut progress, observe)?;
        }
        Ok(())
    }

    /// Computes one job and keeps its outcomes.
    fn compute(
        &self,
        job: &Job<'_>,
        progress: &mut Progress,
        observe: &mut Observe<'_>,
    ) -> Result<(), EvalError> {
        let mut outcomes = vec![Outcome::default(); job.targets.len()];
        let mut audit: Option<Audit> = None;
        for range in self.examples.batches(self.batch_size) {
            if observe(progress).is_break() {
                return Err(EvalError::Stopped);
            }
            let size = range.len() as u64;
            let batch = self.examples.batch(range, &self.device)?;
            let mut images = batch.images;
            if let Some((surrogate, spec)) = &job.attack {
                let numbers: Vec<u64> = batch.indices.iter().map(|i| *i as u64).collect();
                let start = Start::Examples { seed: spec.seed, numbers: &numbers };
                let (attacked, did) = spec.linf().perturb_audited(
                    surrogate.classifier,
                    &images,
                    &batch.labels,
                    start,
                )?;
                images = attacked;
                audit.get_or_insert_default().merge(&did);
            }
            for ((target, _), outcome) in job.targets.iter().zip(&mut outcomes) {
                outcome.extend(&target.classifier.logits(&images)?, &batch.labels)?;
            }
            progress.done += size * job.cost();
        }
        for ((_, key), outcome) in job.targets.iter().zip(outcomes) {
            self.store.save(key, &Record { outcome, audit })?;
        }
        let _ = observe(progress);
        Ok(())
    }
}

impl Job<'_> {
    /// Forward passes for each example; a gradient costs about two more than its loss.
    fn cost(&self) -> u64 {
        let crafting = self.attack.as_ref().map_or(0, |(_, spec)| 3 * spec.steps + 1);
        if self.targets.is_empty() { 0 } else { (crafting + self.targets.len()) as u64 }
    }

    fn label(&self) -> String {
        match &self.attack {
            Some((surrogate, spec)) => format!("{spec} on {}", surrogate.name),
            None => "clean".to_owned(),
        }
    }
}

impl std::fmt::Debug for Model<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, digest) = (self.name, self.digest);
        f.debug_struct("Model")
            .field("name", &name)
            .field("digest", &digest)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::ops::ControlFlow;

    use candle::{Device, Result, Tensor};
    use cldl_attacks::{AttackKind, AttackLoss};
    use cldl_core::Classifier;

    use super::{Bench, Model};
    use crate::fixture::{Net, dataset};
    use crate::{EvalError, Examples, Protocol, Sets, Store, robust_accuracy};

    const ATTACKS: [(AttackKind, f64); 4] = [
        (AttackKind::Bim, 0.1),
        (AttackKind::Fgsm, 0.1),
        (AttackKind::Mim, 0.1),
        (AttackKind::Pgd, 0.1),
    ];

    fn sets() -> Sets {
        let losses = vec![AttackLoss::Ce, AttackLoss::CwOfficial];
        Sets { losses, seeds: vec![0, 1, 2], steps: 3 }
    }

    /// A surrogate that counts its passes.
    struct Counted(Net, std::sync::atomic::AtomicUsize);

    impl Classifier for Counted {
        fn logits(&self, images: &Tensor) -> Result<Tensor> {
            self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            self.0.logits(images)
        }
    }

    /// Runs all attacks with this batch size; every number of the protocols, and the store's bytes.
    fn scores(batch_size: usize) -> Vec<Vec<bool>> {
        let data = dataset(12, 0);
        let examples = Examples::new(&data, vec![7, 1, 4, 10, 0, 3, 2]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let bench = Bench { examples: &examples, store: &store, device: Device::Cpu, batch_size };
        let (one, two, other) = (Net::new(1), Net::new(2), Net::new(3));
        let targets = [
            Model { name: "one", digest: "1", classifier: &one },
            Model { name: "two", digest: "2", classifier: &two },
        ];
        let surrogates = [Model { name: "other", digest: "3", classifier: &other }];
        let go_on = &mut |_: &_| ControlFlow::Continue(());
        bench.blackbox(&targets, &surrogates, &ATTACKS, &sets(), go_on).unwrap();
        let mut all = Vec::new();
        for target in &targets {
            let clean = bench.key(target.digest);
            all.push(store.load(&clean).unwrap().unwrap().outcome.right);
            for (attack, eps) in ATTACKS {
                for spec in sets().of(attack, eps).unwrap() {
                    let record = store.load(&clean.attacked("3", spec)).unwrap().unwrap();
                    let audit = record.audit.unwrap();
                    assert!(audit.examples == 7 && audit.max_change <= eps + 1e-6);
                    all.push(record.outcome.right);
                }
            }
        }
        all
    }

    #[test]
    fn outcomes_do_not_depend_on_the_batch_size() {
        let reference = scores(200);
        assert_eq!(reference.len(), 2 * (1 + 3 * 2 + 6));
        assert!(reference.iter().flatten().any(|right| *right));
        assert!(reference.iter().flatten().any(|right| !*right));
        for batch_size in [1, 3, 7] {
            assert_eq!(scores(batch_size), reference);
        }
    }

    #[test]
    fn what_is_kept_is_not_computed_again() {
        let data = dataset(6, 0);
        let examples = Examples::all(&data).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let bench =
            Bench { examples: &examples, store: &store, device: Device::Cpu, batch_size: 2 };
        let (one, two) = (Net::new(1), Net::new(2));
        let surrogate = Counted(Net::new(3), 0.into());
        let passes = || surrogate.1.swap(0, std::sync::atomic::Ordering::Relaxed);
        let one = Model { name: "one", digest: "1", classifier: &one };
        let two = Model { name: "two", digest: "2", classifier: &two };
        let from = [Model { name: "surrogate", digest: "3", classifier: &surrogate }];

        // Stopped in the middle: what was finished stays.
        let calls = Cell::new(0);
        let stop = &mut |_: &_| {
            calls.set(calls.get() + 1);
            if calls.get() < 15 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let stopped = bench.blackbox(&[one], &from, &ATTACKS, &sets(), stop);
        assert!(matches!(stopped, Err(EvalError::Stopped)));
        let first = passes();
        let go_on = &mut |_: &_| ControlFlow::Continue(());
        bench.blackbox(&[one], &from, &ATTACKS, &sets(), go_on).unwrap();
        let second = passes();
        // 3 batches; BIM, MIM (two losses) and PGD (six sets) take 3 gradients and 1 loss, FGSM 1 and 1.
        let whole = 3 * ((2 + 2 + 6) * 4 + 2 * 2);
        assert!(0 < first && second < whole && whole < first + second + 4 * 3, "{first} {second}");

        // A second target costs the surrogate another round, nothing costs nothing.
        bench.blackbox(&[one, two], &from, &ATTACKS, &sets(), go_on).unwrap();
        assert_eq!(passes(), whole);
        let mut last = None;
        let watch = &mut |progress: &super::Progress| {
            last = Some(progress.clone());
            ControlFlow::Continue(())
        };
        bench.blackbox(&[one, two], &from, &ATTACKS, &sets(), watch).unwrap();
        assert_eq!((passes(), last), (0, None));

        // A damaged file alone is computed again.
        let clean = bench.key("1");
        let spec = sets().of(AttackKind::Bim, 0.1).unwrap()[0];
        let path = store.path(&clean.attacked("3", spec)).unwrap();
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, &good[..good.len() / 2]).unwrap();
        let query = || {
            let surrogates = ["3".to_owned()];
            let cell = (AttackKind::Bim, 0.1);
            robust_accuracy(&store, &clean, &surrogates, &sets(), cell, &Protocol::OFFICIAL)
        };
        assert_eq!(query().unwrap(), None);
        bench.blackbox(&[one, two], &from, &ATTACKS, &sets(), go_on).unwrap();
        assert_eq!((passes(), std::fs::read(&path).unwrap()), (3 * 4, good));
        assert!(query().unwrap().is_some());
    }

    #[test]
    fn progress_reaches_its_total() {
        let data = dataset(5, 0);
        let examples = Examples::all(&data).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let bench =
            Bench { examples: &examples, store: &store, device: Device::Cpu, batch_size: 2 };
        let net = Net::new(1);
        let model = Model { name: "net", digest: "1", classifier: &net };
        let mut seen: Vec<super::Progress> = Vec::new();
        let watch = &mut |progress: &super::Progress| {
            seen.push(progress.clone());
            ControlFlow::Continue(())
        };
        bench.blackbox(&[model], &[model], &ATTACKS, &sets(), watch).unwrap();
        assert!(seen.windows(2).all(|pair| pair[0].done <= pair[1].done));
        let last = seen.last().unwrap();
        assert_eq!(last.done, last.total);
        assert_eq!(last.label, "pgd cw-official eps 0.1 seed 2 on net");
        assert_eq!(seen[0].label, "clean");
    }
}
