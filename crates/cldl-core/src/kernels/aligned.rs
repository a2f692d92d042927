//! Numbers that begin with a line of the cache.

use super::scratch::LINE;
use std::ops::{Deref, DerefMut};

/// What is packed once and read again and again: a vector that reaches into two lines of the cache costs
/// twice.
#[derive(Debug)]
pub(super) struct Aligned {
    floats: Vec<f32>,
    first: usize,
    len: usize,
}

impl Aligned {
    /// So many zeros.
    pub(super) fn zeros(len: usize) -> Self {
        let floats = vec![0.0_f32; len + LINE];
        let first = floats.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Self { floats, first, len }
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
