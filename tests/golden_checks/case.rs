//! A golden case: what the file holds, how its inputs and weights are made, and how numbers compare.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use candle::{DType, Device, Tensor};
use cldl_core::Init;
use cldl_models::{Arch, Ensemble, EnsembleConfig};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    #[serde(skip)]
    pub(crate) name: String,
    /// The precision in which the case was computed, and is compared.
    #[serde(default)]
    pub(crate) dtype: Precision,
    pub(crate) arch: Arch,
    pub(crate) members: usize,
    pub(crate) batch: usize,
    pub(crate) seed: u64,
    pub(crate) leaky_slope: f64,
    pub(crate) gamma: f64,
    pub(crate) alpha: f64,
    pub(crate) beta: f64,
    pub(crate) labels: Vec<u32>,
    pub(crate) x: Summary,
    pub(crate) eval_forward: Vec<MemberForward>,
    pub(crate) ensemble_log_probs: Vec<Vec<f64>>,
    pub(crate) feature_maps: BTreeMap<usize, Summary>,
    pub(crate) attacks: Vec<Attack>,
    pub(crate) dverge_distillation: Distilled,
    pub(crate) objectives: BTreeMap<String, Objective>,
    pub(crate) training: Training,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Precision {
    #[default]
    F32,
    F64,
}

