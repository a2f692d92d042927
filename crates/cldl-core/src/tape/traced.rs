//! Values with a tape: what was done to them, for the backward pass.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use candle::{Result, Tensor};

use super::backward::{Node, Sink, Tape};
use super::buffer::Buffer;
use super::rehearsal::Part;
use super::{locked, with_floats};
use crate::kernels::{Finish, Images, NormStats, Normed};

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
struct Recording {
    nodes: Vec<Node>,
    params: Vec<Tensor>,
    /// How many layers there were, those that take no gradient too; the input is number 0.
    layers: usize,
    part: Part,
}

/// A parameter as a layer sees it.
#[derive(Clone)]
pub(super) struct Param {
    data: Arc<Buffer>,
    /// Its number among those that take gradients, if it does.
    number: Option<usize>,
}

impl Traced {
    pub(super) fn input(
        data: Buffer,
        dims: &[usize],
        lanes: usize,
        tracked: bool,
        part: Part,
    ) -> Self {
        let recording =
            Recording { nodes: vec![Node::input()], params: Vec::new(), layers: 0, part };
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
        backward: impl Fn(&mut Buffer, &mut Sink) + Send + Sync + 'static,
    ) -> Self {
        let mut recording = self.recording.borrow_mut();
        recording.layers += 1;
        let layer = recording.layers;
        let node = (self.node.is_some() || depends).then(|| {
            recording.nodes.push(Node::of_layer(layer, backward));
            recording.nodes.len() - 1
        });
        drop(recording);
        let (lanes, recording) = (self.lanes, self.recording.clone());
        Self { data: data.into(), dims, lanes, node, recording }
    }

    /// The tape up to this value, and the parameters that take gradients; nothing if none does.
    pub(super) fn into_tape(self) -> Option<(Tape, Vec<Tensor>)> {
        let node = self.node?;
        let mut recording = self.recording.borrow_mut();
        let mut nodes = std::mem::take(&mut recording.nodes);
        nodes.truncate(node + 1);
        let params = std::mem::take(&mut recording.params);
        let part = std::mem::replace(&mut recording.part, Part::Alone);
        Some((Tape::new(nodes, params.len(), part), params))
    }

    /// Memory for `len` numbers of the next layer's result, and how many of its lanes they hold already:
    /// a pass that follows a look finds the values there.
    pub(super) fn result(&self, len: usize) -> (Buffer, usize) {
        let recording = &mut *self.recording.borrow_mut();
        match &mut recording.part {
            Part::Alone => (Buffer::stale(len), 0),
            Part::Look(_) => (Buffer::first_half(len), 0),
            Part::Follow(memory) => match memory.result(recording.layers + 1, len / 2) {
                Some(values) => (values.doubled(), 1),
                None => (Buffer::stale(len), 0),
            },
        }
    }

    /// What lay beside the values of [`Self::result`].
    pub(super) fn beside_result(&self, len: usize) -> Option<Buffer> {
        let recording = &mut *self.recording.borrow_mut();
        match &mut recording.part {
            Part::Follow(memory) => memory.beside(recording.layers + 1, len),
            _ => None,
        }
    }

    /// Gives a [`Self::result`] away to the pass that follows, if one does, and what belongs to it.
    pub(super) fn leave(&self, result: &Arc<Buffer>, beside: Option<&Arc<Buffer>>) {
        let recording = self.recording.borrow();
        if let Part::Look(memory) = &recording.part {
            locked(memory).leave(recording.layers + 1, result, beside);
        }
    }
}

impl Param {
    pub(super) fn floats(&self) -> &[f32] {
        &self.data
    }

    pub(super) fn tracked(&self) -> bool {
        self.number.is_some()
    }

    pub(super) fn number(&self) -> Option<usize> {
        self.number
    }
}
