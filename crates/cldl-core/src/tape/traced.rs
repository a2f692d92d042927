//! Values with a tape: what was done to them, for the backward pass.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use candle::{Result, Tensor};

use super::buffer::Buffer;
use super::with_floats;
use crate::kernels::{Finish, Images, NormStats, Normed, add_assign};

/// A value inside a stretch of layers: numbers, or dual numbers stacked as in [`crate::Dual`].
#[derive(Clone)]
pub(crate) struct Traced {
    data: Data,
    dims: Vec<usize>,
    lanes: usize,
    /// Its number on the tape; none if it depends on nothing that takes a gradient.
    node: Option<usize>,
    recording: Rc<RefCell<Recording>>,
}

/// The numbers of a value.
#[derive(Clone)]
pub(super) enum Data {
    Stored(Arc<Buffer>),
    Normed(Arc<LazyNorm>),
}

/// Normalized and activated numbers that are made where they are read, until somebody wants them
/// written down.
pub(super) struct LazyNorm {
    pub(super) lanes: usize,
    pub(super) stats: Arc<NormStats>,
    pub(super) x: Arc<Buffer>,
    pub(super) slope: Option<f32>,
    pub(super) stored: OnceLock<Arc<Buffer>>,
}

impl Data {
    /// As a convolution reads them.
    pub(super) fn images(&self) -> Images<'_> {
        match self {
            Self::Stored(x) => Images::Stored(x),
            Self::Normed(lazy) => match lazy.stored.get() {
                Some(y) => Images::Stored(y),
                None => Images::Normed(lazy.normed()),
            },
        }
    }

    /// Written down.
    pub(super) fn stored(&self) -> &Arc<Buffer> {
        match self {
            Self::Stored(x) => x,
            Self::Normed(lazy) => lazy.stored.get_or_init(|| {
                let mut y = Buffer::stale(lazy.x.len());
                lazy.normed().store(&mut y);
                Arc::new(y)
            }),
        }
    }
}

impl LazyNorm {
    fn normed(&self) -> Normed<'_> {
        let Self { lanes, stats, x, slope, .. } = self;
        let finish = Finish { residual: None, slope: *slope };
        Normed { lanes: *lanes, stats, x, finish }
    }
}

impl From<Buffer> for Data {
    fn from(buffer: Buffer) -> Self {
        Self::Stored(Arc::new(buffer))
    }
}

/// A tape that is being written.
#[derive(Default)]
struct Recording {
    nodes: Vec<Option<Backward>>,
    params: Vec<Tensor>,
}

/// Takes the gradient of a layer's result and hands out those of its arguments.
type Backward = Box<dyn Fn(Buffer, &mut Sink) + Send + Sync>;

/// What the backward pass needs.
pub(super) struct Tape {
    nodes: Vec<Option<Backward>>,
    /// How many parameters take gradients.
    params: usize,
}

/// Gradients of a stretch.
pub(super) struct Gradients {
    /// Of its input, if that takes one.
    pub(super) input: Option<Buffer>,
    /// Of each of its parameters.
    pub(super) params: Vec<Vec<f32>>,
}

/// Gradients on their way back.
pub(super) struct Sink {
    nodes: Vec<Option<Buffer>>,
    params: Vec<Vec<f32>>,
}

/// A parameter as a layer sees it.
#[derive(Clone)]
pub(super) struct Param {
    data: Arc<Buffer>,
    /// Its number among those that take gradients, if it does.
    number: Option<usize>,
}

impl Traced {
    pub(super) fn input(data: Buffer, dims: &[usize], lanes: usize, tracked: bool) -> Self {
        let recording = Recording { nodes: vec![None], params: Vec::new() };
        Self {
            data: data.into(),
            dims: dims.to_vec(),
            lanes,
            node: tracked.then_some(0),
            recording: Rc::new(RefCell::new(recording)),
        }
    }

    /// The numbers, written down.
    pub(super) fn floats(&self) -> &[f32] {
        self.data.stored()
    }

    /// The same, to be kept.
    pub(super) fn stored(&self) -> Arc<Buffer> {
        self.data.stored().clone()
    }

    pub(super) fn data(&self) -> &Data {
        &self.data
    }

    pub(super) fn dims(&self) -> &[usize] {
        &self.dims
    }

    pub(super) fn lanes(&self) -> usize {
        self.lanes
    }

    pub(super) fn node(&self) -> Option<usize> {
        self.node
    }

