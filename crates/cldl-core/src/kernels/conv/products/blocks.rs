//! Output channels in blocks.

use crate::kernels::arch::Registers;
use crate::kernels::tile::max_width;
use crate::kernels::tiles::equal_tiles;

/// Output channels in blocks as wide as the tiles that compute them.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels::conv) struct Blocks {
    /// The first channel.
    pub first: usize,
    /// How many blocks there are, and channels of each: whole vectors.
    pub count: usize,
    pub channels: usize,
}

/// Of all output channels, those of one width together.
pub(in crate::kernels::conv) fn blocks(
    out_ch: usize,
    registers: Registers,
) -> impl Iterator<Item = Blocks> {
    let lanes = registers.lanes;
    equal_tiles(out_ch / lanes, max_width(registers)).map(move |(vector, width, count)| Blocks {
        first: vector * lanes,
        count,
        channels: width * lanes,
    })
}

impl Blocks {
    /// Floats of a matrix of `in_ch` rows.
    pub(in crate::kernels::conv) fn len(&self, in_ch: usize) -> usize {
        in_ch * self.count * self.channels
    }

    /// Where the number of an output channel is, counted from the first, in the order (block, input channel,
    /// output channel).
    pub(in crate::kernels::conv) fn at(&self, in_ch: usize, c: usize, channel: usize) -> usize {
        let (block, channel) = (channel / self.channels, channel % self.channels);
        (block * in_ch + c) * self.channels + channel
    }
}
