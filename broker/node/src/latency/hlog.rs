//! The last seconds as an interval log that the public HdrHistogram tools read: a line for each second, API and stage, with the
//! tag `Produce.flush`.

use crate::api;
use perf::hlog::{Counted, write_counted};
use stages::Second;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Writes these seconds, oldest first.
///
/// # Errors
/// What the writer answers.
pub(crate) fn text(seconds: &[Arc<Second>]) -> Result<Vec<u8>, String> {
    let began_ms = seconds.first().map_or(0, |s| s.ended_ms.saturating_sub(s.length_ms));
    let began = SystemTime::UNIX_EPOCH + Duration::from_millis(began_ms);
    let comments = [
        format!("ringwood {}", env!("CARGO_PKG_VERSION")),
        "tags are API.stage, values are nanoseconds".to_owned(),
    ];
    let lines = seconds.iter().flat_map(|second| {
        let start = second.ended_ms.saturating_sub(second.length_ms).saturating_sub(began_ms);
        second.series().filter_map(move |(place, stage, counts)| {
            let mut histogram = stages::Histogram::default();
            histogram.add(&counts);
            Some(Counted {
                tag: format!("{}.{}", api::api_at(place)?.name(), stage.name()),
                start: Duration::from_millis(start),
                length: Duration::from_millis(second.length_ms),
                counts: histogram.values().collect(),
            })
        })
    });
    let mut out = Vec::new();
    write_counted(&mut out, began, &comments, lines)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stages::{History, Stage};

    #[test]
    fn seconds_come_back_from_the_log() {
        let mut history = History::default();
        for second in 0..3u64 {
            let series = vec![(0, Stage::Flush, (1000..1100).collect())];
            history.push(1_700_000_001_000 + second * 1000, 1000, vec![(0, series)]);
        }
        let log = text(&history.last(10)).unwrap();
        let lines = perf::hlog::parse_tagged(&log).unwrap();
        assert_eq!(lines.len(), 3);
        let starts: Vec<f64> = lines.iter().map(|l| l.start).collect();
        assert_eq!(starts, [0.0, 1.0, 2.0]);
        assert!(lines.iter().all(|l| l.tag == "Produce.flush" && l.latency.count() == 100));
        let max = lines[0].latency.dense().histogram().max();
        assert!((70_000..=70_400).contains(&max), "{max}");
    }
}
