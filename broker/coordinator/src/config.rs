//! What the coordinator reads of the broker's configuration.

use crate::migration::MigrationPolicy;
use std::collections::BTreeMap;
use std::rc::Rc;
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
    /// `group.consumer.session.timeout.ms`.
    pub consumer_session_timeout_ms: i32,
    /// `group.consumer.heartbeat.interval.ms`.
    pub consumer_heartbeat_interval_ms: i32,
    /// `group.consumer.assignment.interval.ms`: the shortest time between two assignments of a group.
    pub consumer_assignment_interval_ms: i32,
    /// `group.consumer.max.size`.
    pub consumer_max_size: usize,
    /// `group.consumer.assignors`, the default first; only those that there are.
    pub consumer_assignors: Vec<String>,
    /// `group.consumer.migration.policy`.
    pub consumer_migration: MigrationPolicy,
    /// What single groups have instead: one map for all coordinators of a core, as it may have very many groups.
    pub consumer_groups: Rc<BTreeMap<String, ConsumerTimes>>,
    /// The most bytes of one batch: `max.message.bytes` of `__consumer_offsets`. Offsets and tombstones are spread over as
    /// many batches as they need; a group whose one record is larger cannot become stable.
    pub batch_bytes_max: usize,
    /// The most member ids of a group that were given out and not used yet (KIP-394). When full, the one nearest to its
    /// end goes: its client is told UNKNOWN_MEMBER_ID and asks for another.
    pub pending_members_max: usize,
}

/// How long members of one consumer group may be silent, how often they report, and how often they are assigned anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConsumerTimes {
    /// `consumer.session.timeout.ms`.
    pub session_timeout_ms: i32,
    /// `consumer.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: i32,
    /// `consumer.assignment.interval.ms`.
    pub assignment_interval_ms: i32,
}

impl Config {
    /// Takes those of `names` that there are as `consumer_assignors`; if there are none of them, what it has stays. Kafka's own
    /// assignors may be named by their classes, as its configuration did before 4.1.
    pub fn use_assignors(&mut self, names: &[String]) {
        let mut known: Vec<String> = Vec::new();
        for name in names.iter().filter_map(|name| crate::consumer::assignor_named(name)) {
            if !known.iter().any(|k| k == name) {
                known.push(name.to_owned());
            }
        }
        if !known.is_empty() {
            self.consumer_assignors = known;
        }
    }

    /// How long a member of a consumer group may be silent.
    pub(crate) fn session_timeout(&self, group: &str) -> Duration {
        let own = self.consumer_groups.get(group).map(|times| times.session_timeout_ms);
        millis(own.unwrap_or(self.consumer_session_timeout_ms))
    }

    /// How often a member of a consumer group reports.
    pub(crate) fn heartbeat_interval_ms(&self, group: &str) -> i32 {
        let own = self.consumer_groups.get(group).map(|times| times.heartbeat_interval_ms);
        own.unwrap_or(self.consumer_heartbeat_interval_ms)
    }

    /// The shortest time between two assignments of a consumer group (KIP-1263).
    pub(crate) fn assignment_interval(&self, group: &str) -> Duration {
        let own = self.consumer_groups.get(group).map(|times| times.assignment_interval_ms);
        millis(own.unwrap_or(self.consumer_assignment_interval_ms))
    }

    /// The assignor of members that have no preference.
    pub(crate) fn default_assignor(&self) -> &str {
        self.consumer_assignors.first().map_or("uniform", String::as_str)
    }
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
            consumer_session_timeout_ms: 45_000,
            consumer_heartbeat_interval_ms: 5_000,
            consumer_assignment_interval_ms: 1_000,
            consumer_max_size: usize::try_from(i32::MAX).unwrap_or(usize::MAX),
            consumer_assignors: vec!["uniform".to_owned(), "range".to_owned()],
            consumer_migration: MigrationPolicy::default(),
            consumer_groups: Rc::default(),
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
