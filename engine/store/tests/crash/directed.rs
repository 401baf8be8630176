//! Small worlds made for one moment each, which the great ones come upon too seldom.
//!
//! Each is tried with many seeds, which choose latencies and sizes; in the real store nothing may be found. A planted bug that
//! needs that moment must be.

use crate::autopsy::Autopsy;
use crate::batch::Batch;
use crate::behind_a_pass;
use crate::damage::flip_in;
use crate::life::{ROOT, verify_offline};
use crate::random::Random;
use crate::reading::read_all;
use crate::tally::Tally;
use ids::{CoreId, LeaderEpoch, Offset, PartitionId, PartitionIndex, Timestamp, TopicId};
use log::SegmentName;
use ringwood_store::{Config, DataDir, PartitionConfig, Paths, Refusal, Report, Store, Thresholds};
use runtime::Runtime;
use runtime::sim::{NodeId, Outcome, SimConfig, World};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Tries one seed: how many images there were, or what was wrong.
pub(crate) type Scene = fn(u64) -> Result<u64, String>;

type Opened = Result<(Store, Report), String>;

pub(crate) fn id(n: i32) -> PartitionId {
    PartitionId { topic: TopicId([5; 16]), index: PartitionIndex(n) }
}

/// One core on one disk.
pub(crate) struct Small {
    pub(crate) world: World,
    pub(crate) node: NodeId,
    config: Config,
    pub(crate) partition: PartitionConfig,
    random: RefCell<Random>,
}

impl Small {
    pub(crate) fn new(seed: u64, ring_bytes: u64) -> Self {
        let us = Duration::from_micros;
        let sim = SimConfig {
            capacity: 64 << 20,
            write: (us(20), us(2_000)),
            sync: (us(50), us(4_000)),
            ..SimConfig::default()
        };
        let world = World::new(seed, sim);
        let node = world.add_node();
        let thresholds =
            Thresholds { blocks_due: 4096, partitions_at_once: 1, ..Thresholds::default() };
        let config = Config { ring_bytes, free_bytes_min: 0, thresholds, ..Config::default() };
        let random = RefCell::new(Random::new(seed ^ 0xd1_4ec7));
        Self { world, node, config, partition: PartitionConfig::default(), random }
    }

    pub(crate) fn below(&self, n: u64) -> u64 {
        self.random.borrow_mut().below(n)
    }

    pub(crate) fn run<T: 'static>(
        &self,
        world: &World,
        body: impl AsyncFnOnce(Runtime) -> T + 'static,
    ) -> Result<T, String> {
        let rt = world.core(self.node, CoreId(0));
        let it = rt.clone();
        match world.run(&rt, async move { body(it).await }) {
            Outcome::Done(value) => Ok(value),
            Outcome::Died => {
                Err(world.fault_of(self.node).unwrap_or_else(|| "the node died".into()))
            }
            Outcome::Stuck | Outcome::TimedOut => Err("it never ends".into()),
        }
    }

    pub(crate) fn open(&self, world: &World) -> Opened {
        let (config, partition) = (self.config.clone(), self.partition);
        self.run(world, async move |rt| -> Opened {
            let ring = config.ring_bytes;
            let data = DataDir::open(&rt, Path::new(ROOT), 1, ring).await;
            let data = data.map_err(|e| e.to_string())?;
            let opened = ringwood_store::open(&rt, &data, CoreId(0), config, move |_| partition);
            opened.await.map_err(|e| e.to_string())
        })?
    }

    /// The world as it would be after a power cut now.
    pub(crate) fn cut(&self) -> World {
        let fork = self.world.fork(self.random.borrow_mut().next());
        fork.power_cut(self.node);
        fork
    }

    /// Steps until `done`, and calls `each` after every effect of the disk.
    pub(crate) fn steps(
        &self,
        done: impl Fn() -> bool,
        mut each: impl FnMut(&str) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut seen = self.world.effects(self.node);
        let mut wrong = Ok(());
        let ended = self.world.run_until(|| {
            let effects = self.world.effects(self.node);
            if effects != seen {
                seen = effects;
                wrong = each(&self.world.last_effect(self.node));
            }
            wrong.is_err() || done() || !self.world.is_alive(self.node)
        });
        wrong?;
        match (ended, self.world.fault_of(self.node)) {
            (_, Some(fault)) => Err(fault),
            (false, None) => Err("it never ends".into()),
            (true, None) => Ok(()),
        }
    }

    /// Begins `what` in the running process; true in the cell when it has ended.
    pub(crate) fn begin(&self, what: impl Future<Output = ()> + 'static) -> Rc<Cell<bool>> {
        let ended = Rc::new(Cell::new(false));
        let tell = Rc::clone(&ended);
        self.world.core(self.node, CoreId(0)).spawn(async move {
            what.await;
            tell.set(true);
        });
        ended
    }
}

