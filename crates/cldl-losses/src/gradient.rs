//! Terms of input gradients: how parallel members' are (Eqs. 1 and 10, GAL's coherence), and how long
//! (TRS's smoothness).

use candle::{Result, Tensor, bail};

/// What keeps a cosine finite where gradients vanish; both forms are PyTorch's, at different times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CosineFloor {
    /// `x·y / (max(‖x‖, 1e-8) · max(‖y‖, 1e-8))`, today's.
    EachNorm,
    /// `x·y / max(‖x‖ ‖y‖, 1e-8)`, PyTorch 1.9's, which the paper's authors used: gradients smaller
    /// than 1e-4 count as nearly orthogonal.
    Product,
}

const FLOOR: f64 = 1e-8;

/// Inner products of N gradients, example by example: `⟨gᵢ[b], gⱼ[b]⟩`. Every term here depends on the gradients
/// through them alone.
#[derive(Debug, Clone)]
pub struct GradientProducts(Tensor);

impl GradientProducts {
    /// Of `gradients`; differentiable in them.
    ///
    /// # Shapes
    /// - `gradients`: N tensors `[B, D]`
    ///
    /// # Errors
    /// If there is none, or shapes differ.
    pub fn of(gradients: &[Tensor]) -> Result<Self> {
        let stacked = Tensor::stack(gradients, 1)?;
        Ok(Self(stacked.matmul(&stacked.t()?)?))
    }

    /// The products as they are, `[B, N, N]`: see [`cldl_core::row_products`].
    ///
    /// # Errors
    /// If that is not the shape.
    pub fn from_tensor(products: &Tensor) -> Result<Self> {
        let (_, rows, columns) = products.dims3()?;
        if rows != columns {
            bail!("products {:?} are not [B, N, N]", products.dims());
        }
        Ok(Self(products.clone()))
    }

    /// [`cosine`] of gradients `i` and `j`.
    ///
    /// # Errors
    /// If there is no such gradient.
    pub fn cosine(&self, i: usize, j: usize, floor: CosineFloor) -> Result<Tensor> {
        let norm = |i: usize, floor: f64| at_least(&self.entry(i, i)?, floor * floor)?.sqrt();
        let scale = match floor {
            CosineFloor::EachNorm => (norm(i, FLOOR)? * norm(j, FLOOR)?)?,
            // Norms are floored far below f32's resolution of the product: the root needs a derivative.
            CosineFloor::Product => at_least(&(norm(i, 1e-18)? * norm(j, 1e-18)?)?, FLOOR)?,
        };
        self.entry(i, j)? / scale
    }

    /// [`absolute_cosine`] of gradients `i` and `j`.
    ///
    /// # Errors
    /// If there is no such gradient.
    pub fn absolute_cosine(&self, i: usize, j: usize, floor: CosineFloor) -> Result<Tensor> {
        let cosine = self.cosine(i, j, floor)?;
        &cosine * cosine.detach().sign()?
    }

    /// [`gradient_alignment`] of all of them.
    ///
    /// # Errors
    /// If there are fewer than two.
    pub fn alignment(&self, floor: CosineFloor) -> Result<Tensor> {
        self.over_pairs(|i, j| self.absolute_cosine(i, j, floor))?.mean(0)
    }

    /// [`gradient_alignment_official`] of all of them.
    ///
    /// # Errors
    /// If there are fewer than two.
    pub fn alignment_official(&self) -> Result<Tensor> {
        let pairs_per_member = self.len()?.saturating_sub(1) as f64 / 2.0;
        self.alignment(CosineFloor::Product)? * pairs_per_member
    }

    /// [`gradient_coherence`] of all of them.
    ///
    /// # Errors
    /// If there are fewer than two.
    pub fn coherence(&self, floor: CosineFloor, guard: f64) -> Result<Tensor> {
        (self.over_pairs(|i, j| self.cosine(i, j, floor)?.exp())?.sum(0)? + guard)?.log()
    }

    /// [`smoothness`], the mean over all of them.
    ///
    /// # Errors
    /// If a shape does not fit.
    pub fn mean_smoothness(&self) -> Result<Tensor> {
        let squares = (0..self.len()?).map(|i| self.entry(i, i)).collect::<Result<Vec<_>>>()?;
        Tensor::stack(&squares, 0)?.mean(0)? * 2.0
    }

