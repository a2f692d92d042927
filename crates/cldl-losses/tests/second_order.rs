//! The gradient of the CLDL objective (Eq. 12) by forward over reverse, against central differences in
//! f64, on a small network with convolution, batch norm, leaky ReLU, pooling and a linear layer.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps, its helpers too")]

use candle::{D, DType, Device, Result, Tensor, Var};
use cldl_core::gradcheck::{gradient_error, tangent_error};
use cldl_core::{Dual, Geometry, Stream, Value, input_gradient};
use cldl_losses::{
    CosineFloor, gradient_alignment, gradient_alignment_official, label_diversity,
    label_diversity_official, member_kl, member_kl_official, one_hot, simulated_label_distribution,
};

const CLASSES: usize = 4;
const GAMMA: f64 = 3.0;
const ALPHA: f64 = 2.0;
const BETA: f64 = 4.0;

/// Shapes of a member's parameters: conv, norm weight and bias, linear, label confusion.
const SHAPES: [&[usize]; 5] = [&[3, 2, 3, 3], &[3], &[3], &[CLASSES, 12], &[CLASSES, CLASSES]];

fn draw(name: &str, shape: &[usize], scale: f64, offset: f64) -> Tensor {
    let mut stream = Stream::new(11, name, &[]);
    let n = shape.iter().product();
    let values: Vec<f64> = (0..n).map(|_| offset + scale * f64::from(stream.normal())).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn member(i: usize) -> Vec<Tensor> {
    let scale = |k: usize| if k == 1 { (0.2, 1.0) } else { (0.5, 0.0) };
    let tensor = |(k, shape): (usize, &&[usize])| {
        draw(&format!("member {i} {k}"), shape, scale(k).0, scale(k).1)
    };
    SHAPES.iter().enumerate().map(tensor).collect()
}

fn images() -> Tensor {
    draw("images", &[3, 4, 4, 2], 0.3, 0.5)
}

fn labels() -> Tensor {
    Tensor::new(&[2u32, 0, 3], &Device::Cpu).unwrap()
}

/// Logits and label confusion vector of a member.
fn forward<V: Value>(x: &V, p: &[Tensor]) -> Result<(V, V)> {
    let x = x.conv2d(&p[0], None, Geometry { stride: 1, padding: 1 })?;
    let (x, _) = x.batch_norm(&p[1], &p[2], 1e-5)?;
    let x = x.leaky_relu(0.1)?.max_pool2()?;
    let logits = x.map_linear(|x| x.flatten_from(1))?.linear(&p[3], None)?;
    let lcv = logits.linear(&p[4], None)?.softmax()?;
    Ok((logits, lcv))
}

fn kl<V: Value>(x: &V, p: &[Tensor], official: bool) -> Result<(V, V)> {
    let one_hot = one_hot(&labels(), CLASSES, DType::F64)?;
    let (logits, lcv) = forward(x, p)?;
    let kl = if official { member_kl_official } else { member_kl };
    Ok((kl(&lcv, &logits, &one_hot, GAMMA)?, lcv))
}

fn diversity(lcvs: &[Tensor], official: bool) -> Result<Tensor> {
    if official {
        return label_diversity_official(lcvs, &labels());
    }
    let one_hot = one_hot(&labels(), CLASSES, DType::F64)?;
    let slds = lcvs.iter().map(|c| simulated_label_distribution(c, &one_hot, GAMMA));
    label_diversity(&slds.collect::<Result<Vec<_>>>()?)?.mean_all()
}

fn alignment(gradients: &[Tensor], official: bool) -> Result<Tensor> {
    if official {
        return gradient_alignment_official(gradients)?.mean_all();
    }
    gradient_alignment(gradients, CosineFloor::EachNorm)?.mean_all()
}

/// Eq. 12 itself, with input gradients taken one at a time: a function of the first member's
/// parameter `k`, the others held.
fn objective(members: &[Vec<Tensor>], official: bool) -> Result<f64> {
    let (mut kls, mut lcvs, mut gradients) = (0.0, Vec::new(), Vec::new());
    for p in members {
        let x = Var::from_tensor(&images())?;
        let (kl, lcv) = kl(x.as_tensor(), p, official)?;
        gradients.push(input_gradient(&kl.sum_all()?, &x)?.flatten_from(1)?);
        kls += kl.mean_all()?.to_scalar::<f64>()? / members.len() as f64;
        lcvs.push(lcv.detach());
    }
    let ld = diversity(&lcvs, official)?.to_scalar::<f64>()?;
    let gd = alignment(&gradients, official)?.to_scalar::<f64>()?;
    Ok(kls - ALPHA * ld + BETA * gd)
}

/// The gradient of Eq. 12 in the first member's parameters, by forward over reverse.
fn forward_over_reverse(members: &[Vec<Tensor>], official: bool) -> Result<Vec<Tensor>> {
    let mut gradients = Vec::new();
    for p in members {
        let x = Var::from_tensor(&images())?;
        let loss = kl(x.as_tensor(), p, official)?.0.sum_all()?;
        gradients.push(Var::from_tensor(&input_gradient(&loss, &x)?.flatten_from(1)?)?);
    }
    let leaves: Vec<Tensor> = gradients.iter().map(|g| g.as_tensor().clone()).collect();
    let by_gradient = (alignment(&leaves, official)? * BETA)?.backward()?;

    let params = members[0].iter().map(Var::from_tensor).collect::<Result<Vec<_>>>()?;
    let tracked: Vec<Tensor> = params.iter().map(|p| p.as_tensor().clone()).collect();
    let (mut total, mut lcvs) = (Tensor::zeros((), DType::F64, &Device::Cpu)?, Vec::new());
    for (i, p) in members.iter().enumerate() {
        let direction = by_gradient.get(&gradients[i]).unwrap().reshape(images().shape())?;
        let x = Dual::new(&images(), &direction)?;
        let (kl, lcv) = kl(&x, if i == 0 { &tracked } else { p }, official)?;
        total = (total + (kl.primal()?.mean_all()? / members.len() as f64)?)?;
        total = (total + kl.tangent()?.sum_all()?)?;
        lcvs.push(lcv.primal()?);
    }
    let by_param = (total - (diversity(&lcvs, official)? * ALPHA)?)?.backward()?;
    Ok(params.iter().map(|p| by_param.get(p).unwrap().clone()).collect())
}

#[test]
fn cldl_gradient_agrees_with_central_differences() {
    const STEP: f64 = 1e-6;
    let members: Vec<_> = (0..3).map(member).collect();
    for official in [false, true] {
        let exact = forward_over_reverse(&members, official).unwrap();
        for (k, exact) in exact.iter().enumerate() {
            let exact = exact.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let at = members[0][k].flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let size = exact.iter().fold(0.0, |size: f64, g| size.max(g.abs()));
            assert!(size > 0.0, "parameter {k} has no gradient");
            for i in 0..at.len() {
                let shifted = |by: f64| {
                    let (mut point, mut moved) = (at.clone(), members.clone());
                    point[i] += by;
                    moved[0][k] = Tensor::from_vec(point, SHAPES[k], &Device::Cpu).unwrap();
                    objective(&moved, official).unwrap()
                };
                let numeric = (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP);
                let error = (numeric - exact[i]).abs() / size;
                assert!(
                    error < 1e-6,
                    "official {official}, parameter {k}[{i}]: off by {error:.1e}"
                );
            }
        }
    }
}

#[test]
fn the_tangent_of_a_loss_is_its_directional_derivative() {
    let (p, direction) = (member(0), draw("direction", &[3, 4, 4, 2], 1.0, 0.0));
    for official in [false, true] {
        let error = tangent_error(
            |x| Ok(kl(x, &p, official)?.0),
            |x| Ok(kl(x, &p, official)?.0),
            &images(),
            &direction,
        );
        assert!(error.unwrap() < 1e-7);
    }
}

/// Directional second order, parameter by parameter: the gradient of the tangent.
#[test]
fn the_tangent_has_the_gradient_of_a_directional_derivative() {
    let direction = draw("direction", &[3, 4, 4, 2], 1.0, 0.0);
    let x = Dual::new(&images(), &direction).unwrap();
    for k in 0..SHAPES.len() {
        let tangent = |w: &Tensor| {
            let mut p = member(0);
            p[k] = w.clone();
            kl(&x, &p, false)?.0.tangent()?.sum(D::Minus1)
        };
        let error = gradient_error(tangent, &member(0)[k]).unwrap();
        assert!(error < 1e-6, "parameter {k}: off by {error:.1e}");
    }
}
