//! Plots, as SVG that is readable on light and dark pages.

use std::{collections::BTreeMap, ops::Range};

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::{
    finding::{Axes, Plot, Point},
    show::figure,
};

const SIZE: (u32, u32) = (760, 420);
/// Told apart by people who see fewer colours, too (Okabe and Ito), and visible on white and on black.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(148, 103, 189),
];
const GREY: RGBColor = RGBColor(128, 128, 128);
/// The page's colour scheme decides about the text.
const STYLE: &str = "<style>text{fill:#333}@media(prefers-color-scheme:dark){text{fill:#ddd}}</style>";

/// Draws the points of a plot.
pub(super) fn svg(plot: Plot, points: &[&Point]) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        if plot == Plot::Peers { bars(&area, points) } else { lines(&area, &plot.axes(), points) }
            .map_err(|error| anyhow!("cannot draw {}: {error}", plot.name()))?;
        area.present()?;
    }
    Ok(match text.find('>') {
        Some(end) => format!("{}{STYLE}{}", &text[..=end], &text[end + 1..]),
        None => text,
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawing = Result<(), Box<dyn std::error::Error>>;

/// Lines on logarithmic axes.
fn lines(area: &Area<'_>, axes: &Axes, points: &[&Point]) -> Drawing {
    let x = range(points.iter().map(|point| point.x));
    let y = range(points.iter().map(|point| point.y));
    let mut chart = ChartBuilder::on(area)
        .caption(axes.title, ("sans-serif", 17))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(x.log_scale(), y.log_scale())?;
    chart
        .configure_mesh()
        .x_desc(axes.x)
        .y_desc(axes.y)
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .axis_style(GREY)
        .bold_line_style(GREY.mix(0.35))
        .light_line_style(GREY.mix(0.12))
        .label_style(("sans-serif", 12))
        .draw()?;
    for ((name, points), colour) in by_line(points).into_iter().zip(COLOURS.iter().cycle()) {
        let colour = *colour;
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3))?
            .label(name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 14, y + 4)], colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(GREY.mix(0.3))
        .label_font(("sans-serif", 12))
        .draw()?;
    Ok(())
}

/// A bar for each point, with its name and its figure.
fn bars(area: &Area<'_>, points: &[&Point]) -> Drawing {
    let most = points.iter().map(|point| point.y).fold(0.0, f64::max);
    let (width, height) = area.dim_in_pixel();
    let step = i32::try_from(height)? / i32::try_from(points.len().max(1))?.max(1);
    let (left, room) = (230, f64::from(width) - 330.0);
    for ((place, point), colour) in (0..).zip(points).zip(COLOURS.iter().cycle()) {
        let top = place * step;
        #[expect(clippy::cast_possible_truncation, reason = "at most the width of the picture")]
        let end = left + (room * point.y / most.max(f64::MIN_POSITIVE)) as i32;
        let (bottom, middle) = (top + step * 3 / 4, top + step * 3 / 8 - 7);
        area.draw(&Rectangle::new([(left, top + step / 8), (end, bottom)], colour.filled()))?;
        area.draw(&Text::new(point.line.clone(), (8, middle), ("sans-serif", 13)))?;
        area.draw(&Text::new(figure(point.y), (end + 8, middle), ("sans-serif", 13)))?;
    }
    Ok(())
}

fn by_line(points: &[&Point]) -> BTreeMap<String, Vec<(f64, f64)>> {
    let mut lines: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for point in points {
        lines.entry(point.line.clone()).or_default().push((point.x, point.y));
    }
    lines.values_mut().for_each(|line| line.sort_by(|a, b| a.0.total_cmp(&b.0)));
    lines
}

/// From the least to the most, with some room; positive, as a logarithm wants it.
fn range(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (least, most) = values
        .filter(|value| *value > 0.0)
        .fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
    if least > most { 1.0..10.0 } else { least / 1.3..most * 1.8 }
}

/// A number on an axis.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", round(value / 1e6)),
        value if value >= 1e3 => format!("{}k", round(value / 1e3)),
        value => round(value),
    }
}

fn round(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_axes_are_short() {
        assert_eq!([0.5, 1.0, 1500.0, 4e6].map(short), ["0.5", "1", "1.5k", "4M"]);
    }

    #[test]
    fn every_line_is_named_and_drawn() {
        let points: Vec<Point> = [("ours", 1.0), ("floor", 2.0)]
            .into_iter()
            .flat_map(|(line, y)| [1.0, 1e6].map(|x| Point::new(Plot::CostAgainstFlows, line, x, y)))
            .collect();
        let points: Vec<&Point> = points.iter().collect();
        for plot in [Plot::CostAgainstFlows, Plot::Peers] {
            let text = svg(plot, &points).unwrap();
            assert!(text.starts_with("<svg") && text.contains("prefers-color-scheme"), "{text}");
            assert!(text.contains("ours") && text.contains("floor"), "{text}");
        }
    }
}
