//! ResNet-20 for 32x32 images: widths 16, 32, 64, three blocks each, and a 64-d representation in
//! front of the classifier.

use candle::{Result, Tensor, bail};
use cldl_core::{ParamBuilder, Value};

use crate::Mode;
use crate::layers::{ConvNorm, Linear};

/// ResNet-20 on normalized images `[B, 32, 32, 3]`.
pub(crate) struct ResNet20 {
    slope: f64,
    stem: ConvNorm,
    blocks: Vec<Block>,
    representation: Linear,
    classifier: Linear,
}

/// Two 3x3 convolutions and a shortcut: the identity, or a 1x1 convolution where the shape changes.
struct Block {
    first: ConvNorm,
    second: ConvNorm,
    shortcut: Option<ConvNorm>,
}

impl ResNet20 {
    pub(crate) fn new(p: &mut ParamBuilder<'_>, n_classes: usize, slope: f64) -> Result<Self> {
        let stem = ConvNorm::new(p, ("conv1", "bn1"), (3, 16), 3, 1)?;
        let mut blocks = Vec::new();
        let mut inputs = 16;
        for (stage, width) in [16, 32, 64].into_iter().enumerate() {
            for k in 0..3 {
                let stride = if stage > 0 && k == 0 { 2 } else { 1 };
                let mut p = p.part(&format!("layer{}.{k}", stage + 1));
                blocks.push(Block::new(&mut p, inputs, width, stride)?);
                inputs = width;
            }
        }
        Ok(Self {
            slope,
            stem,
            blocks,
            representation: Linear::new(p.part("input_vec"), 64, 64)?,
            classifier: Linear::new(p.part("predicted_label"), 64, n_classes)?,
        })
    }

    pub(crate) fn represent<V: Value>(&self, x: &V, mode: Mode) -> Result<V> {
        let mut x = self.stem.forward(x, mode)?.leaky_relu(self.slope)?;
        for block in &self.blocks {
            x = self.block(block, &x, mode)?;
        }
        self.pooled_representation(&x, mode)
    }

    pub(crate) fn classify<V: Value>(&self, representation: &V, mode: Mode) -> Result<V> {
        self.classifier.forward(&representation.leaky_relu(self.slope)?, mode)
    }

    /// Before the activation: 1 the stem, 2k and 2k + 1 the first normalization and the sum of block
    /// k (1 to 9); 20 the logits.
    pub(crate) fn features<V: Value>(&self, x: &V, layer: usize, mode: Mode) -> Result<V> {
        if !(1..=20).contains(&layer) {
            bail!("ResNet-20 has layers 1 to 20, not {layer}");
        }
        let stem = self.stem.forward(x, mode)?;
        if layer == 1 {
            return Ok(stem);
        }
        let mut x = stem.leaky_relu(self.slope)?;
        for (k, block) in (1..).zip(&self.blocks) {
            if layer == 2 * k {
                return block.first.forward(&x, mode);
            }
            if layer == 2 * k + 1 {
                return block.sum(&x, self.slope, mode);
            }
            x = self.block(block, &x, mode)?;
        }
        self.classify(&self.pooled_representation(&x, mode)?, mode)
    }

    fn block<V: Value>(&self, block: &Block, x: &V, mode: Mode) -> Result<V> {
        block.sum(x, self.slope, mode)?.leaky_relu(self.slope)
    }

    /// Mean over the positions, then the representation's layer.
    fn pooled_representation<V: Value>(&self, x: &V, mode: Mode) -> Result<V> {
        let pooled = x.map_linear(|x: &Tensor| x.mean((1, 2)))?;
        self.representation.forward(&pooled, mode)
    }
}

impl Block {
    fn new(p: &mut ParamBuilder<'_>, inputs: usize, width: usize, stride: usize) -> Result<Self> {
        let first = ConvNorm::new(p, ("conv1", "bn1"), (inputs, width), 3, stride)?;
        let second = ConvNorm::new(p, ("conv2", "bn2"), (width, width), 3, 1)?;
        let shortcut = if stride == 1 && inputs == width {
            None
        } else {
            let names = ("downsample.0", "downsample.1");
            Some(ConvNorm::new(p, names, (inputs, width), 1, stride)?)
        };
        Ok(Self { first, second, shortcut })
    }

    /// The block's output before its last activation.
    fn sum<V: Value>(&self, x: &V, slope: f64, mode: Mode) -> Result<V> {
        let hidden = self.first.forward(x, mode)?.leaky_relu(slope)?;
        let residual = self.second.forward(&hidden, mode)?;
        match &self.shortcut {
            None => residual.add(x),
            Some(shortcut) => residual.add(&shortcut.forward(x, mode)?),
        }
    }
}
