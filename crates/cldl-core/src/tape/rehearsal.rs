//! A look at a network, kept for the pass of dual numbers that follows it.
//!
//! A term of input gradients takes two passes (see the objectives' `second_order`): a look, which gives
//! ∇ₓℓ, and then a pass on dual numbers `x + r·v`, with v from those gradients, that ends in the tangent
//! `ℓ̇ = ⟨v, ∇ₓℓ⟩`. Half of the second is in the first already. At a layer's result `z + r·ż`
//!
//! - z is what the look computed, and
//! - the gradient of ℓ̇ in ż is `∂ℓ/∂z`, since `ℓ̇ = ⟨∂ℓ/∂z, ż⟩` at every layer: what the look's
//!   backward pass handed on.
//!
//! So the second pass computes the tangents, the gradients of z, and those of the weights. Of the
//! convolutions' work, in units of one pass of numbers forward: 1 + 1 for the look, then 1 (it was 2) and
//! 1 (it was 2) and 2, which is 6 of 8.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use candle::Result;

use super::buffer::Buffer;
use super::locked;

/// What a look at a network left behind: a memory for each stretch of layers, in their order.
#[derive(Default)]
pub struct Rehearsal(VecDeque<Shared>);

/// What the look left of one stretch. The graph of the look writes into it until it is dropped.
pub(super) type Shared = Arc<Mutex<Memory>>;

#[derive(Default)]
pub(super) struct Memory {
    /// Dimensions of the input.
    dims: Vec<usize>,
    /// Results of layers by the layers' numbers, and what belongs to them.
    results: BTreeMap<usize, Arc<Buffer>>,
    beside: BTreeMap<usize, Arc<Buffer>>,
    /// The gradients of the layers' results by the layers' numbers, of the input by 0; second halves.
    pub(super) gradients: BTreeMap<usize, Buffer>,
}

/// What a stretch of layers is evaluated for.
pub(super) enum Part {
    /// Itself.
    Alone,
    /// A look that another pass follows.
    Look(Shared),
    /// The pass that follows.
    Follow(Memory),
}

enum Stage {
    Alone,
    Looking(VecDeque<Shared>),
    Following(VecDeque<Shared>),
}

thread_local! {
    static STAGE: RefCell<Stage> = const { RefCell::new(Stage::Alone) };
}

/// Evaluates a loss and differentiates it in its input by `look`, and keeps what a pass of dual numbers
/// through the same network can use again: see [`Rehearsal::perform`].
///
/// # Errors
/// What `look` fails with.
pub fn rehearse<T>(look: impl FnOnce() -> Result<T>) -> Result<(T, Rehearsal)> {
    let (result, stage) = on_stage(Stage::Looking(VecDeque::new()), look);
    let memories = if let Stage::Looking(memories) = stage { memories } else { VecDeque::new() };
    Ok((result?, Rehearsal(memories)))
}

impl Rehearsal {
    /// Evaluates the look's loss on dual numbers whose values are the look's input. The numbers are those
    /// of a pass without a rehearsal, up to rounding; so are the gradients, if what is differentiated is
    /// the loss's tangent, reduced as the look reduced the loss, plus anything that depends on values alone.
    ///
    /// Off the CPU, where layers are candle's ops, nothing is kept and nothing saved.
    ///
    /// # Errors
    /// What `pass` fails with.
    pub fn perform<T>(self, pass: impl FnOnce() -> Result<T>) -> Result<T> {
        on_stage(Stage::Following(self.0), pass).0
    }
}

/// Runs `f` with the thread's stage set, and returns the stage as it left it.
fn on_stage<T>(stage: Stage, f: impl FnOnce() -> T) -> (T, Stage) {
    /// Puts back what was there, also if `f` panics.
    struct Restore(Option<Stage>);
    impl Restore {
        fn now(&mut self) -> Stage {
            self.0.take().map_or(Stage::Alone, |before| STAGE.replace(before))
        }
    }
    impl Drop for Restore {
        fn drop(&mut self) {
            self.now();
        }
    }
    let mut restore = Restore(Some(STAGE.replace(stage)));
    let result = f();
    (result, restore.now())
}

