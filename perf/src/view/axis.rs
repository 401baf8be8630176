//! The axes of the percentile plot: log10(1/(1-q)) across, log10 of the latency up.

use super::Line;

/// The span of both axes over all lines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axes {
    /// Nines at the right edge: 2 is p99.
    pub(super) nines: f64,
    /// log10 of the lowest and of the highest latency in nanoseconds.
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Axes {
    pub(super) fn over(lines: &[Line]) -> Self {
        let points = || lines.iter().flat_map(|line| &line.points);
        let nines = points().filter(|(q, _)| *q < 1.0).map(|(q, _)| nines(*q)).fold(2.0, f64::max);
        let (low, high) = points()
            .filter(|(_, value)| *value > 0.0)
            .map(|(_, value)| value.log10())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            return Self { nines, low: 3.0, high: 9.0 };
        }
        let high = if high - low < 0.3 { low + 0.3 } else { high };
        Self { nines, low, high }
    }

    /// Both coordinates between 0 and 1; the maximum stands at the right edge.
    pub(super) fn place(&self, (quantile, value): (f64, f64)) -> (f64, f64) {
        let x = if quantile < 1.0 { nines(quantile) / self.nines } else { 1.0 };
        let y = (value.max(1.0).log10() - self.low) / (self.high - self.low);
        (x.clamp(0.0, 1.0), y.clamp(0.0, 1.0))
    }

    /// Where the labels of the percentile axis stand.
    pub(super) fn marks(&self) -> Vec<(f64, &'static str)> {
        [
            (0.0, "0"),
            (0.5, "p50"),
            (0.9, "p90"),
            (0.99, "p99"),
            (0.999, "p99.9"),
            (0.9999, "p99.99"),
            (0.99999, "p99.999"),
            (0.999_999, "p99.9999"),
        ]
        .into_iter()
        .map(|(q, name)| (nines(q) / self.nines, name))
        .filter(|(x, _)| *x <= 1.0)
        .collect()
    }
}

fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}
