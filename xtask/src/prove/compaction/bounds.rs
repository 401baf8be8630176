//! What the broker must keep to, whatever the number of keys: so many passes, and so much memory.

use super::CORES;
use super::scene::PARTITIONS;

/// What `log.cleaner.dedupe.buffer.size` is if nobody says so.
const DEDUPE: u64 = 128 << 20;
/// Bytes of the map for each key; with what it leaves free it takes more.
const KEY: u64 = 24;
/// The segment that is written to is not compacted; of the tables here it is no longer than this.
const ACTIVE: u64 = 1 << 20;
/// `--memory`, and the eighth beside it for reads from segments.
const BUDGET: u64 = (256 << 20) + (32 << 20);
/// Everything that no budget counts: what is known of each partition and segment, stacks, the allocator's own.
const MARGIN: u64 = 128 << 20;

/// Passes of all partitions together that these keys take at least: a pass holds as many keys as the map of its core does.
pub(super) fn passes_at_least(keys: u64, dedupe: Option<u64>, update_bytes: u64) -> u64 {
    let map = dedupe.unwrap_or(DEDUPE) / u64::from(CORES);
    let of_partition = keys / u64::from(PARTITIONS);
    let compacted = of_partition.saturating_sub(ACTIVE / update_bytes.max(1));
    u64::from(PARTITIONS) * (compacted * KEY / map.max(1)).max(1)
}

/// Bytes of memory that the broker's process may have: its budgets, the key maps of all cores, its program, and a margin.
pub(super) fn memory_at_most(dedupe: Option<u64>, program: u64) -> u64 {
    BUDGET + dedupe.unwrap_or(DEDUPE) + program + MARGIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_do_not_fit_take_several_passes_of_each_partition() {
        // 6.25 million keys of 24 bytes in a partition, 32 MiB for a core's map: 4.47 maps, less what is not compacted.
        assert_eq!(passes_at_least(50_000_000, Some(64 << 20), 40), 8 * 4);
        assert_eq!(passes_at_least(100_000, None, 40), 8, "one of each, if they fit");
        assert_eq!(passes_at_least(100, Some(64 << 20), 40), 8);
        assert_eq!(passes_at_least(0, Some(0), 0), 8);
    }

    #[test]
    fn the_whole_table_would_not_fit_into_what_the_broker_may_have() {
        let most = memory_at_most(Some(64 << 20), 100 << 20);
        assert_eq!(most, (256 + 32 + 64 + 100 + 128) << 20);
        assert!(50_000_000 * KEY > most + most / 2);
    }
}
