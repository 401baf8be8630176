//! Offsets by place or time (ListOffsets).

use crate::client::{Client, To};
use crate::error::{ClientError, Refusal};
use crate::fetcher::Isolation;
use ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex, Timestamp};
use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Instant;
use wire::ErrorCode;
use wire::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};

/// Which offset is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetQuery {
    /// The first one.
    Earliest,
    /// The one after the last: the high watermark, or the last stable offset when reading committed records.
    Latest,
    /// That of the record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// The first one on the broker's own disk (KIP-405).
    EarliestLocal,
    /// The last one that has gone to a remote tier (KIP-1005).
    LatestTiered,
    /// The first one that has yet to go to a remote tier (KIP-1023).
    EarliestPendingUpload,
    /// That of the first record at or after this time.
    At(Timestamp),
}

impl OffsetQuery {
    fn number(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::EarliestLocal => -4,
            Self::LatestTiered => -5,
            Self::EarliestPendingUpload => -6,
            Self::At(t) => t.0.max(0),
        }
    }

    /// The version of ListOffsets from which it is understood.
    fn since(self) -> i16 {
        match self {
            Self::Earliest | Self::Latest | Self::At(_) => 0,
            Self::MaxTimestamp => 7,
            Self::EarliestLocal => 8,
            Self::LatestTiered => 9,
            Self::EarliestPendingUpload => 11,
        }
    }
}

/// The answer; offset and timestamp are -1 when there is no such record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundOffset {
    /// The offset.
    pub offset: Offset,
    /// The record's time; -1 for the first and the last offset.
    pub timestamp: Timestamp,
    /// The leader epoch of the record, or unknown.
    pub leader_epoch: LeaderEpoch,
}

impl Client {
    /// Looks up offsets in partitions of a topic, each at its leader. What may pass by itself (an election) is asked again until
    /// the operation's time is over.
    ///
    /// # Errors
    /// The topic does not exist, or a request as a whole failed; refusals of single partitions are in the map.
    pub fn list_offsets(
        &mut self,
        topic: &str,
        queries: &[(i32, OffsetQuery)],
        isolation: Isolation,
    ) -> Result<BTreeMap<i32, Result<FoundOffset, Refusal>>, ClientError> {
        let deadline = self.deadline();
        let mut found: BTreeMap<i32, Result<FoundOffset, Refusal>> = BTreeMap::new();
        let mut open: Vec<_> = queries.to_vec();
        let mut fresh = false;
        loop {
            if fresh || !self.metadata().topics.contains_key(topic) {
                self.refresh(&[topic], false)?;
            }
            if let Some(view) = self.metadata().topics.get(topic) {
                view.check()?;
            }
            self.list_offsets_once(topic, &open, isolation, &mut found)?;
            open.retain(|(p, _)| match found.get(p) {
                Some(Ok(_)) => false,
                Some(Err(r)) => r.code.is_retriable(),
                None => true,
            });
            if open.is_empty() || Instant::now() + self.config().retry_backoff >= deadline {
                return Ok(found);
            }
            sleep(self.config().retry_backoff);
            fresh = true;
        }
    }

    fn list_offsets_once(
        &mut self,
        topic: &str,
        queries: &[(i32, OffsetQuery)],
        isolation: Isolation,
        found: &mut BTreeMap<i32, Result<FoundOffset, Refusal>>,
    ) -> Result<(), ClientError> {
        let refusal = |partition: i32, code| Refusal {
            what: format!("offsets of {topic}/{partition}"),
            code,
            message: None,
        };
        let mut by_leader: BTreeMap<i32, Vec<(i32, OffsetQuery)>> = BTreeMap::new();
        for (partition, query) in queries {
            let exists = self.metadata().topics.get(topic).and_then(|t| t.partition(*partition));
            let code = match (exists, self.leader(topic, *partition)) {
                (None, _) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                (Some(_), Err(_)) => ErrorCode::LEADER_NOT_AVAILABLE,
                (Some(_), Ok(leader)) => {
                    by_leader.entry(leader.0).or_default().push((*partition, *query));
                    continue;
                }
            };
            found.insert(*partition, Err(refusal(*partition, code)));
        }
        for (leader, queries) in by_leader {
            let partitions = queries
                .iter()
                .map(|(partition, query)| ListOffsetsPartition {
                    partition_index: PartitionIndex(*partition),
                    current_leader_epoch: LeaderEpoch::UNKNOWN,
                    timestamp: query.number(),
                })
                .collect();
            let request = ListOffsetsRequest {
                replica_id: BrokerId::NONE,
                isolation_level: isolation.number(),
                topics: vec![ListOffsetsTopic { name: topic, partitions }],
                timeout_ms: Self::millis(self.config().request_timeout),
            };
            let to = To::Broker(BrokerId(leader));
            let since = queries.iter().map(|(_, q)| q.since()).max().unwrap_or(0);
            if since > 0 {
                let connection = self.connection(to)?;
                if connection.version_of::<ListOffsetsRequest<'_>>(i16::MAX)? < since {
                    let address = connection.address().to_owned();
                    let api = format!("ListOffsets {since}");
                    return Err(ClientError::Unsupported { address, api });
                }
            }
            let reply = match self.call(to, i16::MAX, &request) {
                Ok(reply) => reply,
                Err(e) if e.is_retriable() => {
                    for (partition, _) in queries {
                        let code = ErrorCode::NETWORK_EXCEPTION;
                        let message = Some(e.to_string());
                        let refusal = Refusal { message, ..refusal(partition, code) };
                        found.insert(partition, Err(refusal));
                    }
                    continue;
                }
                Err(e) => return Err(e),
            };
            let response: ListOffsetsResponse<'_> = self.decode(&reply)?;
            for p in response.topics.iter().flat_map(|t| &t.partitions) {
                let partition = p.partition_index.0;
                let result = if p.error_code == ErrorCode::NONE {
                    Ok(FoundOffset {
                        offset: p.offset,
                        timestamp: Timestamp(p.timestamp),
                        leader_epoch: p.leader_epoch,
                    })
                } else {
                    Err(refusal(partition, p.error_code))
                };
                found.insert(partition, result);
            }
        }
        Ok(())
    }
}
