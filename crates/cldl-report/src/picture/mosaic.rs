//! Images of pixels as PNG files, to be put into pictures.

use resvg::tiny_skia::{ColorU8, Pixmap};

/// An image of pixels in [0, 1], `[Ch, H, W]`, one channel or three.
#[derive(Debug, Clone)]
pub(crate) struct Raster {
    pub(crate) shape: [usize; 3],
    pub(crate) pixels: Vec<f32>,
}

/// The image as a PNG file.
pub(crate) fn raster_png(raster: &Raster) -> Result<Vec<u8>, String> {
    let [channels, height, width] = raster.shape;
    let mut image = Pixmap::new(width as u32, height as u32).ok_or("an image of no size")?;
    let plane = height * width;
    for (place, pixel) in image.pixels_mut().iter_mut().enumerate() {
        let channel = |c: usize| {
            let value = raster.pixels[(c % channels) * plane + place];
            (value.clamp(0.0, 1.0) * 255.0).round() as u8
        };
        let (r, g, b) = if channels < 3 {
            (channel(0), channel(0), channel(0))
        } else {
            (channel(0), channel(1), channel(2))
        };
        *pixel = ColorU8::from_rgba(r, g, b, 255).premultiply();
    }
    image.encode_png().map_err(|e| e.to_string())
}
