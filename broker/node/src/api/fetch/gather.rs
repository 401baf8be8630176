//! The partitions of one fetch, wherever they live.
//!
//! If one core owns all of them it reads and waits by itself, and the bytes come back once. Otherwise every core reads within its
//! share of the limit, and what some leave of theirs goes to those that have more; what is too much in the order of the request is
//! left for the next time. If that is not enough, every core is asked to say when something moves, and the first to say so starts
//! the next round.

use super::super::fetch_sessions::{Kind, Named, Opened, TopicRef, Wanted};
use super::part::{Part, Want};
use super::read::{Reading, is_asleep, read_on, read_or_wait, read_part, wait};
use super::{Found, Got, Limits};
use crate::broker::Broker;
use crate::post::Asked;
use ids::{CoreId, LeaderEpoch, Offset, PartitionId};
use runtime::{Class, Loan, Slice};
use stages::{Laps, Stage};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use store::READ_BYTES_MAX;
use wire::ErrorCode;

/// One part in so many of a limit is worth another letter to the cores.
const LEFT_LEAST: usize = 4;

/// What one core is asked for.
#[derive(Default)]
struct Ask {
    wants: Vec<Want>,
    forgotten: Vec<u32>,
}

/// In turn.
type All = BTreeMap<(u64, u32), Reading<Slice>>;

/// Reads all of it, or waits. What was found of each partition, in turn.
pub(super) async fn gather(
    broker: &Rc<Broker>,
    limits: &Limits,
    opened: Opened,
    laps: &mut Laps,
) -> Vec<Found> {
    let Opened { kind, holds, named, forgotten, parts } = opened;
    let session = match kind {
        Kind::Sessionless => 0,
        Kind::Full(id) | Kind::Incremental(id) => id,
    };
    let mut asks: BTreeMap<CoreId, Ask> = BTreeMap::new();
    for (number, id) in forgotten {
        asks.entry(broker.owner(id)).or_default().forgotten.push(number);
    }
    for core in parts.iter().flat_map(|(_, cores)| cores) {
        asks.entry(*core).or_default();
    }
    let mut found: Vec<Found> = Vec::with_capacity(named.len());
    let mut failed = holds == 0;
    let mut names: BTreeMap<u32, Wanted> = BTreeMap::new();
    for Named { number, turn, wanted, from, id: before } in named {
        match resolve(broker, &wanted) {
            Ok(id) => {
                let core = broker.owner(id);
                if before != Some(id) {
                    let mut sessions = broker.fetch_sessions.borrow_mut();
                    if let Some(other) = sessions.resolved(session, number, id, core) {
                        // The topic is another one than it was; it may be somewhere else.
                        asks.entry(broker.owner(other)).or_default().forgotten.push(number);
                    }
                }
                if laps.partition().is_none() {
                    laps.waits_for(id);
                }
                asks.entry(core).or_default().wants.push(Want { number, turn, id, from });
                names.insert(number, wanted);
            }
            Err(code) => {
                failed = true;
                let got = Got::error(code);
                found.push(Found { number, turn, wanted, got, asleep: false });
            }
        }
    }
    // Something is wrong already, and is to be told at once.
    let limits = if failed { Limits { min_bytes: 0, ..*limits } } else { *limits };
    let key = parts.map(|(key, _)| key);
    let all = if asks.len() == 1
        && let Some((core, ask)) = asks.pop_first()
    {
        one_core(broker, core, limits, key, ask, laps).await
    } else {
        let temporary = key.is_none().then(|| Temporary::new(broker, &asks));
        let key = key.or(temporary.as_ref().map(|t| t.key)).unwrap_or(0);
        Box::pin(rounds(broker, &limits, key, asks, laps)).await.into_values().collect()
    };
    for (want, got) in all {
        let name = names.remove(&want.number);
        let name = name.or_else(|| {
            // It slept and has moved.
            broker.fetch_sessions.borrow().called(session, want.number, want.id)
        });
        let Some(wanted) = name else { continue };
        let asleep = is_asleep(&want, &got);
        found.push(Found { number: want.number, turn: want.turn, wanted, got, asleep });
    }
    for (number, wanted) in names {
        // Its core has ended.
        let got = Got::error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        found.push(Found { number, turn: u64::from(number), wanted, got, asleep: false });
    }
    found.sort_by_key(|f| (f.turn, f.number));
    found
}

/// Parts that are there as long as a fetch without a session waits.
struct Temporary {
    broker: Rc<Broker>,
    key: u64,
    cores: Vec<CoreId>,
}

impl Temporary {
    fn new(broker: &Rc<Broker>, asks: &BTreeMap<CoreId, Ask>) -> Self {
        let key = broker.fetch_parts.fresh_key();
        Self { broker: Rc::clone(broker), key, cores: asks.keys().copied().collect() }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        remove(&self.broker, self.key, self.cores.iter().copied());
    }
}

