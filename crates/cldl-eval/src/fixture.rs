//! A small model and data set for this crate's tests.

use candle::{Device, Result, Tensor};
use cldl_core::{Classifier, Stream};
use cldl_data::{Dataset, DatasetName, Split};

/// `n` random images whose label shows as a brighter band.
pub(crate) fn dataset(n: usize, seed: u64) -> Dataset {
    let mut stream = Stream::new(seed, "images", &[]);
    let labels: Vec<u8> = (0..n).map(|_| stream.below(10) as u8).collect();
    let pixel = |i: usize, label: u8, noise: u32| {
        let bright = (i % 784) / 78 == usize::from(label);
        (noise + if bright { 90 } else { 0 }) as u8
    };
    let images = (0..n * 784).map(|i| pixel(i, labels[i / 784], (i * 7919 % 160) as u32)).collect();
    Dataset::new(DatasetName::Mnist, Split::Test, images, labels.clone()).unwrap()
}

/// Scores are the bands' brightness, mixed with noise of a seed: models that agree in part.
pub(crate) struct Net(Tensor);

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        let mut stream = Stream::new(seed, "weights", &[]);
        let weight = |i: usize| {
            let own = if (i / 10) / 78 == i % 10 { 0.2 } else { 0.0 };
            own + 0.3 * (2.0 * stream.uniform() - 1.0)
        };
        let weights: Vec<f32> = (0..7840).map(weight).collect();
        Self(Tensor::from_vec(weights, (784, 10), &Device::Cpu).unwrap())
    }
}

impl Classifier for Net {
    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        let scores = images.flatten_from(1)?.matmul(&self.0)?.tanh()?;
        scores.broadcast_sub(&scores.exp()?.sum_keepdim(1)?.log()?)
    }
}