fn put(store: &Store, id: PartitionId, number: u64, body: usize) -> Result<(), Refusal> {
    let b = Batch::build(number, 1, body, None);
    store.append(id, &b.bytes, &b.meta, LeaderEpoch(1), Timestamp(1)).map(drop)
}

/// A checkpoint has come to a partition, and before it ends all of its segments are dropped. Whatever the cut, what was there
/// is whole, or gone because the new start is.
pub(crate) fn a_log_start_under_a_checkpoint(seed: u64) -> Result<u64, String> {
    let small = Small::new(seed, 64 << 10);
    let (store, _) = small.open(&small.world)?;
    store.create(id(0), small.partition);
    for n in 0..3 {
        put(&store, id(0), n, 3_000).map_err(|e| e.to_string())?;
    }
    let it = store.clone();
    small.run(&small.world, async move |_| it.flush().await)?;
    let checkpoint = small.begin({
        let store = store.clone();
        async move { store.checkpoint().await }
    });
    let after = Duration::from_micros(small.below(4_000));
    let rt = small.world.core(small.node, CoreId(0));
    let started = small.begin(async move {
        rt.sleep(after).await;
        let _ = store.advance_start(id(0), Offset(3)).await;
    });
    let mut images = 0;
    small.steps(
        || checkpoint.get() && started.get(),
        |last| {
            if !last.contains("/manifest-") && !last.contains("/ring-") {
                return Ok(());
            }
            images += 1;
            let cut = small.cut();
            let context = |e: String| format!("power cut after `{last}`: {e}");
            let (store, report) = small.open(&cut).map_err(context)?;
            if let Some((_, why)) = report.incomplete.first() {
                return Err(context(format!("incomplete: {why}")));
            }
            let found = small.run(&cut, async move |_| read_all(&store, id(0), 5_000).await)?;
            match (found.start, found.end, found.broken) {
                (0 | 3, 3, None) => Ok(()),
                other => Err(context(format!("{other:?}"))),
            }
        },
    )?;
    Ok(images)
}

/// The numbers of the batches that are there.
fn numbers(bytes: &[u8]) -> Result<Vec<u64>, String> {
    let batches = crate::batch::cut(bytes)?;
    let number = |b: &[u8]| b[61..69].try_into().map(u64::from_be_bytes).unwrap_or(0);
    Ok(batches.into_iter().map(|(_, _, b)| number(b)).collect())
}

