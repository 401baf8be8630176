//! One member of a consumer group of the classic protocol, for a consumer that does one thing at a time.
//!
//! ```text
//!  join -> sync -> (beat, commit)* -> join again when the group rebalances -> leave
//! ```
//!
//! It speaks Kafka's `range` assignor, which every Java consumer speaks too, and makes the assignment when it is chosen leader.
//! Its heartbeats leave between two polls, so a poll must be shorter than the session.

use crate::groups::{self, Committed, Committer, Place};
use client::{Client, ClientError, ProtocolError, To};
use ids::{BrokerId, PartitionIndex};
use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};
use wire::ErrorCode;
use wire::api::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use wire::api::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use wire::api::leave_group::{LeaveGroupRequest, MemberIdentity};
use wire::api::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};
use wire::internal::Prefixed;
use wire::internal::consumer_protocol::{
    ConsumerPartitions, ConsumerProtocolAssignment, ConsumerProtocolSubscription,
};

const SESSION: Duration = Duration::from_secs(45);
const HEARTBEAT: Duration = Duration::from_secs(3);
/// How long the others may take to join: what a JoinGroup may wait.
pub(crate) const REBALANCE: Duration = Duration::from_secs(60);
const PROTOCOL: &str = "consumer";
const ASSIGNOR: &str = "range";
/// What subscriptions and assignments are written in: known to every consumer since Kafka 2.4.
const VERSION: i16 = 1;
/// How often joining is tried again before that is an error.
const TRIES: usize = 100;

/// A member and its place in the group.
#[derive(Debug)]
pub(crate) struct Member {
    client: Client,
    group: String,
    id: String,
    generation: i32,
    coordinator: BrokerId,
    beaten: Instant,
}

/// What the coordinator says to a sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    Stable,
    /// The group rebalances: join again.
    Rejoin,
}

impl Member {
    /// A member that has yet to join. `client` is its own: a join waits for others.
    pub(crate) fn new(client: Client, group: &str) -> Self {
        Self {
            client,
            group: group.to_owned(),
            id: String::new(),
            generation: -1,
            coordinator: BrokerId::NONE,
            beaten: Instant::now(),
        }
    }

    pub(crate) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Joins, or joins again, with these topics; the partitions that the member gets.
    pub(crate) fn join(&mut self, topics: &[String]) -> Result<Vec<Place>, ClientError> {
        for _ in 0..TRIES {
            match self.try_join(topics)? {
                Ok(places) => {
                    self.beaten = Instant::now();
                    return Ok(places);
                }
                Err(ErrorCode::MEMBER_ID_REQUIRED | ErrorCode::REBALANCE_IN_PROGRESS) => {}
                Err(ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION) => {
                    self.id.clear();
                    self.generation = -1;
                }
                Err(code) if code.is_retriable() => sleep(self.client.config().retry_backoff),
                Err(code) => return Err(groups::refused(&self.group, code)),
            }
        }
        let what = format!("group {}", self.group);
        let words = Some("the group does not come to rest");
        Err(ClientError::refused(what, ErrorCode::REBALANCE_IN_PROGRESS, words))
    }

