//! A model on images as they are.

use std::ops::ControlFlow;

use candle::Device;
use cldl_core::Classifier;

use crate::blackbox::{Observe, Progress};
use crate::{EvalError, Examples, Outcome};

/// What `model` makes of each example.
///
/// # Errors
/// [`EvalError::Stopped`] if `observe` says so; if the model fails or a score is not a number.
pub fn clean_outcome(
    model: &dyn Classifier,
    examples: &Examples<'_>,
    device: &Device,
    batch_size: usize,
    observe: &mut Observe<'_>,
) -> Result<Outcome, EvalError> {
    let total = examples.len() as u64;
    let mut progress = Progress { done: 0, total, label: "clean".to_owned() };
    let mut outcome = Outcome::default();
    for range in examples.batches(batch_size) {
        if let ControlFlow::Break(()) = observe(&progress) {
            return Err(EvalError::Stopped);
        }
        progress.done += range.len() as u64;
        let batch = examples.batch(range, device)?;
        outcome.extend(&model.logits(&batch.images)?, &batch.labels)?;
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use candle::Device;

    use super::clean_outcome;
    use crate::fixture::{Net, dataset};
    use crate::{EvalError, Examples};

    #[test]
    fn the_batch_size_changes_nothing() {
        let data = dataset(7, 0);
        let examples = Examples::all(&data).unwrap();
        let outcome = |batch_size| {
            let go_on = &mut |_: &_| ControlFlow::Continue(());
            clean_outcome(&Net::new(1), &examples, &Device::Cpu, batch_size, go_on).unwrap()
        };
        assert_eq!(outcome(7).len(), 7);
        assert_eq!(outcome(7).right, outcome(2).right);
        assert_eq!(outcome(7).right, outcome(1).right);
    }

    #[test]
    fn it_stops_when_told_so() {
        let data = dataset(7, 0);
        let examples = Examples::all(&data).unwrap();
        let stop = &mut |_: &_| ControlFlow::Break(());
        let stopped = clean_outcome(&Net::new(1), &examples, &Device::Cpu, 2, stop);
        assert!(matches!(stopped, Err(EvalError::Stopped)));
    }
}
