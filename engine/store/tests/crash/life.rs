//! Lives and crashes: a process starts on what the last crash has left, shows what it found, serves, and dies.
//!
//! While it starts and while it serves, copies of its world are taken at moments that the seed chooses. Each copy is an image:
//! power is cut there, or the process is killed, and what the disk holds then must satisfy the model as it was at that moment.
//! An image may live a while and have images of its own.

use crate::autopsy::{Autopsy, Examined, Ring, look};
use crate::clients::{Clients, Verdict};
use crate::compaction::Compacted;
use crate::damage;
use crate::model::{Found, Life, Model};
use crate::random::Random;
use crate::reading::{look_up, read_all, transactions};
use crate::settings::Settings;
use crate::tally::Tally;
use ids::{CoreId, PartitionId};
use ringwood_store::inspect::{Finding, Inspector, Severity};
use ringwood_store::{DataDir, OpenError, Report, Store};
use runtime::Runtime;
use runtime::sim::{DiskOp, Injection, NodeId, Outcome, World};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// The data directory of every world.
pub(crate) const ROOT: &str = "/data";
/// Each image costs another life; images of images of images are deep enough.
const DEPTH_MAX: u32 = 3;

type Result<T> = std::result::Result<T, String>;
type Opened = std::result::Result<(Store, Report), OpenError>;

/// One seed's lives.
pub(crate) struct Explorer {
    settings: Rc<Settings>,
    tally: Rc<Tally>,
    random: RefCell<Random>,
    images: u64,
    images_left: Cell<u64>,
    /// Bits are flipped too.
    damage: bool,
}

/// The stores of a running process.
struct Process {
    /// Holds the lock.
    _data: Option<DataDir>,
    runtimes: Vec<Runtime>,
    stores: Vec<Store>,
    reports: Vec<Report>,
}

impl Explorer {
    pub(crate) fn new(settings: Settings, tally: &Rc<Tally>, images: u64) -> Self {
        Self {
            random: RefCell::new(Random::new(settings.seed ^ 0xc0ff_ee00)),
            settings: Rc::new(settings),
            tally: Rc::clone(tally),
            images,
            images_left: Cell::new(images),
            damage: true,
        }
    }

    fn one_in(&self, n: u64) -> bool {
        self.random.borrow_mut().one_in(n)
    }

    fn below(&self, n: u64) -> u64 {
        self.random.borrow_mut().below(n)
    }

    /// The first life, from an empty disk, and all that forks off it.
    pub(crate) fn explore(&self) -> Result<()> {
        let s = &self.settings;
        let world = World::new(s.seed, s.sim.clone());
        let node = world.add_node();
        // A flush that is asked for waits for the one under way, and each covers four files at most.
        let slowest = s.store.flush_every + s.sim.write.1 + s.sim.sync.1 * 10;
        let bound = u64::try_from(slowest.as_nanos()).unwrap();
        let mut model = Model::new(s.cores, bound);
        model.compacted = Compacted::draw(s.seed, s.compacts);
        for (partitions, fsync) in &s.topics {
            for id in model.create_topic(*partitions, *fsync) {
                for _ in 0..self.below(3) {
                    model.add_producer(id);
                }
            }
        }
        for round in 0..s.rounds {
            let requests = s.requests;
            let process = self
                .life(&world, node, &mut model, requests, 0)
                .map_err(|e| format!("life {round} of the first world: {e}"))?;
            self.crash(&world, node, &mut model);
            drop(process);
            self.change_cores(&mut model, 3);
        }
        let end = self.life(&world, node, &mut model, 0, 0);
        end.map(drop).map_err(|e| format!("at the end: {e}"))
    }

    /// Once in `n` the next start has another number of cores, perhaps.
    fn change_cores(&self, model: &mut Model, n: u64) {
        if self.one_in(n) {
            model.cores = 1 + u16::try_from(self.below(3)).unwrap();
        }
    }

    /// Power goes, or the process is killed.
    fn crash(&self, world: &World, node: NodeId, model: &mut Model) {
        let now = world.now().0;
        model.compacted.at_crash(&self.tally);
        if self.one_in(3) {
            let late = world.writes_in_flight(node) as u64;
            self.tally.add("late write after a kill", u64::from(late > 0));
            self.tally.one("kill");
            model.crash(false, now);
            world.kill(node);
        } else {
            self.tally.one("power cut");
            model.crash(true, now);
            world.power_cut(node);
        }
    }

