//! What follows a layer in the same pass over memory, on the tape.

use std::sync::Arc;

use candle::{Result, bail};

use super::backward::Sink;
use super::buffer::Buffer;
use super::traced::{Data, Traced};
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
    /// Makes `dy` the gradient before the activation.
    pub(super) fn unactivate(&self, dy: &mut Buffer, sink: &Sink) {
        if let (Some(slope), Some(y)) = (self.slope, &self.y) {
            let own = sink.own(dy.len());
            leaky_relu_backward(self.lanes, slope, y, &mut dy[..own]);
        }
    }

    /// Hands the gradient on to the residual.
    pub(super) fn pass_on(&self, dy: &mut Buffer, sink: &mut Sink) {
        sink.pass_on(self.residual, dy);
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
        y: impl Into<Arc<Buffer>>,
        dims: Vec<usize>,
        tracked: bool,
        finish: &Finish<'_, Self>,
        backward: impl Fn(&Buffer, &mut Sink) + Send + Sync + 'static,
    ) -> Self {
        let residual = finish.residual.and_then(Self::node);
        let slope = finish.slope.map(|slope| slope as f32);
        let (y, lanes) = (y.into(), self.lanes());
        let kept = slope.map(|_| y.clone());
        let finished = Finished { lanes, slope, y: kept, residual };
        self.then(Data::Stored(y), dims, tracked || residual.is_some(), move |dy, sink| {
            finished.unactivate(dy, sink);
            backward(dy, sink);
            finished.pass_on(dy, sink);
        })
    }
}
