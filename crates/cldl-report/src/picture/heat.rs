//! Matrices as maps of color, with their numbers in the cells and a scale beside them.

use plotters::prelude::*;

use super::canvas::{Canvas, Ink, Painted, draw};
use super::theme::{INK, TEXT, on, shorten, text_width};
use super::{Picture, csv_of};
use crate::ReportError;

const MARGIN: i32 = 14;
const GAP: i32 = 28;
const SCALE: i32 = 74;

/// Matrices with one scale of color.
pub(crate) struct Heat {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) caption: String,
    pub(crate) matrices: Vec<Matrix>,
    /// What rows and columns are.
    pub(crate) axes: [String; 2],
    /// What the colors are, with the unit.
    pub(crate) unit: String,
    pub(crate) range: (f64, f64),
    /// Height and width of a cell, in pixels.
    pub(crate) cell: (i32, i32),
    /// Panels beside each other.
    pub(crate) columns: usize,
    pub(crate) decimals: usize,
}

/// One matrix.
pub(crate) struct Matrix {
    pub(crate) title: String,
    pub(crate) rows: Vec<String>,
    pub(crate) columns: Vec<String>,
    pub(crate) values: Vec<Vec<f64>>,
}

/// Draws the map.
///
/// # Errors
/// If the drawing library fails.
pub(crate) fn heat(heat: &Heat) -> Result<Picture, ReportError> {
    let size = Sizes::of(heat);
    let columns = heat.columns.min(heat.matrices.len()).max(1) as i32;
    let rows = (heat.matrices.len() as i32 + columns - 1) / columns;
    let width = 2 * MARGIN + columns * (size.panel.0 + GAP) + SCALE;
    let height = 2 * MARGIN + rows * (size.panel.1 + GAP) - GAP;
    let svg = draw(&heat.name, (width, height), |canvas| {
        for (i, matrix) in (0..).zip(&heat.matrices) {
            let left = MARGIN + i % columns * (size.panel.0 + GAP);
            let top = MARGIN + i / columns * (size.panel.1 + GAP);
            panel(canvas, heat, matrix, &size, (left, top))?;
        }
        let bar = (width - MARGIN - SCALE + 4, MARGIN + size.head);
        scale(canvas, heat, bar, size.panel.1 - size.head - size.foot)
    })?;
    let rows = heat.matrices.iter().flat_map(|matrix| {
        matrix.rows.iter().zip(&matrix.values).flat_map(move |(row, values)| {
            matrix.columns.iter().zip(values).map(move |(column, value)| {
                vec![matrix.title.clone(), row.clone(), column.clone(), value.to_string()]
            })
        })
    });
    Ok(Picture {
        name: heat.name.clone(),
        title: heat.title.clone(),
        caption: heat.caption.clone(),
        csv: csv_of(&["panel", &heat.axes[0], &heat.axes[1], "value"], rows),
        svg,
        computed_from: String::new(),
    })
}

/// Sizes that all panels share, in pixels.
struct Sizes {
    /// Room of the rows' names.
    names: i32,
    head: i32,
    foot: i32,
    panel: (i32, i32),
    /// Whether the columns' names are written upwards.
    upwards: bool,
}

impl Sizes {
    fn of(heat: &Heat) -> Self {
        let widest = |names: fn(&Matrix) -> &Vec<String>| {
            let names = heat.matrices.iter().flat_map(names);
            names.map(|name| text_width(name, TEXT)).max().unwrap_or(0).min(110)
        };
        let count = |names: fn(&Matrix) -> &Vec<String>| {
            heat.matrices.iter().map(|matrix| names(matrix).len()).max().unwrap_or(0) as i32
        };
        let across = widest(|matrix| &matrix.columns);
        let upwards = heat.cell.1 - 4 < across;
        let names = 22 + widest(|matrix| &matrix.rows) + 8;
        let head = 26;
        let foot = if upwards { across + 8 } else { 20 } + 20;
        let titles = heat.matrices.iter().map(|matrix| text_width(&matrix.title, TEXT * 1.1));
        let cells = (count(|matrix| &matrix.columns) * heat.cell.1).max(titles.max().unwrap_or(0));
        let panel = (names + cells, head + count(|matrix| &matrix.rows) * heat.cell.0 + foot);
        Self { names, head, foot, panel, upwards }
    }
}

