//! Products of matrices, as convolutions need them: output channels are vectors, in blocks as wide as a tile.

mod blocks;
mod product;
mod sums;

pub(super) use blocks::{Blocks, blocks};
pub(super) use product::Product;
pub(super) use sums::Sums;