    fn try_join(
        &mut self,
        topics: &[String],
    ) -> Result<Result<Vec<Place>, ErrorCode>, ClientError> {
        self.coordinator = groups::coordinator(&mut self.client, &self.group)?;
        let mut metadata = Vec::new();
        ConsumerProtocolSubscription {
            topics: topics.iter().map(String::as_str).collect(),
            ..ConsumerProtocolSubscription::default()
        }
        .encode_prefixed(VERSION, &mut metadata)
        .map_err(ClientError::Encode)?;
        let request = JoinGroupRequest {
            group_id: &self.group,
            session_timeout_ms: millis(SESSION),
            rebalance_timeout_ms: millis(REBALANCE),
            member_id: &self.id,
            group_instance_id: None,
            protocol_type: PROTOCOL,
            protocols: vec![JoinGroupRequestProtocol { name: ASSIGNOR, metadata: &metadata }],
            reason: None,
        };
        let reply = match self.client.call(To::Broker(self.coordinator), i16::MAX, &request) {
            Err(e) if e.is_retriable() => return Ok(Err(ErrorCode::NETWORK_EXCEPTION)),
            reply => reply?,
        };
        let joined: JoinGroupResponse<'_> = reply.decode().map_err(groups::malformed)?;
        if joined.error_code == ErrorCode::MEMBER_ID_REQUIRED {
            joined.member_id.clone_into(&mut self.id);
        }
        if joined.error_code != ErrorCode::NONE {
            return Ok(Err(joined.error_code));
        }
        joined.member_id.clone_into(&mut self.id);
        self.generation = joined.generation_id;
        let mut plans = Vec::new();
        if joined.leader == joined.member_id && !joined.skip_assignment {
            plans = self.plan(&joined)?;
        }
        let request = SyncGroupRequest {
            group_id: &self.group,
            generation_id: self.generation,
            member_id: &self.id,
            group_instance_id: None,
            protocol_type: Some(PROTOCOL),
            protocol_name: Some(joined.protocol_name.unwrap_or(ASSIGNOR)),
            assignments: plans
                .iter()
                .map(|(member_id, assignment)| SyncGroupRequestAssignment { member_id, assignment })
                .collect(),
        };
        let reply = match self.client.call(To::Broker(self.coordinator), i16::MAX, &request) {
            Err(e) if e.is_retriable() => return Ok(Err(ErrorCode::NETWORK_EXCEPTION)),
            reply => reply?,
        };
        let synced: SyncGroupResponse<'_> = reply.decode().map_err(groups::malformed)?;
        if synced.error_code != ErrorCode::NONE {
            return Ok(Err(synced.error_code));
        }
        Ok(Ok(groups::assigned(synced.assignment)))
    }

    /// The assignment of every member, written.
    fn plan(
        &mut self,
        joined: &JoinGroupResponse<'_>,
    ) -> Result<Vec<(String, Vec<u8>)>, ClientError> {
        let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for m in &joined.members {
            let (_, said) =
                ConsumerProtocolSubscription::decode_lenient(m.metadata).map_err(|e| {
                    ClientError::Protocol {
                        address: format!("member {}", m.member_id),
                        error: ProtocolError::Decode(e),
                    }
                })?;
            let topics = said.topics.iter().map(|t| (*t).to_owned()).collect();
            wanted.insert(m.member_id.to_owned(), topics);
        }
        let names: BTreeSet<&str> = wanted.values().flatten().map(String::as_str).collect();
        let names: Vec<&str> = names.into_iter().collect();
        self.client.refresh(&names, false)?;
        let known = &self.client.metadata().topics;
        let counts = names
            .iter()
            .filter_map(|n| known.get(*n).map(|t| ((*n).to_owned(), t.partitions.len())))
            .collect();
        let mut written = Vec::new();
        for (member, places) in range(&wanted, &counts) {
            let mut bytes = Vec::new();
            let mut topics: BTreeMap<&str, Vec<PartitionIndex>> = BTreeMap::new();
            for (topic, partition) in &places {
                topics.entry(topic).or_default().push(PartitionIndex(*partition));
            }
            ConsumerProtocolAssignment {
                assigned_partitions: topics
                    .into_iter()
                    .map(|(topic, partitions)| ConsumerPartitions { topic, partitions })
                    .collect(),
                user_data: None,
            }
            .encode_prefixed(VERSION, &mut bytes)
            .map_err(ClientError::Encode)?;
            written.push((member, bytes));
        }
        Ok(written)
    }

