//! A picture: one SVG, the same as PNG, and the numbers behind it as CSV.

mod canvas;
mod chart;
mod heat;
mod legend;
mod mosaic;
mod png;
mod theme;

use std::path::{Path, PathBuf};

use cldl_core::files::write_atomically;

pub(crate) use canvas::{Canvas, Ink, Painted, draw};
pub(crate) use chart::{Chart, Panel, Series, chart, digits, tick, ticks};
pub(crate) use heat::{Heat, Matrix, heat};
pub(crate) use mosaic::{Raster, raster_png};
pub(crate) use theme::{WRONG, class_color, shorten, text_width};

use crate::ReportError;

/// A picture and the numbers in it.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Its name in file names, as in `robustness`.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What it shows, in a sentence or two.
    pub caption: String,
    /// The picture.
    pub svg: String,
    /// Its numbers, a line each, with a head.
    pub csv: String,
    /// The digest of what it was computed from, see [`Study::digest`](crate::Study::digest).
    pub computed_from: String,
}

impl Picture {
    /// The picture as PNG, at twice its size in pixels.
    ///
    /// # Errors
    /// If the SVG can't be rendered.
    pub fn png(&self) -> Result<Vec<u8>, ReportError> {
        let failed = |problem| ReportError::Picture { name: self.name.clone(), problem };
        png::render(&self.svg, 2.0, &self.computed_from).map_err(failed)
    }

    /// The picture with the digest of what it was computed from, in each of its forms.
    #[must_use]
    pub(crate) fn signed(self, digest: &str) -> Self {
        let mut svg = self.svg;
        let start = svg.find('>').map_or(0, |at| at + 1);
        svg.insert_str(start, &format!("\n<metadata>computed from {digest}</metadata>"));
        let csv = with_column(&self.csv, "computed_from", digest);
        Self { svg, csv, computed_from: digest.to_owned(), ..self }
    }

    /// Writes the picture to `path` (`.svg` or `.png`) and its numbers beside it (`.csv`); returns the
    /// files.
    ///
    /// # Errors
    /// If the ending is another one, or a file can't be written.
    pub fn save(&self, path: &Path) -> Result<[PathBuf; 2], ReportError> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("svg") => write_atomically(path, self.svg.as_bytes())?,
            Some("png") => write_atomically(path, &self.png()?)?,
            _ => {
                let message = format!("`{}`: pictures end in .svg or .png", path.display());
                return Err(ReportError::Argument(message));
            }
        }
        let numbers = path.with_extension("csv");
        write_atomically(&numbers, self.csv.as_bytes())?;
        Ok([path.to_path_buf(), numbers])
    }

    /// Writes `<name>.svg`, `.png` and `.csv` into `folder`.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn save_all(&self, folder: &Path) -> Result<(), ReportError> {
        for ending in ["svg", "png"] {
            self.save(&folder.join(format!("{}.{ending}", self.name)))?;
        }
        Ok(())
    }
}

/// Lines of numbers under a head, as CSV.
pub(crate) fn csv_of(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to memory can't fail, but for rows of other lengths, which would be a bug seen at once.
    let _ = writer.write_record(head);
    for row in rows {
        let _ = writer.write_record(row);
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// `csv` with a last column that is the same in every line.
fn with_column(csv: &str, head: &str, cell: &str) -> String {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let old = reader.headers().cloned().unwrap_or_default();
    let head: Vec<&str> = old.iter().chain([head]).collect();
    let lines = reader.records().filter_map(Result::ok);
    csv_of(&head, lines.map(|line| line.iter().chain([cell]).map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use super::with_column;

    #[test]
    fn a_column_more_leaves_the_others_as_they_are() {
        let csv = "name,x\n\"a, b\",1\n\"say \"\"c\"\"\",\n";
        let expected = "name,x,from\n\"a, b\",1,d\n\"say \"\"c\"\"\",,d\n";
        assert_eq!(with_column(csv, "from", "d"), expected);
        assert_eq!(with_column("name\n", "from", "d"), "name,from\n");
    }
}
