//! Which server meets which load.
//!
//! In every round each server is started anew, meets every shape (produce, then fetch of what it has just taken), and is
//! stopped; the order is A B C, A B C, so that a slow minute of the machine hits all. Then each is started once more to have
//! its system calls counted.

use crate::edition::Edition;
use crate::load::{Frames, Measured, Operation, Shape, Until, batch_of, latency_histogram, load};
use crate::server::{Server, Setup, Used};
use crate::syscalls;
use bench_core::TOPIC;
use hdrhistogram::Histogram;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// What is compared, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The servers, in the order of a round.
    pub editions: Vec<Edition>,
    /// The loads.
    pub shapes: Vec<Shape>,
    /// How often each server meets each load.
    pub rounds: u32,
    /// Not measured, at the beginning of each load.
    pub warm_up: Duration,
    /// Measured, of each load.
    pub measured: Duration,
    /// Requests during which system calls are counted; 0 leaves that out.
    pub counted: u64,
}

impl Plan {
    /// Partitions that the topic needs: each connection of each shape has its own.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.shapes.iter().map(|shape| shape.connections).sum()
    }
}

/// What one server did under one load in one round.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// CPU time of the server per request, in microseconds.
    pub cpu_us: f64,
    /// Requests per second.
    pub per_second: f64,
}

/// A line of the table: one server under one load.
#[derive(Clone, Debug)]
pub struct Line {
    /// Which server.
    pub edition: Edition,
    /// Which load.
    pub shape: Shape,
    /// Which request.
    pub operation: Operation,
    /// Round by round.
    pub rounds: Vec<Round>,
    /// Of all rounds, merged by addition.
    pub latency: Histogram<u64>,
    /// The kernel's part of the CPU time, of all rounds.
    pub kernel: Ticks,
    /// System calls per request, or why they were not counted.
    pub syscalls: Result<f64, String>,
}

/// Clock ticks of the kernel and in all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ticks {
    system: u64,
    all: u64,
}

impl Ticks {
    /// The kernel's share, if there were ticks at all.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        (self.all > 0).then(|| self.system as f64 / self.all as f64)
    }
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Shape by shape, produce before fetch, servers in the plan's order.
    pub lines: Vec<Line>,
    /// What each server said of itself.
    pub facts: Vec<(Edition, String)>,
}

/// Carries the plan out. `tell` hears what is being done.
///
/// # Errors
/// A server cannot be started, is stuck, or answers wrongly.
pub fn compare(plan: &Plan, setup: &Setup, tell: &dyn Fn(&str)) -> io::Result<Comparison> {
    let mut comparison = Comparison { lines: Vec::new(), facts: Vec::new() };
    for &shape in &plan.shapes {
        for operation in [Operation::Produce, Operation::Fetch] {
            for &edition in &plan.editions {
                comparison.lines.push(Line {
                    edition,
                    shape,
                    operation,
                    rounds: Vec::new(),
                    latency: latency_histogram()?,
                    kernel: Ticks::default(),
                    syscalls: Err("not asked for".to_owned()),
                });
            }
        }
    }
    for round in 1..=plan.rounds {
        for &edition in &plan.editions {
            tell(&format!("round {round} of {}: {edition}", plan.rounds));
            let server = Server::start(edition, setup)?;
            if round == 1 {
                comparison.facts.push((edition, server.facts().to_owned()));
            }
            let until = Until::Elapsed { warm_up: plan.warm_up, measured: plan.measured };
            let lines = comparison.lines.iter_mut().filter(|line| line.edition == edition);
            each_load(plan, server.address(), lines, |line, load| {
                let mut marks = Vec::new();
                let measured = load(until, &mut || {
                    marks.push(server.used()?);
                    Ok(())
                })?;
                line.note(&measured, &marks)?;
                Ok(measured)
            })?;
        }
    }
    if plan.counted > 0 {
        for &edition in &plan.editions {
            tell(&format!("system calls: {edition}"));
            let server = Server::start(edition, setup)?;
            let lines = comparison.lines.iter_mut().filter(|line| line.edition == edition);
            each_load(plan, server.address(), lines, |line, load| {
                let counted = Until::Requests(plan.counted.max(line.shape.connections as u64 * 64));
                let scratch = &setup.directory;
                match syscalls::count(server.pid(), scratch, || load(counted, &mut || Ok(()))) {
                    Ok((calls, measured)) => {
                        line.syscalls = Ok(calls as f64 / measured.requests.max(1) as f64);
                        Ok(measured)
                    }
                    Err(why) => {
                        line.syscalls = Err(why.to_string());
                        load(counted, &mut || Ok(()))
                    }
                }
            })?;
        }
    }
    Ok(comparison)
}

/// A load that is ready to run.
type Load<'a> = &'a dyn Fn(Until, &mut dyn FnMut() -> io::Result<()>) -> io::Result<Measured>;

/// Gives `meet` every line of one server with its load. A fetch reads what the produce before it has written.
fn each_load<'l>(
    plan: &Plan,
    address: SocketAddr,
    lines: impl Iterator<Item = &'l mut Line>,
    mut meet: impl FnMut(&mut Line, Load<'_>) -> io::Result<Measured>,
) -> io::Result<()> {
    let mut written = Vec::new();
    for line in lines {
        let shape = line.shape;
        let before = plan.shapes.iter().take_while(|s| **s != shape).map(|s| s.connections);
        let first = before.sum::<usize>();
        let batch = batch_of(shape.bytes, 7).map_err(io::Error::other)?;
        let mut frames = Vec::with_capacity(shape.connections);
        for connection in 0..shape.connections {
            let partition = i32::try_from(first + connection).map_err(io::Error::other)?;
            let made = match line.operation {
                Operation::Produce => Frames::produce(TOPIC, partition, &batch),
                Operation::Fetch => {
                    // Recent enough to be in memory: 8 MiB of each partition at most.
                    let end = written.get(connection).copied().unwrap_or(0);
                    let window = ((8 << 20) / batch.len() as u64).clamp(1, 512);
                    let end = i64::try_from(end).map_err(io::Error::other)?;
                    let start = (end - window.cast_signed()).max(0);
                    Frames::fetch(TOPIC, partition, start..end, batch.len())
                }
            };
            frames.push(made.map_err(io::Error::other)?);
        }
        let run = |until: Until, mark: &mut dyn FnMut() -> io::Result<()>| {
            load(address, frames.clone(), shape.in_flight, until, mark)
        };
        let measured = meet(line, &run).map_err(|e| {
            let Line { edition, operation, .. } = line;
            io::Error::new(e.kind(), format!("{edition}, {shape} {operation}: {e}"))
        })?;
        if line.operation == Operation::Produce {
            written = measured.answered;
        }
    }
    Ok(())
}

impl Line {
    fn note(&mut self, measured: &Measured, marks: &[Used]) -> io::Result<()> {
        let [before, after] = marks else {
            return Err(io::Error::other("the load ended before it could be measured"));
        };
        let requests = measured.requests.max(1) as f64;
        self.rounds.push(Round {
            cpu_us: after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / requests,
            per_second: measured.requests as f64 / measured.elapsed.as_secs_f64().max(1e-9),
        });
        self.latency.add(&measured.latency).map_err(io::Error::other)?;
        self.kernel.system += after.system_ticks - before.system_ticks;
        self.kernel.all += after.all_ticks - before.all_ticks;
        Ok(())
    }
}
