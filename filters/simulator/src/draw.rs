//! Draws the course of every scenario.

use crate::Outcome;
use crate::balancer::Kind;
use crate::figures::WINDOW;
use plotters::prelude::*;

const SIZE: (u32, u32) = (1_000, 220);

fn colour(kind: Kind) -> RGBColor {
    match kind {
        Kind::Native => RGBColor(150, 150, 150),
        Kind::RoundRobin => RGBColor(230, 159, 0),
        Kind::LeastRequest => RGBColor(0, 158, 115),
        Kind::ZoneAware => RGBColor(86, 180, 233),
        Kind::Weir => RGBColor(204, 0, 60),
    }
}

/// A row for each scenario: how long requests take, and which part of them crosses zones, over time.
pub fn draw(path: &str, outcomes: &[Outcome]) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(path, (SIZE.0, SIZE.1 * outcomes.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    for (outcome, row) in outcomes.iter().zip(root.split_evenly((outcomes.len(), 1))) {
        let (left, right) = row.split_horizontally(SIZE.0 / 2);
        let seconds = outcome.scenario.phases.iter().map(|phase| phase.seconds).sum::<u64>() as f64;
        let mut took = ChartBuilder::on(&left)
            .caption(format!("{}: p99, ms", outcome.scenario.name), ("sans-serif", 14))
            .margin(8)
            .x_label_area_size(24)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..seconds, (5.0..100_000.0).log_scale())?;
        took.configure_mesh().light_line_style(TRANSPARENT).x_labels(8).y_labels(5).draw()?;
        let mut crossing = ChartBuilder::on(&right)
            .caption("across zones, % (the line: the least)", ("sans-serif", 14))
            .margin(8)
            .x_label_area_size(24)
            .y_label_area_size(40)
            .build_cartesian_2d(0.0..seconds, 0.0..100.0)?;
        crossing.configure_mesh().light_line_style(TRANSPARENT).x_labels(8).y_labels(5).draw()?;
        for (kind, figures) in &outcome.figures {
            let style = ShapeStyle { color: colour(*kind).to_rgba(), filled: false, stroke_width: if *kind == Kind::Weir { 2 } else { 1 } };
            let windows = || figures.course.iter().enumerate().map(|(window, seen)| (((window as u64 * WINDOW) as f64), seen));
            let times = windows().filter(|(_, (p99, _))| p99.is_finite()).map(|(at, (p99, _))| (at, *p99));
            took.draw_series(LineSeries::new(times, style))?;
            let parts = windows().map(|(at, (_, crossing))| (at, 100.0 * crossing));
            let line = crossing.draw_series(LineSeries::new(parts, style))?.label(kind.name());
            line.legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
        }
        crossing.draw_series(DashedLineSeries::new(outcome.least_course(), 4, 4, BLACK.into()))?;
        crossing.configure_series_labels().position(SeriesLabelPosition::UpperRight).background_style(WHITE.mix(0.7)).draw()?;
    }
    root.present()?;
    Ok(())
}
