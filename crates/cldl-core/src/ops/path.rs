//! Which implementation an op takes: our kernels, or candle's own ops.

use std::cell::Cell;

use candle::{DType, Tensor};

thread_local! {
    static CANDLE_ONLY: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with every op of this thread in candle's own ops, the path that GPUs take, so that tests
/// can hold it to the same known answers on the CPU.
pub fn with_candle_ops<T>(f: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            CANDLE_ONLY.set(self.0);
        }
    }
    let _restore = Restore(CANDLE_ONLY.replace(true));
    f()
}

/// Whether the CPU kernels can take `x`.
pub(crate) fn takes_kernels(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32 && !CANDLE_ONLY.get()
}
