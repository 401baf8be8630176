//! The histograms of where the time of requests goes.

use super::text::Text;
use stages::History;

/// Durations of requests by stage.
const STAGE_SECONDS: &str = "ringwood_request_stage_seconds";
/// Its buckets end at powers of two nanoseconds, from 8 microseconds to 17 seconds: there the counts are exact.
const STAGE_POWERS: std::ops::RangeInclusive<u32> = 13..=34;

/// Adds the histograms of the stages. Park is one of them, and no part of the total.
pub(super) fn write(text: &mut Text, history: &History) {
    text.family(STAGE_SECONDS, "histogram", "Durations of requests by stage.");
    for ((core, place, stage), histogram) in history.totals() {
        let Some(key) = crate::api::api_at(*place) else { continue };
        let core = core.to_string();
        let labels = [("core", core.as_str()), ("api", key.name()), ("stage", stage.name())];
        let buckets = STAGE_POWERS
            .map(|power| ((1u64 << power) as f64 / 1e9, histogram.count_below(1 << power)));
        let (count, sum) = (histogram.count(), histogram.sum_nanos() as f64 / 1e9);
        text.histogram(&labels, buckets, count, sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stages::{Counts, Stage};

    #[test]
    fn a_histogram_has_cumulative_buckets_a_sum_and_a_count() {
        let mut history = History::default();
        // 6.4, 64 and 640 microseconds.
        let counts: Counts = [100, 1000, 10_000].into_iter().collect();
        let series = vec![(0, Stage::Flush, counts)];
        history.push(0, 1000, vec![(1, series)]);
        let mut text = Text::default();
        write(&mut text, &history);
        let text = text.into_string();
        let labels = "core=\"1\",api=\"Produce\",stage=\"flush\"";
        for (end, n) in [("0.000008192", 1), ("0.000032768", 1), ("0.000065536", 2), ("+Inf", 3)] {
            let line = format!("{STAGE_SECONDS}_bucket{{{labels},le=\"{end}\"}} {n}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(text.contains(&format!("{STAGE_SECONDS}_count{{{labels}}} 3\n")), "{text}");
        assert!(text.contains(&format!("{STAGE_SECONDS}_sum{{{labels}}} 0.0007104\n")), "{text}");
    }
}
