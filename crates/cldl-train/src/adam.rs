//! Adam with coupled L2: the decay is added to the gradient, as in PyTorch's `Adam(weight_decay)`.
//!
//! `g ← ∇ + λθ`, `m ← β₁m + (1-β₁)g`, `v ← β₂v + (1-β₂)g²`,
//! `θ ← θ - lr · m/(1-β₁ᵗ) / (√(v/(1-β₂ᵗ)) + ε)`.

use std::cell::Cell;
use std::collections::BTreeMap;

use candle::backprop::GradStore;
use candle::{CpuStorage, InplaceOp2, InplaceOp3, Layout, Result, Tensor, Var, bail};
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
    /// m over v: `[2, n]`.
    moments: Var,
}

impl Adam {
    /// An optimizer of `params` that has taken no step.
    ///
    /// # Errors
    /// If the moments can't be allocated.
    pub fn new(params: &BTreeMap<String, Var>, config: AdamConfig) -> Result<Self> {
        let slot = |(name, param): (&String, &Var)| {
            let shape = (2, param.elem_count());
            let moments = Var::zeros(shape, param.dtype(), param.device())?;
            Ok(Slot { name: name.clone(), param: param.clone(), moments })
        };
        Ok(Self { config, steps: 0, slots: params.iter().map(slot).collect::<Result<_>>()? })
    }

    /// One step with learning rate `lr`. A parameter without a gradient is left alone, as in PyTorch.
    /// Returns the first parameter whose gradient (or its square) or new weight is not finite, if there
    /// is one: then this optimizer and its parameters are of no further use.
    ///
    /// # Errors
    /// If a gradient's shape is not its parameter's.
    pub fn step(&mut self, gradients: &GradStore, lr: f64) -> Result<Option<Overflow>> {
        self.steps += 1;
        let update = Update::new(&self.config, lr, self.steps);
        let mut overflow = None;
        for slot in &self.slots {
            if let Some(gradient) = gradients.get(slot.param.as_tensor()) {
                let broken = update.apply(&slot.param, &slot.moments, gradient)?;
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
    pub fn moments(&self) -> BTreeMap<String, Tensor> {
        self.slots.iter().map(|s| (s.name.clone(), s.moments.as_detached_tensor())).collect()
    }

    /// Takes up the state of another optimizer: what [`Adam::steps`] and [`Adam::moments`] gave.
    ///
    /// # Errors
    /// If a moment is missing or misshapen.
    pub fn restore(&mut self, steps: usize, moments: &BTreeMap<String, Tensor>) -> Result<()> {
        for slot in &self.slots {
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
    beta1: f32,
    beta2: f32,
    weight_decay: f32,
    eps: f32,
    /// lr / (1 - β₁ᵗ)
    rate: f32,
    /// 1 / √(1 - β₂ᵗ)
    root: f32,
}

impl Update {
    fn new(config: &AdamConfig, lr: f64, step: usize) -> Self {
        let (beta1, beta2) = config.betas;
        let t = i32::try_from(step).unwrap_or(i32::MAX);
        Self {
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            weight_decay: config.weight_decay as f32,
            eps: config.eps as f32,
            rate: (lr / (1.0 - beta1.powi(t))) as f32,
            root: (1.0 / (1.0 - beta2.powi(t)).sqrt()) as f32,
        }
    }

    /// Says which of gradient and weight came out as no number, if one did.
    fn apply(&self, param: &Var, moments: &Var, gradient: &Tensor) -> Result<Option<&'static str>> {
        if param.dims() != gradient.dims() {
            bail!("gradient {:?} of a parameter {:?}", gradient.dims(), param.dims());
        }
        if param.device().is_cpu() {
            let (moment, weight) = (MomentUpdate::new(self), ParamUpdate::new(self));
            moments.inplace_op3(&gradient.contiguous()?, param, &moment)?;
            param.inplace_op2(moments, &weight)?;
            return Ok(broken(moment.largest.get() < INFINITY, weight.largest.get() < INFINITY));
        }
        self.apply_in_candle(param, moments, gradient)?;
        Ok(broken(is_finite(moments.as_tensor())?, is_finite(param.as_tensor())?))
    }

    fn apply_in_candle(&self, param: &Var, moments: &Var, gradient: &Tensor) -> Result<()> {
        let f = f64::from;
        let theta = param.as_detached_tensor();
        let g = (gradient + (&theta * f(self.weight_decay))?)?.flatten_all()?;
        let old = moments.as_detached_tensor();
        let m = ((old.get(0)? * f(self.beta1))? + (&g * f(1.0 - self.beta1))?)?;
        let v = ((old.get(1)? * f(self.beta2))? + (g.sqr()? * f(1.0 - self.beta2))?)?;
        moments.set(&Tensor::stack(&[&m, &v], 0)?)?;
        let root = ((v.sqrt()? * f(self.root))? + f(self.eps))?;
        let step = ((m / root)? * f(self.rate))?.reshape(param.dims())?;
        param.set(&(theta - step)?)
    }
}

/// The bits of infinity: those of every finite number without its sign are less, those of NaN more. A
/// maximum of integers costs nothing beside the update, where one of floats would not vectorize.
const INFINITY: u32 = f32::INFINITY.to_bits();

fn magnitude(value: f32) -> u32 {
    value.abs().to_bits()
}

fn broken(moments_are_finite: bool, weights_are_finite: bool) -> Option<&'static str> {
    match (moments_are_finite, weights_are_finite) {
        (false, _) => Some("gradient"),
        (true, false) => Some("weight"),
        (true, true) => None,
    }
}

struct MomentUpdate<'a> {
    update: &'a Update,
    /// The largest [`magnitude`] of v.
    largest: Cell<u32>,
}

impl<'a> MomentUpdate<'a> {
    fn new(update: &'a Update) -> Self {
        Self { update, largest: Cell::new(0) }
    }
}

impl InplaceOp3 for MomentUpdate<'_> {
    fn name(&self) -> &'static str {
        "adam moments"
    }

