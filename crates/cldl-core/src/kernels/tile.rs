//! The one inner loop of all convolutions: a tile of outputs held in vector registers.
#![allow(unsafe_code, reason = "bounds are checked once per tile, not once per multiplication")]

use super::arch::Registers;
use super::sized::run_sized;
use super::unroll::unroll;
use super::vector::{Part, load};
use pulp::{Simd, WithSimd};

/// A sum of outer products, `height` scalars by `width` vectors:
///
/// `c[i, v] = start + Σ_{r < rows} Σ_{l < len} a[r, l, i] · b[r, l, v]`
///
/// where `a` is read as scalars and `b` and `c` as vectors over neighboring channels. A
/// stride is named by the index that it belongs to, and counts floats.
///
/// With `a` the image and `b` the weights it is a convolution, with `a` the output's gradient and
/// `b` the weights the input gradient, with `a` the image and `b` the output's gradient the weight
/// gradient.
#[derive(Debug)]
pub(super) struct Tile<'a> {
    pub rows: usize,
    pub len: usize,
    pub a: &'a [f32],
    pub a_r: usize,
    pub a_l: usize,
    pub a_i: usize,
    /// Where registers are few, `i` may go on in another row.
    pub a_turn: Turn,
    pub b: &'a [f32],
    pub b_r: usize,
    pub b_l: usize,
    pub start: Start<'a>,
    pub c: &'a mut [f32],
    pub c_i: usize,
    /// Channels to store, at most `width` vectors and more than one vector less.
    pub channels: usize,
}

/// From the `at`-th scalar on, the scalars lie so many floats further than their stride says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub at: usize,
    pub skip: usize,
}

impl Turn {
    pub(super) const NONE: Self = Self { at: usize::MAX, skip: 0 };
}

/// What the sums of a tile begin with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start<'a> {
    /// Vectors, the same for each `i`.
    With(&'a [f32]),
    /// What `c` holds: a sum that is taken up again.
    Resume,
    /// Nothing: at the end they are added to `c`, one `i` after the other, as their vectors may overlap.
    Add,
}

/// Lanes of the longest vector.
pub(super) const MAX_LANES: usize = 16;

/// Vectors in the widest tile of all.
pub(super) const MAX_WIDTH: usize = 3;

/// Vectors in the widest tile whose operands leave registers for enough sums: a sum that is kept in memory
/// makes each of its additions wait for the last one.
pub(super) const fn max_width(registers: Registers) -> usize {
    if registers.are_many() { MAX_WIDTH } else { 2 }
}

/// Scalars in the highest tile of `width` whose accumulators fit into the registers of `S`, with a
/// vector of `b` for each column and one of `a`.
pub(super) const fn max_height<S: Simd>(width: usize) -> usize {
    match (Registers::of::<S>().are_many(), width) {
        (true, 1) => 16,
        (true, 2) => 14,
        (true, _) => 9,
        (false, 1) => 12,
        (false, 2) => 6,
        (false, _) => 0,
    }
}

/// Neighboring scalars that a tile one vector wide reads one after the other. It reads one for each
/// multiplication, and of two that lie at the same place of two lines of the cache, as those of neighboring
/// pixels do, some processors read only one at a time.
const GROUP: usize = 4;

/// Distance of rows that are stored one after the other; its square is the height of any tile.
const SPREAD: usize = 4;

/// `count` things in tiles of at most `max`, as even as can be: first thing and size of each. Without a
/// division for each: a small tile takes little longer than one.
pub(super) fn tiles(count: usize, max: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    let tiles = count.div_ceil(max);
    let (size, longer) = (count / tiles.max(1), count % tiles.max(1));
    (0..tiles).scan(0, move |next, tile| {
        let (first, size) = (*next, size + usize::from(tile < longer));
        *next += size;
        Some((first, size))
    })
}

impl Tile<'_> {
    /// Computes the tile of `height` by `width`, at most `max_height` by `max_width`.
    #[inline(always)]
    pub(super) fn run<S: Simd>(self, simd: S, height: usize, width: usize) {
        run_sized!(self, simd, height, width, max_height, {
            1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16;
            2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14;
            3: 1 2 3 4 5 6 7 8 9;
        });
    }
}

struct Sized<'a, const HEIGHT: usize, const WIDTH: usize>(Tile<'a>);

