//! The examples on which a model is measured.

use std::ops::Range;

use candle::Device;
use cldl_data::{Batch, Dataset, DatasetSpec, Split, holdout_split};
use sha2::{Digest as _, Sha256};

use crate::EvalError;

/// Some examples of a data set in a fixed order, and a digest that names them.
#[derive(Debug, Clone)]
pub struct Examples<'a> {
    dataset: &'a Dataset,
    indices: Vec<usize>,
    digest: String,
}

impl<'a> Examples<'a> {
    /// The examples of `dataset` at `indices`.
    ///
    /// # Errors
    /// If there is none, or an index is out of range.
    pub fn new(dataset: &'a Dataset, indices: Vec<usize>) -> Result<Self, EvalError> {
        if indices.is_empty() {
            return Err(EvalError::Argument("an evaluation needs at least 1 example".to_owned()));
        }
        if let Some(index) = indices.iter().find(|index| dataset.len() <= **index) {
            let n = dataset.len();
            return Err(EvalError::Argument(format!("example {index} is out of range: {n} here")));
        }
        let mut hash = Sha256::new();
        hash.update(dataset.sha256.as_bytes());
        for index in &indices {
            hash.update((*index as u64).to_le_bytes());
        }
        Ok(Self { dataset, indices, digest: hex(&hash.finalize()) })
    }

    /// The first `n` of the test images that the hold-out split reports on: 9,000 of the published
    /// data sets' 10,000. Their order there is random, so that the first are as good as any.
    ///
    /// # Errors
    /// If there are fewer than `n`, `n` is 0, or `test` is a part of a published test split.
    pub fn evaluation(test: &'a Dataset, n: usize) -> Result<Self, EvalError> {
        Self::first(test, n, |(_, evaluation)| evaluation)
    }

    /// The first `n` of the test images that the hold-out split keeps for choosing hyper-parameters:
    /// 1,000 of the published data sets'. No table reports on them.
    ///
    /// # Errors
    /// As [`Self::evaluation`].
    pub fn tuning(test: &'a Dataset, n: usize) -> Result<Self, EvalError> {
        Self::first(test, n, |(tuning, _)| tuning)
    }

    /// The first `n` of one part of the hold-out split.
    fn first(
        test: &'a Dataset,
        n: usize,
        part: impl FnOnce((Vec<usize>, Vec<usize>)) -> Vec<usize>,
    ) -> Result<Self, EvalError> {
        let split = split(test)?;
        let (tuning, evaluation) = (split.0.len(), split.1.len());
        let mut indices = part(split);
        let most = indices.len();
        if !(1..=most).contains(&n) {
            return Err(EvalError::Argument(format!(
                "{n} examples asked for: expected 1 to {most} (of the {} test images, {tuning} are for \
                 tuning and {evaluation} for results)",
                test.len()
            )));
        }
        indices.truncate(n);
        Self::new(test, indices)
    }

    /// Every example of `dataset`.
    ///
    /// # Errors
    /// If it is empty.
    pub fn all(dataset: &'a Dataset) -> Result<Self, EvalError> {
        Self::new(dataset, (0..dataset.len()).collect())
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Never: an evaluation has an example.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// SHA-256 of the data set's digest and the positions, in hexadecimal: the same examples in the
    /// same order, the same digest.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The examples' positions in the data set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// Cuts 0..[`Self::len`] into batches of `size`; the last may be smaller.
    pub fn batches(&self, size: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (n, size) = (self.len(), size.max(1));
        (0..n).step_by(size).map(move |start| start..n.min(start + size))
    }

    /// The examples of `range` as tensors on `device`.
    ///
    /// # Errors
    /// If the range is out of range, or the device refuses.
    pub fn batch(&self, range: Range<usize>, device: &Device) -> Result<Batch, EvalError> {
        let indices = self
            .indices
            .get(range.clone())
            .ok_or_else(|| EvalError::Argument(format!("no examples {range:?}")))?;
        Ok(self.dataset.batch(indices, device)?)
    }
}

/// The hold-out split of `test`: of a published data set it is one of all its images.
fn split(test: &Dataset) -> Result<(Vec<usize>, Vec<usize>), EvalError> {
    if let DatasetSpec::Published(name) = test.spec {
        let whole = name.n_examples(Split::Test);
        if test.len() != whole {
            return Err(EvalError::Argument(format!(
                "the hold-out split is one of {whole} test images, found {}",
                test.len()
            )));
        }
    }
    Ok(holdout_split(test.len()))
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use candle::Device;

    use super::Examples;
    use crate::fixture::dataset;

    #[test]
    fn the_digest_names_data_and_order() {
        let (one, other) = (dataset(5, 0), dataset(5, 1));
        let digest = |data, indices: &[usize]| {
            Examples::new(data, indices.to_vec()).unwrap().digest().to_owned()
        };
        assert_eq!(digest(&one, &[0, 1]), digest(&one, &[0, 1]));
        assert_ne!(digest(&one, &[0, 1]), digest(&one, &[1, 0]));
        assert_ne!(digest(&one, &[0, 1]), digest(&other, &[0, 1]));
        assert_eq!(digest(&one, &[0]).len(), 64);
    }

    #[test]
    fn evaluation_takes_the_split_s_first_images() {
        let test = dataset(10_000, 0);
        let examples = Examples::evaluation(&test, 3).unwrap();
        assert_eq!(examples.indices(), [9080, 2671, 8105]);
        let batches: Vec<_> = examples.batches(2).collect();
        assert_eq!(batches, [0..2, 2..3]);
        let batch = examples.batch(2..3, &Device::Cpu).unwrap();
        assert_eq!(batch.indices, [8105]);
        for n in [0, 9001] {
            let error = Examples::evaluation(&test, n).unwrap_err().to_string();
            assert!(error.contains("expected 1 to 9000"), "{error}");
        }
    }

    #[test]
    fn tuning_images_are_no_evaluation_images() {
        let test = dataset(10_000, 0);
        let tuning = Examples::tuning(&test, 1000).unwrap();
        assert_eq!(tuning.indices()[..3], [6311, 6890, 663]);
        let evaluation = Examples::evaluation(&test, 9000).unwrap();
        assert!(tuning.indices().iter().all(|i| !evaluation.indices().contains(i)));
        assert!(Examples::tuning(&test, 1001).is_err());
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let data = dataset(5, 0);
        assert!(Examples::new(&data, vec![]).is_err());
        assert!(Examples::new(&data, vec![5]).is_err());
        assert!(Examples::evaluation(&data, 3).unwrap_err().to_string().contains("10000"));
    }
}
