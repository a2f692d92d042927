//! Numbers of a thread's own, for what is gone when a task ends.

use super::aligned::Aligned;
use std::cell::RefCell;

thread_local! {
    /// Buffers not in use; as many as were ever in use together.
    static SCRATCH: RefCell<Vec<Aligned>> = const { RefCell::new(Vec::new()) };
}

/// Calls `work` with `len` floats of any content, from the beginning of a line of the cache on.
pub(super) fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    buffer.set_len(len);
    let result = work(&mut buffer);
    SCRATCH.with_borrow_mut(|scratch| scratch.push(buffer));
    result
}
