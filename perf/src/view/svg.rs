//! Plots as SVG: no script, no font file, readable on light and on dark.

use std::fmt::Write;

use super::{HeatMap, Line, WITHHELD, axis::Axes};
use crate::spec::{format_count, format_nanos};

/// Distinct for people who see few colours (Okabe and Ito's palette).
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#777777"];

const WIDTH: f64 = 900.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 44.0;

/// Below the plot: the labels of the axis.
const AXIS: f64 = 44.0;

/// A row of the legend.
const LEGEND: f64 = 20.0;

/// A letter's width in the legend, at the most.
const LETTER: f64 = 6.8;

/// The text without what XML reads as its own, and without what no XML may hold: a picture with ESC in a name is none that a browser
/// shows.
pub(super) fn escape(text: &str) -> String {
    let may_stand = |c: char| match c {
        '\n' | '\t' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        c => !c.is_control(),
    };
    let text: String =
        text.chars().map(|c| if may_stand(c) { c } else { char::REPLACEMENT_CHARACTER }).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A plot area with a title, axes and a legend below; coordinates are between 0 and 1.
struct Canvas {
    title: String,
    height: f64,
    body: String,
    legend: Vec<(String, String)>,
}

impl Canvas {
    /// `height`: of the plot area.
    fn new(title: &str, height: f64) -> Self {
        Self { title: title.to_owned(), height, body: String::new(), legend: Vec::new() }
    }

    fn x(at: f64) -> f64 {
        LEFT + at * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, at: f64) -> f64 {
        TOP + (1.0 - at) * self.height
    }

    fn bottom(&self) -> f64 {
        TOP + self.height
    }

    fn grid(&mut self, across: &[(f64, String)], up: &[(f64, String)]) {
        let bottom = self.bottom();
        for (at, name) in across {
            let x = Self::x(*at);
            let _ = writeln!(
                self.body,
                "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"#888\" stroke-opacity=\"0.25\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 18.0,
                escape(name)
            );
        }
        for (at, name) in up {
            let y = self.y(*at);
            let _ = writeln!(
                self.body,
                "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#888\" stroke-opacity=\"0.25\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 4.0,
                escape(name)
            );
        }
    }

    /// What stands under the axis at its right end.
    fn axis_name(&mut self, name: &str) {
        let _ = writeln!(
            self.body,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-size=\"11\">{}</text>",
            WIDTH - RIGHT,
            self.bottom() + 34.0,
            escape(name)
        );
    }

    fn line(&mut self, colour: &str, name: &str, points: impl Iterator<Item = (f64, f64)>) {
        self.stroke(colour, false, points);
        self.legend.push((colour.to_owned(), name.to_owned()));
    }

    fn stroke(&mut self, colour: &str, dashed: bool, points: impl Iterator<Item = (f64, f64)>) {
        let points: Vec<String> =
            points.map(|(x, y)| format!("{:.1},{:.1}", Self::x(x), self.y(y))).collect();
        // A line of one point would not be seen.
        if let [only] = points.as_slice()
            && let Some((x, y)) = only.split_once(',')
        {
            let _ =
                writeln!(self.body, "<circle cx=\"{x}\" cy=\"{y}\" r=\"2.5\" fill=\"{colour}\"/>");
        }
        let dashes = if dashed { " stroke-dasharray=\"3 5\"" } else { "" };
        let _ = writeln!(
            self.body,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.9\" stroke-linejoin=\"round\"{dashes} points=\"{}\"/>",
            points.join(" ")
        );
    }

    fn finish(self) -> String {
        let mut legend = String::new();
        let (mut x, mut row) = (LEFT, 0.0);
        for (colour, name) in &self.legend {
            let width = 30.0 + LETTER * name.chars().count() as f64;
            if x > LEFT && x + width > WIDTH - RIGHT {
                (x, row) = (LEFT, row + 1.0);
            }
            let y = self.bottom() + AXIS + 8.0 + row * LEGEND;
            let _ = writeln!(
                legend,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"14\" height=\"4\" rx=\"2\" fill=\"{colour}\"/>\
                 <text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
                y - 6.0,
                x + 20.0,
                escape(name)
            );
            x += width;
        }
        let below = if self.legend.is_empty() { 0.0 } else { (row + 1.0) * LEGEND };
        let height = self.bottom() + AXIS + below;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
             font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#808080\">\n<title>{0}</title>\n\
             <text x=\"{LEFT}\" y=\"24\" font-size=\"15\" font-weight=\"600\">{0}</text>\n{1}{legend}</svg>\n",
            escape(&self.title),
            self.body
        )
    }
}

