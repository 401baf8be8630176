//! Consumer groups as commands and faces ask for them: at the group's coordinator, as any member or admin does.

pub(crate) mod reset;

use client::{Client, ClientError, Isolation, OffsetQuery, ProtocolError, To};
use ids::{BrokerId, LeaderEpoch, Offset, PartitionIndex};
use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Instant;
use wire::ErrorCode;
use wire::api::consumer_group_describe::{
    self as consumers, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse,
};
use wire::api::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use wire::api::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use wire::api::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use wire::api::list_groups::{ListGroupsRequest, ListGroupsResponse};
use wire::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use wire::api::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
};
use wire::api::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse};
use wire::internal::Prefixed;
use wire::internal::consumer_protocol::ConsumerProtocolAssignment;

/// A topic's name and a partition of it.
pub(crate) type Place = (String, i32);

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) protocol_type: String,
    pub(crate) state: String,
    pub(crate) kind: String,
}

/// Every group of every broker, by name; only those in one of `states` and of one of `types`, if any are given.
pub(crate) fn list(
    client: &mut Client,
    states: &[&str],
    types: &[&str],
) -> Result<Vec<Listed>, ClientError> {
    let brokers: Vec<i32> = client.metadata().brokers.keys().copied().collect();
    let mut groups = Vec::new();
    for id in brokers {
        let request =
            ListGroupsRequest { states_filter: states.to_vec(), types_filter: types.to_vec() };
        let reply = client.call(To::Broker(BrokerId(id)), i16::MAX, &request)?;
        let response: ListGroupsResponse<'_> = reply.decode().map_err(malformed)?;
        if response.error_code != ErrorCode::NONE {
            return Err(ClientError::refused("list groups", response.error_code, None));
        }
        groups.extend(response.groups.iter().map(|g| Listed {
            id: g.group_id.to_owned(),
            protocol_type: g.protocol_type.to_owned(),
            state: g.group_state.to_owned(),
            kind: match g.group_type {
                "classic" => "Classic".to_owned(),
                "consumer" => "Consumer".to_owned(),
                other => other.to_owned(),
            },
        }));
    }
    groups.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(groups)
}

/// An answer that is not the protocol.
pub(crate) fn malformed(error: wire::DecodeError) -> ClientError {
    ClientError::Protocol { address: "the broker".to_owned(), error: ProtocolError::Decode(error) }
}

/// A refusal that concerns a group.
pub(crate) fn refused(group: &str, code: ErrorCode) -> ClientError {
    ClientError::refused(format!("group {group}"), code, None)
}

/// The broker that keeps a group. One that is still loading is waited for.
pub(crate) fn coordinator(client: &mut Client, group: &str) -> Result<BrokerId, ClientError> {
    let deadline = Instant::now() + client.config().operation_timeout;
    loop {
        let request =
            FindCoordinatorRequest { key: "", key_type: 0, coordinator_keys: vec![group] };
        let reply = client.call(To::Any, i16::MAX, &request)?;
        let response: FindCoordinatorResponse<'_> = reply.decode().map_err(malformed)?;
        let found = response.coordinators.first();
        let (code, id) = found
            .map_or((ErrorCode::COORDINATOR_NOT_AVAILABLE, BrokerId::NONE), |c| {
                (c.error_code, c.node_id)
            });
        match code {
            ErrorCode::NONE => {
                if !client.metadata().brokers.contains_key(&id.0) {
                    client.refresh_brokers()?;
                }
                return Ok(id);
            }
            code if code.is_retriable() && Instant::now() < deadline => {
                sleep(client.config().retry_backoff);
            }
            code => return Err(refused(group, code)),
        }
    }
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance: String,
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) partitions: Vec<Place>,
    /// Of a group of the consumer protocol (KIP-848): the member's epoch, and what it shall have.
    pub(crate) epoch: Option<i32>,
    pub(crate) target: Vec<Place>,
}

/// A group, its members by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// `classic` or `consumer` (KIP-848).
    pub(crate) kind: &'static str,
    pub(crate) state: String,
    pub(crate) assignor: String,
    pub(crate) coordinator: BrokerId,
    pub(crate) members: Vec<Member>,
    /// Of a group of the consumer protocol (KIP-848): its epoch, and that of its assignment.
    pub(crate) epochs: Option<(i32, i32)>,
}

/// Describes a group of either protocol; `None` if there is none of this name.
pub(crate) fn describe(client: &mut Client, group: &str) -> Result<Option<Described>, ClientError> {
    let coordinator = coordinator(client, group)?;
    match describe_consumers(client, coordinator, group)? {
        Some(described) => Ok(Some(described)),
        None => describe_classic(client, coordinator, group),
    }
}

