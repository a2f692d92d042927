//! The batches of an epoch, made ahead of their use on a thread of their own.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

use candle::Device;
use cldl_core::Stream;

use crate::{Batch, DataError, Dataset, EpochAugmentation};

/// Batches made ahead: enough to bridge a slow moment, little memory.
const AHEAD: usize = 2;

/// The numbers below `len` in the random order of `epoch`, the same for a seed on every machine.
pub fn epoch_order(len: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    Stream::new(seed, "shuffle", &[epoch]).shuffle(&mut order);
    order
}

/// The examples of `order` in batches of `batch_size` on `device`; the last batch may be smaller.
///
/// The batches are made on another thread, a few ahead; dropping the iterator ends it.
///
/// # Errors
/// If `batch_size` is 0, an index is out of range, or the augmentation is (see
/// [`Augmentation::validate`](crate::Augmentation::validate)). An item is an error if a tensor
/// cannot be made; none follows it.
pub fn batches(
    dataset: Arc<Dataset>,
    order: Vec<usize>,
    batch_size: usize,
    augmentation: EpochAugmentation,
    device: &Device,
) -> Result<Batches, DataError> {
    if batch_size == 0 {
        return Err(DataError::Argument("`batch_size` is 0, expected at least 1".to_owned()));
    }
    dataset.check(&order)?;
    augmentation.augmentation.validate()?;

    let remaining = order.len().div_ceil(batch_size);
    let (sender, receiver) = sync_channel(AHEAD);
    let work = move || {
        for indices in order.chunks(batch_size) {
            // Tensors are made on the CPU: a device's stream belongs to the thread that computes.
            let batch = dataset.augmented_batch(indices, &augmentation, &Device::Cpu);
            let failed = batch.is_err();
            if sender.send(batch).is_err() || failed {
                return;
            }
        }
    };
    let worker =
        Builder::new().name("batches".to_owned()).spawn(work).map_err(DataError::Thread)?;
    let device = device.clone();
    Ok(Batches { receiver: Some(receiver), worker: Some(worker), device, remaining })
}

/// The iterator that [`batches`] returns.
#[derive(Debug)]
pub struct Batches {
    receiver: Option<Receiver<Result<Batch, DataError>>>,
    worker: Option<JoinHandle<()>>,
    device: Device,
    remaining: usize,
}

impl Iterator for Batches {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let Ok(batch) = self.receiver.as_ref()?.recv() else {
            // The thread is gone too early: it panicked, which is a bug that must be seen.
            let Err(panic) = self.worker.take()?.join() else { return None };
            std::panic::resume_unwind(panic)
        };
        let batch = batch.and_then(|batch| batch.to_device(&self.device));
        if batch.is_err() {
            self.remaining = 0;
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Batches {}

impl Drop for Batches {
    fn drop(&mut self) {
        // With the receiver gone, the thread's next send fails and it returns.
        self.receiver = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Augmentation, DatasetName, Noise, Split};

    fn dataset(n: usize) -> Arc<Dataset> {
        let images = (0..n * 784).map(|i| (i * 7 % 251) as u8).collect();
        let labels = (0..n).map(|i| (i % 10) as u8).collect();
        Arc::new(Dataset::new(DatasetName::Mnist, Split::Train, images, labels).unwrap())
    }

    fn pixels(batch_size: usize, order: Vec<usize>) -> (Vec<usize>, Vec<f32>) {
        let augmentation = Augmentation {
            flip: true,
            crop_padding: 4,
            noise: Some(Noise { std: 0.1, probability: 0.5 }),
        };
        let (mut sizes, mut pixels) = (Vec::new(), Vec::new());
        for batch in
            batches(dataset(23), order, batch_size, augmentation.at(5, 1), &Device::Cpu).unwrap()
        {
            let batch = batch.unwrap();
            sizes.push(batch.len());
            pixels.extend(batch.images.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        }
        (sizes, pixels)
    }

    #[test]
    fn the_last_batch_may_be_smaller_and_the_batch_size_changes_no_image() {
        let order = epoch_order(23, 5, 1);
        let (sizes, of_ten) = pixels(10, order.clone());
        assert_eq!(sizes, [10, 10, 3]);
        let (sizes, of_one) = pixels(1, order.clone());
        assert_eq!(sizes, [1; 23]);
        assert!(of_ten == of_one && of_ten == pixels(99, order).1);
    }

    #[test]
    fn dropping_the_iterator_early_ends_its_thread() {
        let data = dataset(50);
        let mut batches = batches(
            Arc::clone(&data),
            (0..50).collect(),
            1,
            EpochAugmentation::default(),
            &Device::Cpu,
        )
        .unwrap();
        assert_eq!(batches.len(), 50);
        batches.next().unwrap().unwrap();
        assert_eq!(batches.len(), 49);
        drop(batches);
        assert_eq!(Arc::strong_count(&data), 1, "the thread still holds the data");
    }

    #[test]
    fn arguments_out_of_range_are_refused() {
        let try_batches = |order, batch_size| {
            batches(dataset(3), order, batch_size, EpochAugmentation::default(), &Device::Cpu)
                .map(|batches| batches.len())
                .map_err(|e| e.to_string())
        };
        assert_eq!(try_batches(vec![], 4).unwrap(), 0);
        assert_eq!(try_batches(vec![0], 0).unwrap_err(), "`batch_size` is 0, expected at least 1");
        assert_eq!(
            try_batches(vec![0, 3], 1).unwrap_err(),
            "example 3 is out of range: `mnist` train has 3 examples here"
        );
    }

    proptest! {
        #[test]
        fn an_epochs_order_is_a_permutation_fixed_by_its_name(len in 0usize..300, seed: u64, epoch: u64) {
            let order = epoch_order(len, seed, epoch);
            prop_assert_eq!(&order, &epoch_order(len, seed, epoch));
            if len > 20 {
                prop_assert_ne!(&order, &epoch_order(len, seed, epoch.wrapping_add(1)));
            }
            let mut sorted = order;
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..len).collect::<Vec<_>>());
        }
    }
}
