//! The two paths of every op agree: our CPU kernels, and candle's own ops, which GPUs take. Values and
//! all gradients, of numbers and of dual numbers, on every shape of both networks and on odd ones.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps, its helpers too")]

use candle::{Device, Result, Tensor, Var};
use cldl_core::{Dual, Finish, Geometry, Layers, Network, Stream, Value, with_candle_ops};
use proptest::prelude::*;

/// Numbers in [-1, 1), named by `name`.
fn draw(name: &str, shape: &[usize]) -> Var {
    let mut stream = Stream::new(1, name, &[]);
    let numbers: Vec<f32> =
        (0..shape.iter().product()).map(|_| 2.0 * stream.uniform() - 1.0).collect();
    Var::from_tensor(&Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()).unwrap()
}

/// Written once for numbers and dual numbers: an op of `x` and its parameters.
trait Op {
    fn apply<V: Value>(&self, x: &V, params: &[Tensor]) -> Result<V>;
}

/// Value and gradients of `op`, weighted with random numbers: of x, of x's tangent, of the parameters.
fn evaluate(op: &impl Op, x: &[usize], params: &[Var], dual: bool) -> Result<Vec<Vec<f32>>> {
    let (value, tangent) = (draw("value", x), draw("tangent", x));
    let tensors: Vec<Tensor> = params.iter().map(|p| p.as_tensor().clone()).collect();
    let outputs = if dual {
        let y = op.apply(&Dual::new(&value, &tangent)?, &tensors)?;
        vec![y.primal()?, y.tangent()?]
    } else {
        vec![op.apply(value.as_tensor(), &tensors)?]
    };
    let mut loss = Tensor::zeros((), candle::DType::F32, &Device::Cpu)?;
    let mut found = Vec::new();
    for (k, y) in outputs.iter().enumerate() {
        let weight = draw(&format!("weight {k}"), y.dims());
        loss = (loss + (y * weight.as_detached_tensor())?.sum_all()?)?;
        found.push(y.flatten_all()?.to_vec1()?);
    }
    let gradients = loss.backward()?;
    for var in [&value, &tangent].into_iter().chain(params) {
        let gradient = gradients.get(var).map(|g| g.flatten_all()?.to_vec1()).transpose()?;
        found.push(gradient.unwrap_or_default());
    }
    Ok(found)
}

/// Both paths, plain and dual, within f32's rounding of sums of this length.
fn agree(op: &impl Op, x: &[usize], params: &[(&[usize], f32)]) {
    let params: Vec<Var> = params
        .iter()
        .enumerate()
        .map(|(k, (shape, offset))| {
            let shifted =
                (draw(&format!("param {k}"), shape).as_tensor() + f64::from(*offset)).unwrap();
            Var::from_tensor(&shifted).unwrap()
        })
        .collect();
    for dual in [false, true] {
        let kernels = evaluate(op, x, &params, dual).unwrap();
        let candle = with_candle_ops(|| evaluate(op, x, &params, dual)).unwrap();
        assert_eq!(kernels.len(), candle.len());
        for (k, (ours, theirs)) in kernels.iter().zip(&candle).enumerate() {
            assert_eq!(ours.len(), theirs.len(), "output {k}, dual {dual}");
            let size = theirs.iter().fold(1e-3f32, |size, v| size.max(v.abs()));
            for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
                assert!((a - b).abs() <= 2e-4 * size, "output {k}[{i}], dual {dual}: {a} for {b}");
            }
        }
    }
}

struct Conv(Geometry);

impl Op for Conv {
    fn apply<V: Value>(&self, x: &V, params: &[Tensor]) -> Result<V> {
        x.conv2d(&params[0], params.get(1), self.0)
    }
}

struct Linear;

impl Op for Linear {
    fn apply<V: Value>(&self, x: &V, params: &[Tensor]) -> Result<V> {
        x.linear(&params[0], params.get(1))
    }
}

struct Norm;

impl Op for Norm {
    fn apply<V: Value>(&self, x: &V, params: &[Tensor]) -> Result<V> {
        Ok(x.batch_norm(&params[0], &params[1], 1e-5)?.0)
    }
}

struct Affine;

