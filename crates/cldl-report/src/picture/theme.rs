//! Colors and type. Series are in Okabe and Ito's colors and differ in shape too; maps are in viridis:
//! both can be told apart with every kind of color vision, and in gray.

use plotters::style::RGBColor;

/// Text and axes; the page turns it light where the reader prefers the dark.
pub(crate) const INK: RGBColor = RGBColor(34, 34, 34);
/// Less important text.
pub(crate) const MUTED: RGBColor = RGBColor(102, 102, 102);
/// Grid lines.
pub(crate) const GRID: RGBColor = RGBColor(225, 225, 225);
/// What went wrong.
pub(crate) const WRONG: RGBColor = RGBColor(196, 77, 0);
/// The ground.
pub(crate) const PAPER: RGBColor = RGBColor(255, 255, 254);

/// Height of ordinary text, in pixels.
pub(crate) const TEXT: f64 = 13.0;

const SERIES: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(119, 119, 119),
    RGBColor(140, 81, 10),
];

/// Paul Tol's muted colors and two more, for areas.
const CLASSES: [RGBColor; 12] = [
    RGBColor(136, 204, 238),
    RGBColor(204, 102, 119),
    RGBColor(221, 204, 119),
    RGBColor(17, 119, 51),
    RGBColor(51, 34, 136),
    RGBColor(170, 68, 153),
    RGBColor(68, 170, 153),
    RGBColor(153, 153, 51),
    RGBColor(136, 34, 85),
    RGBColor(187, 187, 187),
    RGBColor(102, 102, 102),
    RGBColor(238, 153, 85),
];

/// The color of the series at `index`.
pub(crate) fn series_color(index: usize) -> RGBColor {
    SERIES[index % SERIES.len()]
}

/// The color of the areas of class `index`.
pub(crate) fn class_color(index: usize) -> RGBColor {
    CLASSES[index % CLASSES.len()]
}

/// Black or white, whichever reads better on `ground`.
pub(crate) fn on(ground: RGBColor) -> RGBColor {
    let RGBColor(r, g, b) = ground;
    let light = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
    if 140.0 < light { RGBColor(0, 0, 0) } else { RGBColor(255, 255, 255) }
}

/// At least as wide as `text` is at `height` in a common typeface, in pixels.
pub(crate) fn text_width(text: &str, height: f64) -> i32 {
    let wide = |c: char| match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | ' ' | '.' | ',' | ':' | '|' | '(' | ')' => 0.36,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.92,
        c if c.is_uppercase() => 0.72,
        _ => 0.58,
    };
    (text.chars().map(wide).sum::<f64>() * height).ceil() as i32
}

/// `text`, cut to a width of `room` pixels.
pub(crate) fn shorten(text: &str, height: f64, room: i32) -> String {
    if text_width(text, height) <= room {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        if room < text_width(&format!("{short}{c}…"), height) {
            break;
        }
        short.push(c);
    }
    short.trim_end().to_owned() + "…"
}

#[cfg(test)]
mod tests {
    use super::{shorten, text_width};

    #[test]
    fn long_names_are_cut_to_their_room() {
        assert_eq!(shorten("boot", 12.0, 80), "boot");
        let short = shorten("T-shirt or top of any kind", 12.0, 80);
        assert!(short.ends_with('…') && text_width(&short, 12.0) <= 80, "{short}");
    }
}
