//! The even and the odd columns of an image apart, for vectors whose lanes belong to several windows.
#![allow(unsafe_code, reason = "bounds are checked once per tile, not once per multiplication")]

use super::tile::{max_count, shared_lanes};
use crate::kernels::arch::Registers;
use crate::kernels::vector::{from_lanes, lanes_of};
use pulp::{Simd, WithSimd};

/// Where the pixels lie: those of the even columns, row by row, and then those of the odd ones. So the pixels
/// of neighboring windows, which lie two columns apart, are neighbors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    /// Pixels in a row.
    pub row: usize,
    /// Floats from the even columns to the odd ones.
    pub odd: usize,
}

impl Columns {
    /// Of an image of `rows` rows of `row` pixels, an even number.
    pub(super) fn new(rows: usize, row: usize, registers: Registers) -> Self {
        let row = row / 2;
        // Zeros follow, for windows that are not there.
        let odd = (rows * row + max_count(registers)).next_multiple_of(registers.lanes);
        Self { row, odd }
    }

    pub(super) fn len(self) -> usize {
        2 * self.odd
    }
}

/// Takes the columns of the image `x` apart.
pub(super) struct Split<'a> {
    pub columns: Columns,
    pub x: &'a [f32],
    pub out: &'a mut [f32],
}

impl WithSimd for Split<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { columns, x, out } = self;
        let (pairs, _) = x.as_chunks::<2>();
        let (even, odd) = out.split_at_mut(columns.odd);
        let (even, no_even) = even.split_at_mut(pairs.len());
        let (odd, no_odd) = odd.split_at_mut(pairs.len());
        for ((pair, even), odd) in pairs.iter().zip(even).zip(odd) {
            [*even, *odd] = *pair;
        }
        no_even.fill(0.0);
        no_odd.fill(0.0);
    }
}

/// The pixels of four neighboring windows from `x` on, the same for each channel: lanes in the order (channel,
/// window).
#[inline(always)]
pub(super) unsafe fn of_windows<S: Simd>(x: *const f32) -> S::f32s {
    // As one number: between single ones the compiler finds what vectors have in common, and shuffles it.
    // SAFETY: the caller promises the pixels of as many windows as a tile has at most; a vector has at most 16
    // lanes.
    unsafe { std::mem::transmute_copy(&[x.cast::<u128>().read_unaligned(); 4]) }
}

/// Lanes in the order (channel, window) in the order (window, channel).
#[inline(always)]
pub(super) fn by_window<S: Simd>(vector: S::f32s) -> S::f32s {
    let count = const { max_count(Registers::of::<S>()) };
    let each = const { shared_lanes(Registers::of::<S>()) };
    let lanes = lanes_of::<S>(vector);
    from_lanes::<S>(|lane| lanes[lane % each * count + lane / each])
}