/// Latency over log10(1/(1-q)).
pub(crate) fn percentile_svg(title: &str, lines: &[Line]) -> String {
    let axes = Axes::over(lines);
    let mut canvas = Canvas::new(title, 340.0);
    let across: Vec<(f64, String)> =
        axes.marks().into_iter().map(|(at, name)| (at, name.to_owned())).collect();
    let place = |log: f64| (log - axes.low) / (axes.high - axes.low);
    canvas.grid(&across, &decades(axes.low, axes.high, place));
    canvas.axis_name(
        "percentile of the records, each step ten times rarer; the maximum at the right edge",
    );
    // The first is drawn last: it stays visible where others are the same.
    for (number, line) in lines.iter().enumerate().rev() {
        let colour = COLOURS[number % COLOURS.len()];
        for (withheld, points) in line.stretches() {
            canvas.stroke(colour, withheld, points.into_iter().map(|p| axes.place(p)));
        }
        canvas.legend.push((colour.to_owned(), line.name.clone()));
    }
    canvas.legend.reverse();
    if lines.iter().any(|line| !line.withheld.is_empty()) {
        canvas.legend.push(("#808080".into(), format!("dashed: {WITHHELD}")));
    }
    canvas.finish()
}

/// Latency over time as a heat map, with the percentiles of each moment drawn over it.
pub(crate) fn heat_svg(title: &str, map: &HeatMap) -> String {
    /// Shades from rare to all; the page's own colour shines through the rare ones, whether it is light or dark.
    const OPACITY: [f64; 8] = [0.12, 0.2, 0.28, 0.38, 0.5, 0.64, 0.8, 1.0];
    let mut canvas = Canvas::new(title, 320.0);
    let count = map.columns.len() as f64;
    let span = map.width * count;
    let across: Vec<(f64, String)> = ticks(map.start, map.start + span, 10)
        .into_iter()
        .map(|second| ((second - map.start) / span, moment(second)))
        .collect();
    let (low, high) = (map.floor(0).log10(), map.floor(map.rows).log10());
    canvas.grid(&across, &decades(low, high, |log| (log - low) / (high - low)));
    let mut cells: [String; OPACITY.len()] = Default::default();
    let (cell_width, cell_height) = (1.0 / count, 1.0 / map.rows as f64);
    let (wide, tall) =
        (Canvas::x(cell_width) - Canvas::x(0.0), canvas.y(0.0) - canvas.y(cell_height));
    for column in 0..map.columns.len() {
        for row in 0..map.rows {
            let Some(shade) = map.shade(column, row) else { continue };
            let x = Canvas::x(column as f64 * cell_width);
            let y = canvas.y((row + 1) as f64 * cell_height);
            let level = ((shade * OPACITY.len() as f64) as usize).min(OPACITY.len() - 1);
            // One path for each shade keeps a long run's page small.
            let _ = write!(cells[level], "M{x:.1} {y:.1}h{wide:.2}v{tall:.2}h-{wide:.2}z");
        }
    }
    for (path, opacity) in cells.iter().zip(OPACITY).filter(|(path, _)| !path.is_empty()) {
        let _ = writeln!(
            canvas.body,
            "<path fill=\"#0072b2\" fill-opacity=\"{opacity}\" d=\"{path}\"/>"
        );
    }
    for (which, (name, colour)) in
        [("p50", "#009e73"), ("p99", "#e69f00"), ("max", "#d55e00")].into_iter().enumerate()
    {
        let points = map.columns.iter().enumerate().filter_map(|(at, column)| {
            let value = column.told[which].nanos()? as f64;
            Some(((at as f64 + 0.5) * cell_width, map.height(value)))
        });
        let points: Vec<_> = points.collect();
        canvas.line(colour, name, points.into_iter());
    }
    canvas
        .legend
        .push(("#0072b2".into(), "shade: share of the moment's records, on a log scale".into()));
    // The pointer over a moment tells its numbers.
    for (at, column) in map.columns.iter().enumerate().filter(|(_, column)| column.count > 0) {
        let [p50, p99, max] = column.told;
        let _ = writeln!(
            canvas.body,
            "<rect x=\"{:.1}\" y=\"{TOP}\" width=\"{wide:.2}\" height=\"{:.1}\" fill=\"#000\" fill-opacity=\"0\">\
             <title>{:.0} s: {} records, p50 {p50}, p99 {p99}, max {max}</title></rect>",
            Canvas::x(at as f64 * cell_width),
            canvas.height,
            map.start + at as f64 * map.width,
            column.count
        );
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
    let begin = points().map(|(second, _)| *second).fold(f64::INFINITY, f64::min);
    let begin = if begin.is_finite() { begin } else { 0.0 };
    let end = points().map(|(second, _)| *second).fold(begin + 1.0, f64::max);
    let high = points().map(|(_, value)| *value).fold(0.0, f64::max) * 1.08;
    let high = if high > 0.0 { high } else { 1.0 };
    let span = end - begin;
    let mut canvas = Canvas::new(title, 200.0);
    let across: Vec<(f64, String)> = ticks(begin, end, 10)
        .into_iter()
        .map(|second| ((second - begin) / span, moment(second)))
        .collect();
    let up: Vec<(f64, String)> =
        ticks(0.0, high, 5).into_iter().map(|value| (value / high, label(value))).collect();
    canvas.grid(&across, &up);
    for (number, (name, points)) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        canvas.line(colour, name, points.iter().map(|(s, v)| ((s - begin) / span, v / high)));
    }
    canvas.finish()
}

