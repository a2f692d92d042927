//! Adam with coupled L2: the decay is added to the gradient, as in PyTorch's `Adam(weight_decay)`.
//!
//! `g ← ∇ + λθ`, `m ← β₁m + (1-β₁)g`, `v ← β₂v + (1-β₂)g²`,
//! `θ ← θ - lr · m/(1-β₁ᵗ) / (√(v/(1-β₂ᵗ)) + ε)`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use candle::backprop::GradStore;
use candle::{CpuStorage, DType, Device, InplaceOp2, Layout, Result, Tensor, Var, bail};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::finite::is_finite;

/// Hyper-parameters of Adam.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamConfig {
    /// Decay rates of the moments, β₁ and β₂.
    pub betas: (f64, f64),
    /// Added to the root, ε.
    pub eps: f64,
    /// Coupled L2, λ.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    /// The paper's, with the eps of the published code.
    fn default() -> Self {
        Self { betas: (0.9, 0.999), eps: 1e-7, weight_decay: 1e-4 }
    }
}

/// The optimizer with its state: two moments for each parameter and the number of steps.
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    steps: usize,
    slots: Vec<Slot>,
}

/// A parameter of which a step left something that is no number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overflow {
    /// `gradient` or `weight`.
    pub what: &'static str,
    /// The parameter's name.
    pub parameter: String,
}

#[derive(Debug)]
struct Slot {
    name: String,
    param: Var,
    moments: Moments,
}

/// Both moments of a parameter, m over v.
#[derive(Debug)]
enum Moments {
    /// f32 on the CPU: one pass over memory updates them and the parameter.
    Flat(Vec<f32>),
    /// Elsewhere: `[2, n]`, in candle's ops.
    Tensor(Tensor),
}

impl Moments {
    fn new(param: &Var) -> Result<Self> {
        let n = param.elem_count();
        if param.device().is_cpu() && param.dtype() == DType::F32 {
            return Ok(Self::Flat(vec![0.0; 2 * n]));
        }
        Ok(Self::Tensor(Tensor::zeros((2, n), param.dtype(), param.device())?))
    }

    fn tensor(&self) -> Result<Tensor> {
        match self {
            Self::Flat(moments) => {
                Tensor::from_slice(moments, (2, moments.len() / 2), &Device::Cpu)
            }
            Self::Tensor(moments) => Ok(moments.clone()),
        }
    }

    fn set(&mut self, stored: &Tensor) -> Result<()> {
        match self {
            Self::Flat(moments) if stored.dims() == [2, moments.len() / 2] => {
                *moments = stored.flatten_all()?.to_vec1()?;
                Ok(())
            }
            Self::Tensor(moments) if stored.dims() == moments.dims() => {
                *moments = stored.to_device(moments.device())?.to_dtype(moments.dtype())?;
                Ok(())
            }
            _ => bail!("moments {:?} do not fit", stored.dims()),
        }
    }
}

impl Adam {
    /// An optimizer of `params` that has taken no step.
    ///
    /// # Errors
    /// If the moments can't be allocated.
    pub fn new(params: &BTreeMap<String, Var>, config: AdamConfig) -> Result<Self> {
        let slot = |(name, param): (&String, &Var)| {
            Ok(Slot { name: name.clone(), param: param.clone(), moments: Moments::new(param)? })
        };
        Ok(Self { config, steps: 0, slots: params.iter().map(slot).collect::<Result<_>>()? })
    }

    /// One step with learning rate `lr`. A parameter without a gradient is left alone, as in PyTorch.
    /// Returns the first parameter whose gradient (or its square) or new weight is not finite, if there
    /// is one: then this optimizer and its parameters are of no further use.
    ///
    /// # Errors
    /// If a gradient's shape is not its parameter's.
    #[tracing::instrument(name = "adam", level = "trace", skip_all, fields(
        // Weight and both moments there and back, and the gradient.
        moved = self.slots.iter().map(|slot| 7 * slot.param.elem_count()).sum::<usize>()
    ))]
    pub fn step(&mut self, gradients: &GradStore, lr: f64) -> Result<Option<Overflow>> {
        self.steps += 1;
        let update = Update::new(&self.config, lr, self.steps);
        let mut overflow = None;
        for slot in &mut self.slots {
            if let Some(gradient) = gradients.get(slot.param.as_tensor()) {
                let broken = update.apply(&slot.param, &mut slot.moments, gradient)?;
                overflow =
                    overflow.or(broken.map(|what| Overflow { what, parameter: slot.name.clone() }));
            }
        }
        Ok(overflow)
    }

    /// Number of steps taken.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The moments by parameter name, `[2, n]` each: m over v.
    ///
    /// # Errors
    /// If they can't be copied.
    pub fn moments(&self) -> Result<BTreeMap<String, Tensor>> {
        self.slots.iter().map(|slot| Ok((slot.name.clone(), slot.moments.tensor()?))).collect()
    }

    /// Takes up the state of another optimizer: what [`Adam::steps`] and [`Adam::moments`] gave.
    ///
    /// # Errors
    /// If a moment is missing or misshapen.
    pub fn restore(&mut self, steps: usize, moments: &BTreeMap<String, Tensor>) -> Result<()> {
        for slot in &mut self.slots {
            match moments.get(&slot.name) {
                Some(stored) => slot.moments.set(stored)?,
                None => bail!("no moments of `{}`", slot.name),
            }
        }
        self.steps = steps;
        Ok(())
    }
}