/// A checkpoint has come to a partition, or has not, and before it ends the log is cut back below one or two of its rolls, and
/// written again. Whatever the cut, the log is what it was before, or what is left and what was appended since, in order.
pub(crate) fn a_truncation_under_a_checkpoint(seed: u64) -> Result<u64, String> {
    let mut small = Small::new(seed, 64 << 10);
    // Two batches a segment, and an entry of the index for each.
    small.partition.log.segment_bytes = 7_000;
    small.partition.log.index_interval_bytes = 1;
    let (store, _) = small.open(&small.world)?;
    store.create(id(0), small.partition);
    for n in 0..6 {
        put(&store, id(0), n, 3_000).map_err(|e| e.to_string())?;
    }
    let (it, first) = (store.clone(), small.below(2) == 0);
    small.run(&small.world, async move |_| {
        it.flush().await;
        if first {
            it.checkpoint().await;
        }
    })?;
    put(&store, id(0), 6, 3_000).map_err(|e| e.to_string())?;
    let checkpoint = small.begin({
        let store = store.clone();
        async move { store.checkpoint().await }
    });
    let (after, to) = (Duration::from_micros(small.below(9_000)), small.below(7));
    let rt = small.world.core(small.node, CoreId(0));
    let done = Rc::new(Cell::new(0));
    let cut = small.begin({
        let (store, done) = (store.clone(), Rc::clone(&done));
        async move {
            rt.sleep(after).await;
            if store.truncate(id(0), Offset(to.cast_signed())).await.is_ok() {
                done.set(1);
            }
            for n in 100..104 {
                if put(&store, id(0), n, 3_000).is_ok() {
                    store.flush().await;
                    done.set(n - 98);
                }
            }
            store.checkpoint().await;
        }
    });
    let before: Vec<u64> = (0..7).collect();
    let since: Vec<u64> = (0..to).chain(100..104).collect();
    let mut images = 0;
    small.steps(
        || checkpoint.get() && cut.get(),
        |last| {
            images += 1;
            let (fork, done) = (small.cut(), done.get());
            let context = |e: String| format!("to {to}, power cut after `{last}`: {e}");
            let (store, report) = small.open(&fork).map_err(context)?;
            if let Some((_, why)) = report.incomplete.first() {
                return Err(context(format!("incomplete: {why}")));
            }
            let found = small.run(&fork, async move |_| read_all(&store, id(0), 5_000).await)?;
            if let Some(broken) = found.broken {
                return Err(context(broken));
            }
            let there = numbers(&found.bytes).map_err(context)?;
            let must = usize::try_from(to + done.saturating_sub(1)).unwrap_or(0);
            let old = done == 0 && before.starts_with(&there) && there.len() >= 6;
            let new = since.starts_with(&there) && there.len() >= must;
            if old || new { Ok(()) } else { Err(context(format!("{there:?}, {done} are done"))) }
        },
    )?;
    Ok(images)
}

/// Blocks are written beside the syncs of a checkpoint that closes all its files, and the next one has to find that file again.
pub(crate) fn a_write_while_files_are_closed(seed: u64) -> Result<u64, String> {
    let mut small = Small::new(seed, 256 << 10);
    small.config.thresholds.open_files_kept = 0;
    small.config.thresholds.write_bytes = 4 << 10;
    small.config.thresholds.partitions_at_once = 32;
    let (store, _) = small.open(&small.world)?;
    for n in 0..2 {
        store.create(id(n), small.partition);
        for batch in 0..4 {
            put(&store, id(n), batch, 3_000).map_err(|e| e.to_string())?;
        }
    }
    let it = store.clone();
    small.run(&small.world, async move |_| it.flush().await)?;
    let after = Duration::from_micros(small.below(15_000));
    let rt = small.world.core(small.node, CoreId(0));
    let (first, second) = (store.clone(), store.clone());
    let appended = small.begin(async move {
        rt.sleep(after).await;
        for batch in 4..8 {
            let _ = put(&first, id(0), batch, 3_000);
        }
        first.flush().await;
    });
    let checkpoints = small.begin(async move {
        second.checkpoint().await;
        second.flush().await;
        second.checkpoint().await;
    });
    small.steps(|| checkpoints.get() && appended.get(), |_| Ok(()))?;
    let cut = small.cut();
    let (store, report) = small.open(&cut)?;
    if let Some((_, why)) = report.incomplete.first() {
        return Err(format!("incomplete: {why}"));
    }
    let found = small.run(&cut, async move |_| read_all(&store, id(0), 5_000).await)?;
    match (found.end, found.broken) {
        (8, None) => Ok(1),
        other => Err(format!("{other:?}")),
    }
}

