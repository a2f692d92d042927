//! A stretch of a network as one op of candle's graph.
//!
//! candle's backward pass clears a tensor and adds to it for every argument of every op, and every
//! result is fresh memory. Inside a network that is most of the traffic. So on the CPU a whole stretch
//! of layers is computed at once on a [`Traced`] value: activations live in recycled buffers, a tape
//! notes what each layer's backward pass needs, and candle sees one op, of the stretch's input and of
//! its parameters laid end to end.

mod buffer;
mod conv_norm;
mod conv_pool;
mod finish;
mod layers;
mod traced;

use std::sync::{Mutex, PoisonError};

use candle::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

use self::buffer::Buffer;
pub(crate) use self::traced::Traced;
use self::traced::{Gradients, Tape};

/// `layers` of `x`, with two `lanes` a batch of dual numbers. Only for tensors that
/// [`takes_kernels`](crate::ops::path::takes_kernels).
pub(crate) fn stretch(
    x: &Tensor,
    lanes: usize,
    layers: impl FnOnce(&Traced) -> Result<Traced>,
) -> Result<Tensor> {
    let input = with_floats(x, Buffer::copy_of)?;
    let traced = Traced::input(input, x.dims(), lanes, x.track_op());
    let output = layers(&traced)?;
    let (floats, dims) = (output.floats().to_vec(), output.dims().to_vec());
    let Some((tape, params)) = output.into_tape() else {
        return Tensor::from_vec(floats, dims, x.device());
    };
    let params = params.iter().map(Tensor::flatten_all).collect::<Result<Vec<_>>>()?;
    let params = match params.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        several => Some(Tensor::cat(several, 0)?),
    };
    let stretch = Stretch { tape, output: Mutex::new(Some(floats)), dims };
    match params {
        None => x.apply_op1(stretch),
        Some(params) if x.track_op() => x.apply_op2(&params, stretch),
        Some(params) => params.apply_op1(OfParams(stretch)),
    }
}

/// Hands the numbers of a tensor that lies on the CPU to `f`.
fn with_floats<T>(x: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let x = x.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    let (candle::Storage::Cpu(storage), Some((start, end))) =
        (&*storage, layout.contiguous_offsets())
    else {
        bail!("a stretch of layers is computed on the CPU")
    };
    Ok(f(&storage.as_slice::<f32>()?[start..end]))
}

/// What was computed, to be entered into the graph.
struct Stretch {
    tape: Tape,
    /// The result, until the graph has it.
    output: Mutex<Option<Vec<f32>>>,
    dims: Vec<usize>,
}

impl Stretch {
    fn forward(&self) -> Result<(CpuStorage, Shape)> {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(floats) = output else { bail!("a stretch is entered into the graph once") };
        Ok((CpuStorage::F32(floats), self.dims.as_slice().into()))
    }

    fn backward(&self, gradient: &Tensor) -> Result<Gradients> {
        Ok(self.tape.backward(with_floats(gradient, Buffer::copy_of)?))
    }
}

fn tensor(floats: &[f32], like: &Tensor) -> Result<Tensor> {
    Tensor::from_slice(floats, like.shape(), like.device())
}

fn of_input(gradients: &Gradients, x: &Tensor) -> Result<Option<Tensor>> {
    gradients.input.as_ref().map(|gradient| tensor(gradient, x)).transpose()
}

/// A stretch whose input and parameters both take gradients.
impl CustomOp2 for Stretch {
    fn name(&self) -> &'static str {
        "layers"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward()
    }

    fn bwd(
        &self,
        x: &Tensor,
        params: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradients = self.backward(gradient)?;
        Ok((of_input(&gradients, x)?, Some(tensor(&gradients.params, params)?)))
    }
}

/// A stretch whose input alone takes a gradient.
impl CustomOp1 for Stretch {
    fn name(&self) -> &'static str {
        "layers"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward()
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        of_input(&self.backward(gradient)?, x)
    }
}

/// A stretch whose parameters alone take gradients.
struct OfParams(Stretch);

impl CustomOp1 for OfParams {
    fn name(&self) -> &'static str {
        "layers"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.0.forward()
    }

    fn bwd(&self, params: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(tensor(&self.0.backward(gradient)?.params, params)?))
    }
}
