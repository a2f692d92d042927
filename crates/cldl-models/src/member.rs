//! One network of an ensemble, with normalization as its first layer.

use candle::{DType, Device, Result, Tensor, bail};
use cldl_core::{Classifier, ParamBuilder, Value};

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
        Ok(Self {
            scale: Tensor::new(scale, &Device::Cpu)?.to_dtype(DType::F32)?.to_device(device)?,
            shift: Tensor::new(shift, &Device::Cpu)?.to_dtype(DType::F32)?.to_device(device)?,
            network: match config.arch {
                Arch::LeNet5 => Network::LeNet5(LeNet5::new(p, config.n_classes)?),
                Arch::ResNet20 => {
                    Network::ResNet20(ResNet20::new(p, config.n_classes, config.leaky_slope)?)
                }
            },
        })
    }

    /// Representation and logits of `images` `[B, Ch, H, W]`, pixels in [0, 1].
    ///
    /// # Errors
    /// If the images' shape does not fit the architecture.
    pub fn forward<V: Value>(&self, images: &V, mode: Mode) -> Result<Forward<V>> {
        let x = self.normalize(images)?;
        let (representation, logits);
        match &self.network {
            Network::LeNet5(net) => {
                representation = net.represent(&x, mode)?;
                logits = net.classify(&representation, mode)?;
            }
            Network::ResNet20(net) => {
                representation = net.represent(&x, mode)?;
                logits = net.classify(&representation, mode)?;
            }
        }
        Ok(Forward { representation, logits })
    }

    /// Features of a layer, 1 to [`Arch::n_layers`]: `[B, H, W, Ch]` or `[B, D]`. LeNet-5's are taken
    /// after the activation, ResNet-20's before it.
    ///
    /// # Errors
    /// If there is no such layer, or the images do not fit.
    pub fn features<V: Value>(&self, images: &V, layer: usize, mode: Mode) -> Result<V> {
        let x = self.normalize(images)?;
        match &self.network {
            Network::LeNet5(net) => net.features(&x, layer, mode),
            Network::ResNet20(net) => net.features(&x, layer, mode),
        }
    }

    /// (x - mean) / std per channel, as `[B, H, W, Ch]`.
    fn normalize<V: Value>(&self, images: &V) -> Result<V> {
        images
            .map_linear(|x| x.permute((0, 2, 3, 1))?.contiguous())?
            .channel_affine(&self.scale, &self.shift)
    }
}

impl Classifier for Member {
    fn logits(&self, images: &Tensor) -> Result<Tensor> {
        Ok(self.forward(images, Mode::Eval)?.logits)
    }
}
