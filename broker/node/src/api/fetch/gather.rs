//! The partitions of one fetch, wherever they live.
//!
//! If one core owns all of them it reads and waits by itself, and the bytes come back once. Otherwise every core reads its
//! part within the limit of the whole; what is too much in the order of the request is left for the next time. If that is not
//! enough, every core is asked to say when something moves, and the first to say so starts the next round.

use super::super::fetch_sessions::{From, TopicRef, Wanted};
use super::read::{read, read_or_wait, wait};
use super::{Found, Got, Limits};
use crate::broker::Broker;
use crate::post::Asked;
use ids::{CoreId, Offset, PartitionId};
use runtime::{Class, Loan, Slice};
use stages::{Laps, Stage};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use wire::ErrorCode;

/// The partitions of one core, and their places in the request.
type Part = (Vec<usize>, Vec<(PartitionId, From)>);

/// Reads all of it, or waits.
pub(super) async fn gather(
    broker: &Rc<Broker>,
    limits: &Limits,
    partitions: Vec<(Wanted, From)>,
    laps: &mut Laps,
) -> Vec<Found> {
    let mut got: Vec<Option<Got<Slice>>> = partitions.iter().map(|_| None).collect();
    let mut parts: BTreeMap<CoreId, Part> = BTreeMap::new();
    let mut failed = partitions.is_empty();
    for (place, (wanted, from)) in partitions.iter().enumerate() {
        match resolve(broker, wanted) {
            Ok(id) => {
                let (places, part) = parts.entry(broker.owner(id)).or_default();
                places.push(place);
                if laps.partition().is_none() {
                    laps.waits_for(id);
                }
                part.push((id, *from));
            }
            Err(code) => {
                failed = true;
                got[place] = Some(Got::error(code));
            }
        }
    }
    // Something is wrong already, and is to be told at once.
    let limits = if failed { Limits { min_bytes: 0, ..*limits } } else { *limits };
    if parts.len() == 1 {
        if let Some((core, (places, part))) = parts.pop_first() {
            put(places, one_core(broker, core, limits, part, laps).await, &mut got);
        }
    } else {
        rounds(broker, &limits, &parts, &mut got, laps).await;
    }
    let gone = || Got::error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let got = got.into_iter().map(|g| g.unwrap_or_else(gone));
    partitions.into_iter().zip(got).map(|((wanted, _), got)| Found { wanted, got }).collect()
}

fn put(places: Vec<usize>, answers: Vec<Got<Slice>>, got: &mut [Option<Got<Slice>>]) {
    for (place, answer) in places.into_iter().zip(answers) {
        got[place] = Some(answer);
    }
}

