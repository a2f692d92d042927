//! The last channels of several windows in one vector.
#![allow(unsafe_code, reason = "bounds are checked once per pixel, not once per channel")]

use crate::kernels::tile::Part;
use pulp::{Simd, WithSimd};

/// Spreads the image `x`, of so many columns, into planes: each pixel as often as there are `channels`.
pub(super) struct Spread<'a> {
    pub x: &'a [f32],
    pub columns: usize,
    pub channels: usize,
    /// Floats in a row of a plane.
    pub row: usize,
    /// Of even and of odd columns.
    pub planes: [&'a mut [f32]; 2],
}

impl WithSimd for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        if self.channels <= 4 { self.spread::<4>() } else { self.spread::<8>() }
    }
}

impl Spread<'_> {
    /// Writes `COPIES` of each pixel: a constant number is one instruction, and what is too much, the next
    /// pixel overwrites.
    #[inline(always)]
    fn spread<const COPIES: usize>(self) {
        let Self { x, columns, channels, row, planes: [even, odd] } = self;
        let rows = even.chunks_exact_mut(row).zip(odd.chunks_exact_mut(row));
        for ((even, odd), x) in rows.zip(x.chunks_exact(columns)) {
            for (pair, x) in x.chunks(2).enumerate() {
                let to = pair * channels..pair * channels + COPIES;
                even[to.clone()].copy_from_slice(&[x[0]; COPIES]);
                odd[to].copy_from_slice(&[x[x.len() - 1]; COPIES]);
            }
        }
    }
}

/// Copies pixels that begin with the first channel of each slice: as many channels as the shorter ones have.
pub(super) struct Pixels<'a> {
    pub count: usize,
    pub from: &'a [f32],
    /// From one pixel to the next.
    pub from_ch: usize,
    pub to: &'a mut [f32],
    pub to_ch: usize,
}

impl WithSimd for Pixels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { count, from, from_ch, to, to_ch } = self;
        let channels = from_ch.min(to_ch);
        let part = Part::new(simd, channels, 0);
        for pixel in 0..count {
            let from = &from[pixel * from_ch..][..channels];
            let to = &mut to[pixel * to_ch..][..channels];
            // SAFETY: both have the floats of the part.
            unsafe { part.put(to.as_mut_ptr(), part.get(from.as_ptr())) };
        }
    }
}