fn describe_classic(
    client: &mut Client,
    coordinator: BrokerId,
    group: &str,
) -> Result<Option<Described>, ClientError> {
    let request =
        DescribeGroupsRequest { groups: vec![group], include_authorized_operations: false };
    let reply = client.call(To::Broker(coordinator), i16::MAX, &request)?;
    let response: DescribeGroupsResponse<'_> = reply.decode().map_err(malformed)?;
    let Some(found) = response.groups.first() else { return Ok(None) };
    match found.error_code {
        ErrorCode::NONE => {}
        ErrorCode::GROUP_ID_NOT_FOUND => return Ok(None),
        code => return Err(refused(group, code)),
    }
    if found.group_state == "Dead" {
        return Ok(None);
    }
    let members = found
        .members
        .iter()
        .map(|m| Member {
            id: m.member_id.to_owned(),
            instance: m.group_instance_id.unwrap_or_default().to_owned(),
            client_id: m.client_id.to_owned(),
            host: m.client_host.to_owned(),
            partitions: assigned(m.member_assignment),
            epoch: None,
            target: Vec::new(),
        })
        .collect();
    Ok(Some(Described {
        kind: "classic",
        state: found.group_state.to_owned(),
        assignor: found.protocol_data.to_owned(),
        coordinator,
        members,
        epochs: None,
    }))
}

/// A group of the consumer protocol; `None` if it is none, and where the broker knows no such groups.
fn describe_consumers(
    client: &mut Client,
    coordinator: BrokerId,
    group: &str,
) -> Result<Option<Described>, ClientError> {
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec![group],
        include_authorized_operations: false,
    };
    let reply = match client.call(To::Broker(coordinator), i16::MAX, &request) {
        Err(ClientError::Unsupported { .. }) => return Ok(None),
        reply => reply?,
    };
    let response: ConsumerGroupDescribeResponse<'_> = reply.decode().map_err(malformed)?;
    let Some(found) = response.groups.first() else { return Ok(None) };
    match found.error_code {
        ErrorCode::NONE => {}
        ErrorCode::GROUP_ID_NOT_FOUND | ErrorCode::UNSUPPORTED_VERSION => return Ok(None),
        code => return Err(refused(group, code)),
    }
    let members = found.members.iter().map(|m| Member {
        id: m.member_id.to_owned(),
        instance: m.instance_id.unwrap_or_default().to_owned(),
        client_id: m.client_id.to_owned(),
        host: m.client_host.to_owned(),
        partitions: places(&m.assignment),
        epoch: Some(m.member_epoch),
        target: places(&m.target_assignment),
    });
    Ok(Some(Described {
        kind: "consumer",
        state: found.group_state.to_owned(),
        assignor: found.assignor_name.to_owned(),
        coordinator,
        members: members.collect(),
        epochs: Some((found.group_epoch, found.assignment_epoch)),
    }))
}

fn places(assignment: &consumers::Assignment<'_>) -> Vec<Place> {
    let topics = assignment.topic_partitions.iter();
    let mut places: Vec<Place> =
        topics.flat_map(|t| t.partitions.iter().map(|p| (t.topic_name.to_owned(), p.0))).collect();
    places.sort();
    places
}

/// Where partitions end; those of topics that are gone have no end.
pub(crate) fn ends(
    client: &mut Client,
    places: &[Place],
) -> Result<BTreeMap<Place, i64>, ClientError> {
    let mut by_topic: BTreeMap<&str, Vec<(i32, OffsetQuery)>> = BTreeMap::new();
    for (topic, partition) in places {
        by_topic.entry(topic).or_default().push((*partition, OffsetQuery::Latest));
    }
    let mut ends = BTreeMap::new();
    for (topic, queries) in by_topic {
        let found = match client.list_offsets(topic, &queries, Isolation::default()) {
            Ok(found) => found,
            Err(e) if e.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => continue,
            Err(e) => return Err(e),
        };
        for (partition, found) in found {
            if let Ok(found) = found {
                ends.insert((topic.to_owned(), partition), found.offset.0);
            }
        }
    }
    Ok(ends)
}

/// What an assignment says; nothing for bytes of another protocol.
pub(crate) fn assigned(bytes: &[u8]) -> Vec<Place> {
    let Ok((_, assignment)) = ConsumerProtocolAssignment::decode_lenient(bytes) else {
        return Vec::new();
    };
    let mut places: Vec<Place> = assignment
        .assigned_partitions
        .iter()
        .flat_map(|t| t.partitions.iter().map(|p| (t.topic.to_owned(), p.0)))
        .collect();
    places.sort();
    places
}

/// A committed offset, and the epoch of the leader that wrote the record before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: Offset,
    pub(crate) leader_epoch: LeaderEpoch,
}

/// The highest version that names topics and not their ids.
const BY_NAME: i16 = 9;

