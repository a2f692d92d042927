//! Images with a border of zeros, one at a time.

use super::ConvShape;
use crate::kernels::Images;
use crate::kernels::scratch::with_scratch;
use pulp::{Simd, WithSimd};

/// How one NHWC image lies inside its padded copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Padding {
    h: usize,
    /// Floats in a row of the image.
    width: usize,
    /// Rows of zeros above and below.
    above: usize,
    /// Zeros to the left and to the right of a row.
    beside: usize,
    /// Zeros after the last row, for vectors that read past it.
    slack: usize,
}

impl Padding {
    /// Of the input of a convolution.
    pub(super) fn of_input(shape: &ConvShape) -> Self {
        Self {
            h: shape.in_h,
            width: shape.in_w * shape.in_ch,
            above: shape.padding,
            beside: shape.padding * shape.in_ch,
            slack: 0,
        }
    }

    /// The same for `h` rows with no rows of zeros.
    pub(super) fn of_rows(self, h: usize) -> Self {
        Self { h, above: 0, ..self }
    }

    /// Nothing around `len` floats.
    pub(super) fn none(len: usize) -> Self {
        Self { h: 1, width: len, above: 0, beside: 0, slack: 0 }
    }

    /// The same with zeros at the end.
    pub(super) fn with_slack(self, slack: usize) -> Self {
        Self { slack, ..self }
    }

    /// Floats in a row of the padded image.
    pub(super) fn row(&self) -> usize {
        self.width + 2 * self.beside
    }

    /// Calls `work` with the padded image `index` of `images`: a copy, unless it lies in memory as it
    /// is and there is nothing to add.
    pub(super) fn with<S: Simd, R>(
        &self,
        simd: S,
        images: &Images<'_>,
        index: usize,
        work: impl FnOnce(&[f32]) -> R,
    ) -> R {
        let len = self.h * self.width;
        let padded_len = (self.h + 2 * self.above) * self.row() + self.slack;
        match images {
            Images::Stored(x) if padded_len == len => work(&x[index * len..][..len]),
            _ => with_scratch(padded_len, |padded| {
                simd.vectorize(Fill { padding: self, images, at: index * len, padded });
                work(padded)
            }),
        }
    }

    /// Calls `work` with a padded image of zeros, or with `image` itself where there is no padding, and writes
    /// what it adds inside into `image`, or adds it to what is there.
    #[inline(always)]
    pub(super) fn unpad(&self, image: &mut [f32], add: bool, work: impl FnOnce(&mut [f32])) {
        let (row_len, width) = (self.row(), self.width);
        if self.above == 0 && self.beside == 0 {
            if !add {
                image.fill(0.0);
            }
            return work(image);
        }
        with_scratch((self.h + 2 * self.above) * row_len, |padded| {
            padded.fill(0.0);
            work(&mut *padded);
            let rows = padded.chunks_exact(row_len).skip(self.above);
            for (image, row) in image.chunks_exact_mut(width).zip(rows) {
                let row = &row[self.beside..self.beside + width];
                if add {
                    image.iter_mut().zip(row).for_each(|(image, row)| *image += row);
                } else {
                    image.copy_from_slice(row);
                }
            }
        });
    }
}

/// Writes the image that begins at `at` and the zeros around it.
struct Fill<'a> {
    padding: &'a Padding,
    images: &'a Images<'a>,
    at: usize,
    padded: &'a mut [f32],
}

impl WithSimd for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { padding, images, at, padded } = self;
        let Padding { h, width, above, beside, .. } = *padding;
        let row_len = padding.row();
        let (before, rest) = padded.split_at_mut(above * row_len);
        let (rows, after) = rest.split_at_mut(h * row_len);
        before.fill(0.0);
        for (row, padded) in rows.chunks_exact_mut(row_len).enumerate() {
            padded[..beside].fill(0.0);
            images.write(simd, at + row * width, &mut padded[beside..beside + width]);
            padded[beside + width..].fill(0.0);
        }
        after.fill(0.0);
    }
}
