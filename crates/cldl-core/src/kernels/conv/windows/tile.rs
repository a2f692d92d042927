//! The inner loop: the four sums of each of some windows, in registers.
#![allow(unsafe_code, reason = "bounds are checked once per tile, not once per multiplication")]

use super::Block;
use super::columns::{Columns, of_windows};
use super::maxima::{Choice, Maxima};
use crate::kernels::arch::Registers;
use crate::kernels::pool::FOUR;
use crate::kernels::unroll::unroll;
use crate::kernels::vector::{load, read};
use pulp::{Simd, WithSimd};

/// Windows that share a vector; where registers are many also those whose four sums each fit into them, beside four
/// vectors of weights and one of pixels.
pub(super) const fn max_count(registers: Registers) -> usize {
    if registers.are_many() { 4 } else { 2 }
}

/// Lanes of each window in a vector that they share.
pub(super) const fn shared_lanes(registers: Registers) -> usize {
    registers.lanes / max_count(registers)
}

/// Tiles of neighboring windows, so many in each line of windows.
pub(super) struct Run<'a> {
    pub block: &'a Block,
    pub kernel: usize,
    pub lines: usize,
    pub tiles: usize,
    /// The padded image from the first pixel on, and the floats in its rows.
    pub x: &'a [f32],
    pub row: usize,
    /// Its columns apart, if there is a shared vector, and how they lie.
    pub pixels: &'a [f32],
    pub columns: Columns,
    /// The first window, and the windows in a line.
    pub window: usize,
    pub line: usize,
}

impl<'a> Run<'a> {
    /// Computes them, `count` windows in a tile.
    #[inline(always)]
    pub(super) fn compute<S: Simd>(self, simd: S, count: usize, out: &mut Maxima<'a>) {
        macro_rules! sized {
            ($($kernel:literal: $($count:literal)*;)*) => {
                match (self.kernel, count, &self.block.shared) {
                    $($(
                        ($kernel, $count, None) => {
                            simd.vectorize(Sized::<$kernel, $count, false>(self, out));
                        }
                        ($kernel, $count, Some(_)) => {
                            simd.vectorize(Sized::<$kernel, $count, true>(self, out));
                        }
                    )*)*
                    // `Windows::new` takes no other kernels, and `equal_tiles` makes no larger tiles.
                    (kernel, count, _) => unreachable!("no tile of {count} for {kernel}"),
                }
            };
        }
        sized!(3: 1 2 3 4; 5: 1 2 3 4;);
    }
}

/// Tiles of `COUNT` windows of a convolution of `KERNEL` by `KERNEL`, with channels that share a vector if there
/// are any.
struct Sized<'a, 'b, const KERNEL: usize, const COUNT: usize, const SHARE: bool>(
    Run<'a>,
    &'b mut Maxima<'a>,
);

impl<const KERNEL: usize, const COUNT: usize, const SHARE: bool> WithSimd
    for Sized<'_, '_, KERNEL, COUNT, SHARE>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(run, out) = self;
        let Run { block, kernel: _, lines, tiles, x, row, pixels, columns, window, line } = run;
        let lanes = S::F32_LANES;
        let own = &block.own;
        let shared = block.shared.as_ref().unwrap_or(own);
        assert!(0 < KERNEL && 0 < lines && 0 < tiles);
        let last = 2 * (lines - 1) * row + KERNEL * row + 2 * tiles * COUNT + KERNEL - 2;
        assert!(last < x.len());
        let last = (2 * lines + KERNEL - 2) * columns.row;
        let last = last + window + (tiles - 1) * COUNT + KERNEL / 2;
        let vector = max_count(Registers::of::<S>());
        assert!(!SHARE || columns.odd + last + vector <= pixels.len());
        for vector in [own, shared] {
            assert!(KERNEL * KERNEL * lanes <= vector.weights.len() && lanes <= vector.bias.len());
        }
        let mut bias = [simd.splat_f32s(0.0); 2];
        if out.choice != Choice::Named {
            bias = [read(simd, &own.bias[..lanes]), read(simd, &shared.bias[..lanes])];
        }
        for (y, t) in (0..lines).flat_map(|y| (0..tiles).map(move |t| (y, t))) {
            let mut sums =
                Sums::<S, COUNT> { own: [[bias[0]; FOUR]; COUNT], shared: [bias[1]; FOUR] };
            let x = x.as_ptr().wrapping_add(2 * (y * row + t * COUNT));
            let even = pixels.as_ptr().wrapping_add(2 * y * columns.row + window + t * COUNT);
            for r in 0..=KERNEL {
                // SAFETY: the assertions above bound every index that is formed here: `r` and the column are
                // at most `KERNEL`, and a row of weights is read only where there is one.
                unsafe {
                    let mut weights = [[std::ptr::null(); 2]; 2];
                    for (weights, vector) in weights.iter_mut().zip([own, shared]) {
                        let upper = vector.weights.as_ptr().wrapping_add(r * KERNEL * lanes);
                        *weights = [upper, upper.wrapping_sub(KERNEL * lanes)];
                    }
                    let [own, shared] = weights;
                    let even = even.wrapping_add(r * columns.row);
                    let pixels = [even, even.wrapping_add(columns.odd)];
                    let row = Row { x: x.add(r * row), pixels, own, shared };
                    if r == 0 {
                        row.add::<S, KERNEL, COUNT, SHARE, true, false>(simd, &mut sums);
                    } else if r < KERNEL {
                        row.add::<S, KERNEL, COUNT, SHARE, true, true>(simd, &mut sums);
                    } else {
                        row.add::<S, KERNEL, COUNT, SHARE, false, true>(simd, &mut sums);
                    }
                }
            }
            let window = window + y * line + t * COUNT;
            unroll!(for n in 0..COUNT {
                out.put(simd, window + n, [own.first, own.channels], sums.own[n]);
            });
            if SHARE {
                out.put_shared::<S, COUNT>(
                    simd,
                    window,
                    [shared.first, shared.channels],
                    sums.shared,
                );
            }
        }
    }
}

