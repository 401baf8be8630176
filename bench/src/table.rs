//! Tables as Markdown, so that they can be put beside a decision as they are.

use crate::comparison::{Comparison, Line};
use crate::edition::Edition;
use std::fmt::Write;

/// The middle of `values` (the mean of the middle two), the least and the largest; `None` of nothing.
#[must_use]
pub fn spread(values: &[f64]) -> Option<(f64, f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    Some((f64::midpoint(low, high), first, last))
}

/// A number with as many digits as are worth reading.
#[must_use]
pub fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// `12.3 (11.9 to 14.0)`.
#[must_use]
pub fn with_spread(values: &[f64]) -> String {
    match spread(values) {
        None => "n/a".to_owned(),
        Some((middle, least, most)) => {
            format!("{} ({} to {})", number(middle), number(least), number(most))
        }
    }
}

/// A quantile in microseconds, or `n/a` where fewer than ten values lie beyond it.
#[must_use]
pub fn quantile_us(histogram: &hdrhistogram::Histogram<u64>, quantile: f64) -> String {
    if (histogram.len() as f64) * (1.0 - quantile) < 10.0 {
        return "n/a".to_owned();
    }
    number(histogram.value_at_quantile(quantile) as f64 / 1000.0)
}

/// The comparison: a row for each shape, request and server.
#[must_use]
pub fn comparison(comparison: &Comparison) -> String {
    let mut out = String::new();
    out.push_str(
        "| shape | request | server | CPU µs/request | of it kernel | against reactor | \
         requests/s | p50 µs | p99 µs | system calls/request |\n\
         |---|---|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for line in &comparison.lines {
        let cpu: Vec<f64> = line.rounds.iter().map(|r| r.cpu_us).collect();
        let rate: Vec<f64> = line.rounds.iter().map(|r| r.per_second).collect();
        let kernel =
            line.kernel.share().map_or("n/a".to_owned(), |s| format!("{:.0} %", s * 100.0));
        let calls = line.syscalls.as_ref().map_or("n/a".to_owned(), |n| number(*n));
        let rate = spread(&rate).map_or("n/a".to_owned(), |(middle, ..)| format!("{middle:.0}"));
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {kernel} | {} | {rate} | {} | {} | {calls} |",
            line.shape,
            line.operation,
            line.edition,
            with_spread(&cpu),
            against_reactor(line, &comparison.lines),
            quantile_us(&line.latency, 0.5),
            quantile_us(&line.latency, 0.99),
        );
    }
    out
}

/// CPU per request as a multiple of our reactor's under the same load.
fn against_reactor(line: &Line, all: &[Line]) -> String {
    let middle = |line: &Line| {
        let cpu: Vec<f64> = line.rounds.iter().map(|r| r.cpu_us).collect();
        spread(&cpu).map(|(middle, ..)| middle).filter(|m| *m > 0.0)
    };
    let same = |other: &&Line| {
        other.edition == Edition::Reactor
            && other.shape == line.shape
            && other.operation == line.operation
    };
    match (middle(line), all.iter().find(same).and_then(middle)) {
        (Some(this), Some(reactor)) => format!("{:.2}", this / reactor),
        _ => "n/a".to_owned(),
    }
}

/// Why system calls were not counted, each reason once.
#[must_use]
pub fn uncounted(comparison: &Comparison) -> Vec<String> {
    let mut reasons: Vec<String> =
        comparison.lines.iter().filter_map(|l| l.syscalls.as_ref().err().cloned()).collect();
    reasons.sort();
    reasons.dedup();
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_the_middle() {
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0]), Some((3.0, 3.0, 3.0)));
        assert_eq!(spread(&[5.0, 1.0]), Some((3.0, 1.0, 5.0)));
        assert_eq!(spread(&[9.0, 1.0, 2.0]), Some((2.0, 1.0, 9.0)));
        assert_eq!(with_spread(&[9.0, 1.0, 200.0]), "9.00 (1.00 to 200)");
    }

    #[test]
    fn a_quantile_needs_values_beyond_it() {
        let mut histogram = crate::load::latency_histogram().unwrap();
        for _ in 0..999 {
            histogram.record(50_000).unwrap();
        }
        assert_eq!(quantile_us(&histogram, 0.5), "50.0");
        assert_eq!(quantile_us(&histogram, 0.99), "n/a");
        histogram.record(50_000).unwrap();
        assert_eq!(quantile_us(&histogram, 0.99), "50.0");
    }
}