/// The numbers of one step.
struct Update {
    beta1: f64,
    beta2: f64,
    weight_decay: f64,
    eps: f64,
    /// lr / (1 - β₁ᵗ)
    rate: f64,
    /// 1 / √(1 - β₂ᵗ)
    root: f64,
}

impl Update {
    fn new(config: &AdamConfig, lr: f64, step: usize) -> Self {
        let (beta1, beta2) = config.betas;
        let t = i32::try_from(step).unwrap_or(i32::MAX);
        Self {
            beta1,
            beta2,
            weight_decay: config.weight_decay,
            eps: config.eps,
            rate: lr / (1.0 - beta1.powi(t)),
            root: 1.0 / (1.0 - beta2.powi(t)).sqrt(),
        }
    }

    /// Says which of gradient and weight came out as no number, if one did.
    fn apply(
        &self,
        param: &Var,
        moments: &mut Moments,
        gradient: &Tensor,
    ) -> Result<Option<&'static str>> {
        if param.dims() != gradient.dims() {
            bail!("gradient {:?} of a parameter {:?}", gradient.dims(), param.dims());
        }
        match moments {
            Moments::Flat(moments) => {
                let (moments, largest) = (RefCell::new(&mut moments[..]), Cell::default());
                let fused = Fused { update: self, moments, largest };
                param.inplace_op2(&gradient.contiguous()?, &fused)?;
                let Largest { moment, weight } = fused.largest.get();
                Ok(broken(moment < INFINITY, weight < INFINITY))
            }
            Moments::Tensor(moments) => {
                *moments = self.apply_in_candle(param, moments, gradient)?;
                Ok(broken(is_finite(moments)?, is_finite(param.as_tensor())?))
            }
        }
    }

    /// Updates `param` and returns the new moments.
    fn apply_in_candle(&self, param: &Var, old: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let theta = param.as_detached_tensor();
        let g = (gradient + (&theta * self.weight_decay)?)?.flatten_all()?;
        let m = ((old.get(0)? * self.beta1)? + (&g * (1.0 - self.beta1))?)?;
        let v = ((old.get(1)? * self.beta2)? + (g.sqr()? * (1.0 - self.beta2))?)?;
        let root = ((v.sqrt()? * self.root)? + self.eps)?;
        let step = ((&m / root)? * self.rate)?.reshape(param.dims())?;
        param.set(&(theta - step)?)?;
        Tensor::stack(&[&m, &v], 0)
    }

    /// One pass over a piece of a parameter, its moments and its gradient.
    fn fused(&self, theta: &mut [f32], m: &mut [f32], v: &mut [f32], gradient: &[f32]) -> Largest {
        let mut largest = Largest::default();
        let (beta1, beta2) = (self.beta1 as f32, self.beta2 as f32);
        let (rest1, rest2) = ((1.0 - self.beta1) as f32, (1.0 - self.beta2) as f32);
        let (decay, eps) = (self.weight_decay as f32, self.eps as f32);
        let (rate, root) = (self.rate as f32, self.root as f32);
        for (((theta, m), v), g) in theta.iter_mut().zip(m).zip(v).zip(gradient) {
            let g = g + decay * *theta;
            *m = beta1 * *m + rest1 * g;
            *v = beta2 * *v + rest2 * g * g;
            *theta -= rate * *m / (v.sqrt() * root + eps);
            largest.moment = largest.moment.max(v.abs().to_bits());
            largest.weight = largest.weight.max(theta.abs().to_bits());
        }
        largest
    }
}

/// The bits of infinity: those of every finite number without its sign are less, those of NaN more. A
/// maximum of integers costs nothing beside the update, where one of floats would not vectorize.
const INFINITY: u32 = f32::INFINITY.to_bits();

/// The largest second moment and weight, without sign, as bits.
#[derive(Debug, Clone, Copy, Default)]
struct Largest {
    moment: u32,
    weight: u32,
}

impl Largest {
    fn max(self, other: Self) -> Self {
        Self { moment: self.moment.max(other.moment), weight: self.weight.max(other.weight) }
    }
}

fn broken(moments_are_finite: bool, weights_are_finite: bool) -> Option<&'static str> {
    match (moments_are_finite, weights_are_finite) {
        (false, _) => Some("gradient"),
        (true, false) => Some("weight"),
        (true, true) => None,
    }
}

/// Numbers of one task: every number's update is its own, so any cut gives the same bytes.
const TASK: usize = 1 << 14;

