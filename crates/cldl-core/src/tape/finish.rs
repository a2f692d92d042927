//! What follows a layer in the same pass over memory, on the tape.

use std::sync::Arc;

use candle::{Result, bail};

use super::buffer::Buffer;
use super::traced::{Data, Sink, Traced};
use crate::kernels::{self, leaky_relu_backward};
use crate::layers::Finish;

/// A finish whose backward pass is at hand: gradients go through it in place.
#[derive(Clone)]
pub(super) struct Finished {
    pub(super) lanes: usize,
    pub(super) slope: Option<f32>,
    /// The result, whose signs are those of the activation's argument.
    pub(super) y: Option<Arc<Buffer>>,
    pub(super) residual: Option<usize>,
}

impl Finished {
    /// The gradient before the activation.
    pub(super) fn unactivated(&self, mut dy: Buffer) -> Buffer {
        if let (Some(slope), Some(y)) = (self.slope, &self.y) {
            leaky_relu_backward(self.lanes, slope, y, &mut dy);
        }
        dy
    }

    /// Hands the gradient on to the residual.
    pub(super) fn pass_on(&self, dy: Buffer, sink: &mut Sink) {
        sink.add(self.residual, dy);
    }
}

impl Traced {
    pub(super) fn kernel_finish<'a>(finish: &Finish<'a, Self>) -> kernels::Finish<'a> {
        kernels::Finish {
            residual: finish.residual.map(Self::floats),
            slope: finish.slope.map(|slope| slope as f32),
        }
    }

    pub(super) fn check_residual(finish: &Finish<'_, Self>, dims: &[usize]) -> Result<()> {
        match finish.residual {
            Some(residual) if residual.dims() != dims => {
                bail!("a residual {:?} does not fit {dims:?}", residual.dims())
            }
            _ => Ok(()),
        }
    }

    /// A layer with a finish: `backward` gets the gradient before the activation.
    pub(super) fn finished(
        &self,
        y: Buffer,
        dims: Vec<usize>,
        tracked: bool,
        finish: &Finish<'_, Self>,
        backward: impl Fn(&Buffer, &mut Sink) + Send + Sync + 'static,
    ) -> Self {
        let residual = finish.residual.and_then(Self::node);
        let slope = finish.slope.map(|slope| slope as f32);
        let (y, lanes) = (Arc::new(y), self.lanes());
        let kept = slope.map(|_| y.clone());
        let finished = Finished { lanes, slope, y: kept, residual };
        self.then(Data::Stored(y), dims, tracked || residual.is_some(), move |dy, sink| {
            let dy = finished.unactivated(dy);
            backward(&dy, sink);
            finished.pass_on(dy, sink);
        })
    }
}