    /// Starts, shows, serves `requests`.
    fn life(
        &self,
        world: &World,
        node: NodeId,
        model: &mut Model,
        requests: u64,
        depth: u32,
    ) -> Result<Process> {
        let process = self.start(world, node, model, depth)?;
        self.show(world, node, &process, model)?;
        if requests > 0 {
            self.serve(world, node, &process, model, requests, depth)?;
        }
        Ok(process)
    }

    /// An image of the world at this moment: cut, examined, started again.
    fn image(
        &self,
        world: &World,
        node: NodeId,
        model: &Model,
        depth: u32,
        recovering: bool,
    ) -> Result<()> {
        if self.images_left.get() == 0 {
            return Ok(());
        }
        self.images_left.set(self.images_left.get() - 1);
        self.tally.one("images");
        let cutting = model.parts.values().any(|p| p.truncating.is_some());
        self.tally.add("image during a truncation", u64::from(cutting));
        let number = self.images - self.images_left.get();
        let seed = self.random.borrow_mut().next();
        let fork = world.fork(seed);
        let mut model = model.clone();
        let last = fork.last_effect(node);
        let was_power = model.power;
        self.crash(&fork, node, &mut model);
        if recovering {
            self.tally.one("cut during recovery");
            if !was_power && model.power && model.crashed_at.is_some() {
                self.tally.one("kill, then power cut during recovery");
            }
        }
        let how = if model.power { "power cut" } else { "kill" };
        let context =
            |e: String| format!("image {number} (depth {depth}, {how} after `{last}`): {e}");
        let examined = Autopsy::of(&fork, node).examine(&self.tally);
        look(number, &examined);
        // After a kill the lock may be held for longer than verify waits.
        if model.power && self.one_in(2) {
            // On a copy: looking syncs.
            let copy = fork.fork(self.random.borrow_mut().next());
            let batches = verify_offline(&copy, node, recovering).map_err(context)?;
            self.tally.one("verified offline");
            self.tally.add("batches verified offline", batches);
        }
        // The first copy of the manifest is ahead of the second: the moment at which the second must still be enough.
        let ahead = examined.iter().any(Ring::first_copy_is_ahead);
        let before_a_skip = examined.iter().any(|r| r.flushed_before_a_last_skip().is_some());
        let damage = self.one_in(if ahead || before_a_skip { 2 } else { 6 });
        if self.damage && !recovering && model.power && damage {
            return self.damaged(&fork, node, &mut model, &examined, depth, ahead).map_err(context);
        }
        if !recovering {
            self.change_cores(&mut model, 12);
        }
        if self.one_in(40) {
            self.crash_loop(&fork, node, &mut model).map_err(context)?;
        }
        let killed = !model.power;
        let serves = if depth >= DEPTH_MAX {
            0
        } else if self.one_in(4) {
            10 + self.below(40)
        } else {
            0
        };
        let process = self.life(&fork, node, &mut model, serves, depth).map_err(context)?;
        if serves > 0 {
            self.crash(&fork, node, &mut model);
            let all_four = killed && model.power;
            self.tally.add("kill, recover, serve, power cut", u64::from(all_four));
            drop(process);
            look(number, &Autopsy::of(&fork, node).examine(&self.tally));
            self.life(&fork, node, &mut model, 0, DEPTH_MAX)
                .map_err(|e| context(format!("after another life: {e}")))?;
        }
        Ok(())
    }

    /// Starts that die early, one after the other.
    fn crash_loop(&self, world: &World, node: NodeId, model: &mut Model) -> Result<()> {
        self.tally.one("crash loop");
        for _ in 0..4 + self.below(40) {
            world.cut_after(node, 1 + self.below(60));
            // Whether it dies or comes up, nobody has looked at it.
            match self.start(world, node, model, DEPTH_MAX) {
                Ok(process) if world.is_alive(node) => {
                    self.crash(world, node, model);
                    drop(process);
                }
                Ok(_) => model.crash(true, world.now().0),
                Err(e) if world.is_alive(node) || world.fault_of(node).is_some() => {
                    return Err(format!("in a crash loop: {e}"));
                }
                Err(_) => model.crash(true, world.now().0),
            }
        }
        Ok(())
    }

