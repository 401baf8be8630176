//! The handle that tasks hold, and the loop of a core.

use crate::buffer::Memory;
use crate::clock::Counter;
use crate::counters::{Counters, Meters};
use crate::disk::{Disk, HeldLock, Names};
use crate::driver::{Bells, Driver, Wait};
use crate::executor::Executor;
use crate::loan::{Home, Loan};
use crate::mailbox::bell::Bell;
use crate::mailbox::{Inbox, Mailboxes};
use crate::net::Net;
use crate::probe::{Features, WhyNot};
use crate::sim::SimCore;
use crate::witness::{Delays, Witness};
use ids::{CoreId, Instant, Timestamp};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tasks polled before completions are looked at again.
const BATCH: usize = 256;
/// Completions are looked at again after this long at the latest, or after the task that took longer.
const TURN: Duration = Duration::from_micros(500);

/// What a core is started with.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Which core of the node this is.
    pub core: CoreId,
    /// Budget for buffers, in bytes.
    pub memory_limit: usize,
    /// Pin the thread to this processor.
    pub pin: Option<usize>,
}

/// Who carries out what the tasks ask for.
pub(crate) enum Backend {
    Real(Driver),
    Sim(Rc<SimCore>),
}

pub(crate) struct Inner {
    core: CoreId,
    pub(crate) executor: Executor,
    pub(crate) backend: Backend,
    pub(crate) memory: Memory,
    /// Where what this core has lent comes back to.
    home: Arc<Home>,
    /// Who carries out system calls about names.
    pub(crate) names: Names,
    pub(crate) meters: Rc<Meters>,
    witness: Witness,
    now: Cell<Instant>,
    counter: Counter,
    random: Cell<u64>,
    inboxes: RefCell<Vec<Weak<dyn Inbox>>>,
    /// The bells of this node, and which of them is this core's: a core that is alone has one of its own.
    bells: RefCell<Option<Bells>>,
    has_mailboxes: Cell<bool>,
}

impl Inner {
    pub(crate) fn new(
        core: CoreId,
        backend: Backend,
        memory: Memory,
        now: Instant,
        seed: u64,
    ) -> Rc<Self> {
        Rc::new(Self {
            core,
            executor: Executor::new(),
            backend,
            memory,
            home: Home::new(),
            names: Names::new(core),
            meters: Rc::default(),
            witness: Witness::default(),
            now: Cell::new(now),
            counter: Counter::new(),
            random: Cell::new(seed),
            inboxes: RefCell::default(),
            bells: RefCell::default(),
            has_mailboxes: Cell::new(false),
        })
    }

    pub(crate) fn set_now(&self, now: Instant) {
        self.now.set(now);
    }

    /// Lets those go on for whom mail has come, or room for mail; whether there are any.
    pub(crate) fn check_mail(&self) -> bool {
        let mut any = false;
        for inbox in self.inboxes.borrow().iter().filter_map(Weak::upgrade) {
            any |= inbox.check();
        }
        any
    }

    /// A mailbox of this core.
    pub(crate) fn add_inbox(&self, inbox: Weak<dyn Inbox>) {
        let simulated = matches!(self.backend, Backend::Sim(_));
        assert!(simulated || self.has_mailboxes.get(), "a core without `Tuning::mailboxes`");
        let mut inboxes = self.inboxes.borrow_mut();
        inboxes.retain(|i| i.strong_count() > 0);
        inboxes.push(inbox);
    }

    /// Wakes the owner of bell `to`, if it sleeps and needs it.
    pub(crate) fn ring(&self, bells: &[Bell], to: usize) {
        if !bells[to].must_wake() {
            return;
        }
        match &self.backend {
            Backend::Real(driver) => driver.nudge(to),
            Backend::Sim(_) => bells[to].strike(),
        }
    }