impl Op for Affine {
    fn apply<V: Value>(&self, x: &V, params: &[Tensor]) -> Result<V> {
        x.channel_affine(&params[0], &params[1])
    }
}

struct Relu(f64);

impl Op for Relu {
    fn apply<V: Value>(&self, x: &V, _: &[Tensor]) -> Result<V> {
        x.leaky_relu(self.0)
    }
}

struct Pool;

impl Op for Pool {
    fn apply<V: Value>(&self, x: &V, _: &[Tensor]) -> Result<V> {
        x.max_pool2()
    }
}

/// Convolution, pooling and activation in one.
struct ConvPool(Geometry, f64);

struct ConvPoolOn<'a>(&'a ConvPool, &'a [Tensor]);

impl Network for ConvPoolOn<'_> {
    fn run<L: Layers>(&self, x: &L) -> Result<L> {
        let Self(ConvPool(geometry, slope), p) = *self;
        x.conv_pool(&p[0], p.get(1), *geometry, *slope)
    }
}

impl Op for ConvPool {
    fn apply<V: Value>(&self, x: &V, params: &[Tensor]) -> Result<V> {
        x.through(&ConvPoolOn(self, params))
    }
}

/// A stretch with everything that a tape must get right: a value that three layers take, parameters
/// that serve twice, finishes with and without their parts.
struct Stretch(f64);

/// The stretch on its parameters: a convolution, a norm, a convolution with a bias, a linear layer.
struct OnParams<'a>(f64, &'a [Tensor]);

impl Network for OnParams<'_> {
    fn run<L: Layers>(&self, x: &L) -> Result<L> {
        let Self(slope, p) = *self;
        let same = Geometry { stride: 1, padding: 1 };
        let activated = |residual| Finish { residual, slope: Some(slope) };
        let x = x.channels_last()?.conv2d(&p[0], None, same)?;
        let (a, _) = x.batch_norm_then(&p[1], &p[2], 1e-5, activated(None))?;
        let b = a.conv2d_then(&p[3], Some(&p[2]), same, activated(Some(&a)))?;
        let unfinished = Finish { residual: Some(&a), slope: None };
        let (c, _) = b.batch_norm_then(&p[1], &p[2], 1e-5, unfinished)?;
        let sum = c.add(&b.leaky_relu(slope)?)?;
        sum.mean_positions()?
            .linear(&p[4], None)?
            .add(&sum.max_pool2()?.flatten()?.linear(&p[5], None)?)
    }
}

impl Op for Stretch {
    fn apply<V: Value>(&self, x: &V, params: &[Tensor]) -> Result<V> {
        x.through(&OnParams(self.0, params))
    }
}

#[test]
fn a_stretch_of_layers_in_one_piece_is_the_layers_one_by_one() {
    let (ch, out) = (3, 7);
    for slope in [0.0, 0.1] {
        let params: [(&[usize], f32); 6] = [
            (&[out, ch, 3, 3], 0.0),
            (&[out], 1.5),
            (&[out], 0.2),
            (&[out, out, 3, 3], 0.0),
            (&[5, out], 0.0),
            (&[5, out * 3 * 2], 0.0),
        ];
        agree(&Stretch(slope), &[4, ch, 6, 5], &params);
    }
}

/// Images [B, H, W, Ch], output channels, kernel, stride, padding.
fn conv(x: [usize; 4], out: usize, kernel: usize, stride: usize, padding: usize, bias: bool) {
    let weight = [out, x[3], kernel, kernel];
    let params: [(&[usize], f32); 2] = [(&weight, 0.0), (&[out], 0.0)];
    agree(&Conv(Geometry { stride, padding }), &x, &params[..=usize::from(bias)]);
}

#[test]
fn convolutions_of_lenet5() {
    conv([2, 28, 28, 1], 20, 5, 1, 0, true);
    conv([2, 12, 12, 20], 50, 5, 1, 0, true);
}