    fn damaged(
        &self,
        world: &World,
        node: NodeId,
        model: &mut Model,
        examined: &Examined,
        depth: u32,
        ahead: bool,
    ) -> Result<()> {
        let mut random = self.random.borrow().clone();
        random.next();
        let done = if ahead {
            damage::flip_the_first_manifest(world, node, examined, &mut random)
        } else {
            damage::flip(world, node, model, examined, &mut random)
        };
        *self.random.borrow_mut() = random;
        let Some(done) = done else { return self.life(world, node, model, 0, depth).map(drop) };
        self.tally.one(&done.kind);
        let context = |e: String| format!("{} in {}: {e}", done.kind, done.place);
        let process = self.life(world, node, model, 0, DEPTH_MAX).map_err(context)?;
        let marked = |m: &Model| m.parts.values().filter(|p| p.incomplete).count() as u64;
        let before = marked(model);
        self.tally.add("incomplete after a bit flip", before);
        if before > 0 {
            // The mark outlives a checkpoint and the ring.
            self.crash(world, node, model);
            drop(process);
            model.excuse = done.excuse.clone();
            let process = self.start(world, node, model, DEPTH_MAX).map_err(context)?;
            self.run(world, node, &process.runtimes, |i| {
                let store = process.stores[i].clone();
                async move { store.checkpoint().await }
            })
            .map_err(context)?;
            self.crash(world, node, model);
            drop(process);
            model.excuse = done.excuse.clone();
            self.life(world, node, model, 0, DEPTH_MAX).map_err(context)?;
            self.tally.add("incomplete mark kept", marked(model));
        }
        Ok(())
    }

