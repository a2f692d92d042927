//! The pixels that are windows, to where they are neighbors, and back.
#![allow(unsafe_code, reason = "bounds are checked once, not for every line of a pixel")]

use super::STRIP;
use crate::kernels::conv::ConvShape;
use crate::kernels::prefetch::fetch_near;
use crate::kernels::tiles::tiles;
use crate::kernels::vector::{MAX_LANES, load};
use pulp::Simd;

/// Channels of a pixel in a line of the cache.
type Line = [f32; MAX_LANES];

/// Some rows of windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pixels<'a> {
    shape: &'a ConvShape,
    /// The first row, and how many they are.
    first: usize,
    rows: usize,
}

impl<'a> Pixels<'a> {
    /// All rows, so many together that their windows and outputs stay in the first-level cache.
    pub(super) fn strips(shape: &'a ConvShape) -> impl Iterator<Item = Self> {
        tiles(shape.out_h(), Self::rows_of_strip(shape)).map(move |(first, rows)| Self {
            shape,
            first,
            rows,
        })
    }

    /// Floats of the windows of a strip, at most.
    pub(super) fn len_of_strip(shape: &ConvShape) -> usize {
        Self::rows_of_strip(shape) * shape.out_w() * shape.in_ch
    }

    fn rows_of_strip(shape: &ConvShape) -> usize {
        let row = shape.out_w() * (shape.in_ch + shape.out_ch);
        (STRIP / row).clamp(1, shape.out_h())
    }

    /// How many there are.
    pub(super) fn count(self) -> usize {
        self.rows * self.shape.out_w()
    }

    /// Where those of `channels` begin, if all windows of an image are neighbors.
    pub(super) fn start(self, channels: usize) -> usize {
        self.first * self.shape.out_w() * channels
    }

    /// Copies them from an `image` to where they are neighbors.
    #[inline(always)]
    pub(super) fn gather(self, image: &[f32], windows: &mut [f32]) {
        let (from, to) = (image.as_ptr(), windows.as_mut_ptr());
        self.each_line(
            [image.len(), windows.len()],
            #[inline(always)]
            |pixel, window, next| {
                fetch_near(from.wrapping_add(next));
                // SAFETY: `each_line` promises a line at both places.
                unsafe { *to.add(window).cast::<Line>() = *from.add(pixel).cast::<Line>() }
            },
        );
    }

    /// Copies them back, or adds them to what is there.
    #[inline(always)]
    pub(super) fn scatter<S: Simd>(self, simd: S, windows: &[f32], image: &mut [f32], add: bool) {
        let (from, to) = (windows.as_ptr(), image.as_mut_ptr());
        self.each_line(
            [image.len(), windows.len()],
            #[inline(always)]
            |pixel, window, next| {
                fetch_near(to.wrapping_add(next));
                for v in (0..MAX_LANES).step_by(S::F32_LANES) {
                    // SAFETY: as in `gather`; a line is whole vectors.
                    unsafe {
                        let to = to.add(pixel + v);
                        let mut sum = load::<S>(from.add(window + v));
                        if add {
                            sum = simd.add_f32s(load::<S>(to), sum);
                        }
                        to.cast::<S::f32s>().write_unaligned(sum);
                    }
                }
            },
        );
    }

    /// Calls `copy` for each line of channels with where it is in the image, which has so many floats, and among the
    /// windows, and where that of the window below is.
    #[inline(always)]
    fn each_line(self, [image, windows]: [usize; 2], copy: impl Fn(usize, usize, usize)) {
        let Self { shape: ConvShape { in_w, in_ch, stride, .. }, first, rows } = self;
        let (out_w, row, step) = (self.shape.out_w(), stride * in_w * in_ch, stride * in_ch);
        assert!(in_ch.is_multiple_of(MAX_LANES) && rows * out_w * in_ch <= windows);
        assert!((first + rows - 1) * row + (out_w - 1) * step + in_ch <= image);
        for y in 0..rows {
            let (pixel, window) = ((first + y) * row, y * out_w * in_ch);
            for c in (0..*in_ch).step_by(MAX_LANES) {
                for x in 0..out_w {
                    let pixel = pixel + x * step + c;
                    copy(pixel, window + x * in_ch + c, pixel + row);
                }
            }
        }
    }
}