/// The rest log is written anew again and again: power goes just when the old one is removed.
pub(crate) fn a_rest_log_is_removed(seed: u64) -> Result<u64, String> {
    let mut small = Small::new(seed, 128 << 10);
    small.config.thresholds.rewrite_min = 8 << 10;
    small.config.thresholds.allocate = 8 << 10;
    small.config.thresholds.blocks_due = 64 << 10;
    let (store, _) = small.open(&small.world)?;
    for n in 0..3 {
        store.create(id(n), small.partition);
    }
    let flushed = Rc::new(Cell::new(0));
    let ended = small.begin({
        let (store, flushed) = (store.clone(), Rc::clone(&flushed));
        async move {
            for n in 0..24_u64 {
                store.admit(1_000).await;
                if put(&store, id(i32::try_from(n % 3).unwrap()), n, 600).is_err() {
                    break;
                }
                store.flush().await;
                flushed.set(n + 1);
                store.checkpoint().await;
            }
        }
    });
    let mut images = 0;
    small.steps(
        || ended.get(),
        |last| {
            if !(last.starts_with("removed") && last.contains("/rest-")) {
                return Ok(());
            }
            images += 1;
            let (cut, flushed) = (small.cut(), flushed.get());
            let context = |e: String| format!("power cut after `{last}`: {e}");
            let (store, report) = small.open(&cut).map_err(context)?;
            if let Some((_, why)) = report.incomplete.first() {
                return Err(context(format!("incomplete: {why}")));
            }
            for n in 0..3 {
                let store = store.clone();
                let found = small.run(&cut, async move |_| read_all(&store, id(n), 5_000).await)?;
                if let Some(broken) = found.broken {
                    return Err(context(broken));
                }
                let there = numbers(&found.bytes).map_err(context)?.len();
                let own = (0..flushed).filter(|i| i % 3 == u64::try_from(n).unwrap()).count();
                if there < own {
                    return Err(context(format!("{there} of {own} batches of partition {n}")));
                }
            }
            Ok(())
        },
    )?;
    if images == 0 {
        return Err("no rest log was removed".into());
    }
    Ok(images)
}

/// Very many small batches that nobody asks to flush, before and while a checkpoint writes the index. What a power cut takes,
/// no index may name.
pub(crate) fn an_index_ahead_of_a_lost_tail(seed: u64) -> Result<u64, String> {
    let mut small = Small::new(seed, 1 << 20);
    small.partition.fsync = false;
    small.partition.log.index_interval_bytes = 1;
    small.config.flush_every = Duration::from_secs(10);
    let (store, _) = small.open(&small.world)?;
    store.create(id(0), small.partition);
    let mut number = 0;
    let mut more = |n: u64| {
        for _ in 0..n {
            number += 1;
            put(&store, id(0), number, 16).map_err(|e| e.to_string())?;
        }
        Ok::<(), String>(())
    };
    more(500 + small.below(300))?;
    let it = store.clone();
    let checkpoint = small.begin(async move { it.checkpoint().await });
    small.steps(|| checkpoint.get(), |_| more(40))?;
    verify_offline(&small.cut(), small.node, false)
        .map_err(|e| format!("after the checkpoint: {e}"))?;
    Ok(1)
}

/// The last commit of the ring that is readable is a skip, and the flushed one before it is damaged. The first start cannot
/// know whom that hit; the next one must not think that it does.
pub(crate) fn damage_before_a_last_skip(seed: u64) -> Result<u64, String> {
    let small = Small::new(seed, 64 << 10);
    let (store, _) = small.open(&small.world)?;
    for n in 0..3 {
        store.create(id(n), small.partition);
    }
    let ended = small.begin({
        let mut sizes = small.random.borrow().clone();
        async move {
            for n in 0..40_u64 {
                let body = usize::try_from(1_000 + sizes.below(9_000)).unwrap();
                store.admit(body + 100).await;
                if put(&store, id(i32::try_from(n % 3).unwrap()), n, body).is_err() {
                    break;
                }
                store.flush().await;
                if n % 4 == 3 {
                    store.checkpoint().await;
                }
            }
        }
    });
    let mut images = 0;
    small.steps(
        || ended.get(),
        |last| {
            let cut = small.cut();
            let examined = Autopsy::of(&cut, small.node).examine(&Tally::default());
            let at = examined.iter().find_map(|r| Some((r, r.flushed_before_a_last_skip()?)));
            let Some((ring, nth)) = at else { return Ok(()) };
            images += 1;
            let victim = &ring.commits[&ring.chain[nth]];
            flip_in(&cut, small.node, victim).ok_or("nothing can be flipped")?;
            let marked = |cut: &World| -> Result<BTreeSet<PartitionId>, String> {
                let (store, _) = small.open(cut)?;
                // Also one of which the damaged commit held all there was.
                Ok((0..3).map(id).filter(|id| store.incomplete(*id).is_some()).collect())
            };
            let first = marked(&cut)?;
            cut.power_cut(small.node);
            let second = marked(&cut)?;
            let hit: BTreeSet<PartitionId> = victim.partitions().into_iter().collect();
            if !hit.is_subset(&first) || !first.is_subset(&second) {
                return Err(format!(
                    "power cut after `{last}`: {hit:?} was hit, the first start marks {first:?}, the second {second:?}"
                ));
            }
            Ok(())
        },
    )?;
    Ok(images)
}

