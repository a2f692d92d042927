//! Numbers that begin with a line of the cache.

use std::ops::{Deref, DerefMut};

/// Floats in a line.
const LINE: usize = 16;

/// Floats for vectors: one that reaches into two lines costs twice.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    floats: Vec<f32>,
    first: usize,
    len: usize,
}

impl Aligned {
    /// So many zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let mut aligned = Self::default();
        aligned.set_len(len);
        aligned
    }

    /// From now on these are so many floats, of any content.
    pub(super) fn set_len(&mut self, len: usize) {
        if self.floats.len() < len + LINE {
            self.floats = vec![0.0; len + LINE];
            let to_line = self.floats.as_ptr().align_offset(LINE * size_of::<f32>());
            self.first = to_line.min(LINE);
        }
        self.len = len;
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.floats[self.first..self.first + self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.floats[self.first..self.first + self.len]
    }
}
