//! Memory for activations and their gradients, used again and again.
//!
//! A step writes hundreds of megabytes that live for milliseconds. Fresh memory would be cleared by the
//! system page by page; a buffer that comes back keeps its pages and its stale numbers, which its next
//! user overwrites whole.

use crate::kernels::Aligned;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Floats for one tensor; goes back to the pool when dropped.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    floats: Aligned,
    start: usize,
    len: usize,
}

/// Buffers that nobody uses, by capacity, and how much there is.
#[derive(Default)]
struct Pool {
    free: BTreeMap<usize, Vec<Aligned>>,
    free_floats: usize,
    used_floats: usize,
    most_used: usize,
}

static POOL: Mutex<Option<Pool>> = Mutex::new(None);

fn with_pool<T>(f: impl FnOnce(&mut Pool) -> T) -> T {
    // A panic in another thread leaves the pool as it was between two plain additions.
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    f(pool.get_or_insert_default())
}

/// `len` rounded up by at most an eighth, so that batches of nearly one size share buffers.
fn capacity(len: usize) -> usize {
    let step = (len.next_power_of_two() / 16).max(64);
    len.next_multiple_of(step)
}

impl Buffer {
    /// A buffer of `len` floats with any numbers in it.
    pub(crate) fn stale(len: usize) -> Self {
        let wanted = capacity(len);
        let recycled = with_pool(|pool| {
            // One of up to twice the size will do: a pass of plain numbers then takes the buffers that
            // one of dual numbers left.
            let mut fitting = pool.free.range_mut(wanted..=2 * wanted);
            let recycled = fitting.find_map(|(_, buffers)| buffers.pop());
            let capacity = recycled.as_ref().map_or(wanted, |floats| floats.len());
            pool.free_floats -= recycled.as_ref().map_or(0, |floats| floats.len());
            pool.used_floats += capacity;
            pool.most_used = pool.most_used.max(pool.used_floats);
            recycled
        });
        Self { floats: recycled.unwrap_or_else(|| Aligned::zeros(wanted)), start: 0, len }
    }

    /// A stale buffer that can be [`Self::doubled`], its floats then the first half.
    pub(crate) fn first_half(len: usize) -> Self {
        let mut buffer = Self::stale(2 * len);
        buffer.len = len;
        buffer
    }

    /// The same, its floats then the second half.
    pub(crate) fn second_half(len: usize) -> Self {
        let mut buffer = Self::first_half(len);
        buffer.start = len;
        buffer
    }

    /// Both halves of a buffer that was made as one of them.
    ///
    /// # Panics
    /// If it was not.
    pub(crate) fn doubled(mut self) -> Self {
        (self.start, self.len) = (0, 2 * self.len);
        assert!(self.len <= self.floats.len(), "this buffer has no second half");
        self
    }

    /// A copy of `floats`.
    pub(crate) fn copy_of(floats: &[f32]) -> Self {
        let mut buffer = Self::stale(floats.len());
        buffer.copy_from_slice(floats);
        buffer
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let floats = std::mem::take(&mut self.floats);
        let capacity = floats.len();
        if capacity == 0 {
            return;
        }
        let surplus = with_pool(|pool| {
            pool.used_floats -= capacity;
            // Hardly more lies idle than was ever in use at once.
            if pool.free_floats + capacity > pool.most_used / 4 * 5 {
                return Some(floats);
            }
            pool.free_floats += capacity;
            pool.free.entry(capacity).or_default().push(floats);
            None
        });
        drop(surplus);
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.floats[self.start..self.start + self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.floats[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::{Buffer, capacity};

    #[test]
    fn a_buffer_has_the_length_asked_for() {
        for len in [0, 1, 63, 64, 65, 1000, 98_304, 98_305] {
            assert!(len <= capacity(len) && capacity(len) <= len + (len / 8).max(64));
            let mut buffer = Buffer::stale(len);
            assert_eq!(buffer.len(), len);
            buffer.fill(7.0);
        }
        assert_eq!(Buffer::copy_of(&[1.0, 2.0])[..], [1.0, 2.0]);
    }

    #[test]
    fn halves_become_a_whole() {
        let (mut first, mut second) = (Buffer::first_half(3), Buffer::second_half(3));
        first.copy_from_slice(&[1.0, 2.0, 3.0]);
        second.copy_from_slice(&[4.0, 5.0, 6.0]);
        assert_eq!(first.doubled()[..3], [1.0, 2.0, 3.0]);
        assert_eq!(second.doubled()[3..], [4.0, 5.0, 6.0]);
    }
}
