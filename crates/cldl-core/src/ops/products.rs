//! Inner products of several tensors' rows, and combinations of these rows.
//!
//! A term of the members' input gradients depends on their inner products alone, N² small numbers for each
//! example. So it is differentiated in those, and the large tensors are read twice: here.

use candle::{Result, Storage, Tensor, bail};

use super::path::takes_kernels;
use crate::kernels;

/// `⟨rowsᵢ[b], rowsⱼ[b]⟩`; the result is part of no graph.
///
/// # Shapes
/// - `rows`: N tensors `[B, D]`
/// - returns `[B, N, N]`
///
/// # Errors
/// If there is no tensor, or shapes differ.
pub fn row_products(rows: &[Tensor]) -> Result<Tensor> {
    let (batch, len) = dims(rows)?;
    let n = rows.len();
    if !rows.iter().all(takes_kernels) {
        let stacked = Tensor::stack(rows, 1)?.detach();
        return stacked.matmul(&stacked.t()?);
    }
    let mut products = vec![0.0; batch * n * n];
    with_all(rows, |rows| kernels::row_products(rows, len, &mut products))?;
    Tensor::from_vec(products, (batch, n, n), rows[0].device())
}

/// `Σⱼ coefficients[b, i, j] · rowsⱼ[b]` for each i; the results are part of no graph.
///
/// # Shapes
/// - `coefficients`: `[B, N, N]`; `rows`: N tensors `[B, D]`
/// - returns N tensors `[B, D]`
///
/// # Errors
/// If shapes do not fit each other.
pub fn combine_rows(coefficients: &Tensor, rows: &[Tensor]) -> Result<Vec<Tensor>> {
    let (batch, len) = dims(rows)?;
    let n = rows.len();
    if coefficients.dims() != [batch, n, n] {
        bail!("combine_rows: coefficients {:?} for {n} rows of {batch}", coefficients.dims());
    }
    if !rows.iter().chain([coefficients]).all(takes_kernels) {
        let combined = coefficients.detach().matmul(&Tensor::stack(rows, 1)?.detach())?;
        return (0..n).map(|i| combined.narrow(1, i, 1)?.squeeze(1)).collect();
    }
    let coefficients = coefficients.flatten_all()?.to_vec1::<f32>()?;
    let combine = |i| {
        let mut out = vec![0.0; batch * len];
        with_all(rows, |rows| kernels::combine_rows(i, &coefficients, rows, len, &mut out))?;
        Tensor::from_vec(out, (batch, len), rows[0].device())
    };
    (0..n).map(combine).collect()
}

fn dims(rows: &[Tensor]) -> Result<(usize, usize)> {
    let Some(first) = rows.first() else { bail!("row products of no tensors") };
    if let Some(other) = rows.iter().find(|row| row.shape() != first.shape()) {
        bail!("row products: {:?} and {:?} differ", first.dims(), other.dims());
    }
    first.dims2()
}

/// Hands the numbers of tensors that lie on the CPU to `f`.
fn with_all(tensors: &[Tensor], f: impl FnOnce(&[&[f32]])) -> Result<()> {
    let tensors = tensors.iter().map(Tensor::contiguous).collect::<Result<Vec<_>>>()?;
    let storages: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let floats = storages.iter().map(|(storage, layout)| {
        let (Storage::Cpu(storage), Some((start, end))) = (&**storage, layout.contiguous_offsets())
        else {
            bail!("rows are read on the CPU")
        };
        Ok(&storage.as_slice::<f32>()?[start..end])
    });
    f(&floats.collect::<Result<Vec<_>>>()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle::{Device, Tensor};

    use super::{combine_rows, row_products};
    use crate::{Stream, with_candle_ops};

    fn rows(n: usize, shape: (usize, usize)) -> Vec<Tensor> {
        let row = |i| {
            let mut stream = Stream::new(4, "rows", &[i as u64]);
            let floats: Vec<f32> = (0..shape.0 * shape.1).map(|_| stream.normal()).collect();
            Tensor::from_vec(floats, shape, &Device::Cpu).unwrap()
        };
        (0..n).map(row).collect()
    }

    #[test]
    fn both_paths_agree() {
        for (n, shape) in [(1, (3, 1)), (2, (5, 63)), (4, (3, 65)), (3, (7, 3072))] {
            let rows = rows(n, shape);
            let both = || {
                let products = row_products(&rows).unwrap();
                assert_eq!(products.dims(), [shape.0, n, n]);
                let combined = combine_rows(&products, &rows).unwrap();
                let tensors = [vec![products], combined].concat();
                let floats = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                tensors.into_iter().map(floats).collect::<Vec<_>>()
            };
            for (ours, candle) in both().iter().zip(with_candle_ops(both)) {
                let size = candle.iter().fold(0.0f32, |size, number| size.max(number.abs()));
                let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * size;
                assert!(ours.iter().zip(&candle).all(close), "{n} of {shape:?}");
            }
        }
    }

    #[test]
    fn shapes_must_fit() {
        let mixed = [rows(1, (2, 3)), rows(1, (2, 4))].concat();
        assert!(row_products(&mixed).unwrap_err().to_string().contains("differ"));
        assert!(row_products(&[]).is_err());
        let coefficients = row_products(&rows(3, (2, 3))).unwrap();
        assert!(combine_rows(&coefficients, &rows(2, (2, 3))).is_err());
    }
}
