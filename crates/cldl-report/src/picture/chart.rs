//! Curves in panels: one legend, axes with names and units, intervals as whiskers, and the paper's
//! numbers as hollow marks.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;

use super::canvas::{Canvas, Ink, Painted, draw};
use super::legend::Legend;
use super::theme::{GRID, INK, series_color};
use super::{Picture, csv_of};
use crate::ReportError;

const PANEL: (i32, i32) = (460, 300);
const MARGIN: i32 = 14;

/// Panels of curves.
pub(crate) struct Chart {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) caption: String,
    pub(crate) panels: Vec<Panel>,
}

/// One pair of axes.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x: String,
    pub(crate) y: String,
    /// Where there are ticks; none for the usual places.
    pub(crate) x_ticks: Option<Vec<f64>>,
    /// Range of the y axis; none for that of the numbers.
    pub(crate) y_range: Option<Range<f64>>,
    pub(crate) series: Vec<Series>,
}

/// A curve.
#[derive(Default)]
pub(crate) struct Series {
    pub(crate) label: String,
    /// Which color and shape.
    pub(crate) index: usize,
    pub(crate) points: Vec<(f64, f64)>,
    /// For each point its interval; or none at all.
    pub(crate) intervals: Vec<(f64, f64)>,
    /// Other people's numbers for the same.
    pub(crate) published: Vec<(f64, f64)>,
}

/// Draws the chart.
///
/// # Errors
/// If the drawing library fails.
pub(crate) fn chart(chart: &Chart) -> Result<Picture, ReportError> {
    let columns = chart.panels.len().clamp(1, 2) as i32;
    let rows = (chart.panels.len() as i32 + columns - 1) / columns;
    let width = columns * PANEL.0 + 2 * MARGIN;
    let mut names: Vec<(usize, &str)> = Vec::new();
    for series in chart.panels.iter().flat_map(|panel| &panel.series) {
        if !names.iter().any(|(_, name)| *name == series.label) {
            names.push((series.index, &series.label));
        }
    }
    let legend = Legend::new(&names, width - 2 * MARGIN);
    let top = MARGIN + legend.height() + 10;
    let svg = draw(&chart.name, (width, top + rows * PANEL.1 + MARGIN), |canvas| {
        legend.draw(canvas, (MARGIN, MARGIN))?;
        for (i, panel) in (0..).zip(&chart.panels) {
            let corner = (MARGIN + i % columns * PANEL.0, top + i / columns * PANEL.1);
            axes(canvas, panel, corner)?;
        }
        Ok(())
    })?;
    Ok(Picture {
        name: chart.name.clone(),
        title: chart.title.clone(),
        caption: chart.caption.clone(),
        svg,
        csv: numbers(&chart.panels),
        computed_from: String::new(),
    })
}

