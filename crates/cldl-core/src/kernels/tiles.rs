//! Many things in tiles.

/// `count` things in tiles of at most `max`, as even as can be: first thing and size of each. Without a
/// division for each: a small tile takes little longer than one.
pub(super) fn tiles(count: usize, max: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    equal_tiles(count, max)
        .flat_map(|(first, size, tiles)| (0..tiles).map(move |tile| (first + tile * size, size)))
}

/// The same tiles, those of one size together: first thing, size of each, and how many they are.
pub(super) fn equal_tiles(
    count: usize,
    max: usize,
) -> impl Iterator<Item = (usize, usize, usize)> + Clone {
    let tiles = count.div_ceil(max).max(1);
    let (size, longer) = (count / tiles, count % tiles);
    let equal = [(0, size + 1, longer), (longer * (size + 1), size, tiles - longer)];
    equal.into_iter().filter(|(_, size, tiles)| 0 < *size && 0 < *tiles)
}