impl<const HEIGHT: usize, const WIDTH: usize> WithSimd for Sized<'_, HEIGHT, WIDTH> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let tile = self.0;
        let full = WIDTH * S::F32_LANES;
        assert!(tile.channels <= full && full - S::F32_LANES < tile.channels);
        assert!(!matches!(tile.start, Start::With(init) if init.len() < full));
        assert!((HEIGHT - 1) * tile.c_i + tile.channels <= tile.c.len());
        let turns = |i| const { !Registers::of::<S>().are_many() } && tile.a_turn.at <= i;
        let skip = |i| if turns(i) { tile.a_turn.skip } else { 0 };
        let at: [usize; HEIGHT] = std::array::from_fn(|i| i * tile.a_i + skip(i));
        if 0 < tile.rows && 0 < tile.len {
            let last = |row, step| (tile.rows - 1) * row + (tile.len - 1) * step;
            assert!(last(tile.a_r, tile.a_l) + at[HEIGHT - 1] < tile.a.len());
            assert!(last(tile.b_r, tile.b_l) + full <= tile.b.len());
        }
        let mut sums = [[simd.splat_f32s(0.0); WIDTH]; HEIGHT];
        // SAFETY: the assertions above bound every index that is formed from here on.
        unsafe {
            match tile.start {
                Start::With(init) => unroll!(for v in 0..WIDTH {
                    let init = load::<S>(init.as_ptr().add(v * S::F32_LANES));
                    unroll!(for i in 0..HEIGHT {
                        sums[i][v] = init;
                    });
                }),
                Start::Resume => unroll!(for v in 0..WIDTH {
                    let part = Part::new(simd, tile.channels, v);
                    unroll!(for i in 0..HEIGHT {
                        sums[i][v] = part.get(tile.c.as_ptr().add(i * tile.c_i));
                    });
                }),
                Start::Add => {}
            }
            // Distances that are constants take no instructions.
            if tile.a_i == 1 && !turns(HEIGHT - 1) {
                add_products(simd, &tile, std::array::from_fn(|i| i), &mut sums);
            } else {
                add_products(simd, &tile, at, &mut sums);
            }
            // A load that meets a store which is still under way has to wait for it. So stores that
            // may overlap keep their distance: columns one by one, and in each only every fourth row.
            unroll!(for v in 0..WIDTH {
                let part = Part::new(simd, tile.channels, v);
                unroll!(for first in 0..SPREAD {
                    unroll!(for step in 0..SPREAD {
                        let i = first + step * SPREAD;
                        if i < HEIGHT {
                            let c = tile.c.as_mut_ptr().add(i * tile.c_i);
                            let sum = match tile.start {
                                Start::Add => simd.add_f32s(part.get(c), sums[i][v]),
                                _ => sums[i][v],
                            };
                            part.put(c, sum);
                        }
                    });
                });
            });
        }
    }
}

/// Adds all products to the sums of scalars that lie `at` so many floats from the first one's.
#[inline(always)]
unsafe fn add_products<S: Simd, const HEIGHT: usize, const WIDTH: usize>(
    simd: S,
    tile: &Tile<'_>,
    at: [usize; HEIGHT],
    sums: &mut [[S::f32s; WIDTH]; HEIGHT],
) {
    // SAFETY: the caller promises what is read of `a` and `b`.
    unsafe {
        for row in 0..tile.rows {
            let a = tile.a.as_ptr().add(row * tile.a_r);
            let b = tile.b.as_ptr().add(row * tile.b_r);
            let mut grouped = 0;
            if const { WIDTH == 1 && Registers::of::<S>().are_many() } && tile.a_l == 1 {
                grouped = tile.len / GROUP * GROUP;
                for l in (0..grouped).step_by(GROUP) {
                    let (a, b) = (a.add(l), b.add(l * tile.b_l));
                    let mut vectors = [simd.splat_f32s(0.0); GROUP];
                    unroll!(for g in [0 1 2 3] {
                        vectors[g] = load::<S>(b.add(g * tile.b_l));
                    });
                    unroll!(for i in 0..HEIGHT {
                        unroll!(for g in [0 1 2 3] {
                            let a = simd.splat_f32s(*a.add(at[i] + g));
                            sums[i][0] = simd.mul_add_e_f32s(a, vectors[g], sums[i][0]);
                        });
                    });
                }
            }
            for l in grouped..tile.len {
                let (a, b) = (a.add(l * tile.a_l), b.add(l * tile.b_l));
                let mut vectors = [simd.splat_f32s(0.0); WIDTH];
                unroll!(for v in 0..WIDTH {
                    vectors[v] = load::<S>(b.add(v * S::F32_LANES));
                });
                unroll!(for i in 0..HEIGHT {
                    let a = simd.splat_f32s(*a.add(at[i]));
                    unroll!(for v in 0..WIDTH {
                        sums[i][v] = simd.mul_add_e_f32s(a, vectors[v], sums[i][v]);
                    });
                });
            }
        }
    }
}
