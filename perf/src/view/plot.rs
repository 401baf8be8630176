//! Plots made of characters.

use super::{Line, WITHHELD, axis::Axes};
use crate::{spec::format_nanos, terminal::visible};

/// One letter a line, so that a plot without colour can be read.
const MARKS: [char; 8] = ['*', 'o', '+', 'x', '#', '@', '%', '&'];

/// What stands in place of a line's letter where it is withheld.
const DOUBT: char = '.';

/// Latency over log10(1/(1-q)), both logarithmic.
pub(crate) fn percentile_plot(lines: &[Line], width: usize, height: usize) -> String {
    let axes = Axes::over(lines);
    let (width, height) = (width.max(20), height.max(5));
    let mut grid = vec![vec![' '; width]; height];
    let cell = |at: f64, cells: usize| (at * (cells - 1) as f64).round() as usize;
    for (line, mark) in lines.iter().zip(MARKS.iter().cycle()) {
        // Between two points the line is drawn column by column.
        let stretches = line.stretches();
        let pairs = stretches.iter().flat_map(|(withheld, points)| {
            points.windows(2).map(move |pair| (if *withheld { DOUBT } else { *mark }, pair))
        });
        for (mark, pair) in pairs {
            let ((x0, y0), (x1, y1)) = (axes.place(pair[0]), axes.place(pair[1]));
            let (first, last) = (cell(x0, width), cell(x1, width));
            for step in 0..=last - first {
                let along = if last > first { step as f64 / (last - first) as f64 } else { 1.0 };
                let row = height - 1 - cell(y0 + (y1 - y0) * along, height);
                grid[row][first + step] = mark;
            }
        }
    }
    let mut text = String::new();
    for (row, cells) in grid.iter().enumerate() {
        let value = axes.high - (axes.high - axes.low) * row as f64 / (height - 1) as f64;
        let label = if row % 4 == 0 || row + 1 == height {
            format_nanos(10_f64.powf(value) as u64)
        } else {
            String::new()
        };
        let cells: String = cells.iter().collect();
        text.push_str(format!("{label:>10} |{}", cells.trim_end()).trim_end());
        text.push('\n');
    }
    let mut marks = vec![' '; width + 10];
    let mut free = 0;
    for (at, name) in axes.marks() {
        let column = cell(at, width);
        if column < free {
            continue;
        }
        for (place, c) in marks.iter_mut().skip(column).zip(name.chars()) {
            *place = c;
        }
        free = column + name.len() + 1;
    }
    let marks: String = marks.iter().collect();
    text.push_str(&format!("{:>10} +{}\n{:>12}{}\n", "", "-".repeat(width), "", marks.trim_end()));
    for (line, mark) in lines.iter().zip(MARKS.iter().cycle()) {
        text.push_str(&format!("{:>12}{mark} {}\n", "", visible(&line.name)));
    }
    if lines.iter().any(|line| !line.withheld.is_empty()) {
        text.push_str(&format!("{:>12}{DOUBT} {WITHHELD}\n", ""));
    }
    text
}

/// A row of eight heights; 0 is the lowest.
pub(crate) fn sparkline(values: &[f64]) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let high = values.iter().copied().fold(0.0, f64::max);
    values
        .iter()
        .map(|value| {
            let share = if high > 0.0 { (value / high).clamp(0.0, 1.0) } else { 0.0 };
            HEIGHTS[(share * 7.0).round() as usize]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_shows_every_line() {
        let line = |name: &str, scale: f64| Line {
            name: name.into(),
            points: vec![
                (0.0, scale),
                (0.9, scale * 2.0),
                (0.999, scale * 50.0),
                (1.0, scale * 80.0),
            ],
            ..Line::default()
        };
        let text = percentile_plot(&[line("first", 1e6), line("second", 4e6)], 60, 12);
        for part in ["* first", "o second", "p99.9", "p50", "1.00 ms"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert_eq!(percentile_plot(&[], 60, 12).lines().count(), 14);
        assert!(!text.contains(WITHHELD));
        let doubtful = Line { withheld: vec![0.999..=1.0], ..line("third", 1e6) };
        let text = percentile_plot(&[doubtful], 60, 12);
        assert!(text.contains(WITHHELD) && text.contains("..") && text.contains("**"), "{text}");
    }

    #[test]
    fn a_sparkline_has_its_peak() {
        assert_eq!(sparkline(&[0.0, 5.0, 10.0]), "▁▅█");
        assert_eq!(sparkline(&[]), "");
    }
}