impl Part {
    /// The part of the stretch that this thread comes to now, of an input of these `dims`.
    pub(super) fn of_next(lanes: usize, dims: &[usize]) -> Self {
        STAGE.with_borrow_mut(|stage| match stage {
            Stage::Looking(memories) if lanes == 1 => {
                let memory = Memory { dims: dims.to_vec(), ..Memory::default() };
                let memory = Arc::new(Mutex::new(memory));
                memories.push_back(memory.clone());
                Self::Look(memory)
            }
            Stage::Following(memories) if lanes == 2 => {
                let memory =
                    memories.pop_front().map(|memory| std::mem::take(&mut *locked(&memory)));
                // No gradient came through a stretch that the loss does not depend on.
                memory
                    .filter(|memory| memory.fits(dims) && !memory.gradients.is_empty())
                    .map_or(Self::Alone, Self::Follow)
            }
            _ => Self::Alone,
        })
    }
}

impl Memory {
    /// Notes a layer's result.
    pub(super) fn leave(
        &mut self,
        layer: usize,
        result: &Arc<Buffer>,
        beside: Option<&Arc<Buffer>>,
    ) {
        self.results.insert(layer, result.clone());
        if let Some(beside) = beside {
            self.beside.insert(layer, beside.clone());
        }
    }

    /// The layer's result, of `len` numbers, if nobody else holds it.
    pub(super) fn result(&mut self, layer: usize, len: usize) -> Option<Buffer> {
        taken(&mut self.results, layer, len)
    }

    /// What belongs to it.
    pub(super) fn beside(&mut self, layer: usize, len: usize) -> Option<Buffer> {
        taken(&mut self.beside, layer, len)
    }

    /// Whether dual numbers of these `dims` have values of the look's.
    fn fits(&self, dims: &[usize]) -> bool {
        let (Some((look, rest)), Some((both, rest_of_both))) =
            (self.dims.split_first(), dims.split_first())
        else {
            return false;
        };
        2 * look == *both && rest == rest_of_both
    }
}

fn taken(from: &mut BTreeMap<usize, Arc<Buffer>>, layer: usize, len: usize) -> Option<Buffer> {
    from.remove(&layer).and_then(Arc::into_inner).filter(|buffer| buffer.len() == len)
}

