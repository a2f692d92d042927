//! The kernels by themselves, on the layers of LeNet-5 and ResNet-20: what the benchmarks run.

use super::{
    Aligned, ConvShape, Finish, Images, InputGrad, Unpooled, WeightGrad, conv_backward,
    conv_forward, conv_pool_forward, linear_forward, linear_input_grad, linear_weight_grad,
};

/// A layer that multiplies by weights.
#[derive(Debug, Clone, Copy)]
pub enum Layer {
    /// A convolution.
    Conv(ConvShape),
    /// A convolution, 2 by 2 max pooling and leaky ReLU.
    ConvPool(ConvShape),
    /// A linear layer.
    Linear {
        /// Images of the batch.
        rows: usize,
        /// Features of the input.
        inputs: usize,
        /// Features of the output.
        outputs: usize,
    },
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Conv(shape) => write!(f, "conv, {shape}"),
            Self::ConvPool(shape) => write!(f, "conv and pool, {shape}"),
            Self::Linear { rows, inputs, outputs } => {
                write!(f, "linear, {rows} of {inputs} to {outputs}")
            }
        }
    }
}

/// What is computed of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The output.
    Forward,
    /// The gradient of the input.
    InputGrad,
    /// The gradient of the weight.
    WeightGrad,
}

impl Pass {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Forward, Self::InputGrad, Self::WeightGrad];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::InputGrad => "input gradient",
            Self::WeightGrad => "weight gradient",
        }
    }
}

/// The layers of LeNet-5.
pub fn lenet5_layers(batch: usize) -> Vec<Layer> {
    let conv = |size, in_ch, out_ch| {
        Layer::ConvPool(ConvShape {
            batch,
            in_h: size,
            in_w: size,
            in_ch,
            out_ch,
            kernel: 5,
            stride: 1,
            padding: 0,
        })
    };
    let linear = |inputs, outputs| Layer::Linear { rows: batch, inputs, outputs };
    vec![conv(28, 1, 20), conv(12, 20, 50), linear(800, 500), linear(500, 64), linear(64, 10)]
}

/// The layers of ResNet-20, each shape once.
pub fn resnet20_layers(batch: usize) -> Vec<Layer> {
    let conv = |size, in_ch, out_ch, kernel, stride| {
        let padding = kernel / 2;
        let (in_h, in_w) = (size, size);
        Layer::Conv(ConvShape { batch, in_h, in_w, in_ch, out_ch, kernel, stride, padding })
    };
    let linear = |inputs, outputs| Layer::Linear { rows: batch, inputs, outputs };
    vec![
        conv(32, 3, 16, 3, 1),
        conv(32, 16, 16, 3, 1),
        conv(32, 16, 32, 3, 2),
        conv(32, 16, 32, 1, 2),
        conv(16, 32, 32, 3, 1),
        conv(16, 32, 64, 3, 2),
        conv(16, 32, 64, 1, 2),
        conv(8, 64, 64, 3, 1),
        linear(64, 64),
        linear(64, 10),
    ]
}

/// A layer with numbers of its own, to be computed again and again.
#[derive(Debug)]
pub struct Alone {
    layer: Layer,
    x: Aligned,
    weight: Vec<f32>,
    dy: Aligned,
    argmax: Aligned,
    y: Aligned,
    dx: Aligned,
    dw: Vec<f32>,
}

impl Alone {
    /// With made-up numbers.
    pub fn new(layer: Layer) -> Self {
        let (x, weight, y) = match layer {
            Layer::Conv(shape) => {
                (shape.batch * shape.in_len(), shape.weight_len(), shape.batch * shape.out_len())
            }
            Layer::ConvPool(shape) => {
                let pooled = (shape.out_h() / 2) * (shape.out_w() / 2) * shape.out_ch;
                (shape.batch * shape.in_len(), shape.weight_len(), shape.batch * pooled)
            }
            Layer::Linear { rows, inputs, outputs } => {
                (rows * inputs, inputs * outputs, rows * outputs)
            }
        };
        let pools = matches!(layer, Layer::ConvPool(_));
        // Activations lie as those of a step do.
        let ramp = |len: usize| {
            let mut ramp = Aligned::zeros(len);
            ramp.iter_mut().enumerate().for_each(|(i, x)| *x = (i * 37 % 101) as f32 / 101.0 - 0.5);
            ramp
        };
        let mut alone = Self {
            layer,
            x: ramp(x),
            weight: ramp(weight).to_vec(),
            dy: ramp(y),
            argmax: Aligned::zeros(if pools { y } else { 0 }),
            y: Aligned::zeros(y),
            dx: Aligned::zeros(x),
            dw: vec![0.0; weight],
        };
        // Gradients need the places of the maxima.
        alone.run(Pass::Forward);
        alone
    }

    /// Multiplications of a pass, those by padding zeros included.
    pub fn macs(&self) -> usize {
        match self.layer {
            Layer::Conv(shape) | Layer::ConvPool(shape) => shape.macs(),
            Layer::Linear { rows, inputs, outputs } => rows * inputs * outputs,
        }
    }

    /// Numbers that a pass must read and write.
    pub fn moved(&self) -> usize {
        self.x.len() + self.weight.len() + self.dy.len() + self.argmax.len()
    }

    /// Computes a pass.
    pub fn run(&mut self, pass: Pass) {
        let Self { layer, x, weight, dy, argmax, y, dx, dw } = self;
        let (shape, dy) = match *layer {
            Layer::Linear { rows, inputs, outputs } => {
                return match pass {
                    Pass::Forward => linear_forward(rows, inputs, outputs, x, weight, None, 0, y),
                    Pass::InputGrad => linear_input_grad(rows, inputs, outputs, dy, weight, dx),
                    Pass::WeightGrad => linear_weight_grad(rows, inputs, outputs, x, dy, dw),
                };
            }
            Layer::Conv(shape) => (shape, Images::Stored(dy)),
            Layer::ConvPool(shape) if pass == Pass::Forward => {
                let x = Images::Stored(x);
                return conv_pool_forward(&shape, 1, 0, x, weight, None, 0.0, y, argmax);
            }
            Layer::ConvPool(shape) => {
                let dims = [shape.out_h(), shape.out_w(), shape.out_ch];
                (shape, Images::Unpooled(Unpooled { dims, dy, argmax }))
            }
        };
        match pass {
            Pass::Forward => {
                let finish = Finish::default();
                conv_forward(&shape, Images::Stored(x), weight, None, 0, finish, y);
            }
            Pass::InputGrad => {
                // A shortcut's is added to that of the convolution beside it.
                let of_input = InputGrad { weight, dx, add: shape.kernel == 1 };
                conv_backward(&shape, dy, None, Some(of_input));
            }
            Pass::WeightGrad => {
                let of_weight = WeightGrad { x: Images::Stored(x), dw };
                conv_backward(&shape, dy, Some(of_weight), None);
            }
        }
    }
}