    /// Lets the backend work, and sleep until something happens if nothing can go on.
    fn wait(&self, idle: bool) {
        let bell = self.bells.borrow().clone();
        let mut wait = Wait::Not;
        if idle {
            self.home.set_hungry(self.memory.is_short());
            if let Some((bells, me)) = &bell {
                bells[*me].fall_asleep();
            }
            if !self.check_mail() && !self.home.collect() && !self.names.collect() {
                wait = match self.executor.next_deadline() {
                    None => Wait::Forever,
                    Some(at) => match at.since(self.clock()) {
                        Duration::ZERO => Wait::Not,
                        d => Wait::For(d),
                    },
                };
            }
        }
        if !matches!(wait, Wait::Not) {
            self.meters.wake_ups.count(0);
        }
        match &self.backend {
            Backend::Real(driver) => driver.turn(wait),
            Backend::Sim(_) => {}
        }
        if idle && let Some((bells, me)) = &bell {
            bells[*me].wake_up();
        }
    }

    /// Whether a task can go on.
    pub(crate) fn is_ready(&self) -> bool {
        self.executor.is_ready()
    }

    /// The time at this very moment, unlike [`Runtime::now`].
    fn clock(&self) -> Instant {
        match &self.backend {
            Backend::Real(_) => Instant(clock(libc::CLOCK_MONOTONIC)),
            Backend::Sim(core) => core.now(),
        }
    }
}

/// One core's world. A cheap handle that never leaves its thread.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) inner: Rc<Inner>,
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is ours; these clocks exist on every Linux.
    unsafe { libc::clock_gettime(id, &raw mut t) };
    u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}

fn seed() -> u64 {
    kernel_random().unwrap_or(0) ^ clock(libc::CLOCK_REALTIME)
}

/// `None` where the kernel refuses: getrandom(2) is forbidden, or was interrupted before the pool was ready.
fn kernel_random() -> Option<u64> {
    let mut bytes = [0u8; 8];
    // SAFETY: eight bytes of ours.
    let n = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    (usize::try_from(n) == Ok(bytes.len())).then(|| u64::from_le_bytes(bytes))
}

/// Which backend carries out the work of a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Io {
    /// io_uring where the kernel allows it, otherwise portable; [`Runtime::features`] tells.
    #[default]
    Auto,
    /// io_uring, or an error.
    Uring,
    /// Readiness and a few file threads.
    Portable,
}

/// When sends leave the copy out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroCopy {
    /// From 16 KiB on, to other machines.
    #[default]
    Auto,
    /// From 16 KiB on, to everyone: for tests.
    Always,
    /// Never.
    Never,
}

/// What a core is made of, beyond what every core must say.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Which backend.
    pub io: Io,
    /// Receive buffers that all connections of the core share: so many (a power of two) ...
    pub receive_buffers: u16,
    /// ... of so many bytes.
    pub receive_bytes: usize,
    /// When sends leave the copy out.
    pub zero_copy: ZeroCopy,
    /// Register large blocks with the kernel, as far as memory may be locked.
    pub fixed_buffers: bool,
    /// Entries of the submission queue; the completion queue has eight times as many.
    pub entries: u32,
    /// The post between the cores of this node.
    pub mailboxes: Option<Mailboxes>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            io: Io::Auto,
            receive_buffers: 64,
            receive_bytes: 64 << 10,
            zero_copy: ZeroCopy::Auto,
            fixed_buffers: true,
            entries: 512,
            mailboxes: None,
        }
    }
}

/// How long the end of a core waits for the kernel to let go of everything.
const DRAIN: Duration = Duration::from_secs(30);

/// Runs a core on this thread until `main`'s future has resolved, then until the kernel has let go of every operation.
///
/// # Errors
/// No backend can be made; with [`Io::Uring`] the error says why the kernel refuses.
pub fn run<T, F>(config: &RuntimeConfig, main: impl FnOnce(Runtime) -> F) -> io::Result<T>
where
    T: 'static,
    F: Future<Output = T> + 'static,
{
    run_with(config, &Tuning::default(), main)
}