    fn cpu_fwd(
        &self,
        moments: &mut CpuStorage,
        at: &Layout,
        gradient: &CpuStorage,
        gradient_at: &Layout,
        param: &CpuStorage,
        param_at: &Layout,
    ) -> Result<()> {
        let u = self.update;
        let mut largest = 0;
        let moments = slice_mut(moments, at)?;
        let (m, v) = moments.split_at_mut(moments.len() / 2);
        let (gradient, param) = (slice(gradient, gradient_at)?, slice(param, param_at)?);
        for (((m, v), g), theta) in m.iter_mut().zip(v).zip(gradient).zip(param) {
            let g = g + u.weight_decay * theta;
            *m = u.beta1 * *m + (1.0 - u.beta1) * g;
            *v = u.beta2 * *v + (1.0 - u.beta2) * g * g;
            largest = largest.max(magnitude(*v));
        }
        self.largest.set(largest);
        Ok(())
    }
}

struct ParamUpdate<'a> {
    update: &'a Update,
    /// The largest [`magnitude`] of θ.
    largest: Cell<u32>,
}

impl<'a> ParamUpdate<'a> {
    fn new(update: &'a Update) -> Self {
        Self { update, largest: Cell::new(0) }
    }
}

impl InplaceOp2 for ParamUpdate<'_> {
    fn name(&self) -> &'static str {
        "adam step"
    }

    fn cpu_fwd(
        &self,
        param: &mut CpuStorage,
        at: &Layout,
        moments: &CpuStorage,
        moments_at: &Layout,
    ) -> Result<()> {
        let u = self.update;
        let mut largest = 0;
        let moments = slice(moments, moments_at)?;
        let (m, v) = moments.split_at(moments.len() / 2);
        for ((theta, m), v) in slice_mut(param, at)?.iter_mut().zip(m).zip(v) {
            *theta -= u.rate * m / (v.sqrt() * u.root + u.eps);
            largest = largest.max(magnitude(*theta));
        }
        self.largest.set(largest);
        Ok(())
    }
}

fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = contiguous(layout)?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

fn slice_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let (start, end) = contiguous(layout)?;
    match storage {
        CpuStorage::F32(values) => Ok(&mut values[start..end]),
        _ => bail!("Adam works in f32"),
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

    use super::{Adam, AdamConfig, Update};

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
        second.restore(first.steps(), &first.moments()).unwrap();
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
            let moments = Var::zeros((2, 3), x.dtype(), x.device()).unwrap();
            let found = update.apply(&x, &moments, &gradient).unwrap();
            assert_eq!(found.unwrap_or_default(), what, "{bad} {lr}");
        }
    }

    #[test]
    fn the_path_in_candles_ops_agrees() {
        let update = Update::new(&AdamConfig::default(), 0.1, 3);
        let gradient = Tensor::new(&[0.3f32, -0.1, 2.0], &Device::Cpu).unwrap();
        let run = |candle: bool| {
            let (x, _) = problem();
            let moments = Var::new(&[[0.1f32, 0.2, -0.3], [0.4, 0.5, 0.6]], &Device::Cpu).unwrap();
            if candle {
                update.apply_in_candle(&x, &moments, &gradient).unwrap();
            } else {
                update.apply(&x, &moments, &gradient).unwrap();
            }
            let mut all = x.to_vec1::<f32>().unwrap();
            all.extend(moments.flatten_all().unwrap().to_vec1::<f32>().unwrap());
            all
        };
        for (a, b) in run(true).into_iter().zip(run(false)) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}
