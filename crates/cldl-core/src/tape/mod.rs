//! A stretch of a network as one op of candle's graph.
//!
//! candle's backward pass clears a tensor and adds to it for every argument of every op, and every
//! result is fresh memory. Inside a network that is most of the traffic. So on the CPU a whole stretch
//! of layers is computed at once on a [`Traced`] value: activations live in recycled buffers, a tape
//! notes what each layer's backward pass needs, and candle sees one op, of the stretch's input and of
//! a token. candle's ops have three arguments at most: behind the token each parameter has a door, an op
//! without numbers through which its gradient leaves.

mod backward;
mod buffer;
mod conv_norm;
mod conv_pool;
mod finish;
mod layers;
mod rehearsal;
mod traced;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle::{CpuStorage, CustomOp1, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};

use self::backward::{Gradients, Tape};
use self::buffer::Buffer;
use self::rehearsal::Part;
pub use self::rehearsal::{Rehearsal, rehearse};
pub(crate) use self::traced::Traced;

/// `layers` of `x`, with two `lanes` a batch of dual numbers. Only for tensors that
/// [`takes_kernels`](crate::ops::path::takes_kernels).
pub(crate) fn stretch(
    x: &Tensor,
    lanes: usize,
    layers: impl FnOnce(&Traced) -> Result<Traced>,
) -> Result<Tensor> {
    let input = with_floats(x, Buffer::copy_of)?;
    let part = Part::of_next(lanes, x.dims());
    let traced = Traced::input(input, x.dims(), lanes, x.track_op(), part);
    let output = layers(&traced)?;
    let (floats, dims) = (output.floats().to_vec(), output.dims().to_vec());
    let Some((tape, params)) = output.into_tape() else {
        return Tensor::from_vec(floats, dims, x.device());
    };
    let gradients = Arc::new(Mutex::new(vec![None; params.len()]));
    let mut token = None;
    for (number, param) in params.iter().enumerate() {
        let closed = token.map_or_else(|| Tensor::zeros(1, DType::F32, x.device()), Ok)?;
        token = Some(closed.apply_op2(param, Door { number, gradients: gradients.clone() })?);
    }
    let stretch = Stretch { tape, gradients, output: Mutex::new(Some(floats)), dims };
    match token {
        None => x.apply_op1(stretch),
        Some(token) if x.track_op() => x.apply_op2(&token, stretch),
        Some(token) => token.apply_op1(OfParams(stretch)),
    }
}

/// Hands the numbers of a tensor that lies on the CPU to `f`.
pub(crate) fn with_floats<T>(x: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let x = x.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    let (candle::Storage::Cpu(storage), Some((start, end))) =
        (&*storage, layout.contiguous_offsets())
    else {
        bail!("a stretch of layers is computed on the CPU")
    };
    Ok(f(&storage.as_slice::<f32>()?[start..end]))
}

/// Gradients of parameters on their way from a stretch to its doors.
type Passing = Arc<Mutex<Vec<Option<Vec<f32>>>>>;

/// Nobody holds such a lock while anything can panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was computed, to be entered into the graph.
struct Stretch {
    tape: Tape,
    gradients: Passing,
    /// The result, until the graph has it.
    output: Mutex<Option<Vec<f32>>>,
    dims: Vec<usize>,
}

impl Stretch {
    fn forward(&self) -> Result<(CpuStorage, Shape)> {
        let Some(floats) = locked(&self.output).take() else {
            bail!("a stretch is entered into the graph once")
        };
        Ok((CpuStorage::F32(floats), self.dims.as_slice().into()))
    }

    /// The gradient of the input `x`, if that takes one; those of the parameters wait at their doors.
    fn backward(&self, x: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let Gradients { input, params } =
            with_floats(gradient, |gradient| self.tape.backward(gradient))?;
        *locked(&self.gradients) = params.into_iter().map(Some).collect();
        input.map(|input| Tensor::from_slice(&input, x.shape(), x.device())).transpose()
    }
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
        token: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((self.backward(x, gradient)?, next_door(token)?))
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
        self.backward(x, gradient)
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

    fn bwd(&self, token: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        self.0.backward(token, gradient)?;
        next_door(token)
    }
}

/// Where a parameter's gradient leaves a stretch. Its argument beside the parameter is the token of the
/// doors behind it, its result the token of all so far: so candle comes here after the stretch itself.
struct Door {
    number: usize,
    gradients: Passing,
}

/// The gradient of a token: none in value, so that candle goes to the door that made it, if one did.
fn next_door(token: &Tensor) -> Result<Option<Tensor>> {
    token.track_op().then(|| token.zeros_like()).transpose()
}

impl CustomOp2 for Door {
    fn name(&self) -> &'static str {
        "parameter-of-layers"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), 1.into()))
    }

    fn bwd(
        &self,
        token: &Tensor,
        param: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = locked(&self.gradients)[self.number].take();
        let gradient = gradient.filter(|gradient| !gradient.is_empty());
        let gradient =
            gradient.map(|floats| Tensor::from_vec(floats, param.shape(), param.device()));
        Ok((next_door(token)?, gradient.transpose()?))
    }
}