fn panel(
    canvas: &mut Canvas<'_>,
    heat: &Heat,
    matrix: &Matrix,
    size: &Sizes,
    (left, top): (i32, i32),
) -> Painted {
    let (x0, y0) = (left + size.names, top + size.head);
    let (high, wide) = heat.cell;
    let bottom = y0 + matrix.rows.len() as i32 * high;
    canvas.text((x0, top + 10), &matrix.title, Ink::TITLE)?;
    for (row, (name, values)) in (0..).zip(matrix.rows.iter().zip(&matrix.values)) {
        let y = y0 + row * high;
        canvas.text((x0 - 7, y + high / 2), &shorten(name, TEXT, 110), Ink::RIGHT)?;
        for (column, value) in (0..).zip(values) {
            let x = x0 + column * wide;
            let color = color(*value, heat.range);
            canvas.rect((x, y), (wide, high), color)?;
            let text = format!("{value:.*}", heat.decimals);
            if text_width(&text, 11.0) < wide {
                canvas.text(
                    (x + wide / 2, y + high / 2),
                    &text,
                    Ink::CENTER.small().on(on(color)),
                )?;
            }
            let place = &matrix.columns[column as usize];
            let told = format!("{}: {name}, {place}: {value:.3} {}", matrix.title, heat.unit);
            canvas.hover((x, y), (wide, high), &told);
        }
    }
    for (column, name) in (0..).zip(&matrix.columns) {
        let x = x0 + column * wide + wide / 2;
        let name = shorten(name, TEXT, 110);
        if size.upwards {
            let ink = Ink { upwards: true, ..Ink::RIGHT };
            canvas.text((x, bottom + 6), &name, ink)?;
        } else {
            canvas.text((x, bottom + 11), &name, Ink::CENTER)?;
        }
    }
    let middle = (x0 + matrix.columns.len() as i32 * wide / 2, bottom + size.foot - 8);
    canvas.text(middle, &heat.axes[1], Ink::CENTER.muted())?;
    let ink = Ink { upwards: true, ..Ink::CENTER.muted() };
    canvas.text((left + 8, i32::midpoint(y0, bottom)), &heat.axes[0], ink)
}

fn scale(canvas: &Canvas<'_>, heat: &Heat, (x, y): (i32, i32), height: i32) -> Painted {
    let (low, high) = heat.range;
    for step in 0..height {
        let share = 1.0 - f64::from(step) / f64::from(height.max(1));
        canvas.rect((x, y + step), (14, 1), color(low + share * (high - low), heat.range))?;
    }
    canvas.frame((x, y), (14, height), INK)?;
    for part in 0..=4 {
        let share = f64::from(part) / 4.0;
        let at = y + (f64::from(height) * (1.0 - share)).round() as i32;
        canvas.line(&[(x + 14, at), (x + 18, at)], INK, 1)?;
        let digits = if 10.0 < high - low { 0 } else { 2 };
        canvas.text(
            (x + 21, at),
            &format!("{:.digits$}", low + share * (high - low)),
            Ink::LEFT.small(),
        )?;
    }
    let ink = Ink { upwards: true, ..Ink::CENTER.muted() };
    canvas.text((x + 58, y + height / 2), &heat.unit, ink)
}

fn color(value: f64, (low, high): (f64, f64)) -> RGBColor {
    let share = ((value - low) / (high - low).max(1e-12)).clamp(0.0, 1.0);
    if share.is_nan() { INK } else { ViridisRGB.get_color(share) }
}
