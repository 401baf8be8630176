//! Requests that have been in progress for long, for who looks while something stands still: all else that is told of requests is told
//! when they are over.
//!
//! Nothing is kept for it. When somebody asks, core 0 asks every core for the oldest that it works on. Where an append is, the core
//! that owns its partition knows; a core that does not answer in time is named.

use super::pulse::named;
use crate::api;
use crate::broker::{Broker, Session};
use crate::shard::within;
use ids::{CoreId, Instant, PartitionId};
use runtime::{Class, Runtime};
use stages::{Stage, TICK_NANOS};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use wire::api::ApiKey;

/// What is told has been in progress for so long.
pub(crate) const LONG: Duration = Duration::from_secs(1);
/// Requests of each core that are told.
const MOST: usize = 64;
/// How long the cores have to answer, and how long one that is asked has for its questions to others.
const PATIENCE: Duration = Duration::from_secs(2);
const ASIDE: Duration = Duration::from_secs(1);

/// A request in progress.
#[derive(Clone, Debug)]
pub(crate) struct Going {
    pub(crate) api: &'static str,
    pub(crate) core: u16,
    pub(crate) age: Duration,
    /// The stage that it is in, and in nanoseconds those before it.
    pub(crate) stage: Stage,
    pub(crate) stages: Vec<(Stage, u64)>,
    pub(crate) peer: SocketAddr,
    pub(crate) client_gone: bool,
    pub(crate) request_bytes: u32,
    pub(crate) partition: Option<(String, i32, CoreId)>,
}

/// What all cores have had in progress for long, parked requests left out.
#[derive(Debug, Default)]
pub(crate) struct InProgress {
    pub(crate) count: usize,
    /// The oldest of each core, the oldest of all first.
    pub(crate) oldest: Vec<Going>,
    /// Cores that did not say.
    pub(crate) silent: Vec<u16>,
}

/// Asks every core. On core 0.
pub(crate) async fn gather(broker: &Rc<Broker>) -> InProgress {
    let others = (0..broker.metadata.cores).map(CoreId).filter(|core| !broker.is_here(*core));
    let asked: Vec<_> = others
        .map(|core| {
            let run = |b: Rc<Broker>| async move { of_core(&b).await };
            (core, broker.post.ask(core, Class::Control, true, run))
        })
        .collect();
    let deadline = broker.rt.now() + PATIENCE;
    let mut all = of_core(broker).await;
    for (core, answer) in asked {
        match by(&broker.rt, deadline, answer).await.flatten() {
            Some(more) => {
                all.count += more.count;
                all.oldest.extend(more.oldest);
            }
            None => all.silent.push(core.0),
        }
    }
    all.oldest.sort_by_key(|going| std::cmp::Reverse(going.age));
    all
}

/// `None` if it is not there by then.
async fn by<F: Future>(rt: &Runtime, deadline: Instant, answer: F) -> Option<F::Output> {
    // What has come already needs no time.
    let left = deadline.since(rt.now()).max(Duration::from_millis(1));
    within(rt, left, answer).await
}

/// What this core has.
async fn of_core(broker: &Rc<Broker>) -> InProgress {
    let server = broker.server.borrow().clone();
    let Some(server) = server else { return InProgress::default() };
    let stuck = server.in_progress(LONG, MOST);
    let waits = ask_owners(broker, stuck.oldest.iter().filter_map(appends_to)).await;
    let tell = |request: server::InProgress<Session>| {
        let times = &request.times;
        let nanos = |stage| (stage, u64::from(times.ticks(stage)) * TICK_NANOS);
        Going {
            api: api::api_at(times.api()).map_or("", ApiKey::name),
            core: broker.rt.core().0,
            age: request.age,
            stage: stage_of(&request, &waits),
            stages: times.stages().map(nanos).collect(),
            peer: request.session.peer,
            client_gone: request.client_gone,
            request_bytes: times.bytes(),
            partition: times.partition().map(|id| named(broker, id)),
        }
    };
    let oldest = stuck.oldest.into_iter().map(tell).collect();
    InProgress { count: stuck.count, oldest, silent: Vec::new() }
}

fn is_one(request: &server::InProgress<Session>, key: ApiKey) -> bool {
    // Its handler has said nothing else: it has no answer yet.
    request.stage == Stage::Handle && api::api_at(request.times.api()) == Some(key)
}

/// The partition to which a produce appends, once it has been looked at. Of several the first: the others are told of later.
fn appends_to(request: &server::InProgress<Session>) -> Option<PartitionId> {
    let looked_at = request.times.ticks(Stage::Decode) > 0;
    if looked_at && is_one(request, ApiKey::Produce) { request.times.partition() } else { None }
}

fn stage_of(request: &server::InProgress<Session>, waits: &BTreeMap<PartitionId, Stage>) -> Stage {
    if let Some(id) = appends_to(request) {
        // A core that does not say has not come to it.
        return waits.get(&id).copied().unwrap_or(Stage::Queue);
    }
    let decodes = is_one(request, ApiKey::Produce) || is_one(request, ApiKey::Fetch);
    if decodes { Stage::Decode } else { request.stage }
}

/// What the oldest appends to these partitions wait for, as their cores say.
async fn ask_owners(
    broker: &Rc<Broker>,
    ids: impl Iterator<Item = PartitionId>,
) -> BTreeMap<PartitionId, Stage> {
    let mut owners: BTreeMap<CoreId, BTreeSet<PartitionId>> = BTreeMap::new();
    for id in ids {
        owners.entry(broker.owner(id)).or_default().insert(id);
    }
    let mut waits = BTreeMap::new();
    let mut asked = Vec::new();
    for (core, ids) in owners {
        let look = move |b: &Broker| -> Vec<(PartitionId, Stage)> {
            ids.into_iter().map(|id| (id, b.shard.waits_in(id))).collect()
        };
        if broker.is_here(core) {
            waits.extend(look(broker));
        } else {
            let run = move |b: Rc<Broker>| async move { look(&b) };
            asked.push(broker.post.ask(core, Class::Control, true, run));
        }
    }
    let deadline = broker.rt.now() + ASIDE;
    for answer in asked {
        waits.extend(by(&broker.rt, deadline, answer).await.flatten().unwrap_or_default());
    }
    waits
}
