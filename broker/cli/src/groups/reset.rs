//! Where the offsets of a group are moved to: decided here, committed by who asks.

use super::{Place, committed};
use client::{Client, ClientError, Isolation, OffsetQuery};
use ids::{Offset, Timestamp};
use std::collections::BTreeMap;
use wire::ErrorCode;

/// Which partitions are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// These.
    Places(Vec<Place>),
    /// Those for which the group has committed offsets.
    Committed,
}

/// Where they are moved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Earliest,
    Latest,
    /// Where they are; the end where nothing has been committed.
    Current,
    Offset(Offset),
    /// So many records on, or back.
    Shift(i64),
    /// The first record at or after a time.
    Time(Timestamp),
    /// Each to its own offset.
    Each(BTreeMap<Place, Offset>),
}

/// One partition's move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) place: Place,
    /// What is committed now.
    pub(crate) from: Option<Offset>,
    /// What was asked for.
    pub(crate) wanted: Offset,
    /// The nearest that there is.
    pub(crate) to: Offset,
    pub(crate) first: Offset,
    pub(crate) last: Offset,
    /// There is no record at or after the time: it is moved to the end.
    pub(crate) nothing_later: bool,
}

/// Why there is no plan.
#[derive(Debug)]
pub(crate) enum Unplanned {
    Client(ClientError),
    NoPartition(Place),
    /// Its broker does not say where the partition begins and ends.
    NoOffsets(Place),
    /// There is nothing to shift.
    NothingCommitted(Place),
}

impl From<ClientError> for Unplanned {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// Plans the moves, in the order of topics and partitions. Every one ends within its partition.
pub(crate) fn plan(
    client: &mut Client,
    group: &str,
    scope: Scope,
    to: &To,
) -> Result<Vec<Move>, Unplanned> {
    let committed = committed(client, group)?;
    let mut places = match scope {
        Scope::Places(places) => places,
        Scope::Committed => committed.keys().cloned().collect(),
    };
    places.sort();
    places.dedup();
    let first = ask(client, &places, OffsetQuery::Earliest)?;
    let last = ask(client, &places, OffsetQuery::Latest)?;
    let at = match to {
        To::Time(time) => ask(client, &places, OffsetQuery::At(*time))?,
        To::Earliest | To::Latest | To::Current | To::Offset(_) | To::Shift(_) | To::Each(_) => {
            BTreeMap::new()
        }
    };
    let mut moves = Vec::new();
    for place in places {
        let (Some(first), Some(last)) = (first.get(&place), last.get(&place)) else {
            return Err(Unplanned::NoOffsets(place));
        };
        let from = committed.get(&place).map(|c| c.offset);
        let at = at.get(&place).copied().filter(|o| o.0 >= 0);
        let nothing_later = matches!(to, To::Time(_)) && at.is_none();
        let wanted = match to {
            To::Earliest => *first,
            To::Latest => *last,
            To::Current => from.unwrap_or(*last),
            To::Offset(offset) => *offset,
            To::Time(_) => at.unwrap_or(*last),
            To::Each(offsets) => offsets.get(&place).copied().unwrap_or(*last),
            To::Shift(n) => match from {
                Some(now) => Offset(now.0.saturating_add(*n)),
                None => return Err(Unplanned::NothingCommitted(place)),
            },
        };
        let (first, last) = (*first, *last);
        let to = wanted.max(first).min(last);
        moves.push(Move { place, from, wanted, to, first, last, nothing_later });
    }
    Ok(moves)
}

fn ask(
    client: &mut Client,
    places: &[Place],
    query: OffsetQuery,
) -> Result<BTreeMap<Place, Offset>, Unplanned> {
    let mut topics: BTreeMap<&str, Vec<(i32, OffsetQuery)>> = BTreeMap::new();
    for (topic, partition) in places {
        topics.entry(topic).or_default().push((*partition, query));
    }
    let mut offsets = BTreeMap::new();
    for (topic, queries) in topics {
        for (partition, found) in client.list_offsets(topic, &queries, Isolation::default())? {
            let place = (topic.to_owned(), partition);
            match found {
                Ok(found) => {
                    offsets.insert(place, found.offset);
                }
                Err(r) if r.code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                    return Err(Unplanned::NoPartition(place));
                }
                Err(r) => return Err(Unplanned::Client(ClientError::Refused(r))),
            }
        }
    }
    Ok(offsets)
}
