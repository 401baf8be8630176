//! The fetch that is open at one broker.

use super::{FetchConfig, Key};
use crate::connection::Connection;
use crate::error::ClientError;
use crate::pipeline::Reply;
use ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use wire::api::fetch::{FetchPartition, FetchRequest, FetchTopic};

/// The last version with topic names instead of ids.
const VERSION_MAX: i16 = 12;

#[derive(Debug)]
pub(super) struct Node {
    connection: Connection,
    asked: BTreeMap<Key, Offset>,
    deadline: Option<Instant>,
    /// Which partition stood first last time: the next request starts with the one after it, so that a busy partition
    /// does not starve those behind it.
    turn: usize,
}

impl Node {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, asked: BTreeMap::new(), deadline: None, turn: 0 }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn is_open(&self) -> bool {
        self.deadline.is_some()
    }

    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|d| d <= now)
    }

    pub(super) fn into_keys(self) -> Vec<Key> {
        self.asked.into_keys().collect()
    }

    pub(super) fn take_asked(&mut self) -> BTreeMap<Key, Offset> {
        self.deadline = None;
        std::mem::take(&mut self.asked)
    }

    pub(super) fn fetch(
        &mut self,
        config: &FetchConfig,
        mut partitions: Vec<(Key, Offset)>,
        patience: Duration,
    ) -> Result<(), ClientError> {
        let turn = self.turn % partitions.len().max(1);
        partitions.rotate_left(turn);
        self.turn = self.turn.wrapping_add(1);
        let mut topics: Vec<FetchTopic<'_>> = Vec::new();
        for ((topic, partition), offset) in &partitions {
            if topics.last().is_none_or(|t| t.topic != &**topic) {
                topics.push(FetchTopic { topic, ..Default::default() });
            }
            if let Some(t) = topics.last_mut() {
                t.partitions.push(FetchPartition {
                    partition: PartitionIndex(*partition),
                    current_leader_epoch: LeaderEpoch::UNKNOWN,
                    fetch_offset: *offset,
                    partition_max_bytes: config.partition_bytes_max,
                    ..Default::default()
                });
            }
        }
        // A rotation may cut a topic in two; brokers take a topic named twice for an error.
        merge_ends(&mut topics);
        let request = FetchRequest {
            replica_id: BrokerId::NONE,
            max_wait_ms: i32::try_from(config.max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: config.min_bytes,
            max_bytes: config.max_bytes,
            isolation_level: config.isolation.number(),
            topics,
            ..Default::default()
        };
        let deadline = Instant::now() + config.max_wait + patience;
        self.connection.submit(VERSION_MAX, &request, deadline)?;
        self.deadline = Some(deadline);
        self.asked = partitions.into_iter().collect();
        Ok(())
    }

    /// Reads what has arrived, and takes the answer if it is whole. The socket is readable.
    pub(super) fn receive(&mut self) -> Result<Option<Reply>, ClientError> {
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
        self.connection.read(deadline, "Fetch")?;
        self.connection.poll()
    }
}

fn merge_ends(topics: &mut Vec<FetchTopic<'_>>) {
    if topics.len() < 2 || topics.first().map(|t| t.topic) != topics.last().map(|t| t.topic) {
        return;
    }
    if let Some(last) = topics.pop()
        && let Some(first) = topics.first_mut()
    {
        first.partitions.extend(last.partitions);
    }
}
