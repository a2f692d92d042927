//! The inner loop: the four sums of each of some windows, in registers.
#![allow(unsafe_code, reason = "bounds are checked once per tile, not once per multiplication")]

use super::Block;
use super::maxima::Maxima;
use crate::kernels::arch::Registers;
use crate::kernels::unroll::unroll;
use crate::kernels::vector::{load, read};
use pulp::{Simd, WithSimd};

/// Windows whose four sums each fit into the registers, with those of channels that share a vector, four
/// vectors of weights and one of pixels.
pub(super) const fn max_count(registers: Registers) -> usize {
    if registers.are_many() { 4 } else { 2 }
}

/// Outputs of a window: of two rows and two columns.
pub(super) const FOUR: usize = 4;

/// Tiles of neighboring windows, so many in each line of windows.
pub(super) struct Run<'a> {
    pub block: &'a Block,
    pub kernel: usize,
    pub lines: usize,
    pub tiles: usize,
    /// The padded image from the first pixel on, and the floats in its rows.
    pub x: &'a [f32],
    pub row: usize,
    /// The first window, and the windows in a line.
    pub window: usize,
    pub line: usize,
}

impl<'a> Run<'a> {
    /// Computes them, `count` windows in a tile.
    #[inline(always)]
    pub(super) fn compute<S: Simd>(self, simd: S, count: usize, out: &mut Maxima<'a>) {
        macro_rules! sized {
            ($($count:literal)*) => {
                match (count, &self.block.shared) {
                    $(
                        ($count, None) => {
                            simd.vectorize(Sized::<$count, false>(self, out));
                        }
                        ($count, Some(_)) => {
                            simd.vectorize(Sized::<$count, true>(self, out));
                        }
                    )*
                    (count, _) => unreachable!("no tile of {count}"),
                }
            };
        }
        sized!(1 2 3 4);
    }
}

/// Tiles of `COUNT` windows, with channels that share a vector if there are any.
struct Sized<'a, 'b, const COUNT: usize, const SHARE: bool>(Run<'a>, &'b mut Maxima<'a>);

impl<const COUNT: usize, const SHARE: bool> WithSimd for Sized<'_, '_, COUNT, SHARE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(Run { block, kernel, lines, tiles, x, row, window, line }, out) = self;
        let lanes = S::F32_LANES;
        let own = &block.own;
        let shared = block.shared.as_ref().unwrap_or(own);
        assert!(0 < kernel && 0 < lines && 0 < tiles);
        let last = 2 * (lines - 1) * row + kernel * row + 2 * tiles * COUNT + kernel - 2;
        assert!(last < x.len());
        for vector in [own, shared] {
            assert!(kernel * kernel * lanes <= vector.weights.len() && lanes <= vector.bias.len());
        }
        let mut bias = [simd.splat_f32s(0.0); 2];
        if !out.is_tangent {
            bias = [read(simd, &own.bias[..lanes]), read(simd, &shared.bias[..lanes])];
        }
        let mut begins = [simd.mask_between_m32s(0, lanes as u32).mask(); COUNT];
        if SHARE {
            unroll!(for n in 0..COUNT {
                let begin = (n * shared.channels) as u32;
                begins[n] = simd.mask_between_m32s(begin, lanes as u32).mask();
            });
        }
        for (y, t) in (0..lines).flat_map(|y| (0..tiles).map(move |t| (y, t))) {
            let window = window + y * line + t * COUNT;
            let mut sums =
                Sums::<S, COUNT> { own: [[bias[0]; FOUR]; COUNT], shared: [bias[1]; FOUR] };
            // SAFETY: the assertion above bounds the first pixel of each tile.
            let x = unsafe { x.as_ptr().add(2 * (y * row + t * COUNT)) };
            for r in 0..=kernel {
                // SAFETY: the assertions above bound every index that is formed here: `r` and the column are
                // at most `kernel`, and a row of weights is read only where there is one.
                unsafe {
                    let mut weights = [[std::ptr::null(); 2]; 2];
                    for (weights, vector) in weights.iter_mut().zip([own, shared]) {
                        let upper = vector.weights.as_ptr().wrapping_add(r * kernel * lanes);
                        *weights = [upper, upper.wrapping_sub(kernel * lanes)];
                    }
                    let [own, shared] = weights;
                    let row = Row { kernel, x: x.add(r * row), own, shared };
                    if r == 0 {
                        row.add::<S, COUNT, SHARE, true, false>(simd, begins, &mut sums);
                    } else if r < kernel {
                        row.add::<S, COUNT, SHARE, true, true>(simd, begins, &mut sums);
                    } else {
                        row.add::<S, COUNT, SHARE, false, true>(simd, begins, &mut sums);
                    }
                }
            }
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
    kernel: usize,
    x: *const f32,
    own: [*const f32; 2],
    shared: [*const f32; 2],
}

impl Row {
    /// Adds the products for the upper outputs, if `UPPER`, and for the lower ones, if `LOWER`. From the lane
    /// on where a window `begins`, a shared vector holds its pixel or that of a later window.
    #[inline(always)]
    unsafe fn add<
        S: Simd,
        const COUNT: usize,
        const SHARE: bool,
        const UPPER: bool,
        const LOWER: bool,
    >(
        &self,
        simd: S,
        begins: [S::m32s; COUNT],
        sums: &mut Sums<S, COUNT>,
    ) {
        // SAFETY: the caller promises the pixels of all columns and the rows of weights that are asked for.
        unsafe {
            let kernel = self.kernel;
            self.column::<S, COUNT, SHARE, UPPER, LOWER, true, false>(simd, 0, begins, sums);
            for c in 1..kernel {
                self.column::<S, COUNT, SHARE, UPPER, LOWER, true, true>(simd, c, begins, sums);
            }
            self.column::<S, COUNT, SHARE, UPPER, LOWER, false, true>(simd, kernel, begins, sums);
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
        begins: [S::m32s; COUNT],
        sums: &mut Sums<S, COUNT>,
    ) {
        // SAFETY: as in `add`.
        unsafe {
            let mut x = [simd.splat_f32s(0.0); COUNT];
            unroll!(for n in 0..COUNT {
                x[n] = simd.splat_f32s(*self.x.add(c + 2 * n));
            });
            let mut shared = x[0];
            unroll!(for n in 0..COUNT {
                if SHARE && 0 < n {
                    shared = simd.select_f32s(begins[n], x[n], shared);
                }
            });
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