/// As [`run`], with everything that can be chosen.
///
/// # Errors
/// As [`run`].
pub fn run_with<T, F>(
    config: &RuntimeConfig,
    tuning: &Tuning,
    main: impl FnOnce(Runtime) -> F,
) -> io::Result<T>
where
    T: 'static,
    F: Future<Output = T> + 'static,
{
    #[cfg(feature = "faults")]
    crate::faults::from_environment()?;
    if let Some(id) = config.pin {
        core_affinity::set_for_current(core_affinity::CoreId { id });
    }
    let bells = match &tuning.mailboxes {
        Some(mailboxes) => (mailboxes.bells(), config.core.index()),
        None => (Arc::new(vec![Bell::new()?]), 0),
    };
    let memory = Memory::new(config.memory_limit);
    let driver = Driver::new(config.core, tuning, Some(bells.clone()))?;
    driver.adopt(&memory);
    let now = Instant(clock(libc::CLOCK_MONOTONIC));
    let inner = Inner::new(config.core, Backend::Real(driver), memory, now, seed());
    inner.home.set_bells(bells.clone());
    inner.names.set_bells(bells.clone());
    inner.has_mailboxes.set(tuning.mailboxes.is_some());
    *inner.bells.borrow_mut() = Some(bells);
    let rt = Runtime { inner };
    let result: Rc<Cell<Option<T>>> = Rc::new(Cell::new(None));
    let out = Rc::clone(&result);
    let main = main(rt.clone());
    rt.spawn(async move { out.set(Some(main.await)) });
    let value = loop {
        rt.inner.meters.turns.count(0);
        rt.inner.check_mail();
        rt.inner.home.collect();
        rt.inner.names.collect();
        let until = rt.now() + TURN;
        let more = rt.inner.executor.run(BATCH, || rt.clock() >= until);
        if let Some(value) = result.take() {
            break value;
        }
        rt.inner.witness.turn(rt.clock().since(rt.now()));
        rt.inner.wait(!more);
        rt.tick();
        rt.inner.executor.fire(rt.now());
    };
    rt.inner.executor.close();
    match &rt.inner.backend {
        Backend::Real(driver) => driver.drain(DRAIN),
        Backend::Sim(_) => {}
    }
    rt.inner.names.close(DRAIN);
    Ok(value)
}

impl Runtime {
    fn tick(&self) {
        let now = self.inner.clock();
        self.inner.set_now(now);
        self.inner.counter.on_turn(now);
    }

    /// Which core this is.
    #[must_use]
    pub fn core(&self) -> CoreId {
        self.inner.core
    }

