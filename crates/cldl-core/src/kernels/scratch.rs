//! Numbers of a thread's own, for what is gone when a task ends.

use std::cell::RefCell;

thread_local! {
    /// Buffers not in use; as many as were ever in use together.
    static SCRATCH: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Floats in a line of the cache: a vector that reaches into two of them costs twice.
pub(super) const LINE: usize = 16;

/// Calls `work` with `len` floats of any content, from the beginning of a line of the cache on.
pub(super) fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < len + LINE {
        buffer.resize(len + LINE, 0.0);
    }
    let first = buffer.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    let result = work(&mut buffer[first..first + len]);
    SCRATCH.with_borrow_mut(|scratch| scratch.push(buffer));
    result
}