/// The disk refuses a checkpoint that has not come to a partition yet, which gets one more batch before the next checkpoint.
pub(crate) fn a_batch_between_a_refused_checkpoint_and_the_next(seed: u64) -> Result<u64, String> {
    let small = Small::new(seed, 64 << 10);
    let (store, _) = small.open(&small.world)?;
    for n in 0..2 {
        store.create(id(n), small.partition);
        put(&store, id(n), u64::try_from(n).unwrap(), 6_000).map_err(|e| e.to_string())?;
    }
    store.exempt(id(1));
    let it = store.clone();
    small.run(&small.world, async move |_| it.flush().await)?;
    small.world.set_capacity(small.node, 0);
    let it = store.clone();
    let checkpoint = small.begin(async move { it.checkpoint().await });
    let mut appended = false;
    small.steps(
        || checkpoint.get(),
        |_| {
            if store.counters().0.checkpoints_refused > 0 && !appended {
                appended = true;
                small.world.set_capacity(small.node, 64 << 20);
                put(&store, id(1), 7, 100).map_err(|e| e.to_string())?;
            }
            Ok(())
        },
    )?;
    if !appended {
        return Err("the disk has refused nothing".into());
    }
    let it = store.clone();
    small.run(&small.world, async move |_| it.flush().await)?;
    let cut = small.cut();
    let (store, report) = small.open(&cut)?;
    if let Some((_, why)) = report.incomplete.first() {
        return Err(format!("incomplete: {why}"));
    }
    let found = small.run(&cut, async move |_| read_all(&store, id(1), 50_000).await)?;
    match (found.end, found.broken) {
        (2, None) => Ok(1),
        other => Err(format!("of two batches that were acknowledged {other:?} is there")),
    }
}

/// Writes of commits are short now and then, which breaks the link to their flush. Whatever the cut, what a flush has answered
/// is there.
pub(crate) fn a_short_write_breaks_a_link(seed: u64) -> Result<u64, String> {
    let small = Small::new(seed, 64 << 10);
    let (store, _) = small.open(&small.world)?;
    store.create(id(0), small.partition);
    // A partition of which nothing was ever flushed need not be there.
    put(&store, id(0), 0, 5_000).map_err(|e| e.to_string())?;
    let it = store.clone();
    small.run(&small.world, async move |_| it.flush().await)?;
    small.world.set_short_writes(150_000);
    let flushed = Rc::new(Cell::new(1));
    let ended = small.begin({
        let (store, flushed) = (store.clone(), Rc::clone(&flushed));
        async move {
            for n in 1..9_u64 {
                if put(&store, id(0), n, 5_000).is_err() {
                    break;
                }
                store.flush().await;
                flushed.set(n + 1);
            }
        }
    });
    let mut images = 0;
    let outcome = small.steps(
        || ended.get(),
        |last| {
            if !last.contains("/ring-") {
                return Ok(());
            }
            images += 1;
            let (cut, flushed) = (small.cut(), flushed.get());
            cut.set_short_writes(0);
            let context = |e: String| format!("power cut after `{last}`: {e}");
            let (store, report) = small.open(&cut).map_err(context)?;
            if let Some((_, why)) = report.incomplete.first() {
                return Err(context(format!("incomplete: {why}")));
            }
            let found = small.run(&cut, async move |_| read_all(&store, id(0), 50_000).await)?;
            if let Some(broken) = found.broken {
                return Err(context(broken));
            }
            let there = numbers(&found.bytes).map_err(context)?.len() as u64;
            if there < flushed {
                return Err(context(format!("{there} of {flushed} flushed batches")));
            }
            Ok(())
        },
    );
    // A write whose rest is short too is an error, and the process stops.
    match (outcome, small.world.fault_of(small.node)) {
        (Err(what), Some(fault)) if what == fault && fault.contains("failed") => Ok(images),
        (outcome, _) => outcome.map(|()| images),
    }
}