impl From<Precision> for DType {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::F64 => Self::F64,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct MemberForward {
    pub(crate) representation: Summary,
    pub(crate) logits: Vec<Vec<f64>>,
    pub(crate) lcv: Vec<Vec<f64>>,
    pub(crate) sld: Vec<Vec<f64>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Attack {
    pub(crate) kind: String,
    pub(crate) loss: String,
    pub(crate) eps: f64,
    pub(crate) steps: usize,
    pub(crate) adv: Summary,
    pub(crate) linf: f64,
    pub(crate) objective: f64,
    pub(crate) predictions: Vec<u32>,
}

impl Attack {
    pub(crate) fn name(&self) -> String {
        format!("{}.{}.{}", self.kind, self.loss, self.eps)
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Distilled {
    pub(crate) layer: usize,
    pub(crate) eps: f64,
    pub(crate) step_size: f64,
    pub(crate) steps: usize,
    #[serde(rename = "distilled")]
    pub(crate) images: Vec<Summary>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Objective {
    pub(crate) loss: f64,
    pub(crate) terms: BTreeMap<String, f64>,
    pub(crate) grads: BTreeMap<String, Summary>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Training {
    pub(crate) losses: Vec<f64>,
    pub(crate) params: BTreeMap<String, Summary>,
    pub(crate) running: BTreeMap<String, Summary>,
}

/// What is kept of a large tensor.
#[derive(Debug, Deserialize)]
pub(crate) struct Summary {
    shape: Vec<usize>,
    l2: f64,
    probe: f64,
    head: Vec<f64>,
}

impl Case {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("can't read `{}`", path.display()))?;
        let mut case: Self = serde_json::from_str(&text)
            .with_context(|| format!("`{}` is not a golden case", path.display()))?;
        case.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(case)
    }

    /// The ensemble with the case's weights; every tensor follows from its name and the seed.
    pub(crate) fn ensemble(&self) -> Result<Ensemble> {
        let (mean, std) = match self.arch {
            Arch::LeNet5 => (vec![0.1307], vec![0.3081]),
            Arch::ResNet20 => (vec![0.4914, 0.4822, 0.4465], vec![0.2023, 0.1994, 0.2010]),
        };
        let config = EnsembleConfig {
            arch: self.arch,
            members: self.members,
            n_classes: 10,
            leaky_slope: self.leaky_slope,
            mean,
            std,
            lcm: true,
        };
        let dtype = DType::from(self.dtype);
        let mut source =
            |name: &str, shape: &[usize], _: Init| weight(name, shape, self.seed, dtype);
        Ok(Ensemble::new(config, &mut source, &Device::Cpu)?)
    }

    /// Relative tolerance of values.
    pub(crate) fn value_tolerance(&self) -> f64 {
        match self.dtype {
            Precision::F32 => 1e-4,
            Precision::F64 => 1e-6,
        }
    }

    /// Relative tolerance of gradients.
    ///
    /// ResNet-20 in training mode amplifies f32's rounding: a number next to an activation's kink falls
    /// on either side of it. PyTorch's own f32 gradients of the CLDL objective are off its f64 ones by
    /// up to 1.1e-2 of a tensor's norm (2e-2 without oneDNN), and so is any other f32 program's. What is
    /// computed is held to the case in f64.
    pub(crate) fn gradient_tolerance(&self) -> f64 {
        match (self.dtype, self.arch) {
            (Precision::F64, _) => 1e-6,
            (Precision::F32, Arch::LeNet5) => 1e-3,
            (Precision::F32, Arch::ResNet20) => 2e-2,
        }
    }

    /// Relative tolerance of what a few steps of Adam lead to. The first steps follow little more than
    /// the gradient's signs: in ResNet-20, PyTorch's third loss in f32 is off its f64 one by 3e-3.
    pub(crate) fn trained_tolerance(&self) -> f64 {
        match (self.dtype, self.arch) {
            (Precision::F32, Arch::ResNet20) => 2e-2,
            _ => self.value_tolerance(),
        }
    }

    /// The images and labels called `name`.
    pub(crate) fn batch(&self, name: &str) -> Result<(Tensor, Tensor)> {
        let [ch, h, w] = self.arch.image_shape();
        let shape = (self.batch, ch, h, w);
        let pixels: Vec<f32> =
            uniform(name, self.seed, shape.0 * ch * h * w).map(|u| u * 0.5 + 0.5).collect();
        let labels: Vec<u32> = uniform(&format!("{name}.labels"), self.seed, self.batch)
            .map(|u| ((u * 0.5 + 0.5) * 10.0) as u32)
            .map(|label| label.min(9))
            .collect();
        let labels = Tensor::from_vec(labels, self.batch, &Device::Cpu)?;
        let images = Tensor::from_vec(pixels, shape, &Device::Cpu)?.to_dtype(self.dtype.into())?;
        Ok((images, labels))
    }

    /// Compares attacked images with their summary. Where a gradient nearly vanishes, its sign is
    /// rounding's: `share` of the pixels may end up anywhere within `eps`.
    pub(crate) fn attacked_agrees(
        &self,
        found: &Tensor,
        expected: &Summary,
        name: &str,
        eps: f64,
        share: f64,
    ) -> Result<()> {
        // Undecided pixels end up within 2 eps of each other, in random directions.
        let undecided = 2.0 * eps * (share * found.elem_count() as f64).sqrt();
        let l2 = found.to_dtype(DType::F64)?.sqr()?.sum_all()?.sqrt()?.to_scalar::<f64>()?;
        self.agrees(found, expected, name, undecided / l2)
    }

    /// Compares a tensor with its summary, whose probe was called `probe.{name}`.
    pub(crate) fn agrees(
        &self,
        found: &Tensor,
        expected: &Summary,
        name: &str,
        tolerance: f64,
    ) -> Result<()> {
        let values = self.agrees_in_norm(found, expected, name, tolerance)?;
        let typical = expected.l2 / (values.len() as f64).sqrt();
        for (k, (v, e)) in values.iter().zip(&expected.head).enumerate() {
            near(&format!("{name}[{k}]"), *v, *e, tolerance * (e.abs() + typical))?;
        }
        Ok(())
    }

    /// [`Self::agrees`] but for single entries; returns all of them.
    pub(crate) fn agrees_in_norm(
        &self,
        found: &Tensor,
        expected: &Summary,
        name: &str,
        tolerance: f64,
    ) -> Result<Vec<f64>> {
        ensure!(found.dims() == expected.shape, "{name}: shape {:?}", found.dims());
        let values = found.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        let l2 = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        let probes = uniform(&format!("probe.{name}"), self.seed, values.len());
        let probe: f64 = values.iter().zip(probes).map(|(v, u)| v * f64::from(u)).sum();
        near(&format!("{name}: L2 norm"), l2, expected.l2, tolerance * expected.l2)?;
        near(&format!("{name}: probe"), probe, expected.probe, tolerance * expected.l2)?;
        Ok(values)
    }

    /// Compares all entries of `[B, C]` within the tolerance, relative to a row's largest entry.
    pub(crate) fn table_agrees(
        &self,
        what: &str,
        found: &Tensor,
        expected: &[Vec<f64>],
    ) -> Result<()> {
        let found = found.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        ensure!(found.len() == expected.len(), "{what}: {} rows", found.len());
        for (i, (row, expected)) in found.iter().zip(expected).enumerate() {
            ensure!(row.len() == expected.len(), "{what}: {} columns", row.len());
            let size = expected.iter().fold(0.0, |size: f64, v| size.max(v.abs()));
            for (k, (v, e)) in row.iter().zip(expected).enumerate() {
                near(&format!("{what}[{i}][{k}]"), *v, *e, self.value_tolerance() * size)?;
            }
        }
        Ok(())
    }
}

/// Fails unless the numbers differ by at most `tolerance` (and by rounding where both nearly vanish).
pub(crate) fn near(what: &str, found: f64, expected: f64, tolerance: f64) -> Result<()> {
    let difference = (found - expected).abs();
    if difference.is_nan() || difference > tolerance + 1e-9 {
        bail!("{what} is {found}, expected {expected} (tolerance {tolerance:.1e})");
    }
    Ok(())
}

/// n numbers in [-1, 1): `SplitMix64` started at `seed ^ fnv1a64(name)`, the top 24 bits of each draw.
pub(crate) fn uniform(name: &str, seed: u64, n: usize) -> impl Iterator<Item = f32> + use<> {
    let mut state = seed
        ^ name.bytes().fold(0xCBF2_9CE4_8422_2325, |h: u64, byte| {
            (h ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
        });
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let unit = (z >> 40) as f64 / f64::from(1u32 << 24);
        (2.0 * unit - 1.0) as f32
    })
    .take(n)
}

/// A case's weight: scaled draws by the kind of tensor that its name tells.
fn weight(name: &str, shape: &[usize], seed: u64, dtype: DType) -> candle::Result<Tensor> {
    let fan_in: usize = shape[1..].iter().product();
    let norm = name.contains("bn") || name.contains("downsample.1");
    let (offset, scale) = match name.rsplit('.').next() {
        Some("weight") if norm => (1.0, 0.2),
        Some("running_mean" | "bias") => (0.0, 0.1),
        Some("running_var") => (1.0, 0.3),
        _ if name.ends_with("emb.weight") => (0.0, 1.0),
        _ => (0.0, 1.5 / (fan_in as f64).sqrt()),
    };
    let draws = uniform(name, seed, shape.iter().product());
    if dtype == DType::F64 {
        let values: Vec<f64> = draws.map(|u| offset + scale * f64::from(u)).collect();
        return Tensor::from_vec(values, shape, &Device::Cpu);
    }
    let (offset, scale) = (offset as f32, scale as f32);
    let values: Vec<f32> = draws.map(|u| offset + scale * u).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}
