//! Requests that have stood still for long, for who looks while something stands still: all else that is told of requests is told
//! when they are over.
//!
//! Nothing is kept for it. When somebody asks, core 0 asks every core for those of its requests that have not moved for longest.
//! Where an append is, the core that owns its partition knows, and which members of groups wait for the log, the core of their
//! coordinator. A core that does not answer in time is named, and asked for nothing more until it has ([`super::owed`]).

use super::owed::Owed;
use super::pulse::named;
use crate::api;
use crate::broker::{Broker, Session};
use crate::groups::HeldUp;
use crate::post::Asked;
use ids::{CoreId, Instant, PartitionId};
use runtime::Class;
use stages::{Kind, Stage, TICK_NANOS};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use wire::api::ApiKey;

/// What is told has stood still for so long.
pub(crate) const LONG: Duration = Duration::from_secs(1);
/// Requests of each core and kind that are told.
const MOST: usize = 64;
/// How long the cores have to answer, and how long one that is asked has for its questions to others.
const PATIENCE: Duration = Duration::from_secs(2);
const ASIDE: Duration = Duration::from_secs(1);

/// A request in progress.
#[derive(Clone, Debug)]
pub(crate) struct Going {
    pub(crate) api: &'static str,
    pub(crate) core: u16,
    /// How long ago it was seen to move, and how long ago it came.
    pub(crate) still: Duration,
    pub(crate) age: Duration,
    /// The stage that it is in, and in nanoseconds those before it.
    pub(crate) stage: Stage,
    pub(crate) stages: Vec<(Stage, u64)>,
    pub(crate) peer: SocketAddr,
    pub(crate) client_gone: bool,
    /// Not known where the request itself has gone.
    pub(crate) request_bytes: Option<u32>,
    pub(crate) partition: Option<(String, i32, CoreId)>,
}

/// What has stood still for long on all cores, parked requests left out.
#[derive(Debug, Default)]
pub(crate) struct InProgress {
    /// How many there are, by API.
    pub(crate) counts: BTreeMap<&'static str, usize>,
    /// Of each core and kind those that have stood still longest; of all, the longest first.
    pub(crate) longest: Vec<Going>,
    /// Cores that did not say.
    pub(crate) silent: Vec<u16>,
}

impl InProgress {
    fn add(&mut self, more: Self) {
        for (api, count) in more.counts {
            *self.counts.entry(api).or_default() += count;
        }
        self.longest.extend(more.longest);
    }
}

/// What appends to partitions wait for.
type Waits = BTreeMap<PartitionId, Stage>;
/// An answer of another core; nothing if the question came to it too late.
type Answer<R> = Asked<Option<R>>;

/// What other cores owe this one.
#[derive(Default)]
pub(crate) struct Owes {
    requests: Owed<Answer<InProgress>>,
    waits: Owed<Answer<Waits>>,
}

/// Asks every core. On core 0.
pub(crate) async fn gather(broker: &Rc<Broker>) -> InProgress {
    let (owed, deadline) = (&broker.owes.requests, broker.rt.now() + PATIENCE);
    let (mut all, mut asked) = (InProgress::default(), Vec::new());
    for core in (0..broker.metadata.cores).map(CoreId).filter(|core| !broker.is_here(*core)) {
        let look = |b: Rc<Broker>| async move { of_core(&b).await };
        match ask(broker, owed, core, deadline, look).await {
            Some(answer) => asked.push((core, answer)),
            None => all.silent.push(core.0),
        }
    }
    all.add(of_core(broker).await);
    for (core, answer) in asked {
        match owed.wait(&broker.rt, deadline, core, answer).await.flatten().flatten() {
            Some(more) => all.add(more),
            None => all.silent.push(core.0),
        }
    }
    all.silent.sort_unstable();
    all.longest.sort_by_key(|going| Reverse(going.still));
    all
}

/// Asks another core, unless it owes an answer.
async fn ask<R, F>(
    broker: &Rc<Broker>,
    owed: &Owed<Answer<R>>,
    core: CoreId,
    deadline: Instant,
    look: impl FnOnce(Rc<Broker>) -> F + Send + 'static,
) -> Option<Answer<R>>
where
    R: Send + 'static,
    F: Future<Output = R> + 'static,
{
    if owed.by(core).await {
        return None;
    }
    let run = move |b: Rc<Broker>| async move {
        // Nobody waits for it any more.
        let is_late = b.rt.clock() > deadline;
        if is_late { None } else { Some(look(b).await) }
    };
    Some(broker.post.ask(core, Class::Control, true, run))
}

fn name(api: u8) -> &'static str {
    api::api_at(api).map_or("", ApiKey::name)
}

