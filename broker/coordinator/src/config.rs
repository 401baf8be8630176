//! What the coordinator reads of the broker's configuration.

use std::time::Duration;

/// The settings of one coordinator; the names are Kafka's keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// `group.min.session.timeout.ms`.
    pub group_min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub group_max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members.
    pub group_initial_rebalance_delay_ms: u32,
    /// `group.max.size`: the most members of a group.
    pub group_max_size: usize,
    /// `offset.metadata.max.bytes`: the longest text beside an offset.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: u64,
    /// The most bytes of one batch: `max.message.bytes` of `__consumer_offsets`. Offsets and tombstones are spread over as
    /// many batches as they need; a group whose one record is larger cannot become stable.
    pub batch_bytes_max: usize,
    /// The most member ids of a group that were given out and not used yet (KIP-394). When full, the one nearest to its
    /// end goes: its client is told UNKNOWN_MEMBER_ID and asks for another.
    pub pending_members_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            group_min_session_timeout_ms: 6_000,
            group_max_session_timeout_ms: 1_800_000,
            group_initial_rebalance_delay_ms: 3_000,
            group_max_size: usize::try_from(i32::MAX).unwrap_or(usize::MAX),
            offset_metadata_max_bytes: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_interval_ms: 600_000,
            batch_bytes_max: 1_048_588,
            pending_members_max: 10_000,
        }
    }
}

/// How long a member that never had an answer may wait for its first generation. It cannot send heartbeats, and if its
/// connection is gone nobody will ever take the answer.
pub(crate) const NEW_MEMBER_TIMEOUT: Duration = Duration::from_secs(300);

/// Milliseconds of a request as a span of time; negative ones are none.
pub(crate) fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
