//! One network of an ensemble, with normalization as its first layer.

use candle::{Device, Result, Tensor, bail};
use cldl_core::{Classifier, Layers, ParamBuilder, Value};

use crate::lenet5::LeNet5;
use crate::resnet20::ResNet20;
use crate::{Arch, EnsembleConfig, Mode};

/// What one pass through a member gives.
#[derive(Debug, Clone)]
pub struct Forward<V> {
    /// The hidden vector v in front of the classifier, before its activation: `[B, 64]`.
    pub representation: V,
    /// Scores before softmax: `[B, C]`.
    pub logits: V,
}

/// One network of an ensemble; takes pixels in [0, 1].
pub struct Member {
    scale: Tensor,
    shift: Tensor,
    network: Network,
}

enum Network {
    LeNet5(LeNet5),
    ResNet20(ResNet20),
}

impl Member {
    /// A member of an ensemble of shape `config`.
    ///
    /// # Errors
    /// If the source of `p` lacks a tensor, or the normalization does not fit the architecture.
    pub fn new(p: &mut ParamBuilder<'_>, config: &EnsembleConfig, device: &Device) -> Result<Self> {
        let [channels, ..] = config.arch.image_shape();
        if config.mean.len() != channels || config.std.len() != channels {
            bail!("`{}` takes {channels} channels, the normalization has others", config.arch);
        }
        let scale: Vec<f64> = config.std.iter().map(|std| 1.0 / std).collect();
        let shift: Vec<f64> = config.mean.iter().zip(&scale).map(|(m, s)| -m * s).collect();
        let network = match config.arch {
            Arch::LeNet5 => Network::LeNet5(LeNet5::new(p, config.n_classes)?),
            Arch::ResNet20 => {
                Network::ResNet20(ResNet20::new(p, config.n_classes, config.leaky_slope)?)
            }
        };
        let constant = |values: Vec<f64>| {
            Tensor::new(values, &Device::Cpu)?.to_dtype(p.dtype())?.to_device(device)
        };
        Ok(Self { scale: constant(scale)?, shift: constant(shift)?, network })
    }

    /// Representation and logits of `images` `[B, Ch, H, W]`, pixels in [0, 1].
    ///
    /// # Errors
    /// If the images' shape does not fit the architecture.
    pub fn forward<V: Value>(&self, images: &V, mode: Mode) -> Result<Forward<V>> {
        let representation =
            images.through(&Pass { member: self, to: To::Representation, mode })?;
        let logits = representation.through(&Classify { network: &self.network, mode })?;
        Ok(Forward { representation, logits })
    }

    /// Features of a layer, 1 to [`Arch::n_layers`]: `[B, H, W, Ch]` or `[B, D]`. LeNet-5's are taken
    /// after the activation, ResNet-20's before it.
    ///
    /// # Errors
    /// If there is no such layer, or the images do not fit.
    pub fn features<V: Value>(&self, images: &V, layer: usize, mode: Mode) -> Result<V> {
        images.through(&Pass { member: self, to: To::Layer(layer), mode })
    }
}

/// A pass of images through a member.
struct Pass<'a> {
    member: &'a Member,
    to: To,
    mode: Mode,
}

/// How far a pass goes.
enum To {
    Representation,
    Layer(usize),
}

impl cldl_core::Network for Pass<'_> {
    fn run<L: Layers>(&self, images: &L) -> Result<L> {
        let Member { scale, shift, network } = self.member;
        // (x - mean) / std per channel.
        let x = images.channels_last()?.channel_affine(scale, shift)?;
        match (network, &self.to) {
            (Network::LeNet5(net), To::Representation) => net.represent(&x, self.mode),
            (Network::LeNet5(net), To::Layer(layer)) => net.features(&x, *layer, self.mode),
            (Network::ResNet20(net), To::Representation) => net.represent(&x, self.mode),
            (Network::ResNet20(net), To::Layer(layer)) => net.features(&x, *layer, self.mode),
        }
    }
}

/// The way from the representation to the logits.
struct Classify<'a> {
    network: &'a Network,
    mode: Mode,
}

impl cldl_core::Network for Classify<'_> {
    fn run<L: Layers>(&self, representation: &L) -> Result<L> {
        match self.network {
            Network::LeNet5(net) => net.classify(representation, self.mode),
            Network::ResNet20(net) => net.classify(representation, self.mode),
        }
    }
}

impl Classifier for Member {
    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        Ok(self.forward(images, Mode::Eval)?.logits)
    }
}