fn resolve(broker: &Broker, wanted: &Wanted) -> Result<PartitionId, ErrorCode> {
    let image = broker.metadata.image();
    let (topic, unknown) = match &wanted.topic {
        TopicRef::Name(name) => (image.topic_named(name), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        TopicRef::Id(id) => (image.topic(*id), ErrorCode::UNKNOWN_TOPIC_ID),
    };
    let topic = topic.ok_or(unknown)?;
    if topic.partition(wanted.partition).is_none() {
        return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    Ok(PartitionId { topic: topic.id, index: wanted.partition })
}

fn lend(broker: &Broker, got: Vec<Got<Slice>>) -> Vec<Got<Loan>> {
    got.into_iter().map(|g| g.map(|slice| broker.rt.lend(slice))).collect()
}

fn take(got: Option<Vec<Got<Loan>>>) -> Vec<Got<Slice>> {
    got.into_iter().flatten().map(|g| g.map(Slice::from)).collect()
}

async fn one_core(
    broker: &Rc<Broker>,
    core: CoreId,
    limits: Limits,
    part: Vec<(PartitionId, From)>,
    laps: &mut Laps,
) -> Vec<Got<Slice>> {
    if broker.is_here(core) {
        return read_or_wait(broker, &limits, &part, laps).await;
    }
    let run = move |b: Rc<Broker>| async move {
        let mut laps = Laps::begin(stages::read(|| b.rt.clock()));
        let got = read_or_wait(&b, &limits, &part, &mut laps).await;
        (lend(&b, got), laps)
    };
    let (got, there) = broker.post.ask(core, Class::Data, true, run).await.unzip();
    if let Some(there) = there {
        laps.join(Stage::Queue, &there);
        laps.lap(Stage::Crossing, || broker.rt.clock());
    }
    take(got)
}

/// Where in the request its partitions stand, and what another core will answer.
type Reading<'a> = (&'a Vec<usize>, Asked<Vec<Got<Loan>>>);

async fn rounds(
    broker: &Rc<Broker>,
    limits: &Limits,
    parts: &BTreeMap<CoreId, Part>,
    got: &mut [Option<Got<Slice>>],
    laps: &mut Laps,
) {
    loop {
        let asked: Vec<Reading<'_>> = parts
            .iter()
            .filter(|(core, _)| !broker.is_here(**core))
            .map(|(core, (places, part))| {
                let (limits, part) = (*limits, part.clone());
                let run =
                    move |b: Rc<Broker>| async move { lend(&b, read(&b, &limits, &part).await) };
                (places, broker.post.ask(*core, Class::Data, true, run))
            })
            .collect();
        if let Some((places, part)) = parts.get(&broker.rt.core()) {
            put(places.clone(), read(broker, limits, part).await, got);
        }
        for (places, answer) in asked {
            put(places.clone(), take(answer.await), got);
        }
        laps.lap(Stage::Read, || broker.rt.clock());
        let bytes = trim(limits.max_bytes, got);
        let failed = got.iter().flatten().any(Got::nothing_more_to_wait_for);
        let over = limits.deadline.since(broker.rt.now()).is_zero();
        if bytes >= limits.min_bytes || failed || over {
            return;
        }
        first_move(broker, limits, parts, got).await;
        laps.lap(Stage::Park, || broker.rt.clock());
    }
}

/// Keeps, in the order of the request, what fits into `max_bytes`, and the first batches whatever their size. Returns how many
/// bytes are left.
fn trim(max_bytes: usize, got: &mut [Option<Got<Slice>>]) -> usize {
    let mut total = 0;
    for g in got.iter_mut().flatten() {
        if total > 0 && total + g.bytes > max_bytes {
            g.records.clear();
            g.bytes = 0;
        }
        total += g.bytes;
    }
    total
}

/// Resolves when some core says that one of its partitions has moved.
async fn first_move(
    broker: &Rc<Broker>,
    limits: &Limits,
    parts: &BTreeMap<CoreId, Part>,
    got: &[Option<Got<Slice>>],
) {
    let deadline = limits.deadline;
    let mut moves: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for (core, (places, part)) in parts {
        let seen: Vec<(PartitionId, Offset)> = places
            .iter()
            .zip(part)
            .map(|(place, (id, _))| {
                (*id, got[*place].as_ref().map_or(Offset::NONE, |g| g.high_watermark))
            })
            .collect();
        if broker.is_here(*core) {
            moves.push(Box::pin(async move { wait(broker, &seen, deadline).await }));
        } else {
            let run = move |b: Rc<Broker>| async move { wait(&b, &seen, deadline).await };
            let asked = broker.post.ask(*core, Class::Data, true, run);
            moves.push(Box::pin(async move {
                let _ = asked.await;
            }));
        }
    }
    poll_fn(|cx| {
        if moves.iter_mut().any(|m| m.as_mut().poll(cx).is_ready()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: usize) -> Option<Got<Slice>> {
        let records = vec![Slice::from(vec![0; bytes])];
        Some(Got { bytes, records, ..Got::error(ErrorCode::NONE) })
    }

    #[test]
    fn the_first_batch_is_kept_whole_and_the_rest_within_the_limit() {
        let mut got = vec![of(0), of(900), of(60), of(50), of(40)];
        assert_eq!(trim(1000, &mut got), 1000);
        let left: Vec<usize> = got.iter().flatten().map(|g| g.bytes).collect();
        assert_eq!(left, [0, 900, 60, 0, 40]);
        let mut got = vec![of(5000), of(1)];
        assert_eq!(trim(1000, &mut got), 5000);
    }
}