    fn len(&self) -> Result<usize> {
        self.0.dim(1)
    }

    /// `⟨gᵢ, gⱼ⟩`, `[B]`.
    fn entry(&self, i: usize, j: usize) -> Result<Tensor> {
        self.0.narrow(1, i, 1)?.narrow(2, j, 1)?.flatten_all()
    }

    /// `f` of each pair i < j, `[pairs, B]`.
    fn over_pairs(&self, f: impl Fn(usize, usize) -> Result<Tensor>) -> Result<Tensor> {
        let n = self.len()?;
        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        let terms = pairs.map(|(i, j)| f(i, j)).collect::<Result<Vec<_>>>()?;
        if terms.is_empty() {
            bail!("pairs of {n} members: there must be at least 2");
        }
        Tensor::stack(&terms, 0)
    }
}

/// `x·y / (‖x‖ ‖y‖)` of each row: Eq. 1.
///
/// # Shapes
/// - `x`, `y`: `[B, D]`
/// - returns `[B]`, in [-1, 1]; 0 where a row vanishes
///
/// # Errors
/// If shapes differ.
pub fn cosine(x: &Tensor, y: &Tensor, floor: CosineFloor) -> Result<Tensor> {
    GradientProducts::of(&[x.clone(), y.clone()])?.cosine(0, 1, floor)
}

/// The absolute value of [`cosine`]; the derivative at orthogonal rows is 0.
///
/// # Shapes
/// - `x`, `y`: `[B, D]`
/// - returns `[B]`, in [0, 1]
///
/// # Errors
/// If shapes differ.
pub fn absolute_cosine(x: &Tensor, y: &Tensor, floor: CosineFloor) -> Result<Tensor> {
    GradientProducts::of(&[x.clone(), y.clone()])?.absolute_cosine(0, 1, floor)
}

/// Gradient alignment ℓ_gd: the mean absolute cosine over pairs of members.
///
/// Eq. 10: `ℓ_gd = 2 / (N(N-1)) · Σ_{i<j} |cos(∇ₓℓᵢ, ∇ₓℓⱼ)|`; TRS's similarity term is the same.
///
/// # Shapes
/// - `gradients`: N tensors `[B, D]`; N at least 2
/// - returns `[B]`, in [0, 1]; does not depend on the gradients' lengths above the floor
///
/// # Errors
/// If there are fewer than two members, or shapes differ.
pub fn gradient_alignment(gradients: &[Tensor], floor: CosineFloor) -> Result<Tensor> {
    GradientProducts::of(gradients)?.alignment(floor)
}

/// [`gradient_alignment`] as published: the sum over pairs is divided by N, not by the number of pairs
/// (the same for N = 3, twice as much for N = 5), with the cosine's old floor.
///
/// # Shapes
/// - `gradients`: N tensors `[B, D]`, of the batch's mean loss; N at least 2
/// - returns `[B]`, in [0, (N-1)/2]
///
/// # Errors
/// If there are fewer than two members, or shapes differ.
pub fn gradient_alignment_official(gradients: &[Tensor]) -> Result<Tensor> {
    GradientProducts::of(gradients)?.alignment_official()
}

/// GAL's coherence of the members' gradients, with signed cosines:
/// `log( Σ_{i<j} exp cos(∇ₓℓᵢ, ∇ₓℓⱼ) + guard )`. The published code has a guard of 1e-6, the paper
/// none.
///
/// # Shapes
/// - `gradients`: N tensors `[B, D]`; N at least 2
/// - returns `[B]`, within 1 of `ln(N(N-1)/2)`
///
/// # Errors
/// If there are fewer than two members, or shapes differ.
///
/// Source: Kariyappa and Qureshi 2019.
pub fn gradient_coherence(gradients: &[Tensor], floor: CosineFloor, guard: f64) -> Result<Tensor> {
    GradientProducts::of(gradients)?.coherence(floor, guard)
}