    /// Runs one future on each core to their ends.
    fn run<F: Future<Output = ()> + 'static>(
        &self,
        world: &World,
        node: NodeId,
        runtimes: &[Runtime],
        what: impl Fn(usize) -> F,
    ) -> Result<()> {
        let left = Rc::new(Cell::new(runtimes.len()));
        for (i, rt) in runtimes.iter().enumerate() {
            let (left, future) = (Rc::clone(&left), what(i));
            rt.spawn(async move {
                future.await;
                left.set(left.get() - 1);
            });
        }
        let ended = world.run_until(|| left.get() == 0 || !world.is_alive(node));
        self.alive(world, node)?;
        if ended { Ok(()) } else { Err("it never ends".into()) }
    }

    fn alive(&self, world: &World, node: NodeId) -> Result<()> {
        if world.is_alive(node) {
            return Ok(());
        }
        match world.fault_of(node) {
            Some(fault) => Err(format!("the process stopped: {fault}")),
            None => Err("the node died".into()),
        }
    }

    /// A process from lock to the first service.
    fn start(&self, world: &World, node: NodeId, model: &mut Model, depth: u32) -> Result<Process> {
        let s = &self.settings;
        let cores = model.cores;
        let runtimes: Vec<Runtime> = (0..cores).map(|c| world.core(node, CoreId(c))).collect();
        let opened: Rc<RefCell<BTreeMap<usize, Opened>>> = Rc::default();
        let failed: Rc<RefCell<Option<String>>> = Rc::default();
        let held: Rc<RefCell<Option<DataDir>>> = Rc::default();
        let kinds: Rc<BTreeMap<PartitionId, bool>> =
            Rc::new(model.parts.iter().map(|(id, p)| (*id, p.fsync)).collect());
        {
            let (runtimes, opened, failed, held) =
                (runtimes.clone(), Rc::clone(&opened), Rc::clone(&failed), Rc::clone(&held));
            let s = Rc::clone(s);
            runtimes[0].clone().spawn(async move {
                let data =
                    DataDir::open(&runtimes[0], Path::new(ROOT), cores, s.store.ring_bytes).await;
                let data = match data {
                    Ok(data) => data,
                    Err(e) => {
                        *failed.borrow_mut() = Some(e.to_string());
                        return;
                    }
                };
                *held.borrow_mut() = Some(data.clone());
                for (i, rt) in runtimes.iter().enumerate() {
                    let (rt, data, opened) = (rt.clone(), data.clone(), Rc::clone(&opened));
                    let (s, kinds) = (Rc::clone(&s), Rc::clone(&kinds));
                    rt.clone().spawn(async move {
                        let core = CoreId(u16::try_from(i).unwrap());
                        let config_of =
                            |id: PartitionId| s.partition(kinds.get(&id).copied().unwrap_or(true));
                        let store =
                            ringwood_store::open(&rt, &data, core, s.store.clone(), config_of)
                                .await;
                        opened.borrow_mut().insert(i, store);
                    });
                }
            });
        }
        let broken: RefCell<Option<String>> = RefCell::default();
        let cores = usize::from(cores);
        let mut seen = world.effects(node);
        // A start has some thirty effects; few images of it are enough.
        let gap = s.gap.max(4) * 5;
        let ended = world.run_until(|| {
            if depth < DEPTH_MAX && world.effects(node) != seen {
                seen = world.effects(node);
                if world.is_alive(node) && self.one_in(gap) {
                    let image = self.image(world, node, model, depth + 1, true);
                    if let Err(e) = image {
                        *broken.borrow_mut() = Some(e);
                    }
                }
            }
            opened.borrow().len() == cores
                || failed.borrow().is_some()
                || broken.borrow().is_some()
                || !world.is_alive(node)
        });
        if let Some(e) = broken.into_inner() {
            return Err(e);
        }
        self.alive(world, node)?;
        if !ended {
            return Err("start hangs".into());
        }
        if let Some(e) = failed.borrow_mut().take() {
            return Err(format!("start fails: {e}"));
        }
        let mut stores = Vec::new();
        let mut reports = Vec::new();
        for (core, result) in std::mem::take(&mut *opened.borrow_mut()) {
            let (store, report) = result.map_err(|e| format!("core {core} does not open: {e}"))?;
            self.tally.add("manifest copy lagged", u64::from(report.manifest_mended));
            self.tally.add("ring full at start", store.counters().0.checkpoints);
            stores.push(store);
            reports.push(report);
        }
        model.epoch += 1;
        let data = held.borrow_mut().take();
        let changed = data.as_ref().is_some_and(|d| d.relayout().is_some());
        self.tally.add("change of core count", u64::from(changed));
        Ok(Process { _data: data, runtimes, stores, reports })
    }

    /// Reads everything, as consumers would, and compares.
    fn show(
        &self,
        world: &World,
        node: NodeId,
        process: &Process,
        model: &mut Model,
    ) -> Result<()> {
        // The metadata knows all partitions; those without a record are made anew at each start.
        for (id, p) in &model.parts {
            if p.life == Life::Here {
                process.stores[id.owner(model.cores).index()]
                    .create(*id, self.settings.partition(p.fsync));
            }
        }
        for store in &process.stores {
            store.all_named();
        }
        let found: Rc<RefCell<BTreeMap<PartitionId, Found>>> = Rc::default();
        let most = if self.one_in(2) { 4_000 } else { 200_000 };
        let chunk = 1 + usize::try_from(self.below(most)).unwrap();
        let places = self.random.borrow_mut().next();
        self.run(world, node, &process.runtimes, |i| {
            let (store, found) = (process.stores[i].clone(), Rc::clone(&found));
            async move {
                for id in store.partitions() {
                    let mut f = read_all(&store, id, chunk).await;
                    look_up(&store, id, &mut f, places).await;
                    transactions(&store, id, &mut f).await;
                    found.borrow_mut().insert(id, f);
                }
            }
        })
        .map_err(|e| format!("while everything is read: {e}"))?;
        if std::env::var_os("RINGWOOD_CRASH_LOOK").is_some() {
            look(0, &Autopsy::of(world, node).examine(&Tally::default()));
            for r in &process.reports {
                eprintln!("{r:?}");
            }
            for (id, f) in found.borrow().iter() {
                eprintln!("found {id} {}..{} {:?}", f.start, f.end, f.incomplete);
            }
            for (id, p) in &model.parts {
                let (start, end, asked) = (p.start, p.end, &p.starts_asked);
                eprintln!("model {id} {start}..{end} {asked:?} {:?}", p.life);
            }
        }
        let taken = model.verify(&found.borrow())?;
        self.tally.add("written: acked, lost within flush.ms", taken);
        for p in model.parts.values().filter(|p| !p.txns_unknown && p.life == Life::Here) {
            self.tally.add("aborted transactions compared", p.aborted().count() as u64);
            self.tally.add("open transactions compared", p.open().count() as u64);
        }
        for store in &process.stores {
            let rebuilt = store.counters().0.txn_indexes_rebuilt;
            self.tally.add("transaction index made good from the log", rebuilt);
        }
        for report in &process.reports {
            self.tally.add("batches replayed", report.batches);
        }
        Ok(())
    }

    fn serve(
        &self,
        world: &World,
        node: NodeId,
        process: &Process,
        model: &mut Model,
        requests: u64,
        depth: u32,
    ) -> Result<()> {
        let s = &self.settings;
        let shared = Rc::new(RefCell::new(model.clone()));
        let verdict: Rc<Verdict> = Rc::default();
        let stores = Rc::new(process.stores.clone());
        let left = Rc::new(Cell::new(requests));
        let busy = Rc::new(Cell::new(s.clients * process.runtimes.len() as u64));
        for (i, rt) in process.runtimes.iter().enumerate() {
            {
                let (model, verdict, rt) = (Rc::clone(&shared), Rc::clone(&verdict), rt.clone());
                process.stores[i].observe(move |p| {
                    let now = rt.now().0;
                    let told =
                        model.borrow_mut().on_progress(p.partition, p.written, p.durable, now);
                    verdict.check(told);
                });
            }
            let clients = Rc::new(Clients {
                rt: rt.clone(),
                store: process.stores[i].clone(),
                stores: Rc::clone(&stores),
                core: CoreId(u16::try_from(i).unwrap()),
                model: Rc::clone(&shared),
                settings: Rc::clone(s),
                tally: Rc::clone(&self.tally),
                verdict: Rc::clone(&verdict),
                left: Rc::clone(&left),
                busy: Rc::clone(&busy),
                random: RefCell::new(Random::new(self.random.borrow_mut().next())),
            });
            for _ in 0..s.clients {
                rt.spawn(Rc::clone(&clients).work());
            }
        }
        let mut seen = world.effects(node);
        let (mut between_copies, mut early) = (false, false);
        let mut full_until = None;
        let fills_at = if s.fills_up && depth == 0 { self.below(requests) } else { u64::MAX };
        if s.breaks && depth == 0 {
            self.break_something(world, node);
        }
        let ended = world.run_until(|| {
            let effects = world.effects(node);
            if effects != seen && world.is_alive(node) && !verdict.is_guilty() {
                seen = effects;
                early = early || process.stores.iter().any(has_removed_strays_early);
                if full_until.is_none() && left.get() <= fills_at && fills_at != u64::MAX {
                    world.set_capacity(node, 0);
                    full_until = Some(world.now() + Duration::from_millis(5 + self.below(600)));
                }
                // Most effects are writes to the ring; the steps of a checkpoint are rarer and each worth a look.
                let last = world.last_effect(node);
                let gap = if depth == 0 { s.gap } else { s.gap.max(4) * 2 };
                if last.contains("/manifest-b") {
                    between_copies = !last.starts_with("synced");
                }
                let rare = between_copies || !last.contains("/ring-");
                let gap = if rare { (gap / 6).max(1) } else { gap };
                if self.one_in(gap) && self.images_left.get() > 0 {
                    self.count_moment(&last);
                    let model = shared.borrow();
                    if world.capacity(node) == 0 {
                        // The images have room again: a start on a full disk is another matter.
                        self.tally.one("images of a full disk");
                    }
                    verdict.check(self.image_with_room(world, node, &model, depth + 1));
                }
            }
            if full_until.is_some_and(|until| world.now() > until) {
                world.set_capacity(node, s.sim.capacity);
            }
            busy.get() == 0 || verdict.is_guilty() || !world.is_alive(node)
        });
        world.set_capacity(node, s.sim.capacity);
        self.tally.add("strays removed before a checkpoint", u64::from(early));
        if let Some(what) = verdict.take() {
            return Err(what);
        }
        world.heal_disk(node);
        if world.fault_of(node).is_some_and(|f| f.contains("os error 5")) {
            // As it should: after a failed write or flush nobody knows what the device holds.
            self.tally.one("stopped by an I/O error");
            *model = shared.borrow().clone();
            model.crash(false, world.now().0);
            return Ok(());
        }
        self.alive(world, node)?;
        if !ended {
            let state = |s: &Store| {
                format!(
                    "{:?} of the ring, full {:?}, {:?}",
                    s.ring_bytes(),
                    s.disk_full(),
                    s.counters()
                )
            };
            let states: Vec<String> = process.stores.iter().map(state).collect();
            return Err(format!("the service hangs: {states:?}"));
        }
        if self.one_in(5) {
            let closed = self.run(world, node, &process.runtimes, |i| {
                let store = process.stores[i].clone();
                async move { store.close().await }
            });
            let broken = world.fault_of(node).is_some_and(|f| f.contains("os error 5"));
            if closed.is_err() && broken && s.breaks && depth == 0 {
                // A write that was under way, and was to fail, when the disk was healed.
                self.tally.one("stopped by an I/O error");
                *model = shared.borrow().clone();
                model.crash(false, world.now().0);
                return Ok(());
            }
            closed.map_err(|e| format!("while it closes: {e}"))?;
            self.tally.one("clean stop");
        }
        for store in &process.stores {
            let (counters, journal) = store.counters();
            let t = &self.tally;
            t.add("ring wrapped", journal.wraps);
            t.add("ring file changed", journal.skips);
            t.add("flush linked to its write", journal.linked_flushes);
            t.add("flush by itself", journal.flushes - journal.linked_flushes);
            t.add("rest log rewritten", counters.rest_rewrites);
            t.add("manifest rewritten", counters.manifest_rewrites);
            t.add("checkpoints", counters.checkpoints);
            t.add("checkpoint refused by a full disk", counters.checkpoints_refused);
            t.add("cold reads of segments", counters.cold_reads);
            t.add("reads of the rest log", counters.rest_reads);
            t.add("strays removed", counters.strays);
            t.add("transaction index written", counters.txn_index_entries);
        }
        *model = shared.borrow().clone();
        Ok(())
    }

    /// One write or sync of some file will fail.
    fn break_something(&self, world: &World, node: NodeId) {
        let mut random = self.random.borrow_mut();
        world.inject(
            node,
            Injection {
                op: random.pick(&[DiskOp::Write, DiskOp::Sync]),
                path: random.pick(&["/ring-", "/ring-", "/manifest-", ".log", "/rest-"]).into(),
                after: random.below(80),
                times: 1,
                errno: 5,
            },
        );
    }

    fn image_with_room(
        &self,
        world: &World,
        node: NodeId,
        model: &Model,
        depth: u32,
    ) -> Result<()> {
        let full = world.capacity(node) == 0;
        if full {
            world.set_capacity(node, self.settings.sim.capacity);
        }
        let result = self.image(world, node, model, depth, false);
        if full {
            world.set_capacity(node, 0);
        }
        result
    }

    /// Which step of a checkpoint, or of anything else, an image comes after.
    fn count_moment(&self, effect: &str) {
        let mut words = effect.split(' ');
        let verb = words.next().unwrap_or("");
        let rest = effect.strip_prefix(verb).unwrap_or("");
        let what = if rest.contains("manifest-a.new") || rest.contains("manifest-b.new") {
            "manifest"
        } else if rest.contains("/manifest-a") {
            "manifest a"
        } else if rest.contains("/manifest-b") {
            "manifest b"
        } else if rest.contains("/rest-") {
            "rest log"
        } else if rest.contains("/ring-") {
            return;
        } else if rest.contains(".log") {
            "segment"
        } else if rest.contains(".index") {
            "index"
        } else {
            "directory"
        };
        self.tally.one(&format!("checkpoint: {verb} {what}"));
    }
}