    /// `param` as the layers of this stretch see it.
    pub(super) fn param(&self, param: &Tensor) -> Result<Param> {
        let data = Arc::new(with_floats(param, Buffer::copy_of)?);
        if !param.track_op() {
            return Ok(Param { data, number: None });
        }
        let params = &mut self.recording.borrow_mut().params;
        let known = params.iter().position(|known| known.id() == param.id());
        let number = known.unwrap_or_else(|| {
            params.push(param.clone());
            params.len() - 1
        });
        Ok(Param { data, number: Some(number) })
    }

    /// The result of a layer of this value and of what else `depends` names; `backward` is kept only if
    /// one of them takes a gradient.
    pub(super) fn then(
        &self,
        data: impl Into<Data>,
        dims: Vec<usize>,
        depends: bool,
        backward: impl Fn(Buffer, &mut Sink) + Send + Sync + 'static,
    ) -> Self {
        let node = (self.node.is_some() || depends).then(|| {
            let nodes = &mut self.recording.borrow_mut().nodes;
            nodes.push(Some(Box::new(backward)));
            nodes.len() - 1
        });
        let (lanes, recording) = (self.lanes, self.recording.clone());
        Self { data: data.into(), dims, lanes, node, recording }
    }

    /// The tape up to this value, and the parameters that take gradients; nothing if none does.
    pub(super) fn into_tape(self) -> Option<(Tape, Vec<Tensor>)> {
        let node = self.node?;
        let mut recording = self.recording.take();
        recording.nodes.truncate(node + 1);
        let tape = Tape { nodes: recording.nodes, params: recording.params.len() };
        Some((tape, recording.params))
    }
}

impl Param {
    pub(super) fn floats(&self) -> &[f32] {
        &self.data
    }

    pub(super) fn tracked(&self) -> bool {
        self.number.is_some()
    }
}

impl Tape {
    /// The gradients, for the `gradient` of the last value.
    pub(super) fn backward(&self, gradient: Buffer) -> Gradients {
        let params = vec![Vec::new(); self.params];
        let mut sink = Sink { nodes: self.nodes.iter().map(|_| None).collect(), params };
        if let Some(last) = sink.nodes.last_mut() {
            *last = Some(gradient);
        }
        for (node, backward) in self.nodes.iter().enumerate().rev() {
            if let Some(backward) = backward
                && let Some(gradient) = sink.nodes[node].take()
            {
                backward(gradient, &mut sink);
            }
        }
        let input = sink.nodes.first_mut().and_then(Option::take);
        Gradients { input, params: sink.params }
    }
}

impl Sink {
    /// Adds to the gradient of a value, if it takes one.
    pub(super) fn add(&mut self, node: Option<usize>, gradient: Buffer) {
        let Some(node) = node else { return };
        match &mut self.nodes[node] {
            Some(sum) => add_assign(sum, &gradient),
            empty => *empty = Some(gradient),
        }
    }

    /// Adds to the gradient of a value of `len` numbers what `write` writes, if it takes one.
    pub(super) fn add_to(
        &mut self,
        node: Option<usize>,
        len: usize,
        write: impl FnOnce(&mut [f32]),
    ) {
        if node.is_some() {
            let mut gradient = Buffer::stale(len);
            write(&mut gradient);
            self.add(node, gradient);
        }
    }

    /// The gradient of a value of `len` numbers if it takes one, to be written, or to be added to if
    /// that is said; [`Self::close`] takes it back.
    pub(super) fn open(&mut self, node: Option<usize>, len: usize) -> Option<(Buffer, bool)> {
        match self.nodes[node?].take() {
            Some(sum) => Some((sum, true)),
            None => Some((Buffer::stale(len), false)),
        }
    }

    /// Takes back what [`Self::open`] lent.
    pub(super) fn close(&mut self, node: Option<usize>, gradient: Buffer) {
        if let Some(node) = node {
            self.nodes[node] = Some(gradient);
        }
    }

    /// Adds to the gradient of a parameter what `write` writes, if it takes one.
    pub(super) fn add_param(&mut self, param: &Param, write: impl FnOnce(&mut [f32])) {
        let Some(number) = param.number else { return };
        let mut gradient = vec![0.0; param.data.len()];
        write(&mut gradient);
        let sum = &mut self.params[number];
        if sum.is_empty() {
            *sum = gradient;
        } else {
            add_assign(sum, &gradient);
        }
    }
}
