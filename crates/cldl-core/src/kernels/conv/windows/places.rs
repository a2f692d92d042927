//! What is left of the outputs of a window, and where it goes.

use super::Block;
use super::tile::FOUR;
use crate::kernels::pool::wins;
use crate::kernels::tile::{MAX_LANES, store};
use pulp::Simd;

/// Where the maxima go: pixels of `ch` channels, from the `first` of the tile up to the `end` of its row.
pub(super) struct Maxima<'a> {
    pub ch: usize,
    pub first: usize,
    pub end: usize,
    pub block: &'a Block,
    pub is_tangent: bool,
    pub y: &'a mut [f32],
    pub argmax: &'a mut [f32],
}

impl Maxima<'_> {
    /// Stores what is left of the four outputs of vector `v`.
    #[inline(always)]
    pub(super) fn put<S: Simd>(&mut self, simd: S, v: usize, outputs: [S::f32s; FOUR]) {
        let places = Places {
            channels: self.block.channels,
            group: self.block.group,
            ch: self.ch,
            first: (self.first + v * self.block.group) * self.ch + self.block.first,
            end: self.end * self.ch,
        };
        let [mut chosen, rest @ ..] = outputs;
        if self.is_tangent {
            let at = places.load(simd, self.argmax);
            for (i, output) in [1.0, 2.0, 3.0].into_iter().zip(rest) {
                let here = simd.equal_f32s(at, simd.splat_f32s(i));
                chosen = simd.select_f32s(here, output, chosen);
            }
        } else {
            let mut at = simd.splat_f32s(0.0);
            for (i, output) in [1.0, 2.0, 3.0].into_iter().zip(rest) {
                let wins = wins(simd, output, chosen);
                chosen = simd.select_f32s(wins, output, chosen);
                at = simd.select_f32s(wins, simd.splat_f32s(i), at);
            }
            places.store(simd, at, self.argmax);
        }
        places.store(simd, chosen, self.y);
    }
}

/// The places of a vector's lanes: `channels` neighbors for each of `group` pixels before the `end`.
#[derive(Clone, Copy)]
struct Places {
    channels: usize,
    group: usize,
    ch: usize,
    first: usize,
    end: usize,
}

impl Places {
    #[inline(always)]
    fn each(self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let pixels = (self.first..self.end).step_by(self.ch).take(self.group);
        pixels.map(move |at| at..at + self.channels)
    }

    #[inline(always)]
    fn load<S: Simd>(self, simd: S, from: &[f32]) -> S::f32s {
        if self.group == 1 {
            return simd.partial_load_f32s(&from[self.first..self.first + self.channels]);
        }
        let mut lanes = [0.0; MAX_LANES];
        for (lanes, place) in lanes.chunks_exact_mut(self.channels).zip(self.each()) {
            lanes.iter_mut().zip(&from[place]).for_each(|(lane, from)| *lane = *from);
        }
        simd.partial_load_f32s(&lanes[..S::F32_LANES])
    }

    #[inline(always)]
    fn store<S: Simd>(self, simd: S, vector: S::f32s, to: &mut [f32]) {
        if self.group == 1 {
            store(simd, vector, &mut to[self.first..self.first + self.channels]);
            return;
        }
        let mut lanes = [0.0; MAX_LANES];
        store(simd, vector, &mut lanes[..S::F32_LANES]);
        for (lanes, place) in lanes.chunks_exact(self.channels).zip(self.each()) {
            to[place].iter_mut().zip(lanes).for_each(|(to, lane)| *to = *lane);
        }
    }
}
