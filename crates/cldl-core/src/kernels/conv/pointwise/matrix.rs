//! A weight as a matrix.

use crate::kernels::aligned::Aligned;
use crate::kernels::arch::Registers;
use crate::kernels::conv::products::{Blocks, Product, blocks};
use crate::kernels::prefetch::Ahead;
use crate::kernels::tile::max_height;
use crate::kernels::tiles::equal_tiles;
use pulp::Simd;

/// A matrix in the order in which products read it.
pub(super) struct Matrix {
    rows: usize,
    columns: usize,
    blocks: Vec<(Blocks, Aligned)>,
}

impl Matrix {
    /// Of so many rows and columns; `number` gives the one of a row and a column.
    pub(super) fn new(
        [rows, columns]: [usize; 2],
        registers: Registers,
        number: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let of_blocks = |blocks: Blocks| {
            let mut numbers = Aligned::zeros(blocks.len(rows));
            for (line, numbers) in numbers.chunks_exact_mut(blocks.channels).enumerate() {
                let (block, row) = (line / rows, line % rows);
                let first = blocks.first + block * blocks.channels;
                numbers.iter_mut().enumerate().for_each(|(i, to)| *to = number(row, first + i));
            }
            (blocks, numbers)
        };
        Self { rows, columns, blocks: blocks(columns, registers).map(of_blocks).collect() }
    }

    /// `c = init + a · self` for so many rows of `a` and `c`, where `init` is added to each.
    #[inline(always)]
    pub(super) fn multiply<S: Simd>(
        &self,
        simd: S,
        count: usize,
        a: &[f32],
        init: Option<&[f32]>,
        c: &mut [f32],
    ) {
        let Self { rows, columns, ref blocks } = *self;
        for (blocks, numbers) in blocks {
            let width = blocks.channels / S::F32_LANES;
            for (row, height, count) in equal_tiles(count, max_height::<S>(width)) {
                let product = Product {
                    planes: 1,
                    blocks: blocks.count,
                    count,
                    len: rows,
                    init: init.map(|init| &init[blocks.first..]),
                    a: &a[row * rows..],
                    a_p: 0,
                    a_i: rows,
                    b: numbers,
                    c: &mut c[row * columns + blocks.first..],
                    c_p: 0,
                    c_i: columns,
                    ahead: Ahead::NOTHING,
                };
                product.run(simd, height, width);
            }
        }
    }
}
