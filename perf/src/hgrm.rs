//! `.hgrm`: the text form of a cumulative distribution that the HdrHistogram plotters read.
//!
//! Four columns: value (milliseconds), percentile as a fraction, how many records lie at or below, and `1/(1-percentile)`, the
//! axis of the plots. Five points for each halving of the distance to 1. Footer lines begin with `#`. One of them is ours:
//! `#[withheld: 0.999..1]` says between which fractions the generator may have made the values, which are no numbers of the broker's
//! then.

use std::{
    io::{self, Write},
    ops::RangeInclusive,
};

use crate::{
    latency::{Kind, Latencies, Latency},
    spec::Quantile,
};

/// Nanoseconds in the unit of the file.
const NANOS_PER_UNIT: f64 = 1e6;

/// Points for each halving of the distance to 100 %.
const TICKS: u32 = 5;

/// Writes the distribution.
///
/// # Errors
/// What the writer answers.
pub fn write(latency: &Latency, out: &mut impl Write) -> io::Result<()> {
    let histogram = latency.histogram();
    writeln!(
        out,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    )?;
    for Point { value, quantile, below } in points(latency, TICKS) {
        let value = value as f64 / NANOS_PER_UNIT;
        write!(out, "{value:>12.6} {quantile:>14.12} {below:>10}")?;
        if quantile < 1.0 {
            writeln!(out, " {:>14.2}", 1.0 / (1.0 - quantile))?;
        } else {
            // Infinity has no place on the axis: the last line has three columns.
            writeln!(out)?;
        }
    }
    writeln!(
        out,
        "#[Mean    = {:>12.6}, StdDeviation   = {:>12.6}]",
        histogram.mean() / NANOS_PER_UNIT,
        histogram.stdev() / NANOS_PER_UNIT
    )?;
    writeln!(
        out,
        "#[Max     = {:>12.6}, Total count    = {:>12}]",
        histogram.max() as f64 / NANOS_PER_UNIT,
        histogram.len()
    )?;
    writeln!(out, "#[Buckets = {:>12}, SubBuckets     = {:>12}]", histogram.buckets(), 2048)
}

/// Writes the distribution of this kind, and which part of it the generator may have made.
///
/// # Errors
/// What the writer answers.
pub fn write_told(all: &Latencies, kind: Kind, out: &mut impl Write) -> io::Result<()> {
    let latency = all.of(kind);
    write(latency, out)?;
    let spans = withheld(all, kind, points(latency, TICKS).iter().map(|point| point.quantile));
    if spans.is_empty() {
        return Ok(());
    }
    let words: Vec<String> =
        spans.iter().map(|span| format!("{}..{}", span.start(), span.end())).collect();
    writeln!(out, "{WITHHELD}{}]", words.join(" "))
}

/// How the line begins that says what is withheld.
const WITHHELD: &str = "#[withheld: ";

/// Which of these quantiles, which rise, the generator may have moved by too much: spans from the first to the last of neighbours.
fn withheld(
    all: &Latencies,
    kind: Kind,
    quantiles: impl Iterator<Item = f64>,
) -> Vec<RangeInclusive<f64>> {
    let mut spans: Vec<RangeInclusive<f64>> = Vec::new();
    let mut open = false;
    for at in quantiles {
        let quantile = Quantile::percent(at * 100.0);
        let is_moved = quantile.is_ok_and(|quantile| all.moved(kind, quantile).is_some());
        match spans.last_mut() {
            Some(span) if is_moved && open => *span = *span.start()..=at,
            _ if is_moved => spans.push(at..=at),
            Some(_) | None => {}
        }
        open = is_moved;
    }
    spans
}

/// One line of the file.
struct Point {
    value: u64,
    quantile: f64,
    /// Records at or below the value.
    below: u64,
}

/// The points that the public tools write: at every tick the first value below which so many records lie, and the maximum at
/// last. One value stands at several ticks where many records share it.
fn points(latency: &Latency, ticks: u32) -> Vec<Point> {
    let histogram = latency.histogram();
    let all = histogram.len();
    let mut points = Vec::new();
    let (mut percent, mut below) = (0.0_f64, 0);
    for step in histogram.iter_recorded() {
        below += step.count_since_last_iteration();
        let reached = 100.0 * below as f64 / all as f64;
        let value = histogram.highest_equivalent(step.value_iterated_to()).min(histogram.max());
        while reached >= percent && percent < 100.0 {
            points.push(Point { value, quantile: percent / 100.0, below });
            // The ticks double with each halving of the distance to 100.
            let halvings = (100.0 / (100.0 - percent)).log2().floor() + 1.0;
            percent += 100.0 / (f64::from(ticks) * halvings.exp2());
            if below == all {
                break;
            }
        }
    }
    if all > 0 {
        points.push(Point { value: histogram.max(), quantile: 1.0, below: all });
    }
    points
}

/// A distribution as points: what a `.hgrm` of anyone's making holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// (quantile, value in nanoseconds), rising.
    pub points: Vec<(f64, f64)>,
    /// How many records are in the distribution.
    pub count: u64,
    /// The points between these quantiles may be the generator's: each span begins and ends with a point.
    pub withheld: Vec<RangeInclusive<f64>>,
}

