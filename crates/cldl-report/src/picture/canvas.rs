//! What pictures are drawn on: plotters' SVG, and what plotters has no word for (images of pixels,
//! places that answer to the pointer).

use std::fmt::Write as _;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::theme::{INK, MUTED, PAPER, TEXT, series_color};
use crate::ReportError;

/// What drawing gives.
pub(crate) type Painted = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// A picture in the making; positions are pixels from the top left.
pub(crate) struct Canvas<'a> {
    pub(crate) area: DrawingArea<SVGBackend<'a>, Shift>,
    overlay: String,
}

/// How a text looks and where it is in relation to its position.
#[derive(Clone, Copy)]
pub(crate) struct Ink {
    pub(crate) height: f64,
    pub(crate) color: RGBColor,
    pub(crate) bold: bool,
    pub(crate) h: HPos,
    pub(crate) upwards: bool,
}

impl Ink {
    pub(crate) const LEFT: Self =
        Self { height: TEXT, color: INK, bold: false, h: HPos::Left, upwards: false };
    pub(crate) const CENTER: Self = Self { h: HPos::Center, ..Self::LEFT };
    pub(crate) const RIGHT: Self = Self { h: HPos::Right, ..Self::LEFT };
    pub(crate) const TITLE: Self = Self { bold: true, ..Self::LEFT };

    pub(crate) const fn muted(self) -> Self {
        Self { color: MUTED, ..self }
    }

    pub(crate) const fn small(self) -> Self {
        Self { height: 11.0, ..self }
    }

    pub(crate) const fn on(self, ground: RGBColor) -> Self {
        Self { color: ground, ..self }
    }

    /// The same for plotters.
    pub(crate) fn style(self) -> TextStyle<'static> {
        let weight = if self.bold { FontStyle::Bold } else { FontStyle::Normal };
        // plotters takes the height of a line for the size of a typeface.
        let font = ("sans-serif", self.height * 1.24, weight).into_font();
        let font = if self.upwards { font.transform(FontTransform::Rotate270) } else { font };
        font.color(&self.color).pos(Pos::new(self.h, VPos::Center))
    }
}

/// Draws a picture of this size; returns its SVG.
pub(crate) fn draw(
    name: &str,
    (width, height): (i32, i32),
    paint: impl FnOnce(&mut Canvas<'_>) -> Painted,
) -> Result<String, ReportError> {
    let mut svg = String::new();
    let painted = {
        let area =
            SVGBackend::with_string(&mut svg, (width as u32, height as u32)).into_drawing_area();
        let mut canvas = Canvas { area, overlay: String::new() };
        let painted = (canvas.area.fill(&PAPER))
            .and_then(|()| paint(&mut canvas))
            .and_then(|()| canvas.area.present());
        painted.map(|()| canvas.overlay)
    };
    let overlay = painted
        .map_err(|e| ReportError::Picture { name: name.to_owned(), problem: e.to_string() })?;
    let end = svg.rfind("</svg>").unwrap_or(svg.len());
    svg.insert_str(end, &overlay);
    Ok(svg)
}

impl Canvas<'_> {
    pub(crate) fn text(&self, (x, y): (i32, i32), text: &str, ink: Ink) -> Painted {
        self.area.draw(&Text::new(text.to_owned(), (x, y), ink.style()))
    }

    pub(crate) fn rect(&self, (x, y): (i32, i32), (w, h): (i32, i32), color: RGBColor) -> Painted {
        self.area.draw(&Rectangle::new([(x, y), (x + w, y + h)], color.filled()))
    }

    pub(crate) fn frame(&self, (x, y): (i32, i32), (w, h): (i32, i32), color: RGBColor) -> Painted {
        self.area.draw(&Rectangle::new([(x, y), (x + w, y + h)], color.stroke_width(1)))
    }

    /// A line through `points`; nothing if there is one alone.
    pub(crate) fn line(&self, points: &[(i32, i32)], color: RGBColor, width: u32) -> Painted {
        if points.len() < 2 {
            return Ok(());
        }
        self.area.draw(&PathElement::new(points.to_vec(), color.stroke_width(width)))
    }

    /// The mark of the series at `index`, each of its own shape; hollow for numbers of others.
    pub(crate) fn mark(&self, (x, y): (i32, i32), index: usize, filled: bool) -> Painted {
        let color = series_color(index);
        let style = if filled { color.filled() } else { ShapeStyle::from(&color).stroke_width(2) };
        let r = 4;
        let corners: &[(i32, i32)] = match index % 5 {
            0 => return self.area.draw(&Circle::new((x, y), r, style)),
            1 => &[(-r, -r), (r, -r), (r, r), (-r, r)],
            2 => &[(0, -r - 1), (r + 1, r), (-r - 1, r)],
            3 => &[(0, -r - 2), (r + 2, 0), (0, r + 2), (-r - 2, 0)],
            _ => &[(0, r + 1), (r + 1, -r), (-r - 1, -r)],
        };
        let mut corners: Vec<(i32, i32)> = corners.iter().map(|(a, b)| (x + a, y + b)).collect();
        if filled {
            return self.area.draw(&Polygon::new(corners, style));
        }
        corners.push(corners[0]);
        self.area.draw(&PathElement::new(corners, style))
    }

    /// An image of pixels, as a PNG file, with its pixels' edges kept.
    pub(crate) fn image(&mut self, (x, y): (i32, i32), (w, h): (i32, i32), png: &[u8]) {
        use base64::Engine as _;
        let data = base64::engine::general_purpose::STANDARD.encode(png);
        let _ = writeln!(
            self.overlay,
            "<image x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" preserveAspectRatio=\"none\" \
             image-rendering=\"optimizeSpeed\" href=\"data:image/png;base64,{data}\"/>"
        );
    }

    /// Text that is seen over images, which are drawn after all else.
    pub(crate) fn label(&mut self, (x, y): (i32, i32), text: &str, ink: Ink) {
        let RGBColor(r, g, b) = ink.color;
        let halo = if ink.color == RGBColor(255, 255, 255) { "#000000" } else { "#FFFFFF" };
        let _ = writeln!(
            self.overlay,
            "<text x=\"{x}\" y=\"{y}\" dy=\"0.35em\" text-anchor=\"middle\" font-family=\"sans-serif\" \
             font-size=\"{}\" font-weight=\"bold\" fill=\"#{r:02x}{g:02x}{b:02x}\" stroke=\"{halo}\" \
             stroke-width=\"2.5\" stroke-opacity=\"0.55\" paint-order=\"stroke\">{}</text>",
            ink.height,
            escaped(text)
        );
    }

    /// Dashed lines over images.
    pub(crate) fn dashes(&mut self, points: &[(i32, i32)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
        for (color, offset) in [("#000000", 0), ("#ffffff", 4)] {
            let _ = writeln!(
                self.overlay,
                "<polygon points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.2\" \
                 stroke-dasharray=\"4 4\" stroke-dashoffset=\"{offset}\"/>",
                points.join(" ")
            );
        }
    }

    /// A place that tells more when pointed at.
    pub(crate) fn hover(&mut self, (x, y): (i32, i32), (w, h): (i32, i32), text: &str) {
        let _ = writeln!(
            self.overlay,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" fill=\"#000000\" fill-opacity=\"0\">\
             <title>{}</title></rect>",
            escaped(text)
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
