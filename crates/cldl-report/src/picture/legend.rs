//! The names of a picture's series, in rows of their own above the panels.

use super::canvas::{Canvas, Ink, Painted};
use super::theme::{TEXT, series_color, text_width};

const ROW: i32 = 20;
const SIGN: i32 = 30;
const GAP: i32 = 18;

/// Names with the index of their colors, broken into rows that fit into a width.
pub(super) struct Legend<'a> {
    rows: Vec<Vec<(i32, usize, &'a str)>>,
}

impl<'a> Legend<'a> {
    pub(super) fn new(names: &[(usize, &'a str)], width: i32) -> Self {
        let mut rows: Vec<Vec<(i32, usize, &str)>> = vec![Vec::new()];
        let mut x = 0;
        for &(index, name) in names {
            let wide = SIGN + text_width(name, TEXT) + GAP;
            if 0 < x && width < x + wide {
                rows.push(Vec::new());
                x = 0;
            }
            if let Some(row) = rows.last_mut() {
                row.push((x, index, name));
            }
            x += wide;
        }
        Self { rows }
    }

    pub(super) fn height(&self) -> i32 {
        self.rows.len() as i32 * ROW
    }

    pub(super) fn draw(&self, canvas: &Canvas<'_>, (left, top): (i32, i32)) -> Painted {
        for (row, names) in self.rows.iter().enumerate() {
            let y = top + row as i32 * ROW + ROW / 2;
            for &(x, index, name) in names {
                let x = left + x;
                canvas.line(&[(x, y), (x + SIGN - 8, y)], series_color(index), 2)?;
                canvas.mark((x + (SIGN - 8) / 2, y), index, true)?;
                canvas.text((x + SIGN - 2, y), name, Ink::LEFT)?;
            }
        }
        Ok(())
    }
}
