//! Where reading starts and ends.

use crate::exit;
use crate::failure::Failure;
use crate::output::say;
use crate::time;
use client::{Client, FoundOffset, Isolation, OffsetQuery, Refusal};
use ids::{Offset, Timestamp};
use std::collections::BTreeMap;
use wire::ErrorCode;

/// `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    First,
    Last,
    At(Offset),
    /// So many offsets before the end.
    Before(i64),
    Time(Timestamp),
}

pub(super) fn parse(text: &str) -> Result<Start, String> {
    let bad = || format!("`{text}` is none of start, end, an offset, -N (N before the end), @TIME");
    match text {
        "start" | "beginning" | "earliest" => return Ok(Start::First),
        "end" | "latest" => return Ok(Start::Last),
        _ => {}
    }
    if let Some(moment) = text.strip_prefix('@') {
        return time::moment(moment, time::now()).map(Start::Time);
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let n: i64 = digits.parse().map_err(|_| bad())?;
    Ok(if text.starts_with('-') { Start::Before(n) } else { Start::At(Offset(n)) })
}

/// A part of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) from: Offset,
    /// The first offset that is not part of it, as the partition stands now.
    pub(super) to: Offset,
}

/// Looks the stretches up. `named`: the partitions were chosen one by one, so an offset that one of them does not have yet is a
/// mistake; where all are read, it is just a shorter one.
pub(super) fn find(
    client: &mut Client,
    topic: &str,
    partitions: &[i32],
    named: bool,
    start: Start,
    isolation: Isolation,
) -> Result<Vec<Stretch>, Failure> {
    let what = || format!("cannot look up offsets of topic {topic}");
    let mut ask = |query: OffsetQuery| -> Result<BTreeMap<i32, Offset>, Failure> {
        let queries: Vec<_> = partitions.iter().map(|p| (*p, query)).collect();
        let found = client
            .list_offsets(topic, &queries, isolation)
            .map_err(|e| Failure::client("consume", what(), &e))?;
        let offset = |r: Result<FoundOffset, Refusal>| {
            r.map(|f| f.offset).map_err(|r| Failure::refused("consume", what(), &r))
        };
        found.into_iter().map(|(p, r)| Ok((p, offset(r)?))).collect()
    };
    let first = ask(OffsetQuery::Earliest)?;
    let last = ask(OffsetQuery::Latest)?;
    let at = match start {
        Start::Time(time) => ask(OffsetQuery::At(time))?,
        Start::First | Start::Last | Start::At(_) | Start::Before(_) => BTreeMap::new(),
    };
    let mut stretches = Vec::new();
    for partition in partitions {
        let (Some(first), Some(to)) = (first.get(partition), last.get(partition)) else {
            continue;
        };
        let (first, to) = (*first, *to);
        let from = match start {
            Start::First => first,
            Start::Last => to,
            Start::Before(n) => Offset(to.0.saturating_sub(n)).max(first),
            // No record is that young: what comes next is.
            Start::Time(_) => at.get(partition).copied().filter(|o| o.0 >= 0).unwrap_or(to),
            Start::At(offset) if offset > to && named => {
                return Err(Failure {
                    area: "consume",
                    what: format!(
                        "partition {partition} of {topic} does not reach offset {}",
                        offset.0
                    ),
                    cause: format!("{}: it ends at {}", ErrorCode::OFFSET_OUT_OF_RANGE, to.0),
                    remedy: format!("see its offsets with `ringwood topic offsets {topic}`"),
                    code: exit::NOT_FOUND_OR_EXISTS,
                });
            }
            Start::At(offset) if offset < first => {
                say(format_args!(
                    "partition {partition} of {topic} begins at {}: offsets before it have been deleted",
                    first.0
                ));
                first
            }
            Start::At(offset) => offset.min(to),
        };
        stretches.push(Stretch { topic: topic.to_owned(), partition: *partition, from, to });
    }
    Ok(stretches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_has_many_forms() {
        assert_eq!(parse("start"), Ok(Start::First));
        assert_eq!(parse("end"), Ok(Start::Last));
        assert_eq!(parse("17"), Ok(Start::At(Offset(17))));
        assert_eq!(parse("-5"), Ok(Start::Before(5)));
        assert_eq!(parse("@1000"), Ok(Start::Time(Timestamp(1000))));
        for bad in ["", "-", "+5", "strat", "1.5", "@", "@noon", "99999999999999999999"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
