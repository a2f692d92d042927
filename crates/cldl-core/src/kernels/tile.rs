//! The one inner loop of all convolutions: a tile of outputs held in vector registers.
#![allow(unsafe_code, reason = "bounds are checked once per tile, not once per multiplication")]

use pulp::{MemMask, Simd, WithSimd};

/// A sum of outer products, `height` scalars by `width` vectors:
///
/// `c[i, v] = init[v] + Σ_{r < rows} Σ_{l < len} a[r, l, i] · b[r, l, v]`
///
/// where `a` is read as scalars and `b`, `init` and `c` as vectors over neighboring channels. All
/// strides count floats. With `a` the image and `b` the weights it is a convolution, with `a` the
/// output's gradient and `b` the weights the input gradient, with `a` the image and `b` the output's
/// gradient the weight gradient.
#[derive(Debug)]
pub(super) struct Tile<'a> {
    pub rows: usize,
    pub len: usize,
    pub a: &'a [f32],
    pub a_row: usize,
    pub a_step: usize,
    pub a_tile: usize,
    pub b: &'a [f32],
    pub b_row: usize,
    pub b_step: usize,
    /// `None` adds to `c` instead, one `i` after the other: their vectors may overlap in `c`.
    pub init: Option<&'a [f32]>,
    pub c: &'a mut [f32],
    pub c_tile: usize,
    /// Channels to store, at most `width` vectors and more than one vector less.
    pub channels: usize,
}

/// Rows of scalars in the highest tile whose accumulators fit into the registers of `S`, with
/// `width` vectors each; one vector of every width stays free for operands.
pub(super) const fn max_height<S: Simd>(width: usize) -> usize {
    match (S::REGISTER_COUNT, width) {
        (32.., 1) => 16,
        (32.., 2) => 14,
        (32.., _) => 9,
        (_, 1) => 12,
        (_, 2) => 6,
        _ => 4,
    }
}

/// Vectors in the widest tile.
pub(super) const MAX_WIDTH: usize = 3;

/// `count` things in tiles of at most `max`, as even as can be: first thing and size of each.
pub(super) fn tiles(count: usize, max: usize) -> impl Iterator<Item = (usize, usize)> {
    let tiles = count.div_ceil(max);
    (0..tiles).map(move |tile| {
        let first = tile * count / tiles;
        (first, (tile + 1) * count / tiles - first)
    })
}

impl Tile<'_> {
    /// Computes the tile of `height` by `width`, at most `max_height` by [`MAX_WIDTH`].
    #[inline(always)]
    pub(super) fn run<S: Simd>(self, simd: S, height: usize, width: usize) {
        macro_rules! choose {
            ($($height:literal)*) => {
                match (height, width) {
                    $(($height, 1) => simd.vectorize(Sized::<'_, $height, 1>(self)),
                      ($height, 2) => simd.vectorize(Sized::<'_, $height, 2>(self)),
                      ($height, 3) => simd.vectorize(Sized::<'_, $height, 3>(self)),)*
                    _ => unreachable!("no tile of {height} x {width}"),
                }
            };
        }
        choose!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
    }
}

struct Sized<'a, const HEIGHT: usize, const WIDTH: usize>(Tile<'a>);

impl<const HEIGHT: usize, const WIDTH: usize> WithSimd for Sized<'_, HEIGHT, WIDTH> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        const { assert!(HEIGHT > 0 && WIDTH > 0) };
        let mut tile = self.0;
        let lanes = S::F32_LANES;
        let full = WIDTH * lanes;
        assert!(tile.channels <= full && full - lanes < tile.channels);
        assert!(tile.init.is_none_or(|init| full <= init.len()));
        assert!((HEIGHT - 1) * tile.c_tile + tile.channels <= tile.c.len());
        if 0 < tile.rows && 0 < tile.len {
            let last = |row, step| (tile.rows - 1) * row + (tile.len - 1) * step;
            assert!(last(tile.a_row, tile.a_step) + (HEIGHT - 1) * tile.a_tile < tile.a.len());
            assert!(last(tile.b_row, tile.b_step) + full <= tile.b.len());
        }
        // SAFETY: the assertions above bound every index that the two loops form.
        unsafe {
            let mut sums = [match tile.init {
                Some(init) => load::<S, WIDTH>(init.as_ptr()),
                None => [simd.splat_f32s(0.0); WIDTH],
            }; HEIGHT];
            for row in 0..tile.rows {
                let a = tile.a.as_ptr().add(row * tile.a_row);
                let b = tile.b.as_ptr().add(row * tile.b_row);
                for l in 0..tile.len {
                    let b = load::<S, WIDTH>(b.add(l * tile.b_step));
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let a = simd.splat_f32s(*a.add(l * tile.a_step + i * tile.a_tile));
                        for v in 0..WIDTH {
                            sums[v] = simd.mul_add_e_f32s(a, b[v], sums[v]);
                        }
                    }
                }
            }
            // By columns: rows that overlap in `c` do so at other columns, and a load that meets a
            // store which is still under way has to wait for it.
            finish(simd, &mut tile, &sums, 0);
            if 1 < WIDTH {
                finish(simd, &mut tile, &sums, 1);
            }
            if 2 < WIDTH {
                finish(simd, &mut tile, &sums, 2);
            }
        }
    }
}

#[inline(always)]
unsafe fn load<S: Simd, const WIDTH: usize>(from: *const f32) -> [S::f32s; WIDTH] {
    // SAFETY: the caller promises `WIDTH` vectors at `from`.
    std::array::from_fn(|v| unsafe {
        from.add(v * S::F32_LANES).cast::<S::f32s>().read_unaligned()
    })
}

/// Stores or adds the `v`-th vector of every row. A function of one column with loops of one line:
/// the compiler keeps the sums in registers only if it unrolls every loop over them.
#[inline(always)]
unsafe fn finish<S: Simd, const HEIGHT: usize, const WIDTH: usize>(
    simd: S,
    tile: &mut Tile,
    sums: &[[S::f32s; WIDTH]; HEIGHT],
    v: usize,
) {
    let channels = (tile.channels - v * S::F32_LANES).min(S::F32_LANES);
    let mask = MemMask::from(simd.mask_between_m32s(0, channels as u32).mask());
    let c = tile.c.as_mut_ptr().wrapping_add(v * S::F32_LANES);
    let c = |i| c.wrapping_add(i * tile.c_tile);
    let whole = |i| c(i).cast::<S::f32s>();
    // SAFETY: the caller promises `HEIGHT` rows of `channels` in `c`.
    unsafe {
        match (tile.init, channels == S::F32_LANES) {
            (Some(_), true) => (0..HEIGHT).for_each(|i| whole(i).write_unaligned(sums[i][v])),
            (Some(_), false) => {
                (0..HEIGHT).for_each(|i| simd.mask_store_ptr_f32s(mask, c(i), sums[i][v]));
            }
            (None, true) => (0..HEIGHT).for_each(|i| {
                whole(i).write_unaligned(simd.add_f32s(whole(i).read_unaligned(), sums[i][v]));
            }),
            (None, false) => (0..HEIGHT).for_each(|i| {
                let sum = simd.add_f32s(simd.mask_load_ptr_f32s(mask, c(i)), sums[i][v]);
                simd.mask_store_ptr_f32s(mask, c(i), sum);
            }),
        }
    }
}