/// Values from 0 up over a quantity that grows by factors of ten; each line is (name, points of (quantity, value)).
pub(crate) fn decades_svg(
    title: &str,
    lines: &[(String, Vec<(f64, f64)>)],
    label: impl Fn(f64) -> String,
) -> String {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let low = points().map(|(at, _)| at.max(1.0).log10()).fold(f64::INFINITY, f64::min);
    let low = if low.is_finite() { low } else { 0.0 };
    let span = points().map(|(at, _)| at.max(1.0).log10() - low).fold(0.0, f64::max).max(1.0);
    let high = points().map(|(_, value)| *value).fold(0.0, f64::max) * 1.08;
    let high = if high > 0.0 { high } else { 1.0 };
    let mut canvas = Canvas::new(title, 260.0);
    let decades = low.floor() as i32..=(low + span).ceil() as i32;
    let across: Vec<(f64, String)> = decades
        .map(|decade| ((f64::from(decade) - low) / span, format_count(10_f64.powi(decade))))
        .filter(|(at, _)| (-1e-9..=1.0 + 1e-9).contains(at))
        .collect();
    let up: Vec<(f64, String)> =
        ticks(0.0, high, 5).into_iter().map(|value| (value / high, label(value))).collect();
    canvas.grid(&across, &up);
    for (number, (name, points)) in lines.iter().enumerate() {
        let place = |(at, value): &(f64, f64)| ((at.max(1.0).log10() - low) / span, value / high);
        canvas.line(COLOURS[number % COLOURS.len()], name, points.iter().map(place));
    }
    canvas.finish()
}

/// 1, 2 and 5 of each decade between two logarithms of nanoseconds; only 1 where there are many decades.
fn decades(low: f64, high: f64, place: impl Fn(f64) -> f64) -> Vec<(f64, String)> {
    let steps: &[f64] = if high - low > 4.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let mut marks = Vec::new();
    for decade in low.floor() as i32..=high.ceil() as i32 {
        for step in steps {
            let log = f64::from(decade) + step.log10();
            if (low..=high).contains(&log) {
                let text = format_nanos(10_f64.powf(log).round() as u64);
                marks.push((place(log), text.replace(".00 ", " ").replace(".0 ", " ")));
            }
        }
    }
    marks
}

/// A moment under a time axis; short spans have ticks within the second.
fn moment(second: f64) -> String {
    if (second - second.round()).abs() < 1e-6 {
        format!("{second:.0} s")
    } else {
        format!("{second:.1} s")
    }
}