#[test]
fn convolutions_of_resnet20() {
    conv([2, 32, 32, 3], 16, 3, 1, 1, false);
    conv([2, 32, 32, 3], 16, 3, 1, 1, true);
    conv([2, 32, 32, 16], 16, 3, 1, 1, false);
    conv([2, 32, 32, 16], 32, 3, 2, 1, false);
    conv([2, 32, 32, 16], 32, 1, 2, 0, false);
    conv([2, 16, 16, 32], 32, 3, 1, 1, false);
    conv([2, 16, 16, 32], 64, 3, 2, 1, false);
    conv([2, 16, 16, 32], 64, 1, 2, 0, false);
    conv([2, 8, 8, 64], 64, 3, 1, 1, true);
}

#[test]
fn pooled_convolutions_of_lenet5_and_odd_ones() {
    let agree = |x: [usize; 4], out: usize, kernel: usize, slope: f64, bias: bool| {
        let weight = [out, x[3], kernel, kernel];
        let params: [(&[usize], f32); 2] = [(&weight, 0.0), (&[out], 0.0)];
        let op = ConvPool(Geometry::default(), slope);
        agree(&op, &x, &params[..=usize::from(bias)]);
    };
    agree([2, 28, 28, 1], 20, 5, 0.0, true);
    agree([2, 12, 12, 20], 50, 5, 0.0, true);
    agree([3, 7, 6, 3], 17, 2, 0.1, false);
    agree([1, 3, 9, 2], 33, 2, 0.0, true);
}

#[test]
fn linear_layers_of_both_networks_and_the_label_confusion_model() {
    for (inputs, outputs) in [(800, 500), (500, 64), (64, 64), (64, 10), (10, 10)] {
        agree(&Linear, &[6, inputs], &[(&[outputs, inputs], 0.0), (&[outputs], 0.0)]);
        agree(&Linear, &[1, inputs], &[(&[outputs, inputs], 0.0)]);
    }
}

#[test]
fn normalizations_of_resnet20() {
    for x in [[4, 32, 32, 16], [4, 16, 16, 32], [4, 8, 8, 64]] {
        agree(&Norm, &x, &[(&x[3..], 1.5), (&x[3..], 0.0)]);
    }
    agree(&Affine, &[2, 32, 32, 3], &[(&[3], 0.0), (&[3], 0.0)]);
    agree(&Affine, &[2, 28, 28, 1], &[(&[1], 0.0), (&[1], 0.0)]);
}

#[test]
fn ties_of_a_window_go_to_the_first_maximum_on_both_paths() {
    struct Flat;
    impl Op for Flat {
        fn apply<V: Value>(&self, x: &V, _: &[Tensor]) -> Result<V> {
            // Few distinct values: most windows have ties.
            x.leaky_relu(0.0)?.max_pool2()
        }
    }
    agree(&Flat, &[3, 8, 8, 5], &[]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn odd_convolutions(
        (batch, h, w, ch) in (1usize..4, 1usize..10, 1usize..10, 1usize..20),
        (out, kernel, stride, padding) in (1usize..20, 1usize..6, 1usize..4, 0usize..3),
        bias: bool,
    ) {
        // candle's backward pass has one remainder for both axes: with a stride, images are square.
        let w = if stride == 1 { w } else { h };
        prop_assume!(kernel <= h + 2 * padding && kernel <= w + 2 * padding);
        conv([batch, h, w, ch], out, kernel, stride, padding, bias);
    }

    #[test]
    fn odd_linear_layers(rows in 1usize..20, inputs in 1usize..70, outputs in 1usize..70) {
        agree(&Linear, &[rows, inputs], &[(&[outputs, inputs], 0.0), (&[outputs], 0.0)]);
    }

    #[test]
    fn odd_normalizations(batch in 2usize..5, h in 2usize..6, w in 1usize..6, ch in 1usize..40) {
        agree(&Norm, &[batch, h, w, ch], &[(&[ch], 1.5), (&[ch], 0.0)]);
        agree(&Affine, &[batch, h, w, ch], &[(&[ch], 0.0), (&[ch], 0.0)]);
    }

    #[test]
    fn odd_activations_and_pools(
        (batch, h, w, ch) in (1usize..4, 2usize..10, 2usize..10, 1usize..20),
        slope in 0.0..0.5,
    ) {
        agree(&Relu(slope), &[batch, h, w, ch], &[]);
        agree(&Pool, &[batch, h, w, ch], &[]);
    }
}
