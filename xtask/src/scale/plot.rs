//! Wall time against the number of workers.

use super::Scale;
use anyhow::{Result, anyhow};
use plotters::prelude::*;

const SIZE: (u32, u32) = (720, 440);
/// Of Okabe and Ito: told apart by colour-blind readers, and by their place in print.
const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(213, 94, 0);
const GRAY: RGBColor = RGBColor(120, 120, 120);

/// The picture: what the simulation says, what twice the workers in half the time would be, and the floor.
pub(super) fn svg(scale: &Scale) -> Result<String> {
    let mut text = String::new();
    draw(scale, &mut text).map_err(|error| anyhow!("can't draw the plot: {error}"))?;
    Ok(text + "\n")
}

fn draw(scale: &Scale, text: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let hours = |seconds: f64| seconds / 3600.0;
    let curve: Vec<(f64, f64)> =
        scale.curve.iter().map(|&(workers, seconds)| (workers as f64, hours(seconds))).collect();
    let (first, last) = (curve[0], curve[curve.len() - 1]);
    let floor = hours(scale.rows.last().map_or(0.0, |row| row.critical_path_seconds));
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(16)
        .margin_right(150)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (first.0..last.0).log_scale().base(2.0),
            (floor / 3.0..first.1 * 2.0).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("workers")
        .y_desc("wall time, hours")
        .x_label_formatter(&|workers| format!("{workers:.0}"))
        .y_label_formatter(&|hours| format!("{hours}"))
        .label_style(("sans-serif", 14))
        .light_line_style(WHITE)
        .draw()?;
    let ideal = curve.iter().map(|&(workers, _)| (workers, first.1 / workers));
    let ideal = ideal.filter(|&(_, hours)| floor / 3.0 < hours);
    chart.draw_series(LineSeries::new(ideal, &GRAY))?;
    chart.draw_series(LineSeries::new([(first.0, floor), (last.0, floor)], &ORANGE))?;
    chart.draw_series(LineSeries::new(curve.iter().copied(), BLUE.stroke_width(3)))?;
    chart.draw_series(curve.iter().map(|&point| Circle::new(point, 4, BLUE.filled())))?;
    drop(chart);
    for (line, (words, color)) in
        [("simulated", BLUE), ("critical path", ORANGE), ("ideal: 1 / workers", GRAY)]
            .iter()
            .enumerate()
    {
        let (x, y) = (SIZE.0 as i32 - 142, 24 + 22 * line as i32);
        root.draw(&PathElement::new([(x, y + 7), (x + 16, y + 7)], color.stroke_width(3)))?;
        root.draw(&Text::new(*words, (x + 22, y), ("sans-serif", 14)))?;
    }
    root.present()?;
    Ok(())
}
