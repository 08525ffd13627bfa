//! Charts as SVG inside the page: bars or lines over the days of a quarter. Colours are classes, so that
//! they follow the page's scheme and print; every mark says its value.

use std::fmt::Write;

use jiff::civil::Date;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;
/// Steps of the scale.
const STEPS: u32 = 4;

/// What is drawn.
pub(super) struct Chart<'a> {
    /// What it shows.
    pub(super) title: &'a str,
    /// What a reader would take from it, for those who cannot see it.
    pub(super) description: &'a str,
    pub(super) dates: &'a [Date],
    pub(super) series: &'a [Series],
    pub(super) months: &'a [&'static str; 12],
    /// A value with its unit.
    pub(super) shown: &'a dyn Fn(f64) -> String,
    /// A value of the scale.
    pub(super) scale: &'a dyn Fn(f64) -> String,
    pub(super) day: &'a dyn Fn(Date) -> String,
}

/// One row of marks.
pub(super) struct Series {
    pub(super) name: String,
    /// Picks its colour: 0 to 5.
    pub(super) class: usize,
    pub(super) lines: bool,
    /// One for each date; nothing where nothing was measured.
    pub(super) values: Vec<Option<f64>>,
}

impl Chart<'_> {
    /// The SVG element.
    pub(super) fn svg(&self) -> String {
        let highest = self.values().fold(0.0, f64::max);
        let top = round_up(highest);
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}: {}\">",
            escaped(self.title),
            escaped(self.description)
        );
        for step in 0..=STEPS {
            let value = top * f64::from(step) / f64::from(STEPS);
            let y = height(value, top);
            // Writing to a text does not fail.
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                escaped(&(self.scale)(value)),
            );
        }
        self.months(&mut svg);
        for series in self.series {
            if series.lines {
                self.lines(series, top, &mut svg)
            } else {
                self.bars(series, top, &mut svg)
            }
        }
        svg.push_str("</svg>");
        svg
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.series.iter().flat_map(|series| series.values.iter().copied().flatten())
    }

    fn step(&self) -> f64 {
        (WIDTH - LEFT - RIGHT) / self.dates.len().max(1) as f64
    }

    fn months(&self, svg: &mut String) {
        for (at, date) in self.dates.iter().enumerate() {
            if date.day() != 1 && at != 0 {
                continue;
            }
            let x = LEFT + self.step() * at as f64;
            let name =
                usize::try_from(date.month()).ok().and_then(|month| self.months.get(month - 1));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{}\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{}\">{}</text>",
                HEIGHT - BOTTOM + 5.0,
                x + 3.0,
                HEIGHT - 8.0,
                name.copied().unwrap_or_default(),
            );
        }
    }

    fn bars(&self, series: &Series, top: f64, svg: &mut String) {
        let width = (self.step() * 0.72).max(1.0);
        for (at, (date, value)) in self.dates.iter().zip(&series.values).enumerate() {
            let Some(value) = value.filter(|value| *value > 0.0) else { continue };
            let x = LEFT + self.step() * (at as f64 + 0.14);
            // What is more than nothing can be seen.
            let y = height(value, top).min(HEIGHT - BOTTOM - 1.5);
            let _ = write!(
                svg,
                "<rect class=\"s{}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\">{}</rect>",
                series.class,
                HEIGHT - BOTTOM - y,
                self.tip(series, *date, value),
            );
        }
    }

    /// A line breaks where nothing was measured; a day alone is a point.
    fn lines(&self, series: &Series, top: f64, svg: &mut String) {
        let mut path = String::new();
        let mut points = String::new();
        let mut is_drawing = false;
        for (at, (date, value)) in self.dates.iter().zip(&series.values).enumerate() {
            let Some(value) = value else {
                is_drawing = false;
                continue;
            };
            let (x, y) = (LEFT + self.step() * (at as f64 + 0.5), height(*value, top));
            let _ = write!(path, "{}{x:.1} {y:.1}", if is_drawing { 'L' } else { 'M' });
            is_drawing = true;
            let _ = write!(
                points,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\">{}</circle>",
                self.tip(series, *date, *value)
            );
        }
        if !path.is_empty() {
            let _ =
                write!(svg, "<g class=\"s{} line\"><path d=\"{path}\"/>{points}</g>", series.class);
        }
    }

    fn tip(&self, series: &Series, date: Date, value: f64) -> String {
        let (day, value) = ((self.day)(date), (self.shown)(value));
        format!("<title>{}, {}: {}</title>", escaped(&day), escaped(&series.name), escaped(&value))
    }
}

fn height(value: f64, top: f64) -> f64 {
    let share = if top > 0.0 { (value / top).clamp(0.0, 1.0) } else { 0.0 };
    HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
}

/// The next of 1, 2, 4, 5, 8 and their tens: a scale that can be read.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let nice = [1.0, 2.0, 4.0, 5.0, 8.0, 10.0].map(|factor| factor * power);
    nice.into_iter().find(|nice| *nice >= value).unwrap_or(10.0 * power)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_where_it_can_be_read() {
        for (value, top) in
            [(0.0, 1.0), (0.03, 0.04), (1.0, 1.0), (61.5, 80.0), (540.0, 800.0), (999.0, 1000.0)]
        {
            assert!((round_up(value) - top).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn names_are_no_markup() {
        let dates = [jiff::civil::date(2026, 10, 1)];
        let series =
            Series { name: "<b>\"&".to_owned(), class: 0, lines: false, values: vec![Some(1.0)] };
        let chart = Chart {
            title: "<t>",
            description: "\"",
            dates: &dates,
            series: &[series],
            months: &[""; 12],
            shown: &|value| value.to_string(),
            scale: &|value| value.to_string(),
            day: &|date| date.to_string(),
        };
        let svg = chart.svg();
        assert!(!svg.contains("<b>") && !svg.contains("<t>"), "{svg}");
        assert!(svg.contains("&lt;b&gt;&quot;&amp;: 1</title>"), "{svg}");
    }
}
