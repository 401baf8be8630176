//! Plots as SVG: no script, no font file, readable on light and on dark.

use std::fmt::Write;

use super::{Line, axis::Axes};
use crate::spec::format_nanos;

/// Distinct for people who see few colours (Okabe and Ito's palette).
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#777777"];

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 60.0;

/// The text without what XML reads as its own.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

struct Canvas {
    text: String,
}

impl Canvas {
    fn new(title: &str) -> Self {
        let mut text = String::new();
        let _ = write!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#777\">\n\
             <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>\n",
            escape(title)
        );
        Self { text }
    }

    fn x(at: f64) -> f64 {
        LEFT + at * (WIDTH - LEFT - RIGHT)
    }

    fn y(at: f64) -> f64 {
        HEIGHT - BOTTOM - at * (HEIGHT - TOP - BOTTOM)
    }

    fn grid(&mut self, across: &[(f64, String)], up: &[(f64, String)]) {
        for (at, name) in across {
            let x = Self::x(*at);
            let _ = writeln!(
                self.text,
                "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#999\" stroke-opacity=\"0.3\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 18.0,
                escape(name)
            );
        }
        for (at, name) in up {
            let y = Self::y(*at);
            let _ = writeln!(
                self.text,
                "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#999\" stroke-opacity=\"0.3\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                escape(name)
            );
        }
    }

    fn line(&mut self, number: usize, name: &str, points: impl Iterator<Item = (f64, f64)>) {
        let colour = COLOURS[number % COLOURS.len()];
        let points: Vec<String> =
            points.map(|(x, y)| format!("{:.1},{:.1}", Self::x(x), Self::y(y))).collect();
        let x = LEFT + 190.0 * (number % 4) as f64;
        let y = HEIGHT - 24.0 + 15.0 * (number / 4) as f64;
        let _ = writeln!(
            self.text,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" points=\"{}\"/>\
             <text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">\u{25cf} {}</text>",
            points.join(" "),
            escape(name)
        );
    }

    fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

/// Latency over log10(1/(1-q)).
pub(crate) fn percentile_svg(title: &str, lines: &[Line]) -> String {
    let axes = Axes::over(lines);
    let mut canvas = Canvas::new(title);
    let across: Vec<(f64, String)> =
        axes.marks().into_iter().map(|(at, name)| (at, name.to_owned())).collect();
    // 1, 2 and 5 of each decade that the values span.
    let mut up = Vec::new();
    for decade in axes.low.floor() as i32..=axes.high.ceil() as i32 {
        for step in [1.0_f64, 2.0, 5.0] {
            let log = f64::from(decade) + step.log10();
            if (axes.low..=axes.high).contains(&log) {
                let at = (log - axes.low) / (axes.high - axes.low);
                up.push((at, format_nanos(10_f64.powf(log).round() as u64)));
            }
        }
    }
    canvas.grid(&across, &up);
    for (number, line) in lines.iter().enumerate() {
        canvas.line(number, &line.name, line.points.iter().map(|p| axes.place(*p)));
    }
    canvas.finish()
}

/// Values over seconds, from 0 up; each line is (name, points of (second, value)).
pub(super) fn time_svg(
    title: &str,
    lines: &[(String, Vec<(f64, f64)>)],
    label: impl Fn(f64) -> String,
) -> String {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let end = points().map(|(second, _)| *second).fold(1.0, f64::max);
    let high = points().map(|(_, value)| *value).fold(0.0, f64::max) * 1.05;
    let high = if high > 0.0 { high } else { 1.0 };
    let mut canvas = Canvas::new(title);
    let fifths = |scale: f64, text: &dyn Fn(f64) -> String| -> Vec<(f64, String)> {
        (0..=5).map(|i| f64::from(i) / 5.0).map(|at| (at, text(at * scale))).collect()
    };
    canvas.grid(&fifths(end, &|s| format!("{s:.0} s")), &fifths(high, &label));
    for (number, (name, points)) in lines.iter().enumerate() {
        canvas.line(number, name, points.iter().map(|(s, v)| (s / end, v / high)));
    }
    canvas.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_page() {
        let line = Line { name: "<script>".into(), points: vec![(0.5, 1e6), (1.0, 2e6)] };
        let svg = percentile_svg("a & b", &[line]);
        assert!(!svg.contains("<script>") && svg.contains("a &amp; b"), "{svg}");
        assert!(svg.contains("p99"), "{svg}");
    }
}