/// Removes the parts of this core's reader `key`.
pub(super) fn remove(broker: &Broker, key: u64, cores: impl Iterator<Item = CoreId>) {
    let home = broker.rt.core();
    for core in cores {
        if broker.is_here(core) {
            broker.fetch_parts.remove(home, key);
        } else {
            broker.post.tell(core, Class::Data, move |b| b.fetch_parts.remove(home, key));
        }
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

fn lend(broker: &Broker, found: Vec<Reading<Slice>>) -> Vec<Reading<Loan>> {
    let lend = |got: Got<Slice>| got.map(|slice| broker.rt.lend(slice));
    found.into_iter().map(|(want, got)| (want, lend(got))).collect()
}

fn take(found: Option<Vec<Reading<Loan>>>) -> impl Iterator<Item = Reading<Slice>> {
    found.into_iter().flatten().map(|(want, got)| (want, got.map(Slice::from)))
}

async fn one_core(
    broker: &Rc<Broker>,
    core: CoreId,
    limits: Limits,
    key: Option<u64>,
    ask: Ask,
    laps: &mut Laps,
) -> Vec<Reading<Slice>> {
    let home = broker.rt.core();
    let part = move |b: &Broker| -> Option<Rc<Part>> { key.map(|k| b.fetch_parts.of(home, k)) };
    let Ask { wants, forgotten } = ask;
    if broker.is_here(core) {
        return read_or_wait(broker, &limits, part(broker), wants, &forgotten, laps).await;
    }
    let away = laps.goes_away();
    let run = move |b: Rc<Broker>| {
        // Now, and not when the task begins: its removal may come before that.
        let part = part(&b);
        async move {
            let mut laps = Laps::begin_away(stages::read(|| b.rt.clock()), away);
            let found = read_or_wait(&b, &limits, part, wants, &forgotten, &mut laps).await;
            laps.is_in(Stage::Crossing);
            (lend(&b, found), laps.times())
        }
    };
    let (found, there) = broker.post.ask(core, Class::Data, true, run).await.unzip();
    if let Some(there) = there.flatten() {
        laps.join(Stage::Queue, &there);
        laps.lap(Stage::Crossing, || broker.rt.clock());
    }
    take(found).collect()
}

async fn rounds(
    broker: &Rc<Broker>,
    limits: &Limits,
    key: u64,
    mut asks: BTreeMap<CoreId, Ask>,
    laps: &mut Laps,
) -> All {
    let (home, limits) = (broker.rt.core(), *limits);
    // What is read beyond the limit is read for nothing.
    let share = Limits { max_bytes: limits.max_bytes / asks.len().max(1), ..limits };
    let mut all = All::new();
    loop {
        laps.is_in(Stage::Read);
        let mut here = None;
        let mut asked: Vec<(CoreId, Asked<Vec<Reading<Loan>>>)> = Vec::new();
        for (core, ask) in &mut asks {
            let Ask { wants, forgotten } = std::mem::take(ask);
            if broker.is_here(*core) {
                here = Some((*core, wants, forgotten));
                continue;
            }
            let run = move |b: Rc<Broker>| {
                let part = b.fetch_parts.of(home, key);
                async move {
                    let found = read_part(&b, &share, &part, wants, &forgotten).await;
                    lend(&b, found)
                }
            };
            asked.push((*core, broker.post.ask(*core, Class::Data, true, run)));
        }
        let mut note = |core: CoreId, found: Reading<Slice>| {
            let (want, got) = found;
            if !is_asleep(&want, &got) {
                asks.entry(core).or_default().wants.push(want);
            }
            all.insert((want.turn, want.number), (want, got));
        };
        if let Some((core, wants, forgotten)) = here {
            let part = broker.fetch_parts.of(home, key);
            for found in read_part(broker, &share, &part, wants, &forgotten).await {
                note(core, found);
            }
        }
        for (core, answer) in asked {
            take(answer.await).for_each(|found| note(core, found));
        }
        share_again(broker, &limits, &mut all).await;
        laps.lap(Stage::Read, || broker.rt.clock());
        let bytes = trim(limits.max_bytes, all.values_mut().map(|(_, got)| got));
        let failed = all.values().any(|(_, got)| got.ends_the_wait());
        let full = is_full(bytes, all.values().map(|(_, got)| got));
        let over = limits.deadline.since(broker.rt.now()).is_zero();
        if bytes >= limits.min_bytes || failed || full || over {
            return all;
        }
        laps.is_in(Stage::Park);
        first_move(broker, &limits, key, asks.keys().copied()).await;
        laps.lap(Stage::Park, || broker.rt.clock());
    }
}

/// Lets those cores that have more than their share read on, if others have left much of theirs.
async fn share_again(broker: &Rc<Broker>, limits: &Limits, all: &mut All) {
    let found: usize = all.values().map(|(_, got)| got.bytes).sum();
    let left = limits.max_bytes.saturating_sub(found);
    if left == 0 || left < limits.max_bytes / LEFT_LEAST {
        return;
    }
    let mut more: BTreeMap<CoreId, Vec<Want>> = BTreeMap::new();
    for (want, got) in all.values_mut() {
        if let Some(offset) = got.more.take() {
            more.entry(broker.owner(want.id)).or_default().push(behind(want, got, offset));
        }
    }
    let share = Limits { max_bytes: left / more.len().max(1), ..*limits };
    let mut here = None;
    let mut asked: Vec<Asked<Vec<Reading<Loan>>>> = Vec::new();
    for (core, wants) in more {
        if broker.is_here(core) {
            here = Some(wants);
            continue;
        }
        let run = move |b: Rc<Broker>| async move {
            let found = read_on(&b, &share, &wants).await;
            lend(&b, found)
        };
        asked.push(broker.post.ask(core, Class::Data, true, run));
    }
    let mut go_on = |(want, next): Reading<Slice>| {
        if let Some((_, got)) = all.get_mut(&(want.turn, want.number)) {
            got.go_on(next);
        }
    };
    if let Some(wants) = here {
        read_on(broker, &share, &wants).await.into_iter().for_each(&mut go_on);
    }
    for answer in asked {
        take(answer.await).for_each(&mut go_on);
    }
}

/// The same partition from `offset` on, behind what was found of it.
fn behind(want: &Want, got: &Got<Slice>, offset: Offset) -> Want {
    let mut from = want.from;
    let most = from.max_bytes.min(i32::try_from(READ_BYTES_MAX).unwrap_or(i32::MAX));
    from.max_bytes = most.saturating_sub(i32::try_from(got.bytes).unwrap_or(i32::MAX));
    from.offset = offset;
    // What its reader has was compared in the first round.
    from.last_fetched_epoch = LeaderEpoch::UNKNOWN;
    Want { from, ..*want }
}

/// Keeps, in the order of the request, what fits into `max_bytes`, and the first batches whatever their size. Returns how many
/// bytes are left.
fn trim<'a>(max_bytes: usize, got: impl Iterator<Item = &'a mut Got<Slice>>) -> usize {
    let mut total = 0;
    for g in got {
        if total > 0 && total + g.bytes > max_bytes {
            g.records.clear();
            g.aborted.clear();
            g.bytes = 0;
        }
        total += g.bytes;
    }
    total
}

/// Whether there is more than may be sent: what comes later would not be, either. Where nothing was found, though each core sends
/// a first batch of any size, there is only a gap below the bound that compaction has left, and something may come.
fn is_full<'a>(bytes: usize, mut got: impl Iterator<Item = &'a Got<Slice>>) -> bool {
    bytes > 0 && got.any(|g| g.more.is_some())
}

