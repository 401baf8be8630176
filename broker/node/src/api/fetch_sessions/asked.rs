//! What requests ask of sessions, and what these say to it.

use ids::{CoreId, LeaderEpoch, Offset, PartitionId, PartitionIndex, TopicId};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Which partition, as the client names it: by id, or by name before version 13.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    pub(crate) topic: TopicRef,
    pub(crate) partition: PartitionIndex,
}

/// A topic by name or by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TopicRef {
    Name(Rc<str>),
    Id(TopicId),
}

/// From where and how much of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct From {
    pub(crate) current_leader_epoch: LeaderEpoch,
    pub(crate) last_fetched_epoch: LeaderEpoch,
    pub(crate) offset: Offset,
    pub(crate) max_bytes: i32,
}

/// What a request turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No session: everything asked for is answered.
    Sessionless,
    /// All partitions are answered, and the client gets this session; 0 if there is no room for one.
    Full(i32),
    /// Only what changed is answered.
    Incremental(i32),
}

/// A request's part that concerns sessions.
pub(crate) struct Asked {
    pub(crate) session_id: i32,
    pub(crate) epoch: i32,
    pub(crate) by_id: bool,
    pub(crate) wanted: Vec<(Wanted, From)>,
    pub(crate) forgotten: Vec<Wanted>,
}

/// A partition that is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) number: u32,
    pub(crate) turn: u64,
    pub(crate) wanted: Wanted,
    pub(crate) from: From,
    /// What it was when it was asked for last.
    pub(crate) id: Option<PartitionId>,
}

/// What a request asks for.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) kind: Kind,
    /// How many partitions it is about.
    pub(crate) holds: usize,
    /// What is awake, in turn.
    pub(crate) named: Vec<Named>,
    /// What its parts may forget.
    pub(crate) forgotten: Vec<(u32, PartitionId)>,
    /// The name of the session's parts, and the cores that have one.
    pub(crate) parts: Option<(u64, BTreeSet<CoreId>)>,
}

/// What was found of a partition, for its session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Findings {
    pub(crate) error: bool,
    pub(crate) bytes: usize,
    pub(crate) high_watermark: Offset,
    pub(crate) log_start: Offset,
    /// There is nothing to read before something moves.
    pub(crate) asleep: bool,
}

impl Opened {
    /// Of a request without a session: everything in the order of the request.
    pub(super) fn of_all(wanted: Vec<(Wanted, From)>) -> Self {
        let named = (0u32..).zip(wanted).map(|(number, (wanted, from))| Named {
            number,
            turn: u64::from(number),
            wanted,
            from,
            id: None,
        });
        let named: Vec<Named> = named.collect();
        Self {
            kind: Kind::Sessionless,
            holds: named.len(),
            named,
            forgotten: Vec::new(),
            parts: None,
        }
    }
}
