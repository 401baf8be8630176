//! ConsumerGroupHeartbeat 0 to 1: the one request of a member of a consumer group (KIP-848, KIP-1082).

use super::Coordinator;
use super::join_group::STRING_MAX;
use crate::classic::ClassicState;
use crate::consumer::{
    ConsumerGroup, STATIC_MEMBER_AWAY, TOPIC_BYTES, check_pattern, is_known_assignor,
};
use crate::group::Group;
use crate::memory::OVERHEAD;
use crate::migration::Upgrade;
use crate::now::Now;
use crate::response::Outcome;
use crate::turn::Turn;
use ids::PartitionId;
use wire::ErrorCode;

/// What the caller asks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConsumerGroupHeartbeat<'a> {
    /// The group.
    pub group_id: &'a str,
    /// The member; its own invention from version 1 on.
    pub member_id: &'a str,
    /// The member's epoch; 0 joins, -1 leaves, -2 leaves for a while (static member).
    pub member_epoch: i32,
    /// The member's fixed name, of a static member.
    pub instance_id: Option<&'a str>,
    /// The client's rack.
    pub rack_id: Option<&'a str>,
    /// How long the member may take to give up partitions; -1: unchanged.
    pub rebalance_timeout_ms: i32,
    /// The topics wanted; `None`: unchanged.
    pub subscribed_topic_names: Option<Vec<&'a str>>,
    /// The topics wanted, as a pattern; `None`: unchanged.
    pub subscribed_topic_regex: Option<&'a str>,
    /// The assignor wanted; `None`: unchanged.
    pub server_assignor: Option<&'a str>,
    /// What the member has; `None`: unchanged.
    pub topic_partitions: Option<Vec<PartitionId>>,
    /// The client id of the request's header.
    pub client_id: &'a str,
    /// The client's address.
    pub client_host: &'a str,
    /// Whether the member brings its own member id (version 1 and up).
    pub brings_member_id: bool,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConsumerGroupHeartbeatResponse {
    /// NONE, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, INVALID_REQUEST, UNKNOWN_MEMBER_ID, GROUP_ID_NOT_FOUND,
    /// FENCED_INSTANCE_ID, GROUP_MAX_SIZE_REACHED, FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID, UNSUPPORTED_ASSIGNOR or
    /// INVALID_REGULAR_EXPRESSION.
    pub error_code: ErrorCode,
    /// What went wrong, in words.
    pub error_message: Option<String>,
    /// The member.
    pub member_id: Option<String>,
    /// The member's epoch.
    pub member_epoch: i32,
    /// How long to wait until the next heartbeat.
    pub heartbeat_interval_ms: i32,
    /// What the member may use; `None`: unchanged.
    pub assignment: Option<Vec<PartitionId>>,
}

impl ConsumerGroupHeartbeat<'_> {
    /// The bytes that a member takes in memory that says this, about; nothing where it says nothing new.
    fn weight(&self) -> usize {
        let names = self.subscribed_topic_names.iter().flatten();
        let names: usize = names.map(|name| TOPIC_BYTES + name.len()).sum();
        let pattern = self.subscribed_topic_regex.map_or(0, str::len);
        if self.member_epoch != 0 && names + pattern == 0 {
            return 0;
        }
        let optional = [self.instance_id, self.rack_id, self.server_assignor];
        let texts: usize = optional.into_iter().flatten().map(str::len).sum();
        OVERHEAD + names + pattern + texts + self.client_id.len() + self.client_host.len()
    }
}

impl ConsumerGroupHeartbeatResponse {
    pub(crate) fn error(error_code: ErrorCode, why: &str) -> Self {
        Self { error_code, error_message: Some(why.to_owned()), ..Self::default() }
    }
}