/// Resolves when some core says that one of its partitions has moved.
async fn first_move(
    broker: &Rc<Broker>,
    limits: &Limits,
    key: u64,
    cores: impl Iterator<Item = CoreId>,
) {
    let (home, deadline) = (broker.rt.core(), limits.deadline);
    let mut moves: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for core in cores {
        if broker.is_here(core) {
            let part = broker.fetch_parts.of(home, key);
            moves.push(Box::pin(async move { wait(broker, &part, deadline).await }));
        } else {
            let run = move |b: Rc<Broker>| {
                let part = b.fetch_parts.of(home, key);
                async move { wait(&b, &part, deadline).await }
            };
            let asked = broker.post.ask(core, Class::Data, true, run);
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
        let mut got = [of(0), of(900), of(60), of(50), of(40)];
        assert_eq!(trim(1000, got.iter_mut().flatten()), 1000);
        let left: Vec<usize> = got.iter().flatten().map(|g| g.bytes).collect();
        assert_eq!(left, [0, 900, 60, 0, 40]);
        let mut got = [of(5000), of(1)];
        assert_eq!(trim(1000, got.iter_mut().flatten()), 5000);
    }

    #[test]
    fn an_answer_of_nothing_is_never_full() {
        let goes_on = |got: Option<Got<Slice>>| got.map(|g| Got { more: Some(Offset(7)), ..g });
        let gaps = [of(0), goes_on(of(0)), goes_on(of(0))];
        assert!(!is_full(0, gaps.iter().flatten()));
        let some = [goes_on(of(0)), of(900)];
        assert!(is_full(900, some.iter().flatten()));
        let all = [of(900), of(0)];
        assert!(!is_full(900, all.iter().flatten()));
    }
}
