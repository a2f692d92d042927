//! The one inner loop of all convolutions: a tile of outputs held in vector registers.
#![allow(unsafe_code, reason = "bounds are checked once per tile, not once per multiplication")]

use super::arch::Registers;
use super::prefetch::Ahead;
use super::sized::run_sized;
use super::turn::Turn;
use super::unroll::unroll;
use super::vector::{Part, load};
use pulp::{Simd, WithSimd};

/// Sums of outer products, `lines` by `count` tiles of `height` scalars by `width` vectors:
///
/// `c[s, t, i, v] = start + Σ_{r < rows} Σ_{l < len} a[s, t, r, l, i] · b[r, l, v]`
///
/// where `a` is read as scalars and `b` and `c` as vectors over neighboring channels. A
/// stride is named by the index that it belongs to, and counts floats.
///
/// With `a` the image and `b` the weights it is a convolution, with `a` the output's gradient and
/// `b` the weights the input gradient, with `a` the image and `b` the output's gradient the weight
/// gradient. To begin a tile takes as long as some of its products: so tiles that lie at equal distances come
/// together.
#[derive(Debug)]
pub(super) struct Tile<'a> {
    pub lines: usize,
    pub count: usize,
    pub rows: usize,
    pub len: usize,
    pub a: &'a [f32],
    pub a_s: usize,
    pub a_t: usize,
    pub a_r: usize,
    pub a_l: usize,
    pub a_i: usize,
    pub b: &'a [f32],
    pub b_r: usize,
    pub b_l: usize,
    pub start: Start<'a>,
    pub c: &'a mut [f32],
    pub c_s: usize,
    pub c_t: usize,
    pub c_i: usize,
    /// Where registers are few, a line of tiles may be several rows of `a` and `c`, none shorter than a tile.
    pub turn: Turn,
    /// Channels to store, at most `width` vectors and more than one vector less.
    pub channels: usize,
    /// What to fetch meanwhile: a part with each of the `rows` of each tile.
    pub ahead: Ahead<'a>,
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

/// Floats from a pixel to the next, where a tile is one vector wide and reads a scalar for each multiplication:
/// to count up their distances would take longer than to multiply.
const PIXEL: usize = 32;

/// Distance of rows that are stored one after the other; its square is the height of any tile.
const SPREAD: usize = 4;

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
        let turns = const { !Registers::of::<S>().are_many() };
        assert!(0 < tile.lines && 0 < tile.count && (!turns || HEIGHT <= tile.turn.row));
        let last =
            |line, step, i| (tile.lines - 1) * line + (tile.count - 1) * step + (HEIGHT - 1) * i;
        let [a_skip, c_skip] =
            if turns { tile.turn.skipped(tile.count * HEIGHT - 1) } else { [0; 2] };
        let last_c = last(tile.c_s, tile.c_t, tile.c_i) + c_skip;
        assert!(last_c + tile.channels <= tile.c.len());
        if 0 < tile.rows && 0 < tile.len {
            let term = |row, step| (tile.rows - 1) * row + (tile.len - 1) * step;
            let last_a = last(tile.a_s, tile.a_t, tile.a_i) + a_skip;
            assert!(last_a + term(tile.a_r, tile.a_l) < tile.a.len());
            assert!(term(tile.b_r, tile.b_l) + full <= tile.b.len());
        }
        let mut ahead = tile.ahead;
        for s in 0..tile.lines {
            let (mut turn, mut a_skip, mut c_skip) = (tile.turn, 0, 0);
            for t in 0..tile.count {
                // SAFETY: the assertions above bound every index that is formed from here on.
                unsafe {
                    let a = tile.a.as_ptr().add(s * tile.a_s + t * tile.a_t + a_skip);
                    let c = tile.c.as_mut_ptr().add(s * tile.c_s + t * tile.c_t + c_skip);
                    let turned = turns && turn.first < HEIGHT;
                    let mut at: [usize; HEIGHT] = std::array::from_fn(|i| i * tile.a_i);
                    let mut to: [usize; HEIGHT] = std::array::from_fn(|i| i * tile.c_i);
                    if turned {
                        unroll!(for i in 0..HEIGHT {
                            let [a, c] = turn.skipped_in_tile(i);
                            (at[i], to[i]) = (at[i] + a, to[i] + c);
                        });
                    }
                    let mut sums = begin::<S, HEIGHT, WIDTH>(simd, &tile, c, to);
                    // Distances that are constants take no instructions.
                    let same = !turned || turn.skip[0] == 0;
                    let follow = tile.a_l == 1 && tile.b_l == full;
                    let products = Products { tile: &tile, a };
                    if same && tile.a_i == 1 {
                        let at = std::array::from_fn(|i| i);
                        products.add::<false, S, HEIGHT, WIDTH>(simd, at, &mut ahead, &mut sums);
                    } else if same && WIDTH == 1 && tile.a_i == PIXEL {
                        let at = std::array::from_fn(|i| i * PIXEL);
                        products.add::<false, S, HEIGHT, WIDTH>(simd, at, &mut ahead, &mut sums);
                    } else if follow {
                        products.add::<true, S, HEIGHT, WIDTH>(simd, at, &mut ahead, &mut sums);
                    } else {
                        products.add::<false, S, HEIGHT, WIDTH>(simd, at, &mut ahead, &mut sums);
                    }
                    end(simd, &tile, c, to, sums);
                }
                if turns {
                    let (next, skip) = turn.after(HEIGHT);
                    (turn, a_skip, c_skip) = (next, a_skip + skip[0], c_skip + skip[1]);
                }
            }
        }
    }
}

