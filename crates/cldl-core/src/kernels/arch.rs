//! The choice of the instruction set.

use crate::Instructions;
use pulp::{Arch, Simd};

/// The instruction set that was chosen, or the best of this machine.
pub(super) fn arch() -> Arch {
    #[cfg(test)]
    if let Some(arch) = tests::CHOSEN.get() {
        return arch;
    }
    Instructions::chosen().unwrap_or_default()
}

/// The vector registers of an instruction set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Registers {
    /// Floats in one.
    pub lanes: usize,
    pub count: usize,
}

impl Registers {
    pub(super) const fn of<S: Simd>() -> Self {
        Self { lanes: S::F32_LANES, count: S::REGISTER_COUNT }
    }

    /// Whether there are enough for sums beside more than a few operands.
    pub(super) const fn are_many(self) -> bool {
        32 <= self.count
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        pub(super) static CHOSEN: Cell<Option<Arch>> = const { Cell::new(None) };
    }

    /// Runs `test` with each instruction set that this machine has.
    pub(in crate::kernels) fn for_each_arch(test: impl Fn()) {
        #[cfg(target_arch = "x86_64")]
        let second = pulp::x86::V3::try_new().map(Arch::V3);
        #[cfg(not(target_arch = "x86_64"))]
        let second = None;
        for arch in [Arch::Scalar, Arch::new()].into_iter().chain(second) {
            CHOSEN.set(Some(arch));
            test();
        }
        CHOSEN.set(None);
    }
}