/// Batches come faster than their commits are flushed, while blocks of a segment are written. Whatever the cut, the file holds
/// nothing that the log does not: what was never flushed is sent again in other words, and a block is written once.
pub(crate) fn a_cut_before_the_flush_of_what_was_appended(seed: u64) -> Result<u64, String> {
    let mut small = Small::new(seed, 256 << 10);
    small.config.thresholds.write_bytes = 4 << 10;
    let (store, _) = small.open(&small.world)?;
    store.create(id(0), small.partition);
    for n in 0..2 {
        put(&store, id(0), n, 3_000).map_err(|e| e.to_string())?;
    }
    // From here on the file is there whatever the cut, and so is its space: what is written to it may stay.
    let it = store.clone();
    small.run(&small.world, async move |_| {
        it.flush().await;
        it.checkpoint().await;
    })?;
    let rt = small.world.core(small.node, CoreId(0));
    let ended = small.begin({
        let (store, mut pauses) = (store.clone(), small.random.borrow().clone());
        async move {
            for n in 2..18 {
                let _ = put(&store, id(0), n, 3_000);
                rt.sleep(Duration::from_micros(pauses.below(1_500))).await;
            }
            store.flush().await;
        }
    });
    let path = Paths::new(Path::new(ROOT)).segment(
        id(0),
        SegmentName { base: Offset::ZERO, creation: 0 },
        "log",
    );
    let (mut images, mut in_the_file) = (0, 0);
    small.steps(
        || ended.get(),
        |last| {
            if !last.contains(".log") && !last.contains("/ring-") {
                return Ok(());
            }
            images += 1;
            let cut = small.cut();
            let file = cut.file(small.node, &path).unwrap_or_default();
            let context = |e: String| format!("power cut after `{last}`: {e}");
            let (store, report) = small.open(&cut).map_err(context)?;
            if let Some((_, why)) = report.incomplete.first() {
                return Err(context(format!("incomplete: {why}")));
            }
            // A partition of which nothing was flushed is not there, and has no bytes.
            let found = small.run(&cut, async move |_| read_all(&store, id(0), 50_000).await)?;
            let written = file.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
            in_the_file += u64::from(written > 8 << 10);
            match found.bytes.get(..written) {
                Some(_) => Ok(()),
                None => Err(context(format!(
                    "the file has {written} bytes, the log only {}",
                    found.bytes.len()
                ))),
            }
        },
    )?;
    if in_the_file == 0 {
        return Err("nothing was ever written to the file".into());
    }
    Ok(images)
}

/// All of them, with the number of seeds that the bounded run tries.
const SCENES: &[(&str, Scene, u64)] = &[
    ("a log start under a checkpoint", a_log_start_under_a_checkpoint, 120),
    ("a truncation under a checkpoint", a_truncation_under_a_checkpoint, 60),
    ("a write while files are closed", a_write_while_files_are_closed, 100),
    ("a rest log is removed", a_rest_log_is_removed, 5),
    ("an index ahead of a lost tail", an_index_ahead_of_a_lost_tail, 20),
    ("damage before a last skip", damage_before_a_last_skip, 20),
    (
        "a cut before the flush of what was appended",
        a_cut_before_the_flush_of_what_was_appended,
        20,
    ),
    ("a short write breaks a link", a_short_write_breaks_a_link, 60),
    ("a truncation right behind a pass", behind_a_pass::a_truncation_right_behind_a_pass, 60),
    ("tombstones of two passes", behind_a_pass::tombstones_of_two_passes, 10),
    (
        "a batch between a refused checkpoint and the next",
        a_batch_between_a_refused_checkpoint_and_the_next,
        20,
    ),
];

#[test]
fn what_was_acknowledged_survives_these_moments() {
    for (name, scene, seeds) in SCENES {
        let mut images = 0;
        for seed in 1..=*seeds {
            images += scene(seed).unwrap_or_else(|e| panic!("{name}, seed {seed}: {e}"));
        }
        println!("{name}: {seeds} seeds, {images} images");
        assert!(images >= *seeds / 2, "{name}: only {images} images of {seeds} seeds");
    }
}
