//! Rows of windows that follow each other in one line of tiles.

/// Windows lie at equal distances but for the ends of rows: from the first window of another row on, so many floats
/// further than their number says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// Windows of the first row, and of each after it.
    pub first: usize,
    pub row: usize,
    /// Floats further, in what is read and in what is written.
    pub skip: [usize; 2],
}

impl Turn {
    /// One row without end.
    pub(super) const NONE: Self = Self { first: usize::MAX, row: usize::MAX, skip: [0; 2] };

    /// Floats that the `i`-th window lies further.
    pub(super) fn skipped(self, i: usize) -> [usize; 2] {
        let rows = if i < self.first { 0 } else { (i - self.first) / self.row + 1 };
        self.skip.map(|skip| rows * skip)
    }

    /// Floats that the `i`-th window of a tile lies further, which is no longer than a row.
    #[inline(always)]
    pub(super) fn skipped_in_tile(self, i: usize) -> [usize; 2] {
        if i < self.first { [0; 2] } else { self.skip }
    }

    /// What follows a tile of `height`, and the floats that its first window lies further.
    #[inline(always)]
    pub(super) fn after(self, height: usize) -> (Self, [usize; 2]) {
        if height < self.first {
            (Self { first: self.first - height, ..self }, [0; 2])
        } else {
            (Self { first: self.first + self.row - height, ..self }, self.skip)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Turn;

    #[test]
    fn tile_by_tile_it_is_the_same() {
        let rows = [(3, 5, 4), (5, 5, 5), (1, 7, 3), (usize::MAX, usize::MAX, 6)];
        for (first, row, height) in rows {
            let turn = Turn { first, row, skip: [100, 7] };
            let (mut tile, mut further) = (turn, [0; 2]);
            for t in 0..10 {
                for i in 0..height {
                    let skip = tile.skipped_in_tile(i);
                    let all = [0, 1].map(|which| further[which] + skip[which]);
                    assert_eq!(all, turn.skipped(t * height + i));
                }
                let (next, skip) = tile.after(height);
                tile = next;
                further.iter_mut().zip(skip).for_each(|(further, skip)| *further += skip);
            }
        }
    }
}
