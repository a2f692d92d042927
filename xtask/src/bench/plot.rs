//! Seconds of a step against its size.

use super::page::Performance;
use super::row::Row;
use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const SIZE: (u32, u32) = (860, 640);
/// Of Okabe and Ito: told apart by colour-blind readers; a limit is thin, and of its step's colour.
const COLORS: [RGBColor; 2] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0)];

/// For each architecture two charts, against members and against the batch.
pub(super) fn svg(performance: &Performance) -> Result<String> {
    let mut text = String::new();
    draw(performance, &mut text).map_err(|error| anyhow!("can't draw the plot: {error}"))?;
    Ok(text + "\n")
}

fn draw(performance: &Performance, text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let charts = root.split_evenly((performance.architectures.len(), 2));
    for (pair, measured) in charts.chunks(2).zip(&performance.architectures) {
        let title = |by: &str| format!("{}: seconds of a step, by {by}", measured.arch);
        chart(&pair[0], &title("members"), "members", &measured.by_members, |row| row.members)?;
        chart(&pair[1], &title("batch"), "images of a batch", &measured.by_batch, |row| row.batch)?;
    }
    root.present()?;
    Ok(())
}

fn chart(
    area: &Area<'_>,
    title: &str,
    x: &str,
    rows: &[Row],
    size: impl Fn(&Row) -> usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let at = |row: &Row, seconds: f64| (size(row) as f64, seconds);
    let widest = rows.iter().map(|row| size(row) as f64).fold(1.0, f64::max);
    let highest = rows.iter().map(|row| row.seconds).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(title, ("sans-serif", 16))
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..1.05 * widest, 0.0..1.15 * highest)?;
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc("seconds")
        .x_label_formatter(&|size| format!("{size:.0}"))
        .label_style(("sans-serif", 13))
        .light_line_style(WHITE)
        .draw()?;
    for (steps, color) in rows.chunk_by(|a, b| a.what == b.what).zip(COLORS) {
        let what = &steps[0].what;
        let legend = move |width: u32| {
            move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(width))
        };
        let measured: Vec<(f64, f64)> = steps.iter().map(|row| at(row, row.seconds)).collect();
        chart
            .draw_series(LineSeries::new(measured.iter().copied(), color.stroke_width(3)))?
            .label(what)
            .legend(legend(3));
        chart.draw_series(measured.iter().map(|&point| Circle::new(point, 4, color.filled())))?;
        chart
            .draw_series(LineSeries::new(steps.iter().map(|row| at(row, row.limit())), color))?
            .label(format!("{what}, all at the peak"))
            .legend(legend(1));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(("sans-serif", 13))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}
