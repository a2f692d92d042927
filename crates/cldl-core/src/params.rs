//! Named parameters and buffers of a model, in the order of their names.
//!
//! Names are those of the published PyTorch state_dict (`model_0.conv1.weight`), so that
//! checkpoints can be read there. A model asks a [`ParamBuilder`] for each of its tensors; where
//! they come from (fresh draws, a checkpoint, a formula of a test) is the [`ParamSource`]'s matter.

use std::collections::BTreeMap;

use candle::{DType, Device, Result, Tensor, Var, bail};

use crate::Stream;

/// How a parameter starts in a model that nobody has trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Uniform in [-bound, bound].
    Uniform(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Every entry the same.
    Constant(f64),
}

/// Where a model's tensors come from.
pub trait ParamSource {
    /// The tensor called `name`, of the given shape.
    fn tensor(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Tensor>;
}

impl<F: FnMut(&str, &[usize], Init) -> Result<Tensor>> ParamSource for F {
    fn tensor(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        self(name, shape, init)
    }
}

/// Every trainable parameter (gradients, optimizer) and buffer (running statistics) of a model.
#[derive(Debug, Clone, Default)]
pub struct Params {
    /// Trained by gradients.
    pub trainable: BTreeMap<String, Var>,
    /// State that is not trained: running means and variances.
    pub buffers: BTreeMap<String, Var>,
}

impl Params {
    /// Fresh draws: each tensor from its own stream, named by `seed` and the tensor's name.
    pub fn fresh(seed: u64, device: &Device) -> impl ParamSource {
        move |name: &str, shape: &[usize], init: Init| {
            let mut stream = Stream::new(seed, &format!("init {name}"), &[]);
            let n = shape.iter().product();
            let mut draw: Box<dyn FnMut() -> f32> = match init {
                Init::Uniform(bound) => {
                    Box::new(move || ((2.0 * f64::from(stream.uniform()) - 1.0) * bound) as f32)
                }
                Init::Normal(std) => Box::new(move || (f64::from(stream.normal()) * std) as f32),
                Init::Constant(value) => Box::new(move || value as f32),
            };
            let values: Vec<f32> = (0..n).map(|_| draw()).collect();
            Tensor::from_vec(values, shape, device)
        }
    }

    /// Tensors of a checkpoint. What the model never asks for stays in `tensors`: the caller decides
    /// whether that is an error.
    pub fn stored(tensors: &mut BTreeMap<String, Tensor>) -> impl ParamSource {
        |name: &str, shape: &[usize], _: Init| match tensors.remove(name) {
            None => bail!("no tensor `{name}`"),
            Some(found) if found.dims() != shape => {
                bail!("tensor `{name}` has shape {:?}, expected {shape:?}", found.dims())
            }
            Some(found) => found.to_dtype(DType::F32),
        }
    }

    /// All tensors by name, parameters and buffers, outside any graph.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        let all = self.trainable.iter().chain(&self.buffers);
        all.map(|(name, var)| (name.clone(), var.as_detached_tensor())).collect()
    }

    /// Number of trainable scalars.
    pub fn n_parameters(&self) -> usize {
        self.trainable.values().map(|var| var.elem_count()).sum()
    }
}

/// Collects a model's tensors under a growing prefix while the model is built.
pub struct ParamBuilder<'a> {
    params: &'a mut Params,
    source: &'a mut dyn ParamSource,
    prefix: String,
}

impl<'a> ParamBuilder<'a> {
    /// Takes tensors from `source` and records them in `params`.
    pub fn new(params: &'a mut Params, source: &'a mut dyn ParamSource) -> Self {
        Self { params, source, prefix: String::new() }
    }

    /// The builder of a part: its names start with this one's prefix, `part` and a dot.
    pub fn part(&mut self, part: &str) -> ParamBuilder<'_> {
        let prefix = format!("{}{part}.", self.prefix);
        ParamBuilder { params: self.params, source: self.source, prefix }
    }

    /// A trainable parameter.
    ///
    /// # Errors
    /// If the source has no such tensor, or one of another shape.
    pub fn trainable(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Var> {
        let (name, var) = self.take(name, shape, init)?;
        self.params.trainable.insert(name, var.clone());
        Ok(var)
    }

    /// State that is not trained.
    ///
    /// # Errors
    /// If the source has no such tensor, or one of another shape.
    pub fn buffer(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Var> {
        let (name, var) = self.take(name, shape, init)?;
        self.params.buffers.insert(name, var.clone());
        Ok(var)
    }

    /// The precision of what was taken so far; f32 if nothing was.
    pub fn dtype(&self) -> DType {
        self.params.trainable.values().next().map_or(DType::F32, |var| var.dtype())
    }

    fn take(&mut self, name: &str, shape: &[usize], init: Init) -> Result<(String, Var)> {
        let name = format!("{}{name}", self.prefix);
        let var = Var::from_tensor(&self.source.tensor(&name, shape, init)?)?;
        Ok((name, var))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use candle::{DType, Device, Tensor};

    use super::{Init, ParamBuilder, ParamSource as _, Params};

    #[test]
    fn a_tensor_depends_on_its_seed_and_name_alone() {
        let draw = |seed, name| {
            let mut source = Params::fresh(seed, &Device::Cpu);
            source.tensor(name, &[3], Init::Uniform(0.5)).unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        assert!(draw(1, "a").iter().all(|v| v.abs() <= 0.5));
    }

    #[test]
    fn stored_tensors_must_exist_and_fit() {
        let zeros = Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap();
        let mut stored = BTreeMap::from([("conv.weight".to_owned(), zeros)]);
        let mut params = Params::default();
        let mut source = Params::stored(&mut stored);
        let mut builder = ParamBuilder::new(&mut params, &mut source);
        let mut conv = builder.part("conv");
        let missing = conv.trainable("bias", &[2], Init::Constant(0.0)).unwrap_err().to_string();
        assert!(missing.contains("no tensor `conv.bias`"), "{missing}");
        let misfit = conv.trainable("weight", &[3], Init::Constant(0.0)).unwrap_err().to_string();
        assert!(misfit.contains("shape [2], expected [3]"), "{misfit}");
    }
}