/// Whether the search for strays has found some, and no checkpoint has come before.
fn has_removed_strays_early(store: &Store) -> bool {
    let counters = store.counters().0;
    counters.strays > 0 && counters.checkpoints == 0
}

/// What a crash has left is nothing that `ringwood storage verify` calls damage; but for a copy of the manifest that a start
/// was writing anew from the other one, if that is how far it was. How many batches it has read.
pub(crate) fn verify_offline(world: &World, node: NodeId, starting: bool) -> Result<u64> {
    let rt = world.core(node, CoreId(0));
    let it = rt.clone();
    let outcome = world.run(&rt, async move {
        let inspector = match Inspector::open(&it, Path::new(ROOT)).await {
            Ok(inspector) => inspector,
            // Power went before there was anything to look at; or another process dies for longer than it waits.
            Err(OpenError::Missing | OpenError::Locked) => return Ok(0),
            Err(e) => return Err(format!("verify does not open it: {e}")),
        };
        let mut damaged: Vec<Finding> = Vec::new();
        let note = |f: Finding| {
            if f.severity == Severity::Damage && !is_known(&f, starting) {
                damaged.push(f);
            }
        };
        let verified = inspector.verify(|_| {}, note).await;
        match damaged.first() {
            Some(f) => Err(format!("verify finds {f:?}")),
            None => Ok(verified.batches),
        }
    });
    let Outcome::Done(batches) = outcome else { return Err("verify does not end".into()) };
    batches
}

/// What an earlier damage has left of its partition, and the mark says so. Or a copy of the manifest that a start was writing
/// anew from the other one when power went, of which any part may be there: the next start does so again.
fn is_known(f: &Finding, starting: bool) -> bool {
    let marked = ["acknowledged records are missing", "marked incomplete"];
    let behind = f.place.starts_with("manifest-") && f.what.contains("it can be read up to batch");
    (starting && behind) || marked.iter().any(|words| f.what.contains(words))
}
