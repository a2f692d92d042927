//! ResNet-20 for 32x32 images: widths 16, 32, 64, three blocks each, and a 64-d representation in
//! front of the classifier.

use candle::{Result, bail};
use cldl_core::{Finish, Layers, ParamBuilder};

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

    pub(crate) fn represent<L: Layers>(&self, x: &L, mode: Mode) -> Result<L> {
        let mut x = self.stem.forward(x, mode, self.activated())?;
        for block in &self.blocks {
            x = block.forward(&x, self.slope, mode, Some(self.slope))?;
        }
        self.pooled_representation(&x, mode)
    }

    pub(crate) fn classify<L: Layers>(&self, representation: &L, mode: Mode) -> Result<L> {
        self.classifier.forward(&representation.leaky_relu(self.slope)?, mode)
    }

    /// Before the activation: 1 the stem, 2k and 2k + 1 the first normalization and the sum of block
    /// k (1 to 9); 20 the logits.
    pub(crate) fn features<L: Layers>(&self, x: &L, layer: usize, mode: Mode) -> Result<L> {
        if !(1..=20).contains(&layer) {
            bail!("ResNet-20 has layers 1 to 20, not {layer}");
        }
        if layer == 1 {
            return self.stem.forward(x, mode, Finish::default());
        }
        let mut x = self.stem.forward(x, mode, self.activated())?;
        for (k, block) in (1..).zip(&self.blocks) {
            if layer == 2 * k {
                return block.first.forward(&x, mode, Finish::default());
            }
            if layer == 2 * k + 1 {
                return block.forward(&x, self.slope, mode, None);
            }
            x = block.forward(&x, self.slope, mode, Some(self.slope))?;
        }
        self.classify(&self.pooled_representation(&x, mode)?, mode)
    }

    fn activated<'a, L>(&self) -> Finish<'a, L> {
        Finish { residual: None, slope: Some(self.slope) }
    }

    /// Mean over the positions, then the representation's layer.
    fn pooled_representation<L: Layers>(&self, x: &L, mode: Mode) -> Result<L> {
        self.representation.forward(&x.mean_positions()?, mode)
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

    /// The block's output; its last activation may have another slope, or be left out.
    fn forward<L: Layers>(&self, x: &L, slope: f64, mode: Mode, last: Option<f64>) -> Result<L> {
        let activated = Finish { residual: None, slope: Some(slope) };
        // First, so that its gradient is the last to be added: it reaches a quarter of the pixels.
        let projected = match &self.shortcut {
            None => None,
            Some(shortcut) => Some(shortcut.forward(x, mode, Finish::default())?),
        };
        let hidden = self.first.forward(x, mode, activated)?;
        let residual = Some(projected.as_ref().unwrap_or(x));
        self.second.forward(&hidden, mode, Finish { residual, slope: last })
    }
}
