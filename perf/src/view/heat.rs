//! A heat map of latency over time: seconds across, latency up on a logarithmic scale, shade for the share of the moment's records.
//!
//! Rare is what a heat map is for: the shade follows the logarithm of the share, so that one record in ten thousand still shows.

use crate::{
    latency::{Kind, Latencies, SparseLatencies, SparseLatency, Told},
    spec::{Quantile, format_nanos},
};

/// Shares below this look like it.
const SHARE_MIN: f64 = 1e-4;

/// The percentiles that are told of each column.
const PERCENTS: [f64; 3] = [50.0, 99.0, 100.0];

/// One stretch of time.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Records by row, lowest latency first.
    counts: Vec<u64>,
    /// How many records it has.
    pub(crate) count: u64,
    /// p50, p99 and maximum, of a map that knows them.
    pub(crate) told: [Told; 3],
}

/// The grid of shares.
#[derive(Clone, Debug)]
pub(crate) struct HeatMap {
    /// Where the first column begins, seconds.
    pub(crate) start: f64,
    /// Seconds of a column.
    pub(crate) width: f64,
    /// Columns in order, those without records too.
    pub(crate) columns: Vec<Column>,
    /// How many rows there are.
    pub(crate) rows: usize,
    /// log10 of the lowest row's floor, in nanoseconds.
    low: f64,
    per_decade: f64,
}

impl HeatMap {
    /// Of intervals (start in seconds, latencies), in order, in at most so many columns and rows. `None`: there are no records.
    pub(crate) fn of(
        intervals: &[(f64, &SparseLatency)],
        columns_max: usize,
        rows_max: usize,
    ) -> Option<Self> {
        let held: Vec<_> = intervals.iter().filter(|(_, latency)| latency.count() > 0).collect();
        let (start, end) = (held.first()?.0, held.last()?.0 + 1.0);
        let width = ((end - start) / columns_max.max(1) as f64).ceil().max(1.0);
        let count = (((end - start - 0.002) / width).ceil() as usize).max(1);
        let values =
            || held.iter().flat_map(|(_, latency)| latency.buckets().map(|(nanos, _)| nanos));
        let (low, high) = (values().min()?, values().max()?);
        let logarithm = |nanos: u64| (nanos.max(1) as f64).log10();
        // The finest of these scales on which the span has room.
        let span = |per_decade: f64| {
            (logarithm(high) * per_decade).floor() - (logarithm(low) * per_decade).floor()
        };
        let scales = [32.0, 16.0, 8.0, 4.0, 2.0, 1.0];
        let per_decade =
            scales.into_iter().find(|scale| span(*scale) < rows_max as f64).unwrap_or(1.0);
        let first_row = (logarithm(low) * per_decade).floor();
        let rows = span(per_decade) as usize + 1;
        let empty = Column { counts: vec![0; rows], count: 0, told: [Told::TooFew; 3] };
        let columns = vec![empty; count];
        let low_row = first_row / per_decade;
        let mut map = Self { start, width, columns, rows, low: low_row, per_decade };
        for (at, latency) in held {
            let place = map.place(*at);
            let column = &mut map.columns[place];
            column.count += latency.count();
            for (nanos, count) in latency.buckets() {
                let row = (logarithm(nanos) * per_decade).floor() - first_row;
                column.counts[(row as usize).min(rows - 1)] += count;
            }
        }
        Some(map)
    }

    /// The same of one kind, with its percentiles where the generator cannot have made them.
    pub(crate) fn of_kind(
        intervals: &[(f64, &SparseLatencies)],
        kind: Kind,
        columns_max: usize,
        rows_max: usize,
    ) -> Option<Self> {
        let of_kind: Vec<(f64, &SparseLatency)> =
            intervals.iter().map(|(at, latencies)| (*at, latencies.of(kind))).collect();
        let mut map = Self::of(&of_kind, columns_max, rows_max)?;
        // One column after the other: the distributions of all of them at once would be hundreds of MiB.
        for place in 0..map.columns.len() {
            let mut together = Latencies::default();
            for (at, latencies) in intervals {
                if map.place(*at) == place && latencies.of(kind).count() > 0 {
                    together.add_sparse(latencies);
                }
            }
            let told = |percent: f64| {
                Quantile::percent(percent).map_or(Told::TooFew, |q| together.told(kind, q))
            };
            map.columns[place].told = PERCENTS.map(told);
        }
        Some(map)
    }