/// What the sums of a tile begin with.
#[inline(always)]
unsafe fn begin<S: Simd, const HEIGHT: usize, const WIDTH: usize>(
    simd: S,
    tile: &Tile<'_>,
    c: *const f32,
    to: [usize; HEIGHT],
) -> [[S::f32s; WIDTH]; HEIGHT] {
    let mut sums = [[simd.splat_f32s(0.0); WIDTH]; HEIGHT];
    // SAFETY: the caller promises whole vectors of `init`, and the channels that are read of `c`.
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
                    sums[i][v] = part.get(c.add(to[i]));
                });
            }),
            Start::Add => {}
        }
    }
    sums
}

/// Of a tile whose scalars begin at `a`.
struct Products<'a, 'b> {
    tile: &'a Tile<'b>,
    a: *const f32,
}

impl Products<'_, '_> {
    /// Adds all products to the sums of scalars that lie `at` so many floats from the first one's; terms may `FOLLOW`
    /// each other in memory.
    #[inline(always)]
    unsafe fn add<const FOLLOW: bool, S: Simd, const HEIGHT: usize, const WIDTH: usize>(
        self,
        simd: S,
        at: [usize; HEIGHT],
        ahead: &mut Ahead<'_>,
        sums: &mut [[S::f32s; WIDTH]; HEIGHT],
    ) {
        let Self { tile, a } = self;
        let (a_l, b_l) = if FOLLOW { (1, WIDTH * S::F32_LANES) } else { (tile.a_l, tile.b_l) };
        // SAFETY: the caller promises what is read of `a` and `b`.
        unsafe {
            for row in 0..tile.rows {
                ahead.fetch();
                let a = a.add(row * tile.a_r);
                let b = tile.b.as_ptr().add(row * tile.b_r);
                let pairs = if FOLLOW { tile.len / 2 } else { 0 };
                for l in (0..pairs).map(|pair| 2 * pair) {
                    let (a, b) = (a.add(l), b.add(l * b_l));
                    add_term(simd, a, at, b, sums);
                    add_term(simd, a.add(1), at, b.add(b_l), sums);
                }
                for l in 2 * pairs..tile.len {
                    let (a, b) = (a.add(l * a_l), b.add(l * b_l));
                    add_term(simd, a, at, b, sums);
                }
            }
        }
    }
}

/// Adds to each of `sums` the product of its scalar, which lies `at` so many floats from `a`, with its vector.
#[inline(always)]
pub(super) unsafe fn add_term<S: Simd, const HEIGHT: usize, const WIDTH: usize>(
    simd: S,
    a: *const f32,
    at: [usize; HEIGHT],
    b: *const f32,
    sums: &mut [[S::f32s; WIDTH]; HEIGHT],
) {
    // SAFETY: the caller promises the scalars and the vectors.
    unsafe {
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

/// Stores the sums of a tile.
#[inline(always)]
unsafe fn end<S: Simd, const HEIGHT: usize, const WIDTH: usize>(
    simd: S,
    tile: &Tile<'_>,
    c: *mut f32,
    to: [usize; HEIGHT],
    sums: [[S::f32s; WIDTH]; HEIGHT],
) {
    // SAFETY: the caller promises the channels that are written, and maybe read, of `c`.
    unsafe {
        // A load that meets a store which is still under way has to wait for it. So stores that
        // may overlap keep their distance: columns one by one, and in each only every fourth row.
        unroll!(for v in 0..WIDTH {
            let part = Part::new(simd, tile.channels, v);
            unroll!(for first in 0..SPREAD {
                unroll!(for step in 0..SPREAD {
                    let i = first + step * SPREAD;
                    if i < HEIGHT {
                        let c = c.add(to[i]);
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
