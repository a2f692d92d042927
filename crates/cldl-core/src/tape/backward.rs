//! The tape's backward pass: gradients on their way from the last layer to the first.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::buffer::Buffer;
use super::locked;
use super::rehearsal::{Part, Shared};
use super::traced::Param;
use crate::kernels::add_assign;

/// Reads the gradient of a layer's result, which it may overwrite, and hands out those of its arguments.
type Backward = Box<dyn Fn(&mut Buffer, &mut Sink) + Send + Sync>;

/// A value that takes a gradient.
pub(super) struct Node {
    /// The layer that made it; 0 for the input.
    layer: usize,
    /// None for the input.
    backward: Option<Backward>,
}

impl Node {
    pub(super) fn input() -> Self {
        Self { layer: 0, backward: None }
    }

    pub(super) fn of_layer(
        layer: usize,
        backward: impl Fn(&mut Buffer, &mut Sink) + Send + Sync + 'static,
    ) -> Self {
        Self { layer, backward: Some(Box::new(backward)) }
    }
}

/// What the backward pass needs.
pub(super) struct Tape {
    nodes: Vec<Node>,
    /// How many parameters take gradients.
    params: usize,
    part: TapePart,
}

/// [`Part`], as far as the backward pass goes.
enum TapePart {
    Alone,
    /// Gradients are left here.
    Look(Shared),
    /// The tangents' gradients, which the look left, until the backward pass takes them.
    Follow(Mutex<BTreeMap<usize, Buffer>>),
}

/// Gradients of a stretch.
pub(super) struct Gradients {
    /// Of its input, if that takes one.
    pub(super) input: Option<Buffer>,
    /// Of each of its parameters.
    pub(super) params: Vec<Vec<f32>>,
}

/// Gradients on their way back.
///
/// In a pass that follows a look those of the tangents are there from the start: layers hand out what
/// belongs to the values, and read both.
pub(super) struct Sink {
    nodes: Vec<Slot>,
    params: Vec<Vec<f32>>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Alone,
    Look,
    Follow,
}

/// The gradient of a node so far.
#[derive(Default)]
struct Slot {
    gradient: Option<Buffer>,
    /// Whether a layer has handed anything in.
    written: bool,
}

impl Tape {
    pub(super) fn new(nodes: Vec<Node>, params: usize, part: Part) -> Self {
        let part = match part {
            Part::Alone => TapePart::Alone,
            Part::Look(memory) => TapePart::Look(memory),
            Part::Follow(memory) => TapePart::Follow(Mutex::new(memory.gradients)),
        };
        Self { nodes, params, part }
    }

    /// The gradients, for the `gradient` of the last value.
    pub(super) fn backward(&self, gradient: &[f32]) -> Gradients {
        let kind = match self.part {
            TapePart::Alone => Kind::Alone,
            TapePart::Look(_) => Kind::Look,
            TapePart::Follow(_) => Kind::Follow,
        };
        let nodes = self.nodes.iter().map(|_| Slot::default()).collect();
        let mut sink = Sink { nodes, params: vec![Vec::new(); self.params], kind };
        if let TapePart::Follow(left) = &self.part {
            let mut left = std::mem::take(&mut *locked(left));
            for (slot, node) in sink.nodes.iter_mut().zip(&self.nodes) {
                slot.gradient = left.remove(&node.layer).map(Buffer::doubled);
            }
        }
        let last = self.nodes.len() - 1;
        sink.add_to(Some(last), gradient.len(), |dy| dy.copy_from_slice(&gradient[..dy.len()]));
        for (number, node) in self.nodes.iter().enumerate().rev() {
            let Some(backward) = &node.backward else { continue };
            let Some(mut gradient) = sink.take(number) else { continue };
            backward(&mut gradient, &mut sink);
            self.leave(node.layer, || gradient);
        }
        let input = sink.take(0);
        if let Some(input) = &input {
            self.leave(0, || {
                let mut copy = Buffer::second_half(input.len());
                copy.copy_from_slice(input);
                copy
            });
        }
        Gradients { input, params: sink.params }
    }

    /// Leaves the gradient of a layer's result to the pass that follows, if one does.
    fn leave(&self, layer: usize, gradient: impl FnOnce() -> Buffer) {
        if let TapePart::Look(memory) = &self.part {
            locked(memory).gradients.insert(layer, gradient());
        }
    }
}

impl Sink {
    /// How many of a gradient's `len` numbers layers compute: those of the values, if the tangents' are
    /// known.
    pub(super) fn own(&self, len: usize) -> usize {
        if self.kind == Kind::Follow { len / 2 } else { len }
    }

    /// The gradient of a value of `len` numbers if it takes one, whose [`Self::own`] numbers are to be
    /// written, or added to if that is said; [`Self::close`] takes it back.
    pub(super) fn open(&mut self, node: Option<usize>, len: usize) -> Option<(Buffer, bool)> {
        let slot = &mut self.nodes[node?];
        let gradient = slot.gradient.take().unwrap_or_else(|| match self.kind {
            Kind::Alone => Buffer::stale(len),
            Kind::Look => Buffer::second_half(len),
            Kind::Follow => {
                let mut gradient = Buffer::stale(len);
                gradient[len / 2..].fill(0.0);
                gradient
            }
        });
        Some((gradient, slot.written))
    }

    /// Takes back what [`Self::open`] lent.
    pub(super) fn close(&mut self, node: Option<usize>, gradient: Buffer) {
        if let Some(node) = node {
            self.nodes[node] = Slot { gradient: Some(gradient), written: true };
        }
    }

    /// The gradient of a node, if it has got one.
    fn take(&mut self, node: usize) -> Option<Buffer> {
        let Slot { gradient, written } = std::mem::take(&mut self.nodes[node]);
        gradient.filter(|_| written)
    }

    /// Adds to the gradient of a value of `len` numbers what `write` writes, if it takes one.
    pub(super) fn add_to(
        &mut self,
        node: Option<usize>,
        len: usize,
        write: impl FnOnce(&mut [f32]),
    ) {
        let Some((mut gradient, add)) = self.open(node, len) else { return };
        let own = &mut gradient[..self.own(len)];
        if add {
            let mut terms = Buffer::stale(own.len());
            write(&mut terms);
            add_assign(own, &terms);
        } else {
            write(own);
        }
        self.close(node, gradient);
    }

    /// Adds `gradient` to that of a value of as many numbers, if it takes one.
    pub(super) fn pass_on(&mut self, node: Option<usize>, gradient: &mut Buffer) {
        let Some(number) = node else { return };
        if self.kind == Kind::Alone && !self.nodes[number].written {
            return self.close(node, std::mem::take(gradient));
        }
        let Some((mut sum, add)) = self.open(node, gradient.len()) else { return };
        let own = self.own(gradient.len());
        if add {
            add_assign(&mut sum[..own], &gradient[..own]);
        } else {
            sum[..own].copy_from_slice(&gradient[..own]);
        }
        self.close(node, sum);
    }

    /// Adds to the gradient of a parameter what `write` writes, if it takes one.
    pub(super) fn add_param(&mut self, param: &Param, write: impl FnOnce(&mut [f32])) {
        let Some(number) = param.number() else { return };
        let mut gradient = vec![0.0; param.floats().len()];
        write(&mut gradient);
        let sum = &mut self.params[number];
        if sum.is_empty() {
            *sum = gradient;
        } else {
            add_assign(sum, &gradient);
        }
    }
}