    /// The column of a moment. A log keeps three places of a second: a moment that lies that close before a column is in it.
    fn place(&self, at: f64) -> usize {
        (((at - self.start + 0.002) / self.width) as usize).min(self.columns.len() - 1)
    }

    /// Where a share of the column's records lies between rare (near 0) and all (1). `None`: the cell is empty.
    pub(crate) fn shade(&self, column: usize, row: usize) -> Option<f64> {
        let column = self.columns.get(column)?;
        let count = *column.counts.get(row)?;
        if count == 0 {
            return None;
        }
        let share = (count as f64 / column.count.max(1) as f64).max(SHARE_MIN);
        Some(1.0 - share.log10() / SHARE_MIN.log10())
    }

    /// The lower bound of a row, nanoseconds.
    pub(crate) fn floor(&self, row: usize) -> f64 {
        10_f64.powf(self.low + row as f64 / self.per_decade)
    }

    /// Where a latency lies between the lowest row's floor (0) and the highest row's ceiling (1).
    pub(crate) fn height(&self, nanos: f64) -> f64 {
        let rows = (nanos.max(1.0).log10() - self.low) * self.per_decade;
        (rows / self.rows as f64).clamp(0.0, 1.0)
    }

    /// The map made of characters.
    pub(crate) fn text(&self) -> String {
        const SHADES: [char; 4] = ['░', '▒', '▓', '█'];
        let mut text = String::new();
        for row in (0..self.rows).rev() {
            let cells: String = (0..self.columns.len())
                .map(|column| match self.shade(column, row) {
                    Some(shade) => SHADES[((shade * 4.0) as usize).min(3)],
                    None => ' ',
                })
                .collect();
            let label = format_nanos(self.floor(row) as u64);
            text.push_str(&format!("{label:>10} |{}\n", cells.trim_end()));
        }
        text.push_str(&format!("{:>10} +{}\n", "", "-".repeat(self.columns.len())));
        let from = format!("{:.0} s", self.start);
        let to = format!("{:.0} s", self.start + self.width * self.columns.len() as f64);
        let gap = self.columns.len().saturating_sub(from.len() + to.len()).max(1);
        text.push_str(&format!("{:>12}{from}{}{to}\n", "", " ".repeat(gap)));
        text.push_str(&format!(
            "{:>12}shade: share of the column's records, {} rare to {} all; a column is {:.0} s\n",
            "", SHADES[0], SHADES[3], self.width
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;

    fn second(values: &[(u64, u64)]) -> SparseLatency {
        let mut latency = Latency::new();
        for (nanos, count) in values {
            latency.record_n(*nanos, *count);
        }
        SparseLatency::from(&latency)
    }

    #[test]
    fn one_in_ten_thousand_is_seen() {
        let calm = second(&[(1_000_000, 9_999), (900_000_000, 1)]);
        let map = HeatMap::of(&[(0.0, &calm)], 80, 30).unwrap();
        assert_eq!(map.shade(0, map.rows - 1), Some(0.0));
        assert!(map.shade(0, 0).is_some_and(|shade| shade > 0.99));
        assert!(map.floor(0) <= 1e6 && map.rows <= 30);
        assert!(map.text().contains('░') && map.text().contains('█'), "{}", map.text());
    }

    #[test]
    fn every_second_has_its_column() {
        let calm = second(&[(1_000_000, 10)]);
        // As a log has them: starts of 0.1 s, in floating point.
        let seconds: Vec<(f64, &SparseLatency)> =
            (0..60).map(|s| (0.1 + f64::from(s) * 1.0 - 1e-9 * f64::from(s % 7), &calm)).collect();
        let map = HeatMap::of(&seconds, 80, 30).unwrap();
        assert_eq!(map.columns.len(), 60);
        assert!(map.columns.iter().all(|column| column.count == 10));
    }

    #[test]
    fn long_runs_share_columns_and_gaps_stay_empty() {
        let calm = second(&[(1_000_000, 10)]);
        let seconds: Vec<(f64, &SparseLatency)> =
            (0..1_000).filter(|s| !(300..400).contains(s)).map(|s| (f64::from(s), &calm)).collect();
        let map = HeatMap::of(&seconds, 100, 30).unwrap();
        assert_eq!((map.columns.len(), map.width), (100, 10.0));
        assert_eq!(map.columns[0].count, 100);
        assert!(map.columns[30..40].iter().all(|column| column.count == 0));
        assert!(map.shade(35, 0).is_none());
        assert!(HeatMap::of(&[], 10, 10).is_none());
    }
}