impl std::fmt::Debug for Rehearsal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rehearsal").field("stretches", &self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use candle::{Device, Result, Tensor, Var};

    use super::{Part, Rehearsal, rehearse};
    use crate::{Dual, Finish, Geometry, Layers, Network, Norm, Stream, Value, input_gradient};

    fn draw(name: &str, shape: &[usize]) -> Var {
        let mut stream = Stream::new(3, name, &[]);
        let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| stream.normal()).collect();
        Var::from_tensor(&Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()).unwrap()
    }

    /// A convolution, a residual block, pooling and two linear layers; weights are constants in a look.
    struct Net {
        weights: Vec<Var>,
        constant: bool,
    }

    impl Net {
        fn new() -> Self {
            let shapes: [&[usize]; 8] = [
                &[16, 2, 3, 3],
                &[16],
                &[16],
                &[16, 16, 3, 3],
                &[5, 16, 3, 3],
                &[5],
                &[6, 45],
                &[4, 6],
            ];
            let named = |(k, shape): (usize, &&[usize])| draw(&format!("weight {k}"), shape);
            Self { weights: shapes.iter().enumerate().map(named).collect(), constant: false }
        }

        fn weight(&self, k: usize) -> Tensor {
            let weight = &self.weights[k];
            if self.constant { weight.as_detached_tensor() } else { weight.as_tensor().clone() }
        }
    }

    impl Network for Net {
        fn run<L: Layers>(&self, x: &L) -> Result<L> {
            let same = Geometry { stride: 1, padding: 1 };
            let (gamma, beta) = (self.weight(1), self.weight(2));
            let norm = Norm { weight: &gamma, bias: &beta, eps: 1e-5 };
            let activated = Finish { residual: None, slope: Some(0.1) };
            let (x, _) =
                x.channels_last()?.conv_norm_then(&self.weight(0), same, norm, activated)?;
            let residual = Finish { residual: Some(&x), slope: Some(0.0) };
            let (x, _) = x.conv_norm_then(&self.weight(3), same, norm, residual)?;
            let x =
                x.conv_pool(&self.weight(4), Some(&self.weight(5)), Geometry::default(), 0.0)?;
            let x = x.flatten()?.linear(&self.weight(6), None)?.leaky_relu(0.0)?;
            x.linear(&self.weight(7), None)
        }
    }

    /// Cross-entropy of each example, the label being its number.
    fn loss<V: Value>(net: &Net, x: &V) -> Result<V> {
        let one_hot = Tensor::eye(4, candle::DType::F32, &Device::Cpu)?;
        x.through(net)?.log_softmax()?.mul_constant(&one_hot.neg()?)?.sum_last()
    }

    /// Losses, tangents and all gradients of both, after a look.
    fn follow(rehearsed: bool) -> Vec<Vec<f32>> {
        let mut net = Net { constant: true, ..Net::new() };
        let x = draw("images", &[4, 2, 8, 8]);
        let look = || input_gradient(&loss(&net, x.as_tensor())?.sum_all()?, &x);
        let (direction, rehearsal) = rehearse(look).unwrap();
        let rehearsal = if rehearsed { rehearsal } else { Rehearsal::default() };
        net.constant = false;
        let dual = Dual::new(&x.as_detached_tensor(), &direction).unwrap();
        let loss = rehearsal.perform(|| loss(&net, &dual)).unwrap();
        let (value, tangent) = (loss.primal().unwrap(), loss.tangent().unwrap());
        let total = (value.mean_all().unwrap() + tangent.sum_all().unwrap()).unwrap();
        let gradients = total.backward().unwrap();
        let of_weights = net.weights.iter().map(|weight| gradients.get(weight).unwrap().clone());
        [value, tangent]
            .into_iter()
            .chain(of_weights)
            .map(|numbers| numbers.flatten_all().unwrap().to_vec1().unwrap())
            .collect()
    }

    #[test]
    fn a_pass_after_its_rehearsal_is_the_pass_without() {
        let (plain, rehearsed) = (follow(false), follow(true));
        assert_eq!(plain[..2], rehearsed[..2]);
        for (plain, rehearsed) in plain.iter().zip(&rehearsed) {
            let size = plain.iter().fold(0.0f32, |size, number| size.max(number.abs()));
            assert!(size > 0.0);
            for (a, b) in plain.iter().zip(rehearsed) {
                assert!((a - b).abs() <= 1e-5 * size, "{b} for {a} of {size}");
            }
        }
    }

    #[test]
    fn a_stretch_finds_the_memory_of_its_own_dimensions() {
        let look = |dims: &[usize]| {
            let ((), rehearsal) = rehearse(|| {
                let Part::Look(memory) = Part::of_next(1, dims) else { panic!("no look") };
                let gradient = super::Buffer::second_half(1);
                memory.lock().unwrap().gradients.insert(0, gradient);
                Ok(())
            })
            .unwrap();
            rehearsal
        };
        let finds = |rehearsal: Rehearsal, lanes, dims: &[usize]| {
            rehearsal.perform(|| Ok(matches!(Part::of_next(lanes, dims), Part::Follow(_)))).unwrap()
        };
        assert!(finds(look(&[3, 5]), 2, &[6, 5]));
        assert!(!finds(look(&[3, 5]), 2, &[6, 4]));
        assert!(!finds(look(&[3, 5]), 1, &[3, 5]));
        assert!(!finds(Rehearsal::default(), 2, &[6, 5]));
        assert!(matches!(Part::of_next(1, &[3, 5]), Part::Alone));
    }
}