fn axes(canvas: &mut Canvas<'_>, panel: &Panel, (left, top): (i32, i32)) -> Painted {
    let all = || panel.series.iter().flat_map(|s| s.points.iter().chain(&s.published));
    let x_range = padded(all().map(|point| point.0), 0.04);
    let whiskers =
        panel.series.iter().flat_map(|s| &s.intervals).flat_map(|(low, high)| [*low, *high]);
    let y_range =
        panel.y_range.clone().unwrap_or_else(|| padded(all().map(|p| p.1).chain(whiskers), 0.06));
    let x_ticks = panel.x_ticks.clone().unwrap_or_else(|| ticks(&x_range, 6));
    let y_ticks = ticks(&y_range, 6);
    let (x_digits, y_digits) = (digits(&x_ticks), digits(&y_ticks));
    let area = canvas
        .area
        .clone()
        .shrink((left, top + 26), ((PANEL.0 - 18) as u32, (PANEL.1 - 26 - 12) as u32));
    canvas.text((left + 56, top + 12), &panel.title, Ink::TITLE)?;
    let mut chart = ChartBuilder::on(&area)
        .x_label_area_size(42)
        .y_label_area_size(56)
        .margin_right(8)
        .build_cartesian_2d(
            Axis { range: x_range, ticks: x_ticks },
            Axis { range: y_range.clone(), ticks: y_ticks },
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(Ink::LEFT.small().style())
        .axis_desc_style(Ink::LEFT.muted().style())
        .x_desc(&panel.x)
        .y_desc(&panel.y)
        .x_label_formatter(&|x| tick(*x, x_digits))
        .y_label_formatter(&|y| tick(*y, y_digits))
        .draw()?;
    for series in &panel.series {
        let color = series_color(series.index);
        let at = |point: &(f64, f64)| {
            chart.backend_coord(&(point.0, point.1.clamp(y_range.start, y_range.end)))
        };
        let line: Vec<(i32, i32)> = series.points.iter().map(at).collect();
        canvas.line(&line, color, 2)?;
        for (place, (low, high)) in series.points.iter().zip(&series.intervals) {
            let ends = [at(&(place.0, *low)), at(&(place.0, *high))];
            canvas.line(&ends, color, 1)?;
            for (x, y) in ends {
                canvas.line(&[(x - 3, y), (x + 3, y)], color, 1)?;
            }
        }
        for point in &series.published {
            canvas.mark(at(point), series.index, false)?;
            tell(canvas, at(point), &format!("{} in the paper: {}", series.label, shown(point.1)));
        }
        for (i, (place, point)) in line.iter().zip(&series.points).enumerate() {
            canvas.mark(*place, series.index, true)?;
            let interval = series.intervals.get(i).map_or_else(String::new, |(low, high)| {
                format!(", 95 % interval {} to {}", shown(*low), shown(*high))
            });
            let text =
                format!("{}, {}: {}{interval}", series.label, shown(point.0), shown(point.1));
            tell(canvas, *place, &text);
        }
    }
    Ok(())
}

/// An axis with ticks where it is told.
struct Axis {
    range: Range<f64>,
    ticks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        low + (share * f64::from(high - low)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

fn tell(canvas: &mut Canvas<'_>, (x, y): (i32, i32), text: &str) {
    canvas.hover((x - 7, y - 7), (14, 14), text);
}

/// A number with as many digits as are of use.
fn shown(value: f64) -> String {
    let rounded = if 10.0 <= value.abs() { format!("{value:.2}") } else { format!("{value:.4}") };
    if rounded.contains('.') {
        rounded.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        rounded
    }
}

/// The range of the numbers, and a little more on both sides.
fn padded(numbers: impl Iterator<Item = f64>, share: f64) -> Range<f64> {
    let (low, high) = numbers
        .filter(|number| number.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    match high - low {
        span if span < 0.0 => 0.0..1.0,
        span if span < 1e-12 => {
            let pad = (low.abs() * 0.1).max(0.5);
            low - pad..high + pad
        }
        span => low - span * share..high + span * share,
    }
}

/// About `n` round numbers in the range.
pub(crate) fn ticks(range: &Range<f64>, n: usize) -> Vec<f64> {
    let rough = (range.end - range.start) / n as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| rough <= *step);
    let step = step.unwrap_or(rough);
    let first = (range.start / step).ceil() as i64;
    let last = (range.end / step).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// Decimals that tell these ticks apart.
pub(crate) fn digits(ticks: &[f64]) -> usize {
    let exact = |digits: &usize| {
        let scale = 10f64.powi(*digits as i32);
        ticks.iter().all(|tick| (tick * scale - (tick * scale).round()).abs() < 1e-6)
    };
    (0..6).find(exact).unwrap_or(6)
}

/// A tick's number; zero has no sign.
pub(crate) fn tick(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    match text.strip_prefix('-') {
        Some(rest) if rest.trim_start_matches(['0', '.']).is_empty() => rest.to_owned(),
        _ => text,
    }
}

fn numbers(panels: &[Panel]) -> String {
    let head = ["panel", "series", "x", "y", "low", "high", "source"];
    let rows = panels.iter().flat_map(|panel| {
        panel.series.iter().flat_map(move |series| {
            let row = move |(x, y): (f64, f64), interval: Option<&(f64, f64)>, source: &str| {
                let bound = |side: fn(&(f64, f64)) -> f64| {
                    interval.map(|i| side(i).to_string()).unwrap_or_default()
                };
                let (low, high) = (bound(|i| i.0), bound(|i| i.1));
                let start =
                    [panel.title.clone(), series.label.clone(), x.to_string(), y.to_string()];
                [&start[..], &[low, high, source.to_owned()]].concat()
            };
            let ours = series.points.iter().enumerate();
            let ours = ours.map(move |(i, point)| row(*point, series.intervals.get(i), "ours"));
            ours.chain(series.published.iter().map(move |point| row(*point, None, "paper")))
        })
    });
    csv_of(&head, rows)
}

#[cfg(test)]
mod tests {
    use super::{digits, padded, tick, ticks};

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(&(0.0..100.0), 6), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(&(0.9..4.1), 6), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(digits(&[0.0, 0.1, 0.15]), 2);
        assert_eq!(digits(&[1.0, 2.0]), 0);
        assert_eq!((tick(0.15, 2), tick(-0.0, 1)), ("0.15".to_owned(), "0.0".to_owned()));
    }

    #[test]
    fn a_range_is_never_empty() {
        for numbers in [vec![], vec![3.0], vec![f64::NAN], vec![1.0, 2.0]] {
            let range = padded(numbers.into_iter(), 0.05);
            assert!(range.start < range.end);
        }
    }
}
