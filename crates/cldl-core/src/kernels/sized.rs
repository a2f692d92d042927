//! Tiles of every size, each compiled for its own.

/// Vectorizes `$tile` as `Sized<height, width>`, whose loops are over constants. The sizes must be
/// those that the caller's `S` has registers for: `height <= $max_height::<S>(width)`.
macro_rules! run_sized {
    (
        $tile:expr, $simd:expr, $height:expr, $width:expr, $max_height:ident,
        { $($w:literal: $($h:literal)*;)* }
    ) => {
        match ($height, $width) {
            $($(($h, $w) if const { $h <= $max_height::<S>($w) } => {
                $simd.vectorize(Sized::<$h, $w>($tile));
            })*)*
            (height, width) => unreachable!("no tile of {height} by {width}"),
        }
    };
}

pub(super) use run_sized;