/// The four sums of windows.
struct Sums<S: Simd, const COUNT: usize> {
    own: [[S::f32s; FOUR]; COUNT],
    shared: [S::f32s; FOUR],
}

/// A row of pixels, and the rows of weights that belong to it: for the upper outputs of the windows, and for
/// the lower ones.
struct Row {
    x: *const f32,
    /// The same of the even columns, and of the odd ones.
    pixels: [*const f32; 2],
    own: [*const f32; 2],
    shared: [*const f32; 2],
}

impl Row {
    /// Adds the products for the upper outputs, if `UPPER`, and for the lower ones, if `LOWER`.
    #[inline(always)]
    unsafe fn add<
        S: Simd,
        const KERNEL: usize,
        const COUNT: usize,
        const SHARE: bool,
        const UPPER: bool,
        const LOWER: bool,
    >(
        &self,
        simd: S,
        sums: &mut Sums<S, COUNT>,
    ) {
        // SAFETY: the caller promises the pixels of all columns and the rows of weights that are asked for.
        unsafe {
            self.column::<S, COUNT, SHARE, UPPER, LOWER, true, false>(simd, 0, sums);
            for c in 1..KERNEL {
                self.column::<S, COUNT, SHARE, UPPER, LOWER, true, true>(simd, c, sums);
            }
            self.column::<S, COUNT, SHARE, UPPER, LOWER, false, true>(simd, KERNEL, sums);
        }
    }

    /// The same of a column, for the left outputs, if `LEFT`, and for the right ones, if `RIGHT`.
    #[inline(always)]
    unsafe fn column<
        S: Simd,
        const COUNT: usize,
        const SHARE: bool,
        const UPPER: bool,
        const LOWER: bool,
        const LEFT: bool,
        const RIGHT: bool,
    >(
        &self,
        simd: S,
        c: usize,
        sums: &mut Sums<S, COUNT>,
    ) {
        // SAFETY: as in `add`.
        unsafe {
            let mut x = [simd.splat_f32s(0.0); COUNT];
            unroll!(for n in 0..COUNT {
                x[n] = simd.splat_f32s(*self.x.add(c + 2 * n));
            });
            let mut shared = x[0];
            if SHARE {
                shared = of_windows::<S>(self.pixels[c % 2].add(c / 2));
            }
            let is_used = [UPPER && LEFT, UPPER && RIGHT, LOWER && LEFT, LOWER && RIGHT];
            unroll!(for k in [0 1 2 3] {
                if is_used[k] {
                    let at = c.wrapping_sub(k % 2) * S::F32_LANES;
                    let w = load::<S>(self.own[k / 2].add(at));
                    unroll!(for n in 0..COUNT {
                        sums.own[n][k] = simd.mul_add_e_f32s(x[n], w, sums.own[n][k]);
                    });
                    if SHARE {
                        let w = load::<S>(self.shared[k / 2].add(at));
                        sums.shared[k] = simd.mul_add_e_f32s(shared, w, sums.shared[k]);
                    }
                }
            });
        }
    }
}