    /// The time at the beginning of this turn.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.inner.now.get()
    }

    /// The time at this very moment, unlike [`Runtime::now`]: for measuring. Usually a few instructions, where the processor has
    /// a steady counter; never earlier than the beginning of this turn.
    #[must_use]
    #[inline]
    pub fn clock(&self) -> Instant {
        // A simulated core's counter never gets a rate.
        self.inner.counter.now().unwrap_or_else(|| self.inner.clock())
    }

    /// Wall-clock time.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        if let Backend::Sim(core) = &self.inner.backend {
            // Some evening in November 2023.
            let ms = i64::try_from(core.now().0 / 1_000_000).unwrap_or(0);
            return Timestamp(1_700_000_000_000 + ms);
        }
        let d = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
    }

    /// The core's memory for buffers.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.inner.memory
    }

    /// Lends bytes of this core to another one: to read them, to send them, and to drop the loan, wherever it is by then.
    #[must_use]
    pub fn lend<B: std::ops::Deref<Target = [u8]> + 'static>(&self, bytes: B) -> Loan {
        Loan::new(&self.inner.home, bytes)
    }

    /// Sixty-four random bits, for identifiers. They are the kernel's: some identifiers are shown to clients and others must not
    /// be guessed by them, and one number of a small generator tells all others. A simulated core has a generator, so that a
    /// seed replays a run.
    #[must_use]
    pub fn random(&self) -> u64 {
        if matches!(self.inner.backend, Backend::Real(_))
            && let Some(bits) = kernel_random()
        {
            return bits;
        }
        // splitmix64 (Steele, Lea, Flood 2014) over a seed of the kernel.
        let s = self.inner.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.inner.random.set(s);
        let z = (s ^ (s >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Starts a task. It is polled first after everything that can go on already.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.inner.executor.spawn(task);
    }

    /// Resolves after `d`.
    pub fn sleep(&self, d: Duration) -> Sleep {
        self.sleep_until(self.inner.clock() + d)
    }

    /// Resolves at `at`.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep { rt: self.clone(), at, key: None }
    }

    /// Lets everything else that can go on come first.
    pub fn yield_now(&self) -> Yield {
        Yield { yielded: false }
    }

    /// Files.
    #[must_use]
    pub fn disk(&self) -> Disk {
        Disk::new(Rc::clone(&self.inner))
    }

    /// Sockets.
    #[must_use]
    pub fn net(&self) -> Net {
        Net::new(Rc::clone(&self.inner))
    }

    /// Something after which nobody may be told anything any more: says what, and stops the process.
    pub fn fault(&self, what: String) -> ! {
        if let Backend::Sim(core) = &self.inner.backend {
            core.fault(what);
        }
        crate::tell!("fault on core {}: {what}; the process stops", self.inner.core.0);
        std::process::abort();
    }

    /// Holds on to a lock that another core of this process has taken: the kernel keeps it until the last write of this core,
    /// too, has ended. Whether it does.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn hold_lock(&self, lock: &HeldLock) -> io::Result<bool> {
        match &self.inner.backend {
            Backend::Real(driver) => {
                let fd = Rc::new(lock.fd()?);
                Ok(driver.hold_file(&fd).is_some())
            }
            Backend::Sim(_) => Ok(true),
        }
    }

    /// What this core runs on, for the operator.
    #[must_use]
    pub fn features(&self) -> Features {
        match &self.inner.backend {
            Backend::Real(driver) => driver.features(),
            Backend::Sim(_) => Features {
                backend: "sim",
                why_not_uring: Some(WhyNot::NotAsked),
                kernel: "simulated".to_owned(),
                zero_copy_send: false,
                fixed_bytes: Some(0),
                lock_outlives_writes: true,
            },
        }
    }

    /// Bytes of buffers that are registered with the kernel now.
    #[must_use]
    pub fn fixed_bytes(&self) -> usize {
        match &self.inner.backend {
            Backend::Real(driver) => driver.fixed_bytes(),
            Backend::Sim(_) => 0,
        }
    }

    /// How often this core has entered the kernel to wait, or to hand over what it wants done.
    #[must_use]
    pub fn enters(&self) -> u64 {
        match &self.inner.backend {
            Backend::Real(driver) => driver.enters(),
            Backend::Sim(_) => 0,
        }
    }

    /// What has kept this core from its work so far.
    #[must_use]
    pub fn delays(&self) -> Delays {
        self.inner.witness.read(matches!(self.inner.backend, Backend::Real(_)))
    }

    /// The longest turn of the core's loop since this was last asked.
    #[must_use]
    pub fn take_longest_turn(&self) -> Duration {
        self.inner.witness.take_longest()
    }

    /// How many timers this core has set so far.
    #[must_use]
    pub fn timers_set(&self) -> u64 {
        self.inner.executor.timers_set()
    }

    /// How often a task of this core has been polled: as long as it stays the same, nothing else has had a turn.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.inner.executor.polls()
    }

    /// What this core has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let (busy, zero_copy, entries, copied) = match &self.inner.backend {
            Backend::Real(driver) => {
                let busy = Duration::from_nanos(clock(libc::CLOCK_THREAD_CPUTIME_ID));
                (busy, driver.zero_copy(), driver.entries(), driver.receives_copied())
            }
            Backend::Sim(_) => (Duration::ZERO, (0, 0), (0, 0), 0),
        };
        self.inner.meters.read(busy, zero_copy, entries, copied)
    }

    /// Whether the process still runs: false only in a simulated world, on a handle whose node has died.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match &self.inner.backend {
            Backend::Real(_) => true,
            Backend::Sim(core) => core.is_alive(),
        }
    }
}

/// See [`Runtime::sleep`].
pub struct Sleep {
    rt: Runtime,
    at: Instant,
    key: Option<(Instant, u64)>,
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.rt.now();
        if let Some(key) = self.key.take() {
            // Polled for something else: it stays where it is.
            if now < self.at && self.rt.inner.executor.timer_wakes(key, cx.waker()) {
                self.key = Some(key);
                return Poll::Pending;
            }
            self.rt.inner.executor.remove_timer(key);
        }
        if now >= self.at {
            return Poll::Ready(());
        }
        let key = self.rt.inner.executor.add_timer(self.at, cx.waker().clone());
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.rt.inner.executor.remove_timer(key);
        }
    }
}

/// See [`Runtime::yield_now`].
#[derive(Debug)]
pub struct Yield {
    yielded: bool,
}

impl Future for Yield {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