/// Quantiles are written with twelve digits.
const ROUNDING: f64 = 1e-12;

impl Curve {
    /// The points of a distribution of our own.
    #[must_use]
    pub fn of(latency: &Latency) -> Self {
        let points = points(latency, TICKS * 4)
            .into_iter()
            .map(|point| (point.quantile, point.value as f64))
            .collect();
        Self { points, count: latency.count(), withheld: Vec::new() }
    }

    /// The same, with what the generator may have made of it.
    #[must_use]
    pub fn told(all: &Latencies, kind: Kind) -> Self {
        let curve = Self::of(all.of(kind));
        let withheld = withheld(all, kind, curve.points.iter().map(|(quantile, _)| *quantile));
        Self { withheld, ..curve }
    }

    /// The value at this quantile: that of the first point at or above it.
    #[must_use]
    pub fn at(&self, quantile: f64) -> Option<f64> {
        self.point(quantile).map(|(_, value)| value)
    }

    /// Whether the value there may be the generator's.
    #[must_use]
    pub fn is_withheld(&self, quantile: f64) -> bool {
        let point = self.point(quantile);
        point.is_some_and(|(at, _)| self.withheld.iter().any(|span| span.contains(&at)))
    }

    fn point(&self, quantile: f64) -> Option<(f64, f64)> {
        self.points.iter().copied().find(|(at, _)| *at >= quantile - ROUNDING)
    }

    /// A span that a file names, as one of its points.
    fn span(&self, text: &str) -> Option<RangeInclusive<f64>> {
        let (from, to) = text.split_once("..")?;
        let (from, to): (f64, f64) = (from.parse().ok()?, to.parse().ok()?);
        let within = |at: &f64| (from - ROUNDING..=to + ROUNDING).contains(at);
        let mut points = self.points.iter().map(|(at, _)| *at).filter(within);
        let first = points.next()?;
        Some(first..=points.next_back().unwrap_or(first))
    }
}

/// Reads a `.hgrm`, its values taken as milliseconds.
///
/// # Errors
/// A sentence: nothing in the text looks like a distribution.
pub fn parse(text: &str) -> Result<Curve, String> {
    let mut curve = Curve::default();
    for line in text.lines() {
        let mut columns = line.split_ascii_whitespace().map(str::parse::<f64>);
        let (Some(Ok(value)), Some(Ok(quantile)), Some(Ok(count))) =
            (columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        curve.points.push((quantile, value * NANOS_PER_UNIT));
        curve.count = curve.count.max(count as u64);
    }
    if curve.points.is_empty() {
        return Err("no line with a value, a percentile and a count".into());
    }
    let spans =
        text.lines().filter_map(|line| line.trim().strip_prefix(WITHHELD)?.strip_suffix(']'));
    curve.withheld =
        spans.flat_map(str::split_ascii_whitespace).filter_map(|span| curve.span(span)).collect();
    Ok(curve)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut latency = Latency::new();
        for i in 1..=20_000_u64 {
            latency.record(i * 1_000);
        }
        let mut text = Vec::new();
        write(&latency, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("1/(1-Percentile)"));
        let curve = parse(&text).unwrap();
        assert_eq!(curve.count, 20_000);
        for (quantile, expected) in [(0.5, 10e6), (0.75, 15e6), (1.0, 20e6)] {
            let value = curve.at(quantile).unwrap();
            assert!((value / expected - 1.0).abs() < 0.002, "{quantile}: {value}");
        }
    }

    #[test]
    fn what_the_generator_may_have_made_is_marked_in_the_file() {
        // A broker of 10 ms, and two records of a thousand that the generator closed 40 ms late.
        let mut all = Latencies::default();
        for (late, count) in [(0, 99_800), (40_000_000, 200)] {
            all.of_mut(Kind::Response).record_n(10_000_000 + late, count);
            all.of_mut(Kind::Prompt).record_n(10_000_000, count);
        }
        let mut text = Vec::new();
        write_told(&all, Kind::Response, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let curve = parse(&text).unwrap();
        let told = Curve::told(&all, Kind::Response);
        for curve in [&curve, &told] {
            let withheld = [0.5, 0.99, 0.999, 1.0].map(|quantile| curve.is_withheld(quantile));
            assert_eq!(withheld, [false, false, true, true], "{text}");
        }
        // In time, there is no such line.
        *all.of_mut(Kind::Prompt) = all.of(Kind::Response).clone();
        let mut text = Vec::new();
        write_told(&all, Kind::Response, &mut text).unwrap();
        assert!(!String::from_utf8(text).unwrap().contains("withheld"));
        assert_eq!(Curve::told(&all, Kind::Response).withheld, []);
    }

    #[test]
    fn an_empty_distribution_has_no_points() {
        let mut text = Vec::new();
        write(&Latency::new(), &mut text).unwrap();
        assert!(parse(&String::from_utf8(text).unwrap()).is_err());
    }
}