/// [`Update::fused`] over a whole parameter, of which the gradient is the second argument.
struct Fused<'a> {
    update: &'a Update,
    moments: RefCell<&'a mut [f32]>,
    largest: Cell<Largest>,
}

impl InplaceOp2 for Fused<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        param: &mut CpuStorage,
        param_at: &Layout,
        gradient: &CpuStorage,
        gradient_at: &Layout,
    ) -> Result<()> {
        let (start, end) = contiguous(gradient_at)?;
        let gradient = &gradient.as_slice::<f32>()?[start..end];
        let (start, end) = contiguous(param_at)?;
        let CpuStorage::F32(param) = param else { bail!("Adam's one pass is in f32") };
        let mut moments = self.moments.borrow_mut();
        let (m, v) = moments.split_at_mut(end - start);
        let largest = param[start..end]
            .par_chunks_mut(TASK)
            .zip(m.par_chunks_mut(TASK))
            .zip(v.par_chunks_mut(TASK))
            .zip(gradient.par_chunks(TASK))
            .map(|(((theta, m), v), g)| self.update.fused(theta, m, v, g))
            .reduce(Largest::default, Largest::max);
        self.largest.set(largest);
        Ok(())
    }
}

fn contiguous(layout: &Layout) -> Result<(usize, usize)> {
    match layout.contiguous_offsets() {
        Some(offsets) => Ok(offsets),
        None => bail!("Adam works on contiguous tensors"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use candle::{Device, Tensor, Var};

    use super::{Adam, AdamConfig, Moments, Update};

    fn problem() -> (Var, BTreeMap<String, Var>) {
        let x = Var::new(&[1f32, -2.0, 0.5], &Device::Cpu).unwrap();
        (x.clone(), BTreeMap::from([("x".to_owned(), x)]))
    }

    fn descend(adam: &mut Adam, x: &Var, steps: usize) {
        for _ in 0..steps {
            let gradients = x.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            adam.step(&gradients, 0.1).unwrap();
        }
    }

    #[test]
    fn the_first_step_has_the_length_of_the_learning_rate() {
        let (x, params) = problem();
        let mut adam = Adam::new(&params, AdamConfig::default()).unwrap();
        descend(&mut adam, &x, 1);
        for (after, expected) in x.to_vec1::<f32>().unwrap().into_iter().zip([0.9, -1.9, 0.4]) {
            assert!((after - expected).abs() < 1e-6, "{after} for {expected}");
        }
    }

    #[test]
    fn a_restored_optimizer_goes_on_to_the_same_bits() {
        let (straight, params) = problem();
        let mut adam = Adam::new(&params, AdamConfig::default()).unwrap();
        descend(&mut adam, &straight, 5);

        let (x, params) = problem();
        let mut first = Adam::new(&params, AdamConfig::default()).unwrap();
        descend(&mut first, &x, 2);
        let mut second = Adam::new(&params, AdamConfig::default()).unwrap();
        second.restore(first.steps(), &first.moments().unwrap()).unwrap();
        descend(&mut second, &x, 3);
        assert_eq!(straight.to_vec1::<f32>().unwrap(), x.to_vec1::<f32>().unwrap());
    }

    #[test]
    fn what_is_no_number_is_reported() {
        for (bad, lr, what) in [
            (f32::NAN, 0.1, "gradient"),
            (f32::INFINITY, 0.1, "gradient"),
            (1e30, 0.1, "gradient"),
            (1.0, f64::INFINITY, "weight"),
            (1.0, 0.1, ""),
        ] {
            let update = Update::new(&AdamConfig::default(), lr, 1);
            let gradient = Tensor::new(&[0.3f32, bad, 2.0], &Device::Cpu).unwrap();
            let (x, _) = problem();
            let mut moments = Moments::new(&x).unwrap();
            let found = update.apply(&x, &mut moments, &gradient).unwrap();
            assert_eq!(found.unwrap_or_default(), what, "{bad} {lr}");
        }
    }

    #[test]
    fn the_path_in_candles_ops_agrees() {
        let update = Update::new(&AdamConfig::default(), 0.1, 3);
        let gradient = Tensor::new(&[0.3f32, -0.1, 2.0], &Device::Cpu).unwrap();
        let run = |flat: bool| {
            let (x, _) = problem();
            let start = [[0.1f32, 0.2, -0.3], [0.4, 0.5, 0.6]];
            let mut moments = if flat {
                Moments::Flat(start.concat())
            } else {
                Moments::Tensor(Tensor::new(&start, &Device::Cpu).unwrap())
            };
            update.apply(&x, &mut moments, &gradient).unwrap();
            let moments = moments.tensor().unwrap().flatten_all().unwrap();
            [x.to_vec1::<f32>().unwrap(), moments.to_vec1::<f32>().unwrap()].concat()
        };
        for (a, b) in run(true).into_iter().zip(run(false)) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}