impl Coordinator {
    /// ConsumerGroupHeartbeat. `fresh` is a text that nobody has seen before, such as a UUID: the member id if one is given
    /// out. Answered when everything that the group has changed is in the log.
    pub fn consumer_group_heartbeat(
        &mut self,
        request: &ConsumerGroupHeartbeat<'_>,
        fresh: &str,
        now: Now,
    ) -> Outcome<ConsumerGroupHeartbeatResponse> {
        let refuse =
            |code, why: &str| Outcome::Ready(ConsumerGroupHeartbeatResponse::error(code, why));
        if let Err(why) = check(request) {
            return refuse(ErrorCode::INVALID_REQUEST, why);
        }
        if let Some(name) = request.server_assignor
            && !(is_known_assignor(name)
                && self.config.consumer_assignors.iter().any(|a| a == name))
        {
            return refuse(ErrorCode::UNSUPPORTED_ASSIGNOR, "the broker has no such assignor");
        }
        let group = self.groups.get(request.group_id);
        let is_consumers = group.is_some_and(|g| g.consumers().is_some());
        if !is_consumers {
            let classic = group.filter(|g| g.classic.state != ClassicState::Empty);
            match classic.map(|g| g.upgrade(&self.config)) {
                None => {}
                Some(Upgrade::Yes) => {
                    // Before the group changes for it.
                    let pattern = request.subscribed_topic_regex.filter(|p| !p.is_empty());
                    if let Some(Err(why)) = pattern.map(check_pattern) {
                        return refuse(ErrorCode::INVALID_REGULAR_EXPRESSION, &why);
                    }
                }
                Some(Upgrade::Later) => {
                    let why = "the group is being assigned";
                    return refuse(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, why);
                }
                Some(Upgrade::No) => {
                    let why = "the group has members of the classic protocol";
                    return refuse(ErrorCode::GROUP_ID_NOT_FOUND, why);
                }
            }
            if request.member_epoch != 0 {
                return refuse(ErrorCode::UNKNOWN_MEMBER_ID, "there is no such group");
            }
        }
        if !self.has_room(request.group_id, request.member_id, request.weight()) {
            let why = "the members of the groups of this broker take all memory that they may";
            return refuse(ErrorCode::COORDINATOR_NOT_AVAILABLE, why);
        }
        let ticket = self.out.ticket();
        let answer =
            self.with_group(request.group_id, now, |group, turn| beat(group, request, fresh, turn));
        self.out.answer_when_all_committed(ticket, request.group_id, answer);
        self.outcome(ticket)
    }
}

fn beat(
    group: &mut Group,
    request: &ConsumerGroupHeartbeat<'_>,
    fresh: &str,
    turn: &mut Turn<'_>,
) -> ConsumerGroupHeartbeatResponse {
    if group.consumers().is_none() && group.classic.state != ClassicState::Empty {
        group.become_consumers(turn);
    }
    let consumers = group.consumer.get_or_insert_with(|| ConsumerGroup::new(request.group_id));
    let answer = match consumers.heartbeat(request, fresh, turn) {
        Ok(answer) => {
            // Whatever it was before, it is a consumer group now.
            group.owes_record = false;
            answer
        }
        Err((code, why)) => ConsumerGroupHeartbeatResponse::error(code, &why),
    };
    match group.settle_consumers(turn) {
        Ok(()) => answer,
        Err(failure) => {
            group.expel(answer.member_id.as_deref(), turn);
            ConsumerGroupHeartbeatResponse::error(failure.code(), "the group cannot be written")
        }
    }
}

/// Whether the request makes sense by itself.
fn check(r: &ConsumerGroupHeartbeat<'_>) -> Result<(), &'static str> {
    // Of nothing but spaces and control characters is empty too, as in Kafka.
    let is_blank = |text: &str| text.chars().all(|c| c <= ' ');
    let is_empty = |text: Option<&str>| text.is_some_and(is_blank);
    let texts = [r.group_id, r.member_id, r.client_id, r.client_host];
    let optional = [r.instance_id, r.rack_id, r.server_assignor, r.subscribed_topic_regex];
    let names = r.subscribed_topic_names.iter().flatten().copied();
    let mut all = texts.into_iter().chain(optional.into_iter().flatten()).chain(names);
    if all.any(|text| text.len() > STRING_MAX) {
        return Err("a text is too long");
    }
    if is_blank(r.group_id) {
        return Err("the group id is empty");
    }
    if is_empty(r.instance_id) {
        return Err("the instance id is empty");
    }
    if is_empty(r.rack_id) {
        return Err("the rack id is empty");
    }
    if is_blank(r.member_id) && (r.brings_member_id || r.member_epoch != 0) {
        return Err("the member id is empty");
    }
    if r.member_epoch < STATIC_MEMBER_AWAY {
        return Err("the member epoch is none");
    }
    if r.member_epoch == STATIC_MEMBER_AWAY && r.instance_id.is_none() {
        return Err("only a static member leaves for a while");
    }
    if r.member_epoch == 0 {
        if r.rebalance_timeout_ms < 0 {
            return Err("whoever joins says its rebalance timeout");
        }
        if r.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return Err("whoever joins has no partitions");
        }
        if r.subscribed_topic_names.is_none() && r.subscribed_topic_regex.is_none() {
            return Err("whoever joins says what it wants to read");
        }
    }
    Ok(())
}
