//! LeNet-5: conv 20@5x5, pool, conv 50@5x5, pool, 500, 64 (the representation), classes.

use candle::{Result, bail};
use cldl_core::{Layers, ParamBuilder};

use crate::Mode;
use crate::layers::{Conv, Linear};

/// LeNet-5 on normalized images `[B, 28, 28, 1]`.
pub(crate) struct LeNet5 {
    conv1: Conv,
    conv2: Conv,
    hidden: Linear,
    representation: Linear,
    classifier: Linear,
}

impl LeNet5 {
    pub(crate) fn new(p: &mut ParamBuilder<'_>, n_classes: usize) -> Result<Self> {
        Ok(Self {
            conv1: Conv::new(p.part("conv1"), 1, 20, 5)?,
            conv2: Conv::new(p.part("conv2"), 20, 50, 5)?,
            hidden: Linear::new(p.part("Linear"), 800, 500)?,
            representation: Linear::new(p.part("input_vec"), 500, 64)?,
            classifier: Linear::new(p.part("predicted_label"), 64, n_classes)?,
        })
    }

    pub(crate) fn represent<L: Layers>(&self, x: &L, mode: Mode) -> Result<L> {
        let x = self.conv1.pooled(x, mode)?;
        let x = self.conv2.pooled(&x, mode)?;
        let x = self.hidden.forward(&x.flatten()?, mode)?.leaky_relu(0.0)?;
        self.representation.forward(&x, mode)
    }

    pub(crate) fn classify<L: Layers>(&self, representation: &L, mode: Mode) -> Result<L> {
        self.classifier.forward(&representation.leaky_relu(0.0)?, mode)
    }

    /// Layers 1 to 4 after their ReLU (conv1, conv2, 500, representation), 5 the logits.
    pub(crate) fn features<L: Layers>(&self, x: &L, layer: usize, mode: Mode) -> Result<L> {
        if layer == 1 {
            return self.conv1.forward(x, mode)?.leaky_relu(0.0);
        }
        let conv1 = self.conv1.pooled(x, mode)?;
        if layer == 2 {
            return self.conv2.forward(&conv1, mode)?.leaky_relu(0.0);
        }
        let conv2 = self.conv2.pooled(&conv1, mode)?;
        let hidden = self.hidden.forward(&conv2.flatten()?, mode)?.leaky_relu(0.0)?;
        if layer == 3 {
            return Ok(hidden);
        }
        let representation = self.representation.forward(&hidden, mode)?;
        match layer {
            4 => representation.leaky_relu(0.0),
            5 => self.classify(&representation, mode),
            _ => bail!("LeNet-5 has layers 1 to 5, not {layer}"),
        }
    }
}
