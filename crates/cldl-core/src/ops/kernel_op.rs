//! From a function on slices to an op of candle's graph.
//!
//! [`Kernel`] is one call of a kernel; [`graph_op1`] to [`graph_op3`] record it with its backward pass.
//! Arguments are made contiguous first, so a kernel sees plain f32 slices.

use candle::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

/// Gradients of an op's arguments; `None` where an argument takes none.
pub(crate) type Gradients<const N: usize> = Result<[Option<Tensor>; N]>;

/// A kernel call: arguments' slices in, the result's slice out.
type Call<const N: usize> = dyn Fn([&[f32]; N], &mut [f32]) + Send + Sync;
/// The backward pass: arguments, result, gradient of the result.
type Backward<const N: usize> =
    dyn Fn([&Tensor; N], &Tensor, &Tensor) -> Gradients<N> + Send + Sync;

struct Kernel<const N: usize> {
    name: &'static str,
    out: Shape,
    call: Box<Call<N>>,
    backward: Option<Box<Backward<N>>>,
}

impl<const N: usize> Kernel<N> {
    fn run(&self, args: [(&CpuStorage, &Layout); N]) -> Result<(CpuStorage, Shape)> {
        let mut slices: [&[f32]; N] = [&[]; N];
        for (slice, (storage, layout)) in slices.iter_mut().zip(args) {
            let Some((start, end)) = layout.contiguous_offsets() else {
                bail!("{}: an argument is not contiguous", self.name)
            };
            *slice = &storage.as_slice::<f32>()?[start..end];
        }
        let mut result = vec![0f32; self.out.elem_count()];
        (self.call)(slices, &mut result);
        Ok((CpuStorage::F32(result), self.out.clone()))
    }

    fn backward(&self, args: [&Tensor; N], result: &Tensor, grad: &Tensor) -> Gradients<N> {
        match &self.backward {
            Some(backward) => backward(args, result, &grad.contiguous()?),
            None => bail!("{} has no backward pass", self.name),
        }
    }
}

impl CustomOp1 for Kernel<1> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        self.run([(s, l)])
    }

    fn bwd(&self, arg: &Tensor, result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [a] = self.backward([arg], result, grad)?;
        Ok(a)
    }
}

impl CustomOp2 for Kernel<2> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run([(s1, l1), (s2, l2)])
    }

    fn bwd(
        &self,
        arg1: &Tensor,
        arg2: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [a, b] = self.backward([arg1, arg2], result, grad)?;
        Ok((a, b))
    }
}

impl CustomOp3 for Kernel<3> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run([(s1, l1), (s2, l2), (s3, l3)])
    }

    fn bwd(
        &self,
        arg1: &Tensor,
        arg2: &Tensor,
        arg3: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [a, b, c] = self.backward([arg1, arg2, arg3], result, grad)?;
        Ok((a, b, c))
    }
}

/// Runs a kernel of one argument outside any graph.
pub(crate) fn run1(
    name: &'static str,
    a: &Tensor,
    out: impl Into<Shape>,
    call: impl Fn([&[f32]; 1], &mut [f32]) + Send + Sync + 'static,
) -> Result<Tensor> {
    let kernel = Kernel { name, out: out.into(), call: Box::new(call), backward: None };
    a.contiguous()?.apply_op1_no_bwd(&kernel)
}

/// Runs a kernel of two arguments outside any graph.
pub(crate) fn run2(
    name: &'static str,
    [a, b]: [&Tensor; 2],
    out: impl Into<Shape>,
    call: impl Fn([&[f32]; 2], &mut [f32]) + Send + Sync + 'static,
) -> Result<Tensor> {
    let kernel = Kernel { name, out: out.into(), call: Box::new(call), backward: None };
    a.contiguous()?.apply_op2_no_bwd(&b.contiguous()?, &kernel)
}

/// A kernel of one argument as an op of the graph.
pub(crate) fn graph_op1(
    name: &'static str,
    a: &Tensor,
    out: impl Into<Shape>,
    call: impl Fn([&[f32]; 1], &mut [f32]) + Send + Sync + 'static,
    backward: impl Fn([&Tensor; 1], &Tensor, &Tensor) -> Gradients<1> + Send + Sync + 'static,
) -> Result<Tensor> {
    let backward: Option<Box<Backward<1>>> = Some(Box::new(backward));
    a.contiguous()?.apply_op1(Kernel { name, out: out.into(), call: Box::new(call), backward })
}

/// A kernel of two arguments as an op of the graph.
pub(crate) fn graph_op2(
    name: &'static str,
    [a, b]: [&Tensor; 2],
    out: impl Into<Shape>,
    call: impl Fn([&[f32]; 2], &mut [f32]) + Send + Sync + 'static,
    backward: impl Fn([&Tensor; 2], &Tensor, &Tensor) -> Gradients<2> + Send + Sync + 'static,
) -> Result<Tensor> {
    let backward: Option<Box<Backward<2>>> = Some(Box::new(backward));
    let kernel = Kernel { name, out: out.into(), call: Box::new(call), backward };
    a.contiguous()?.apply_op2(&b.contiguous()?, kernel)
}

/// A kernel of three arguments as an op of the graph.
pub(crate) fn graph_op3(
    name: &'static str,
    [a, b, c]: [&Tensor; 3],
    out: impl Into<Shape>,
    call: impl Fn([&[f32]; 3], &mut [f32]) + Send + Sync + 'static,
    backward: impl Fn([&Tensor; 3], &Tensor, &Tensor) -> Gradients<3> + Send + Sync + 'static,
) -> Result<Tensor> {
    let backward: Option<Box<Backward<3>>> = Some(Box::new(backward));
    let kernel = Kernel { name, out: out.into(), call: Box::new(call), backward };
    a.contiguous()?.apply_op3(&b.contiguous()?, &c.contiguous()?, kernel)
}

/// The gradient of an argument that takes one; nothing is computed for the others.
pub(crate) fn wanted(
    arg: &Tensor,
    gradient: impl FnOnce() -> Result<Tensor>,
) -> Result<Option<Tensor>> {
    if arg.track_op() { gradient().map(Some) } else { Ok(None) }
}
