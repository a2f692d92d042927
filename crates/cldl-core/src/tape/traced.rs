//! Values with a tape: what was done to them, for the backward pass.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use candle::{Result, Tensor};

use super::buffer::Buffer;
use super::with_floats;
use crate::kernels::add_assign;

/// A value inside a stretch of layers: numbers, or dual numbers stacked as in [`crate::Dual`].
#[derive(Clone)]
pub(crate) struct Traced {
    data: Arc<Buffer>,
    dims: Vec<usize>,
    lanes: usize,
    /// Its number on the tape; none if it depends on nothing that takes a gradient.
    node: Option<usize>,
    recording: Rc<RefCell<Recording>>,
}

/// A tape that is being written.
#[derive(Default)]
struct Recording {
    nodes: Vec<Option<Backward>>,
    params: Vec<Tensor>,
    /// Where each parameter's gradient begins, and where the last one ends.
    offsets: Vec<usize>,
}

/// Takes the gradient of a layer's result and hands out those of its arguments.
type Backward = Box<dyn Fn(Buffer, &mut Sink) + Send + Sync>;

/// What the backward pass needs.
pub(super) struct Tape {
    nodes: Vec<Option<Backward>>,
    /// Floats of all parameters.
    params: usize,
}

/// Gradients of a stretch.
pub(super) struct Gradients {
    /// Of its input, if that takes one.
    pub(super) input: Option<Buffer>,
    /// Of its parameters, laid end to end.
    pub(super) params: Buffer,
}

/// Gradients on their way back.
pub(super) struct Sink {
    nodes: Vec<Option<Buffer>>,
    params: Buffer,
}

/// A parameter as a layer sees it.
#[derive(Clone)]
pub(super) struct Param {
    data: Arc<Buffer>,
    /// Where its gradient goes, if it takes one.
    offset: Option<usize>,
}

impl Traced {
    pub(super) fn input(data: Buffer, dims: &[usize], lanes: usize, tracked: bool) -> Self {
        let recording = Recording { nodes: vec![None], params: Vec::new(), offsets: vec![0] };
        Self {
            data: Arc::new(data),
            dims: dims.to_vec(),
            lanes,
            node: tracked.then_some(0),
            recording: Rc::new(RefCell::new(recording)),
        }
    }

    pub(super) fn floats(&self) -> &[f32] {
        &self.data
    }

    pub(super) fn data(&self) -> Arc<Buffer> {
        self.data.clone()
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
            return Ok(Param { data, offset: None });
        }
        let recording = &mut *self.recording.borrow_mut();
        let known = recording.params.iter().position(|known| known.id() == param.id());
        let index = known.unwrap_or_else(|| {
            let end = recording.offsets[recording.params.len()] + data.len();
            recording.params.push(param.clone());
            recording.offsets.push(end);
            recording.params.len() - 1
        });
        Ok(Param { data, offset: Some(recording.offsets[index]) })
    }

    /// The result of a layer of this value and of what else `depends` names; `backward` is kept only if
    /// one of them takes a gradient.
    pub(super) fn then(
        &self,
        data: Arc<Buffer>,
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
        Self { data, dims, lanes, node, recording }
    }

    /// The tape up to this value, and the parameters that take gradients; nothing if none does.
    pub(super) fn into_tape(self) -> Option<(Tape, Vec<Tensor>)> {
        let node = self.node?;
        let mut recording = self.recording.take();
        recording.nodes.truncate(node + 1);
        let params = recording.offsets[recording.params.len()];
        let tape = Tape { nodes: recording.nodes, params };
        Some((tape, recording.params))
    }
}

impl Param {
    pub(super) fn floats(&self) -> &[f32] {
        &self.data
    }

    pub(super) fn tracked(&self) -> bool {
        self.offset.is_some()
    }
}

impl Tape {
    /// The gradients, for the `gradient` of the last value.
    pub(super) fn backward(&self, gradient: Buffer) -> Gradients {
        let mut params = Buffer::stale(self.params);
        params.fill(0.0);
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

    /// Adds to the gradient of a parameter what `write` writes, if it takes one.
    pub(super) fn add_param(&mut self, param: &Param, write: impl FnOnce(&mut [f32])) {
        if let Some(offset) = param.offset {
            let mut gradient = Buffer::stale(param.data.len());
            write(&mut gradient);
            let sum = &mut self.params[offset..offset + gradient.len()];
            sum.iter_mut().zip(&*gradient).for_each(|(sum, term)| *sum += term);
        }
    }
}