    /// Gives a sign of life, if one is due.
    pub(crate) fn beat(&mut self) -> Result<Beat, ClientError> {
        if self.beaten.elapsed() < HEARTBEAT {
            return Ok(Beat::Stable);
        }
        self.beaten = Instant::now();
        let request = HeartbeatRequest {
            group_id: &self.group,
            generation_id: self.generation,
            member_id: &self.id,
            group_instance_id: None,
        };
        let reply = match self.client.call(To::Broker(self.coordinator), i16::MAX, &request) {
            // The next join finds out where the coordinator is now.
            Err(ClientError::TimedOut { .. }) => return Ok(Beat::Rejoin),
            Err(e) if e.is_retriable() => return Ok(Beat::Rejoin),
            reply => reply?,
        };
        let response: HeartbeatResponse = reply.decode().map_err(groups::malformed)?;
        match response.error_code {
            ErrorCode::NONE => Ok(Beat::Stable),
            ErrorCode::REBALANCE_IN_PROGRESS => Ok(Beat::Rejoin),
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => {
                self.id.clear();
                Ok(Beat::Rejoin)
            }
            code if code.is_retriable() => Ok(Beat::Rejoin),
            code => Err(groups::refused(&self.group, code)),
        }
    }

    /// Commits as this member.
    pub(crate) fn commit(&mut self, offsets: &BTreeMap<Place, Committed>) -> Result<(), ErrorCode> {
        if offsets.is_empty() {
            return Ok(());
        }
        let by = Committer { generation: self.generation, member: &self.id };
        groups::commit(&mut self.client, &self.group, by, offsets)
    }

    /// Says goodbye, so that the others need not wait for the session's end. They will do without it too.
    pub(crate) fn leave(&mut self) {
        if self.id.is_empty() {
            return;
        }
        let request = LeaveGroupRequest {
            group_id: &self.group,
            member_id: "",
            members: vec![MemberIdentity {
                member_id: &self.id,
                group_instance_id: None,
                reason: Some("the consumer is being closed"),
            }],
        };
        let _ = self.client.call(To::Broker(self.coordinator), i16::MAX, &request);
    }
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

/// Kafka's range assignor: the partitions of each topic in ranges, one for each member that wants the topic, the first ones
/// longer where they cannot be equal. Every member is in the answer.
fn range(
    wanted: &BTreeMap<String, Vec<String>>,
    counts: &BTreeMap<String, usize>,
) -> BTreeMap<String, Vec<Place>> {
    let mut plans: BTreeMap<String, Vec<Place>> =
        wanted.keys().map(|m| (m.clone(), Vec::new())).collect();
    for (topic, count) in counts {
        let takers: Vec<&String> =
            wanted.iter().filter(|(_, topics)| topics.contains(topic)).map(|(m, _)| m).collect();
        if takers.is_empty() {
            continue;
        }
        let (each, longer) = (count / takers.len(), count % takers.len());
        let mut partitions = 0..i32::try_from(*count).unwrap_or(i32::MAX);
        for (at, member) in takers.into_iter().enumerate() {
            let share = each + usize::from(at < longer);
            if let Some(plan) = plans.get_mut(member) {
                plan.extend(partitions.by_ref().take(share).map(|p| (topic.clone(), p)));
            }
        }
    }
    plans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_equal_or_the_first_ones_are_longer_by_one() {
        let topics = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let wanted = BTreeMap::from([
            ("m1".to_owned(), topics(&["a", "b"])),
            ("m2".to_owned(), topics(&["a"])),
            ("m3".to_owned(), topics(&["a", "gone"])),
        ]);
        let counts = BTreeMap::from([("a".to_owned(), 7), ("b".to_owned(), 2)]);
        let plans = range(&wanted, &counts);
        let of = |m: &str, topic: &str| -> Vec<i32> {
            plans[m].iter().filter(|(t, _)| t == topic).map(|(_, p)| *p).collect()
        };
        assert_eq!(of("m1", "a"), [0, 1, 2]);
        assert_eq!(of("m2", "a"), [3, 4]);
        assert_eq!(of("m3", "a"), [5, 6]);
        assert_eq!(of("m1", "b"), [0, 1]);
        assert_eq!(plans["m3"].len(), 2);
    }
}