/// What this core has.
async fn of_core(broker: &Rc<Broker>) -> InProgress {
    let server = broker.server.borrow().clone();
    let Some(server) = server else { return InProgress::default() };
    let kinds: Vec<Kind> = api::kinds().collect();
    let kind = |api: u8| kinds.get(usize::from(api)).copied().unwrap_or(Kind::Other);
    let stuck = server.in_progress(LONG, MOST, kind);
    let waits = ask_owners(broker, stuck.longest.iter().filter_map(appends_to)).await;
    let tell = |request: server::InProgress<Session>| {
        let times = &request.times;
        let nanos = |stage| (stage, u64::from(times.ticks(stage)) * TICK_NANOS);
        Going {
            api: name(times.api()),
            core: broker.rt.core().0,
            still: request.still,
            age: request.age,
            stage: stage_of(broker, &request, &waits),
            stages: times.stages().map(nanos).collect(),
            peer: request.session.peer,
            client_gone: request.client_gone,
            request_bytes: Some(times.bytes()),
            partition: times.partition().map(|id| named(broker, id)),
        }
    };
    let mut all = InProgress::default();
    for (api, count) in stuck.counts {
        *all.counts.entry(name(api)).or_default() += count;
    }
    all.longest = stuck.longest.into_iter().map(tell).collect();
    all.add(held_up(broker));
    all
}

/// Members whose answers wait for the log. On the cores of their connections they seem to wait for each other.
fn held_up(broker: &Broker) -> InProgress {
    let mut all = InProgress::default();
    let now = broker.rt.now();
    let before = Instant(now.0.saturating_sub(nanos(LONG)));
    let mut members = broker.groups.held_up(before);
    for HeldUp { member, .. } in &members {
        *all.counts.entry(member.api.name()).or_default() += 1;
    }
    members.sort_by_key(|held| held.since);
    members.truncate(MOST);
    let waits = broker.shard.wait_in(members.iter().map(|held| held.partition));
    let tell = |HeldUp { member, came, since, partition }| Going {
        api: member.api.name(),
        core: broker.rt.core().0,
        still: now.since(since),
        age: now.since(came),
        stage: waits.get(&partition).copied().unwrap_or(Stage::Handle),
        stages: Vec::new(),
        peer: member.peer,
        client_gone: false,
        request_bytes: None,
        partition: Some(named(broker, partition)),
    };
    all.longest = members.into_iter().map(tell).collect();
    all
}

fn is_one(request: &server::InProgress<Session>, key: ApiKey) -> bool {
    // Its handler has said nothing else: it has no answer yet.
    request.stage == Stage::Handle && api::api_at(request.times.api()) == Some(key)
}

/// The partition to which a produce appends, once it has been looked at: of several one that it waits for.
fn appends_to(request: &server::InProgress<Session>) -> Option<PartitionId> {
    let looked_at = request.times.ticks(Stage::Decode) > 0;
    if looked_at && is_one(request, ApiKey::Produce) { request.times.partition() } else { None }
}

fn stage_of(broker: &Broker, request: &server::InProgress<Session>, waits: &Waits) -> Stage {
    if let Some(id) = appends_to(request) {
        // Another core answers for all its partitions at once: this one may be through, and another of them waits.
        let may_be_through = request.times.has_several() && !broker.is_here(broker.owner(id));
        return match waits.get(&id) {
            // A core that does not say has not come to it.
            None => Stage::Queue,
            Some(Stage::Queue | Stage::Admit) if may_be_through => Stage::Handle,
            Some(stage) => *stage,
        };
    }
    let decodes = is_one(request, ApiKey::Produce) || is_one(request, ApiKey::Fetch);
    if decodes { Stage::Decode } else { request.stage }
}

/// What the oldest appends to these partitions wait for, as their cores say.
async fn ask_owners(broker: &Rc<Broker>, ids: impl Iterator<Item = PartitionId>) -> Waits {
    let mut owners: BTreeMap<CoreId, BTreeSet<PartitionId>> = BTreeMap::new();
    for id in ids {
        owners.entry(broker.owner(id)).or_default().insert(id);
    }
    let (owed, deadline) = (&broker.owes.waits, broker.rt.now() + ASIDE);
    let (mut waits, mut asked) = (Waits::new(), Vec::new());
    for (core, ids) in owners {
        if broker.is_here(core) {
            waits.extend(broker.shard.wait_in(ids));
            continue;
        }
        let look = move |b: Rc<Broker>| async move { b.shard.wait_in(ids) };
        asked.extend(ask(broker, owed, core, deadline, look).await.map(|answer| (core, answer)));
    }
    for (core, answer) in asked {
        let came = owed.wait(&broker.rt, deadline, core, answer).await;
        waits.extend(came.flatten().flatten().unwrap_or_default());
    }
    waits
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}
