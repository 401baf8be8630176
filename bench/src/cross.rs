//! Round trips between two cores: our mailboxes against glommio's shared channels.
//!
//! One core sends a number, the other sends it back. With one message on its way both cores sleep and are woken for every
//! trip; with many the rings are drained in batches.

use crate::edition::Edition;
use crate::load::latency_histogram;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use ids::CoreId;
use runtime::{Capacity, Class, Mailbox, Mailboxes, Pin, Runtime, Seat, StartConfig, Tuning};
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::pin::Pin as Pinned;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// What round trips cost.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Trips {
    /// How many, of those whose time and CPU time is known.
    pub trips: u64,
    /// In how many seconds.
    pub seconds: f64,
    /// CPU seconds of the whole process meanwhile: both cores.
    pub cpu_seconds: f64,
    /// Nanoseconds of each, as the HdrHistogram project serialises them (V2).
    latency: Vec<u8>,
}

impl Trips {
    /// Nanoseconds of each.
    ///
    /// # Errors
    /// The bytes are no histogram.
    pub fn latency(&self) -> io::Result<Histogram<u64>> {
        Deserializer::new().deserialize(&mut &self.latency[..]).map_err(io::Error::other)
    }
}

/// How long the process may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes round trips in a process of its own.
///
/// # Errors
/// The process fails, or does not end in time; what it said is on the standard error.
pub fn in_a_process(program: &Path, edition: Edition, trips: u64, depth: u64) -> io::Result<Trips> {
    let child = Command::new(program)
        .args(["cross", edition.name(), "--trips", &trips.to_string()])
        .args(["--depth", &depth.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(child.wait_with_output()));
    let output = match end.recv_timeout(PATIENCE) {
        Ok(output) => output?,
        Err(_) => {
            if let Some(pid) = pid {
                kill_process(pid, Signal::KILL)?;
            }
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{edition} is stuck")));
        }
    };
    if !output.status.success() {
        return Err(io::Error::other(format!("{edition}: {}", output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(io::Error::other)
}

/// Makes round trips in this process, after a tenth of them to warm up.
///
/// # Errors
/// The edition has no cores to cross, or cannot be started.
pub fn trips(edition: Edition, trips: u64, depth: u64) -> io::Result<Trips> {
    let note = Arc::new(Mutex::new(Note {
        latency: latency_histogram()?,
        warm_up: trips / 10,
        begun: None,
        ended: None,
    }));
    let noted = Arc::clone(&note);
    let all = trips + trips / 10;
    let each = move |ns| noted.lock().unwrap_or_else(PoisonError::into_inner).trip(ns);
    match edition {
        Edition::Reactor => mailboxes(all, depth, each)?,
        Edition::Glommio => shared_channels(all, depth, each)?,
        Edition::ReactorPlain | Edition::Epoll | Edition::Broker => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{edition} has no way of its own to cross cores"),
            ));
        }
    }
    let note = note.lock().unwrap_or_else(PoisonError::into_inner);
    let (Some(begun), Some((ended, trips))) = (note.begun, note.ended) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too few trips to measure"));
    };
    let mut latency = Vec::new();
    V2Serializer::new().serialize(&note.latency, &mut latency).map_err(io::Error::other)?;
    Ok(Trips {
        trips,
        seconds: (ended.0 - begun.0).as_secs_f64(),
        cpu_seconds: (ended.1 - begun.1).as_secs_f64(),
        latency,
    })
}

/// What the near core notes. Its lock is never contended: only that core takes it.
struct Note {
    latency: Histogram<u64>,
    warm_up: u64,
    /// Time and CPU time.
    begun: Option<(Instant, Duration)>,
    /// The same at the latest look at the clocks, and how many trips there were.
    ended: Option<((Instant, Duration), u64)>,
}

impl Note {
    fn trip(&mut self, ns: u64) {
        if self.warm_up > 0 {
            self.warm_up -= 1;
            return;
        }
        if self.begun.is_none() {
            self.begun = Some((Instant::now(), cpu()));
            return;
        }
        self.latency.saturating_record(ns.max(1));
        // Reading the CPU clock is a system call: now and then is enough, the last trips may lie beyond.
        if self.latency.len().is_multiple_of(256) {
            self.ended = Some(((Instant::now(), cpu()), self.latency.len()));
        }
    }
}

/// CPU time of this process.
#[must_use]
pub fn cpu() -> Duration {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

type Main = Box<dyn FnOnce(Runtime) -> Pinned<Box<dyn Future<Output = ()>>> + Send>;

fn mailboxes(trips: u64, depth: u64, note: impl FnMut(u64) + Send + 'static) -> io::Result<()> {
    let mailboxes = Mailboxes::new(2, 0)?;
    let mut seats = mailboxes.open::<u64>(Capacity::default()).into_iter();
    let (Some(near), Some(far)) = (seats.next(), seats.next()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let tuning = Tuning { mailboxes: Some(mailboxes), ..Tuning::default() };
    let config = StartConfig { memory_limit: 16 << 20, pin: Pin::Always, tuning };
    let mains: Vec<Main> = vec![
        Box::new(move |rt| Box::pin(ping(rt, near, trips, depth, note))),
        Box::new(move |rt| Box::pin(echo(rt, far, trips))),
    ];
    runtime::start(&config, mains)?.join()
}

async fn ping(rt: Runtime, seat: Seat<u64>, trips: u64, depth: u64, mut note: impl FnMut(u64)) {
    let mailbox: Mailbox<u64> = rt.mailbox(seat);
    let (mut sent, mut begun) = (0, VecDeque::new());
    for received in 0..trips {
        while sent < trips && sent < received + depth {
            begun.push_back(Instant::now());
            mailbox.send(CoreId(1), Class::Data, sent).await;
            sent += 1;
        }
        let (_, message) = mailbox.recv().await;
        assert_eq!(message, received, "messages of one class keep their order");
        if let Some(since) = begun.pop_front() {
            note(u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
    }
}

async fn echo(rt: Runtime, seat: Seat<u64>, trips: u64) {
    let mailbox: Mailbox<u64> = rt.mailbox(seat);
    for _ in 0..trips {
        let (from, message) = mailbox.recv().await;
        mailbox.send(from, Class::Data, message).await;
    }
}

#[cfg(feature = "glommio")]
fn shared_channels(
    trips: u64,
    depth: u64,
    note: impl FnMut(u64) + Send + 'static,
) -> io::Result<()> {
    let all = core_affinity::get_core_ids().unwrap_or_default();
    let processor = |i: usize| all.get(i).or(all.first()).map_or(0, |c| c.id);
    bench_glommio::cross(trips, depth, [processor(0), processor(1)], note)
}

#[cfg(not(feature = "glommio"))]
fn shared_channels(_: u64, _: u64, _: impl FnMut(u64) + Send + 'static) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, crate::edition::NO_GLOMMIO))
}