/// TRS's smoothness of a member's loss: `2 ‖∇ₓℓ‖₂²` of each row.
///
/// # Shapes
/// - `gradient`: `[B, D]`
/// - returns `[B]`, at least 0
///
/// # Errors
/// If `gradient` is a scalar.
///
/// Source: Yang et al. 2021, squared as in their code.
pub fn smoothness(gradient: &Tensor) -> Result<Tensor> {
    GradientProducts::of(std::slice::from_ref(gradient))?.mean_smoothness()
}

fn at_least(x: &Tensor, floor: f64) -> Result<Tensor> {
    x.maximum(&(x.zeros_like()? + floor)?)
}

#[cfg(test)]
mod tests {
    use candle::{Device, Tensor, Var};
    use cldl_core::gradcheck::gradient_error;
    use proptest::prelude::*;

    use super::{
        CosineFloor, absolute_cosine, gradient_alignment, gradient_alignment_official,
        gradient_coherence, smoothness,
    };

    fn rows(values: &[f64]) -> Tensor {
        Tensor::from_slice(values, (2, values.len() / 2), &Device::Cpu).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn alignment_is_in_the_unit_interval_and_free_of_scale(
            a in prop::collection::vec(-1.0..1.0, 8),
            b in prop::collection::vec(-1.0..1.0, 8),
            scale in 0.1..10.0,
        ) {
            let (x, y, floor) = (rows(&a), rows(&b), CosineFloor::EachNorm);
            let plain = gradient_alignment(&[x.clone(), y.clone()], floor).unwrap();
            let scaled = gradient_alignment(&[x.affine(scale, 0.0).unwrap(), y.neg().unwrap()], floor).unwrap();
            let plain = plain.to_vec1::<f64>().unwrap();
            let scaled = scaled.to_vec1::<f64>().unwrap();
            for (plain, scaled) in plain.into_iter().zip(scaled) {
                prop_assert!((0.0..=1.0 + 1e-12).contains(&plain));
                prop_assert!((plain - scaled).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn gradient_of_the_cosine() {
        let y = rows(&[0.3, -0.2, 0.9, 1.0, 0.5, -0.7]);
        let x = rows(&[0.1, 0.8, -0.4, 0.2, 0.2, 0.6]);
        for floor in [CosineFloor::EachNorm, CosineFloor::Product] {
            let f = |x: &Tensor| absolute_cosine(x, &y, floor)?.sum_all();
            assert!(gradient_error(f, &x).unwrap() < 1e-8);
        }
    }

    #[test]
    fn vanishing_and_orthogonal_gradients_have_finite_derivatives() {
        for x in [[0.0f32, 0.0], [0.0, 1.0]] {
            let x = Var::new(&[x], &Device::Cpu).unwrap();
            let y = Tensor::new(&[[1f32, 0.0]], &Device::Cpu).unwrap();
            for floor in [CosineFloor::EachNorm, CosineFloor::Product] {
                let cosine = absolute_cosine(&x, &y, floor).unwrap().sum_all().unwrap();
                let gradient = cldl_core::input_gradient(&cosine, &x).unwrap();
                assert!(cosine.to_scalar::<f32>().unwrap().abs() < 1e-30);
                assert_eq!(gradient.to_vec2::<f32>().unwrap(), [[0.0, 0.0]]);
            }
        }
    }

    #[test]
    fn terms_worked_by_hand() {
        // Cosines of the three pairs: 0, 0.6, 0.8.
        let row = |a: f64, b: f64| Tensor::new(&[[a, b]], &Device::Cpu).unwrap();
        let gradients = [row(2.0, 0.0), row(0.0, 1.0), row(3.0, 4.0)];
        let value = |x: candle::Result<Tensor>| x.unwrap().to_vec1::<f64>().unwrap()[0];
        let close = |x: f64, y: f64| assert!((x - y).abs() < 1e-12, "{x} for {y}");
        let floor = CosineFloor::EachNorm;
        close(value(gradient_alignment(&gradients, floor)), 1.4 / 3.0);
        close(value(gradient_alignment_official(&gradients)), 1.4 / 3.0);
        let sum = 1.0 + 0.6f64.exp() + 0.8f64.exp();
        close(value(gradient_coherence(&gradients, floor, 0.0)), sum.ln());
        close(value(smoothness(&gradients[2])), 50.0);
    }
}