/// Every offset that the group has committed.
pub(crate) fn committed(
    client: &mut Client,
    group: &str,
) -> Result<BTreeMap<Place, Committed>, ClientError> {
    let coordinator = coordinator(client, group)?;
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group,
            topics: None,
            ..OffsetFetchRequestGroup::default()
        }],
        require_stable: false,
        ..OffsetFetchRequest::default()
    };
    let reply = client.call(To::Broker(coordinator), BY_NAME, &request)?;
    let response: OffsetFetchResponse<'_> = reply.decode().map_err(malformed)?;
    let mut offsets = BTreeMap::new();
    for g in &response.groups {
        if g.error_code != ErrorCode::NONE {
            return Err(refused(group, g.error_code));
        }
        for t in &g.topics {
            for p in &t.partitions {
                if p.error_code != ErrorCode::NONE {
                    return Err(refused(group, p.error_code));
                }
                if p.committed_offset.0 >= 0 {
                    let committed = Committed {
                        offset: p.committed_offset,
                        leader_epoch: p.committed_leader_epoch,
                    };
                    offsets.insert((t.name.to_owned(), p.partition_index.0), committed);
                }
            }
        }
    }
    Ok(offsets)
}

/// Who commits: a member in its generation, or, with -1 and no name, an administrator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Committer<'a> {
    pub(crate) generation: i32,
    pub(crate) member: &'a str,
}

/// Commits offsets, all of them or the first error.
pub(crate) fn commit(
    client: &mut Client,
    group: &str,
    by: Committer<'_>,
    offsets: &BTreeMap<Place, Committed>,
) -> Result<(), ErrorCode> {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition<'_>>> = BTreeMap::new();
    for ((topic, partition), at) in offsets {
        topics.entry(topic).or_default().push(OffsetCommitRequestPartition {
            partition_index: PartitionIndex(*partition),
            committed_offset: at.offset,
            committed_leader_epoch: at.leader_epoch,
            committed_metadata: Some(""),
        });
    }
    let request = OffsetCommitRequest {
        group_id: group,
        generation_id_or_member_epoch: by.generation,
        member_id: by.member,
        topics: topics
            .into_iter()
            .map(|(name, partitions)| OffsetCommitRequestTopic {
                name,
                partitions,
                ..OffsetCommitRequestTopic::default()
            })
            .collect(),
        ..OffsetCommitRequest::default()
    };
    let network = |_| ErrorCode::NETWORK_EXCEPTION;
    let coordinator =
        coordinator(client, group).map_err(|_| ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
    let reply = client.call(To::Broker(coordinator), BY_NAME, &request).map_err(network)?;
    let response: OffsetCommitResponse<'_> =
        reply.decode().map_err(|_| ErrorCode::UNKNOWN_SERVER_ERROR)?;
    let mut codes = response.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code);
    codes.find(|c| *c != ErrorCode::NONE).map_or(Ok(()), Err)
}

/// Deletes a group.
pub(crate) fn delete(client: &mut Client, group: &str) -> Result<ErrorCode, ClientError> {
    let coordinator = coordinator(client, group)?;
    let request = DeleteGroupsRequest { groups_names: vec![group] };
    let reply = client.call(To::Broker(coordinator), i16::MAX, &request)?;
    let response: DeleteGroupsResponse<'_> = reply.decode().map_err(malformed)?;
    Ok(response.results.first().map_or(ErrorCode::GROUP_ID_NOT_FOUND, |r| r.error_code))
}

/// Deletes offsets of a group: what came of each, or why none could be.
pub(crate) fn delete_offsets(
    client: &mut Client,
    group: &str,
    places: &[Place],
) -> Result<Result<BTreeMap<Place, ErrorCode>, ErrorCode>, ClientError> {
    let coordinator = coordinator(client, group)?;
    let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
    for (topic, partition) in places {
        let partition_index = PartitionIndex(*partition);
        topics.entry(topic).or_default().push(OffsetDeleteRequestPartition { partition_index });
    }
    let request = OffsetDeleteRequest {
        group_id: group,
        topics: topics
            .into_iter()
            .map(|(name, partitions)| OffsetDeleteRequestTopic { name, partitions })
            .collect(),
    };
    let reply = client.call(To::Broker(coordinator), i16::MAX, &request)?;
    let response: OffsetDeleteResponse<'_> = reply.decode().map_err(malformed)?;
    if response.error_code != ErrorCode::NONE {
        return Ok(Err(response.error_code));
    }
    let each = response.topics.iter().flat_map(|t| t.partitions.iter().map(|p| (t.name, p)));
    Ok(Ok(each.map(|(t, p)| ((t.to_owned(), p.partition_index.0), p.error_code)).collect()))
}
