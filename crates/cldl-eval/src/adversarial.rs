//! Adversarial examples as a file, for other programs: images before and after, and what was predicted.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle::{D, DType, Device, Tensor};
use cldl_attacks::{Audit, Start};
use cldl_core::Classifier;
use cldl_core::files::write_atomically;

use crate::blackbox::{Observe, Progress};
use crate::{AttackSpec, EvalError, Examples, Outcome};

/// Examples before and after an attack on the model that classifies them.
#[derive(Debug, Clone)]
pub struct AdversarialSet {
    /// `[N, Ch, H, W]`, f32 in [0, 1].
    pub images: Tensor,
    /// The same after the attack.
    pub adversarial: Tensor,
    /// `[N]`, u32.
    pub labels: Tensor,
    /// Classes predicted for `images`, `[N]`, u32.
    pub predictions: Tensor,
    /// Classes predicted for `adversarial`, `[N]`, u32.
    pub adversarial_predictions: Tensor,
    /// Right or wrong before the attack.
    pub clean: Outcome,
    /// Right or wrong after it.
    pub attacked: Outcome,
    /// What the attack did.
    pub audit: Audit,
}

impl AdversarialSet {
    /// Attacks `examples` on `model`. Tensors are on the CPU, whatever `device` the model is on.
    ///
    /// # Errors
    /// [`EvalError::Stopped`] if `observe` says so; if the model or the attack fails.
    pub fn craft(
        model: &dyn Classifier,
        examples: &Examples<'_>,
        attack: &AttackSpec,
        device: &Device,
        batch_size: usize,
        observe: &mut Observe<'_>,
    ) -> Result<Self, EvalError> {
        let total = examples.len() as u64;
        let mut progress = Progress { done: 0, total, label: attack.to_string() };
        let (mut clean, mut attacked) = (Outcome::default(), Outcome::default());
        let mut audit = Audit::default();
        let mut parts: [Vec<Tensor>; 5] = Default::default();
        for range in examples.batches(batch_size) {
            if observe(&progress).is_break() {
                return Err(EvalError::Stopped);
            }
            progress.done += range.len() as u64;
            let batch = examples.batch(range, device)?;
            let numbers: Vec<u64> = batch.indices.iter().map(|i| *i as u64).collect();
            let start = Start::Examples { seed: attack.seed, numbers: &numbers };
            let (adversarial, did) =
                attack.linf().perturb_audited(model, &batch.images, &batch.labels, start)?;
            audit.merge(&did);
            let (before, after) = (model.logits(&batch.images)?, model.logits(&adversarial)?);
            clean.extend(&before, &batch.labels)?;
            attacked.extend(&after, &batch.labels)?;
            let (before, after) = (before.argmax(D::Minus1)?, after.argmax(D::Minus1)?);
            let batch = [batch.images, adversarial, batch.labels, before, after];
            for (all, part) in parts.iter_mut().zip(batch) {
                all.push(part.to_device(&Device::Cpu)?);
            }
        }
        let [images, adversarial, labels, predictions, adversarial_predictions] = parts;
        Ok(Self {
            images: Tensor::cat(&images, 0)?,
            adversarial: Tensor::cat(&adversarial, 0)?,
            labels: Tensor::cat(&labels, 0)?,
            predictions: Tensor::cat(&predictions, 0)?,
            adversarial_predictions: Tensor::cat(&adversarial_predictions, 0)?,
            clean,
            attacked,
            audit,
        })
    }

    /// Writes a safetensors file: `images` and `adversarial` (f32), `labels`, `predictions` and
    /// `adversarial_predictions` (i64, which every program reads); `config` as JSON is its metadata.
    ///
    /// # Errors
    /// If the file can't be written; the message names it.
    pub fn save(&self, path: &Path, config: &serde_json::Value) -> Result<(), EvalError> {
        let class = |tensor: &Tensor| tensor.to_dtype(DType::I64);
        let tensors = BTreeMap::from([
            ("adversarial", self.adversarial.clone()),
            ("adversarial_predictions", class(&self.adversarial_predictions)?),
            ("images", self.images.clone()),
            ("labels", class(&self.labels)?),
            ("predictions", class(&self.predictions)?),
        ]);
        // One entry: several would be written in the order of a hash map, which changes.
        let metadata = HashMap::from([("cldl".to_owned(), config.to_string())]);
        let bytes = safetensors::serialize(tensors, Some(metadata)).map_err(|e| {
            EvalError::Argument(format!("`{}` can't be written: {e}", path.display()))
        })?;
        write_atomically(path, &bytes).map_err(EvalError::Write)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use candle::{DType, Device};
    use cldl_attacks::{AttackKind, AttackLoss};

    use super::AdversarialSet;
    use crate::fixture::{Net, dataset};
    use crate::{AttackSpec, Examples};

    #[test]
    fn a_file_holds_what_was_crafted() {
        let data = dataset(6, 0);
        let examples = Examples::new(&data, vec![5, 0, 3, 2]).unwrap();
        let attack = AttackSpec::new(AttackKind::Pgd, 0.1, AttackLoss::Ce, 3, 1).unwrap();
        let go_on = &mut |_: &_| ControlFlow::Continue(());
        let (net, cpu) = (Net::new(1), Device::Cpu);
        let set = AdversarialSet::craft(&net, &examples, &attack, &cpu, 3, go_on).unwrap();
        assert!(set.attacked.count_right() <= set.clean.count_right());
        assert_eq!(set.audit.examples, 4);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/adversarial.safetensors");
        set.save(&path, &serde_json::json!({"attack": attack})).unwrap();
        let tensors = candle::safetensors::load(&path, &cpu).unwrap();
        assert_eq!(tensors.len(), 5);
        assert_eq!(tensors["adversarial"].dims(), [4, 1, 28, 28]);
        assert_eq!(tensors["labels"].dtype(), DType::I64);
        let labels: Vec<i64> = [5, 0, 3, 2].iter().map(|i| i64::from(data.labels[*i])).collect();
        assert_eq!(tensors["labels"].to_vec1::<i64>().unwrap(), labels);
        let bytes = std::fs::read(&path).unwrap();
        set.save(&path, &serde_json::json!({"attack": attack})).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}
