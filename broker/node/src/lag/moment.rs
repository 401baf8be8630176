//! About when a record was made, from what is in memory of its log.

use ids::{Offset, Timestamp};
use log::Log;

/// When the record at `offset`, or the first after it, was made; none at the end of the log.
///
/// As exact as the index, whose entries lie some 4 KiB apart, where that part of it is in memory. Else it is the time of the
/// segment's first record, which may be earlier: a group that far behind is never said to be less late than it is.
pub(super) fn of(log: &Log, offset: Offset) -> Option<Timestamp> {
    let offset = offset.max(log.start());
    let segment = log.segment_of(offset)?;
    let relative = u32::try_from(offset.0 - segment.name.base.0).unwrap_or(u32::MAX);
    let entries = segment.index.entries();
    let next = entries.partition_point(|e| e.offset <= relative);
    let known = match (next, entries.get(next)) {
        (0, _) => segment.first_timestamp,
        // Everything before the next entry, the record among it, is at most as new as this.
        (_, Some(after)) => after.max_timestamp_before,
        (_, None) => segment.max_timestamp,
    };
    Some(if known.0 >= 0 { known } else { segment.created_at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{LeaderEpoch, ProducerEpoch, ProducerId};
    use log::{BatchMeta, Config};

    fn log_of(times: &[i64]) -> Log {
        let config = Config { segment_bytes: 1000, index_interval_bytes: 100, ..Config::default() };
        let mut log = Log::default();
        for time in times {
            let meta = BatchMeta {
                len: 200,
                offsets: 10,
                max_timestamp: Timestamp(*time),
                producer_id: ProducerId::NONE,
                producer_epoch: ProducerEpoch::NONE,
                base_sequence: -1,
                transactional: false,
                control: false,
            };
            log.append(&meta, LeaderEpoch(0), Timestamp(9_000), &config).unwrap();
        }
        log
    }

    #[test]
    fn it_is_the_time_of_the_batch_where_the_index_is_in_memory() {
        let log = log_of(&[100, 200, 300]);
        for (offset, time) in [(0, 100), (9, 100), (10, 200), (29, 300)] {
            assert_eq!(of(&log, Offset(offset)), Some(Timestamp(time)), "{offset}");
        }
        assert_eq!(of(&log, Offset(30)), None);
    }

    #[test]
    fn without_an_index_it_is_that_of_the_first_record() {
        let log = log_of(&[100, 200, 300]).without_index();
        assert_eq!(of(&log, Offset(25)), Some(Timestamp(100)));
    }

    #[test]
    fn records_without_a_time_have_that_of_their_arrival() {
        assert_eq!(of(&log_of(&[-1]), Offset(0)), Some(Timestamp(9_000)));
    }
}