/// Round numbers between two bounds, at most so many.
fn ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    let rough = (high - low).max(1e-9) / most.max(1) as f64;
    let decade = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * decade >= rough).unwrap_or(10.0);
    let step = decade * factor;
    let first = (low / step - 1e-9).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|value| *value <= high + step * 1e-9).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::{Kind, Latencies, SparseLatencies};

    #[test]
    fn names_cannot_break_the_page() {
        let points = vec![(0.5, 1e6), (1.0, 2e6)];
        let line = Line { name: "<script>".into(), points, ..Line::default() };
        let svg = percentile_svg("a & b", &[line]);
        assert!(!svg.contains("<script>") && svg.contains("a &amp; b"), "{svg}");
        assert!(svg.contains("p99"), "{svg}");
        // What a directory's name may hold, and XML may not.
        let name = "a\u{1b}[31m\u{0}\u{fffe}\r".to_owned();
        let svg = percentile_svg("b\u{7f}\nc", &[Line { name, ..Line::default() }]);
        let odd = |c: char| c.is_control() && c != '\n' || c == '\u{fffe}';
        assert!(!svg.contains(odd) && svg.contains("b\u{fffd}\nc"), "{svg:?}");
    }

    #[test]
    fn what_the_generator_may_have_made_is_dashed() {
        let points = vec![(0.5, 1e6), (0.9, 2e6), (0.99, 3e6), (0.999, 4e6), (1.0, 5e6)];
        let line = Line { name: "a".into(), points, withheld: vec![0.99..=0.99] };
        let svg = percentile_svg("b", std::slice::from_ref(&line));
        // Good, withheld, and good again behind it: no line is broken.
        assert_eq!(svg.matches("<polyline").count(), 3, "{svg}");
        assert_eq!(svg.matches("stroke-dasharray").count(), 1);
        assert!(svg.contains(WITHHELD));
        let whole = percentile_svg("b", &[Line { withheld: Vec::new(), ..line }]);
        assert!(!whole.contains("stroke-dasharray") && !whole.contains(WITHHELD));
    }

    #[test]
    fn no_two_ticks_of_a_short_span_have_one_name() {
        let names: Vec<String> = ticks(2.0, 5.0, 10).into_iter().map(moment).collect();
        assert_eq!(names[..3], ["2 s", "2.5 s", "3 s"]);
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 8.0, 10), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        assert_eq!(ticks(3.0, 63.0, 6), [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert_eq!(ticks(0.0, 1.3e6, 5), [0.0, 5e5, 1e6]);
    }

    #[test]
    fn decades_have_their_names_and_no_points_are_no_harm() {
        let lines = [("a".to_owned(), vec![(1.0, 5.0), (100.0, 4.0), (10_000.0, 1.0)])];
        let svg = decades_svg("b", &lines, |value| format!("{value}"));
        for name in [">1<", ">10<", ">100<", ">1.0k<", ">10.0k<"] {
            assert!(svg.contains(name), "{name} {svg}");
        }
        assert!(!decades_svg("b", &[], |value| format!("{value}")).contains("NaN"));
    }

    #[test]
    fn every_moment_of_a_heat_map_tells_its_numbers() {
        let mut calm = Latencies::default();
        calm.of_mut(Kind::Response).record_n(2_000_000, 5_000);
        let mut stalled = calm.clone();
        stalled.of_mut(Kind::Response).record_n(1_000_000_000, 5_000);
        // Late by the generator's fault: its records have a pair that was not.
        let mut late = stalled.clone();
        late.of_mut(Kind::Prompt).record_n(2_000_000, 10_000);
        let [calm, stalled, late] = [&calm, &stalled, &late].map(SparseLatencies::from);
        let moments = [(4.0, &calm), (5.0, &stalled), (6.0, &late)];
        let map = HeatMap::of_kind(&moments, Kind::Response, 100, 40).unwrap();
        let svg = heat_svg("response over time", &map);
        assert!(svg.contains("4 s: 5000 records, p50 2.00 ms"), "{svg}");
        assert!(svg.contains("5 s: 10000 records, p50 2.00 ms, p99 1.00 s"), "{svg}");
        let withheld = "6 s: 10000 records, p50 2.00 ms, p99 INVALID, max INVALID";
        assert!(svg.contains(withheld), "{svg}");
        assert_eq!(svg.matches("<polyline").count(), 3);
    }
}
