//! SVG to PNG, with a typeface that is always there.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

/// The typefaces: light, and Hack where a sign is missing or bold is asked for.
static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    fonts.load_font_data(epaint_default_fonts::HACK_REGULAR.to_vec());
    let family = fonts.faces().next().and_then(|face| face.families.first());
    if let Some((name, _)) = family.cloned() {
        fonts.set_sans_serif_family(name);
    }
    Arc::new(fonts)
});

/// The picture as a PNG file, `scale` times its size, with the digest of what it was computed from.
pub(super) fn render(svg: &str, scale: f32, computed_from: &str) -> Result<Vec<u8>, String> {
    let options = Options { fontdb: FONTS.clone(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|e| e.to_string())?;
    let size = tree.size().to_int_size();
    let (width, height) = (size.width() as f32 * scale, size.height() as f32 * scale);
    let mut pixels = Pixmap::new(width as u32, height as u32).ok_or("a picture of no size")?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    encoded(pixels, computed_from).map_err(|e| e.to_string())
}

fn encoded(pixels: Pixmap, computed_from: &str) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, pixels.width(), pixels.height());
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.add_text_chunk("Source".to_owned(), format!("computed from {computed_from}"))?;
    encoder.write_header()?.write_image_data(&pixels.take_demultiplied())?;
    Ok(file)
}
