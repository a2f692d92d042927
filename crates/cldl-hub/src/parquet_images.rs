//! Image datasets as the Hub keeps them: parquet files with a column of PNG files and a column of labels.

use std::path::Path;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row, RowAccessor as _};

/// Pixels and labels of a split.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Images {
    /// Channel by channel, row by row, image after image.
    pub pixels: Vec<u8>,
    /// A label for each image.
    pub labels: Vec<u8>,
}

/// Reads the images of the parquet file at `path`, all of the given shape `[Ch, H, W]`. The column of images is `image` or
/// `img`, that of labels `label`.
///
/// # Errors
/// In words, if it is no such file.
pub fn read_images(path: &Path, shape: [usize; 3]) -> Result<Images, String> {
    let damaged = |e: &dyn std::fmt::Display| format!("is no parquet file of images: {e}");
    let file = std::fs::File::open(path).map_err(|e| damaged(&e))?;
    let reader = SerializedFileReader::new(file).map_err(|e| damaged(&e))?;
    let mut images = Images::default();
    for (i, row) in reader.get_row_iter(None).map_err(|e| damaged(&e))?.enumerate() {
        let row = row.map_err(|e| damaged(&e))?;
        let (png, label) = columns(&row).ok_or_else(|| damaged(&"it lacks `image` or `label`"))?;
        let label = u8::try_from(label).map_err(|_| damaged(&format!("label {label}")))?;
        decode(png, shape, &mut images.pixels).map_err(|e| format!("has a bad image {i}: {e}"))?;
        images.labels.push(label);
    }
    Ok(images)
}

/// The PNG file and the label in a row.
fn columns(row: &Row) -> Option<(&[u8], i64)> {
    let (mut png, mut label) = (None, None);
    for (i, (name, field)) in row.get_column_iter().enumerate() {
        match (name.as_str(), field) {
            ("image" | "img", Field::Group(group)) => {
                let at = group.get_column_iter().position(|(name, _)| name == "bytes")?;
                png = Some(group.get_bytes(at).ok()?.data());
            }
            ("label", _) => label = row.get_long(i).ok(),
            _ => {}
        }
    }
    Some((png?, label?))
}

/// Appends the pixels of a PNG file to `pixels`.
fn decode(
    png: &[u8],
    [channels, height, width]: [usize; 3],
    pixels: &mut Vec<u8>,
) -> Result<(), String> {
    let decoder = png::Decoder::new(std::io::Cursor::new(png));
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    let info = reader.info();
    let color = match channels {
        1 => png::ColorType::Grayscale,
        _ => png::ColorType::Rgb,
    };
    let found = (info.height as usize, info.width as usize, info.color_type, info.bit_depth);
    if found != (height, width, color, png::BitDepth::Eight) {
        return Err(format!("it is {found:?}"));
    }
    let mut interleaved = vec![0; channels * height * width];
    reader.next_frame(&mut interleaved).map_err(|e| e.to_string())?;
    for channel in 0..channels {
        pixels.extend(interleaved.iter().skip(channel).step_by(channels));
    }
    Ok(())
}
