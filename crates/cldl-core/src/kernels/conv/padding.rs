//! Images with a border of zeros, one at a time, in a scratch of the thread's own.

use super::ConvShape;
use std::cell::RefCell;

thread_local! {
    /// Buffers not in use; as many as were ever in use together.
    static SCRATCH: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `work` with `len` floats of any content.
pub(super) fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    let result = work(&mut buffer[..len]);
    SCRATCH.with_borrow_mut(|scratch| scratch.push(buffer));
    result
}

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

    /// Calls `work` with the padded image: a copy, unless there is nothing to add.
    pub(super) fn with<R>(&self, image: &[f32], work: impl FnOnce(&[f32]) -> R) -> R {
        assert_eq!(image.len(), self.h * self.width);
        let len = (self.h + 2 * self.above) * self.row() + self.slack;
        if len == image.len() {
            return work(image);
        }
        with_scratch(len, |padded| {
            self.copy(image, padded);
            work(padded)
        })
    }

    fn copy(&self, image: &[f32], padded: &mut [f32]) {
        let (above, rest) = padded.split_at_mut(self.above * self.row());
        let (rows, below) = rest.split_at_mut(self.h * self.row());
        above.fill(0.0);
        for (row, padded) in image.chunks_exact(self.width).zip(rows.chunks_exact_mut(self.row())) {
            padded[..self.beside].fill(0.0);
            padded[self.beside..][..self.width].copy_from_slice(row);
            padded[self.beside + self.width..].fill(0.0);
        }
        below.fill(0.0);
    }
}
