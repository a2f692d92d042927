//! Vectors, and parts of them, from memory and back.
#![allow(unsafe_code, reason = "a vector is loaded and stored in place, wherever it begins")]

use pulp::{MemMask, Simd};

/// The vector at `from`, however it is aligned.
#[inline(always)]
pub(super) unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: the caller promises a vector at `from`.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

/// The vector whose first lanes are `from`, at most a vector of them; the others are zero.
#[inline(always)]
pub(super) fn read<S: Simd>(simd: S, from: &[f32]) -> S::f32s {
    if from.len() == S::F32_LANES {
        // SAFETY: a vector has as many floats as `from`.
        unsafe { load::<S>(from.as_ptr()) }
    } else {
        simd.partial_load_f32s(from)
    }
}

/// Stores the first lanes of `vector`, as many as `to` has.
#[inline(always)]
pub(super) fn store<S: Simd>(simd: S, vector: S::f32s, to: &mut [f32]) {
    if to.len() == S::F32_LANES {
        // SAFETY: a vector has as many floats as `to`.
        unsafe { to.as_mut_ptr().cast::<S::f32s>().write_unaligned(vector) }
    } else {
        simd.partial_store_f32s(to, vector);
    }
}

/// Lanes of the longest vector.
pub(super) const MAX_LANES: usize = 16;

/// The vector of these lanes. Where each is one of another vector, or lies beside others in memory, the compiler
/// finds an instruction for them together.
#[inline(always)]
pub(super) fn from_lanes<S: Simd>(lane: impl Fn(usize) -> f32) -> S::f32s {
    let mut lanes = [0.0; MAX_LANES];
    for (i, to) in lanes.iter_mut().enumerate().take(S::F32_LANES) {
        *to = lane(i);
    }
    // SAFETY: a vector is as many floats as it has lanes, at most `MAX_LANES`.
    unsafe { load::<S>(lanes.as_ptr()) }
}

/// The lanes of a vector; those that it does not have are zero.
#[inline(always)]
pub(super) fn lanes_of<S: Simd>(vector: S::f32s) -> [f32; MAX_LANES] {
    let mut lanes = [0.0; MAX_LANES];
    // SAFETY: as in `from_lanes`.
    unsafe { lanes.as_mut_ptr().cast::<S::f32s>().write_unaligned(vector) };
    lanes
}

/// The `v`-th vector of a number of channels, which may have fewer than its lanes.
#[derive(Clone, Copy)]
pub(super) struct Part<S: Simd> {
    simd: S,
    at: usize,
    /// Of the lanes that it has; nothing if it has all of them.
    mask: Option<MemMask<S::m32s>>,
}

impl<S: Simd> Part<S> {
    #[inline(always)]
    pub(super) fn new(simd: S, channels: usize, v: usize) -> Self {
        let at = v * S::F32_LANES;
        let rest = channels - at;
        let mask = (rest < S::F32_LANES)
            .then(|| MemMask::from(simd.mask_between_m32s(0, rest as u32).mask()));
        Self { simd, at, mask }
    }

    #[inline(always)]
    pub(super) unsafe fn get(self, c: *const f32) -> S::f32s {
        // SAFETY: the caller promises the part's channels from `c` on.
        unsafe {
            match self.mask {
                None => load::<S>(c.add(self.at)),
                Some(mask) => self.simd.mask_load_ptr_f32s(mask, c.add(self.at)),
            }
        }
    }

    #[inline(always)]
    pub(super) unsafe fn put(self, c: *mut f32, sum: S::f32s) {
        // SAFETY: as in `get`.
        unsafe {
            match self.mask {
                None => c.add(self.at).cast::<S::f32s>().write_unaligned(sum),
                Some(mask) => self.simd.mask_store_ptr_f32s(mask, c.add(self.at), sum),
            }
        }
    }
}
