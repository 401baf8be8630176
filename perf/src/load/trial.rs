//! One repeat: connect, warm up, measure, drain, add up.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use record::{Compressor, Decompressor};

use super::{
    backlog,
    batches::Batches,
    clock::Clock,
    collector::{Collector, News},
    consumer::{self, Consumed, Consumer, Desk, Goal},
    earlier,
    effort::Effort,
    lateness::Lateness,
    links::Links,
    meter::Meter,
    plan::{Acks, Plan},
    producer::{self, Produced, Producer, Shop, Source},
    target::Target,
    window::Window,
};
use crate::{
    failure::Failure,
    hlog::Interval,
    latency::{Kind, Latencies},
    machine::{Meanwhile, Usage, Used, Whole},
    random::Random,
    run,
    schedule::{Arrival, Schedule, Stage},
    spec::{Quantile, RateSpec},
    verify::{Checker, Ledger, Reach, Verdict},
};

/// What a trial came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its numbers.
    pub repeat: run::Repeat,
    /// Its seconds, counted from the run's start.
    pub intervals: Vec<Interval>,
    /// The same as lines of the timeline, without the header.
    pub timeline: Vec<String>,
    /// Latencies of all stages.
    pub total: Latencies,
    /// The median of the response in each measured second, where it carries one, nanoseconds.
    pub medians: Vec<u64>,
    /// Share of the time in which the in-flight bound held ready work back.
    pub saturated: f64,
}

/// Between the last preparation and the first due record: every thread is up by then.
const LEAD: u64 = 50_000_000;

/// Runs one repeat of the plan. `number` counts the repeats; `started` is the run's start on `clock`; `tell` is called about each second,
/// when there is something to see of it and when it is over.
///
/// # Errors
/// The brokers cannot be reached, or the plan asks for what cannot be.
pub fn trial(
    plan: &Arc<Plan>,
    target: &Arc<Target>,
    clock: Clock,
    started: u64,
    number: u64,
    tell: &mut dyn FnMut(News<'_>),
) -> Result<Outcome, Failure> {
    // Random choices repeat with the seed; the run's number does not, so that old records are not taken for new ones.
    let run = Random::new(clock.now() ^ plan.seed).next_u64() as u32;
    let leaders = target.leaders()?;
    let first = if plan.from_start { -2 } else { -1 };
    let is_asked = plan.consumers > 0 || plan.backlog_bytes > 0;
    let positions = if is_asked { target.offsets(first)? } else { Vec::new() };
    let before = clock.now();
    let backlog = if plan.backlog_bytes > 0 {
        let behind = if plan.from_start { target.offsets(-1)? } else { positions.clone() };
        backlog::fill(plan, target, &leaders, clock, run ^ 0x5555_5555, &behind)?
    } else if plan.from_start {
        target.offsets(-1)?
    } else {
        Vec::new()
    };
    // Where this run's own records begin.
    let begin = if backlog.is_empty() { positions.clone() } else { backlog.clone() };
    let earlier = if plan.verify { earlier::of(target.topics()) } else { Arc::default() };
    let filled = clock.now() - before;
    let links = |idempotent| Links::connect(target, &leaders, idempotent);
    let producer_links: Vec<Links> =
        (0..plan.producers).map(|_| links(plan.idempotent)).collect::<Result<_, _>>()?;
    let consumer_links: Vec<Links> =
        (0..plan.consumers * plan.groups).map(|_| links(false)).collect::<Result<_, _>>()?;

    // Values, templates and buffers are made before the clock of the run starts.
    let even = matches!(plan.arrival, Arrival::Constant) || plan.rate == RateSpec::Max;
    let mut batches = Vec::new();
    for producer in 0..plan.producers {
        let stream = Random::stream(plan.seed, number << 32 | u64::from(producer));
        batches.push(Batches::new(plan, producer, run, even, stream)?);
    }
    let mut accounts = Accounts { processes: target.processes(), ..Accounts::default() };
    let t0 = clock.now() + LEAD;
    let (all, window) = stages(plan, t0);
    let window = Arc::new(Window::new(window));
    let (sender, reports) = mpsc::channel();
    let timeout = plan.timeout.as_nanos() as u64;
    let deadline = window.end() + plan.drain.as_nanos() as u64;
    let meter = |worker: usize| Meter::new(worker, Arc::clone(&window), sender.clone(), timeout);

    let mut hands: Vec<Vec<Producer>> = Vec::new();
    hands.resize_with(plan.threads.clamp(1, plan.producers.max(1) as usize), Vec::new);
    let workers = hands.len();
    for (at, (batches, links)) in batches.into_iter().zip(producer_links).enumerate() {
        let source = match plan.rate {
            RateSpec::Max => Source::Max { until: window.end(), bytes_left: u64::MAX },
            RateSpec::Stages(_) => {
                let random = Random::stream(plan.seed, number << 32 | 1 << 31 | at as u64);
                let of = u64::from(plan.producers);
                Source::Schedule(Schedule::new(all.clone(), plan.arrival, at as u64, of, random))
            }
        };
        hands[at % workers].push(Producer::new(at as u32, source, batches, links));
    }
    // Nobody asks where nobody reads.
    let asked = if plan.consumers > 0 && plan.is_timed() { target.partitions() } else { 0 };
    let lateness = Arc::new(Lateness::of(asked as usize));
    let goal = Arc::new(OnceLock::new());
    let caught_up_seats = Arc::new(AtomicUsize::new(0));
    let mut seats: Vec<Vec<Consumer>> = Vec::new();
    if !consumer_links.is_empty() {
        seats.resize_with(plan.threads.clamp(1, consumer_links.len()), Vec::new);
    }
    let seat_count = seats.len();
    for (at, links) in consumer_links.into_iter().enumerate() {
        let member = at as u32 % plan.consumers;
        let mine = (0..target.partitions())
            .filter(|partition| partition % plan.consumers == member)
            .map(|partition| (partition, positions[partition as usize]));
        seats[at % seat_count].push(Consumer::new(mine, &earlier, links));
    }
    let offset = Duration::from_nanos(window.begin().saturating_sub(started));
    let mut collector =
        Collector::new(workers + seat_count, target_rate(plan), plan.duration, offset);
    let mut consuming: Vec<JoinHandle<Consumed>> = Vec::new();
    for (at, consumers) in seats.into_iter().enumerate() {
        let desk = Desk {
            plan: Arc::clone(plan),
            target: Arc::clone(target),
            clock,
            meter: meter(workers + at),
            goal: Arc::clone(&goal),
            run,
            backlog: backlog.clone(),
            caught_up: Arc::clone(&caught_up_seats),
            decompressor: Decompressor::new(),
            lateness: Arc::clone(&lateness),
        };
        consuming.push(spawn("consumer", at, move || consumer::work(consumers, desk))?);
    }
    let mut producing: Vec<JoinHandle<Produced>> = Vec::new();
    for (at, producers) in hands.into_iter().enumerate() {
        let shop = Shop {
            lateness: Arc::clone(&lateness),
            ..shop(plan, target, clock, meter(at), deadline)
        };
        producing.push(spawn("producer", at, move || producer::work(producers, shop))?);
    }
    drop(sender);

    let mut finished: Option<Finished> = None;
    while collector.collect(&reports, accounts.patience(clock.now(), &window)) {
        let all_read = seat_count > 0 && caught_up_seats.load(Ordering::Relaxed) == seat_count;
        accounts.tick(clock.now(), &window, all_read);
        if let Some(second) = collector.live() {
            tell(News::Live(&second));
        }
        collector.close(&mut |interval| tell(News::Over(interval)));
        if finished.is_none() && producing.iter().all(JoinHandle::is_finished) {
            finished = Some(finish(std::mem::take(&mut producing), plan, &begin, &goal, clock)?);
        }
    }
    let finished = match finished {
        Some(finished) => finished,
        None => finish(producing, plan, &begin, &goal, clock)?,
    };
    let mut efforts = finished.efforts;
    let mut read = Vec::new();
    let mut caught_up = Vec::new();
    for handle in consuming {
        let consumed =
            handle.join().map_err(|_| Failure::Local("a consumer thread died".into()))?;
        efforts.push(consumed.effort);
        caught_up.push(consumed.caught_up_at);
        read.extend(consumed.read);
    }
    if plan.consumers > 0 && plan.is_timed() {
        miss(plan, &window, &mut collector, clock.now());
    }
    collector.close_all(&mut |interval| tell(News::Over(interval)));
    let verdict = plan.verify.then(|| check(read, &finished.ledger, target, run));
    let caught_up: Option<Vec<u64>> = caught_up.into_iter().collect();
    let backlog_seconds = caught_up
        .filter(|_| !backlog.is_empty())
        .and_then(|times| times.into_iter().max())
        .map(|at| at.saturating_sub(t0) as f64 / 1e9);
    let connections = f64::from(plan.producers) * leaders.addresses.len() as f64;
    let mut outcome = add_up(plan, &window, &mut collector, connections, offset);
    let unsent = outcome.repeat.generator.unsent;
    outcome.repeat.generator = run::Generator { unsent, ..generator(&efforts, &outcome.total) };
    outcome.repeat.broker = accounts.used();
    // What was read before the window began tells nothing of it.
    let was_within = |seconds: f64| seconds >= plan.warmup.as_secs_f64();
    outcome.repeat.backlog_broker =
        accounts.used_for_the_backlog().filter(|_| backlog_seconds.is_some_and(was_within));
    outcome.repeat.machine = accounts.meanwhile();
    outcome.repeat.backlog_seconds = backlog_seconds;
    outcome.repeat.verify = verdict;
    let (last, count) = collector.acknowledged();
    outcome.repeat.loaded_seconds = last.saturating_sub(t0) as f64 / 1e9;
    outcome.repeat.acknowledged_in_all = count;
    if plan.backlog_bytes > 0 {
        outcome.repeat.fill_seconds = filled as f64 / 1e9;
    }
    Ok(outcome)
}

/// A moment, what the brokers' processes had used by then, and the machine as a whole.
type Reading = (u64, Vec<Usage>, Whole);

/// What the brokers' processes had used when the window began and when it ended, and when a backlog had been read in between.
#[derive(Debug, Default)]
struct Accounts {
    processes: Vec<u32>,
    first: Option<Reading>,
    caught_up: Option<Reading>,
    last: Option<Reading>,
}

impl Outcome {
    /// What it is worth.
    #[must_use]
    pub fn verdict(&self, is_open_loop: bool, judged: Quantile) -> run::Verdict {
        run::judge(&run::Evidence {
            total: &self.total,
            generator: &self.repeat.generator,
            stages: &self.repeat.stages,
            medians: &self.medians,
            is_open_loop,
            judged,
        })
    }
}

impl Accounts {
    /// How long the collector may sleep without missing the next reading.
    fn patience(&self, now: u64, window: &Window) -> Duration {
        let next = if self.first.is_none() { window.begin() } else { window.end() };
        let nanos = if self.last.is_some() { u64::MAX } else { next.saturating_sub(now) };
        Duration::from_nanos(nanos.clamp(1_000_000, 100_000_000))
    }

    fn tick(&mut self, now: u64, window: &Window, is_backlog_read: bool) {
        let read = |processes: &[u32]| {
            let usage = processes.iter().copied().filter_map(Usage::of).collect();
            (now, usage, Whole::now())
        };
        if self.first.is_none() && now >= window.begin() {
            self.first = Some(read(&self.processes));
        } else if is_backlog_read && self.caught_up.is_none() && now < window.end() {
            self.caught_up = Some(read(&self.processes));
        }
        if self.last.is_none() && now >= window.end() {
            self.last = Some(read(&self.processes));
        }
    }

    fn meanwhile(&self) -> Option<Meanwhile> {
        let ((.., before), (.., after)) = (self.first.as_ref()?, self.last.as_ref()?);
        Some(after.since(before))
    }

    fn used(&self) -> Option<Used> {
        between(self.first.as_ref()?, self.last.as_ref()?)
    }

    /// Until the backlog had been read.
    fn used_for_the_backlog(&self) -> Option<Used> {
        between(self.first.as_ref()?, self.caught_up.as_ref()?)
    }
}

fn between((from, before, _): &Reading, (to, after, _): &Reading) -> Option<Used> {
    Used::between(before, after, to.saturating_sub(*from) as f64 / 1e9)
}

fn spawn<T: Send + 'static>(
    name: &str,
    number: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Failure> {
    let builder = thread::Builder::new().name(format!("{name}-{number}"));
    builder.spawn(work).map_err(|e| Failure::Local(format!("no thread for a {name}: {e}")))
}

pub(super) fn shop(
    plan: &Arc<Plan>,
    target: &Arc<Target>,
    clock: Clock,
    meter: Meter,
    deadline: u64,
) -> Shop {
    let none = || vec![0; target.partitions() as usize];
    Shop {
        plan: Arc::clone(plan),
        target: Arc::clone(target),
        clock,
        meter,
        deadline,
        patience: None,
        produced: Produced { ends: none(), handed: none(), ..Produced::default() },
        compressor: Compressor::new(),
        lateness: Arc::default(),
    }
}

/// The stages of the schedule (warm-up first), and those of them that are measured.
fn stages(plan: &Plan, t0: u64) -> (Vec<Stage>, Vec<Stage>) {
    let begin = t0 + plan.warmup.as_nanos() as u64;
    let rates = match &plan.rate {
        RateSpec::Max => vec![1],
        RateSpec::Stages(rates) => rates.clone(),
    };
    let length = plan.duration.as_nanos() as u64;
    let edge = |number: usize| begin + length * number as u64 / rates.len() as u64;
    let measured: Vec<Stage> = rates
        .iter()
        .enumerate()
        .map(|(number, rate)| Stage { start: edge(number), end: edge(number + 1), rate: *rate })
        .collect();
    let warmup = Stage { start: t0, end: begin, rate: rates.first().copied().unwrap_or(1) };
    let all = [warmup].into_iter().chain(measured.iter().copied()).collect();
    (all, measured)
}

fn target_rate(plan: &Plan) -> Option<f64> {
    match &plan.rate {
        RateSpec::Max => None,
        RateSpec::Stages(rates) => rates.iter().max().map(|rate| *rate as f64),
    }
}

/// What the producers came to.
struct Finished {
    ledger: Ledger,
    efforts: Vec<Effort>,
}

/// The producers are done: adds up what they know and tells the consumers how far to read. `begin`: where the run's records begin, where
/// there are consumers.
fn finish(
    producing: Vec<JoinHandle<Produced>>,
    plan: &Plan,
    begin: &[i64],
    goal: &OnceLock<Goal>,
    clock: Clock,
) -> Result<Finished, Failure> {
    let mut finished = Finished { ledger: Ledger::default(), efforts: Vec::new() };
    let is_told = plan.acks != Acks::None;
    // Without acknowledgements nobody tells where a record stands, and what the broker shows by now may be a flush behind: there is
    // to be as much more as was handed over.
    let mut ends = if is_told { vec![0; begin.len()] } else { begin.to_vec() };
    for handle in producing {
        let Ok(produced) = handle.join() else {
            // Consumers wait for a goal: an empty one ends them.
            let _ = goal.set(Goal { ends: Vec::new(), deadline: 0 });
            return Err(Failure::Local("a producer thread died".into()));
        };
        finished.ledger.add(produced.ledger);
        finished.efforts.push(produced.effort);
        for (place, end) in ends.iter_mut().enumerate() {
            *end = if is_told {
                produced.ends[place].max(*end)
            } else {
                *end + produced.handed[place]
            };
        }
    }
    let deadline = clock.now() + plan.drain.as_nanos() as u64;
    let _ = goal.set(Goal { ends, deadline });
    Ok(finished)
}

/// The consumers are done: was everything received that they could have received?
fn check(read: Vec<(Checker, i64)>, ledger: &Ledger, target: &Target, run: u32) -> Verdict {
    // Where nothing is missing nobody needs to know where the log ends. Who cannot be reached has told nothing.
    let is_short = read.iter().any(|(checker, _)| checker.is_short(ledger));
    let ends = if is_short { target.offsets(-1).ok() } else { None };
    let mut verdict = Verdict::default();
    for (checker, position) in read {
        let partition = checker.partition();
        let end = ends.as_ref().and_then(|ends| ends.get(partition as usize).copied());
        let checked = checker.finish(ledger, Reach { position, end });
        verdict.add(checked.verdict);
        earlier::leave(target.topics(), run, partition, checked.open);
    }
    verdict
}

/// Counts what was acknowledged and never came to a consumer. A latency of those that came alone would be one of survivors.
fn miss(plan: &Plan, window: &Window, collector: &mut Collector, now: u64) {
    for (number, stage) in window.stages().iter().enumerate() {
        let (acknowledged, received) = collector.acknowledged_and_received(number);
        let missing = (acknowledged * u64::from(plan.groups)).saturating_sub(received);
        let at_least = now.saturating_sub(stage.start).max(plan.timeout.as_nanos() as u64);
        collector.miss(number, at_least, missing);
    }
}

/// Folds the collector's stages into the repeat's.
fn add_up(
    plan: &Plan,
    window: &Window,
    collector: &mut Collector,
    connections: f64,
    offset: Duration,
) -> Outcome {
    let held_by_second = collector.held(connections.max(1.0));
    let (intervals, timeline) = collector.intervals();
    let mut total = Latencies::default();
    let mut stages = Vec::new();
    let (mut held, mut unsent) = (0.0, 0);
    for (number, stage) in window.stages().iter().enumerate() {
        let share = collector.stage(number);
        let seconds = (stage.end - stage.start) as f64 / 1e9;
        held += share.counters.held as f64 / 1e9;
        total.add(&share.latencies);
        let mut counters = share.counters;
        if plan.rate != RateSpec::Max {
            // What was due before the stage and acknowledged within it is no rate of the stage: more than was offered cannot go.
            let response = share.latencies.of(Kind::Response);
            let most = response.count() - response.censored();
            if counters.acknowledged > most {
                let part = most as f64 / counters.acknowledged as f64;
                counters.bytes = (counters.bytes as f64 * part) as u64;
                counters.acknowledged = most;
            }
        }
        unsent += counters.unsent;
        let saturated = counters.held as f64 / 1e9 / (seconds * connections.max(1.0));
        stages.push(run::Stage {
            target: (plan.rate != RateSpec::Max).then_some(stage.rate as f64),
            seconds,
            sent: counters.sent,
            acknowledged: counters.acknowledged,
            failed: counters.failed,
            bytes: counters.bytes,
            received: counters.received,
            missing: counters.missing,
            saturated: saturated.min(1.0),
            held_seconds: held_seconds(&held_by_second, window, *stage),
            errors: counters.errors,
            latency: run::Summary::all(&share.latencies),
        });
    }
    let seconds = plan.duration.as_secs_f64() * connections.max(1.0);
    // What is acknowledged after the end is no second of the measurement.
    let measured = intervals.iter().take(plan.duration.as_secs_f64().ceil() as usize);
    let medians = measured
        .filter_map(|i| i.latencies.of(Kind::Response).dense().at(Quantile::percent(50.0).ok()?))
        .collect();
    let last = intervals.last().map_or(offset, |interval| interval.start + interval.length);
    let repeat = run::Repeat {
        from_seconds: offset.as_secs_f64(),
        to_seconds: last.as_secs_f64(),
        stages,
        generator: run::Generator { unsent, ..run::Generator::default() },
        ..run::Repeat::default()
    };
    let saturated = (held / seconds).min(1.0);
    Outcome { repeat, intervals, timeline, total, medians, saturated }
}

/// The share of the stage's seconds in which the bound held work back for a part that matters.
fn held_seconds(shares: &[f64], window: &Window, stage: Stage) -> f64 {
    let second = |at: u64| (at.saturating_sub(window.begin()) / 1_000_000_000) as usize;
    // A second belongs to the stage that its middle lies in; a stage shorter than one has the one that its own middle lies in.
    let middle = second(u64::midpoint(stage.start, stage.end));
    let begin = second(stage.start + 500_000_000).min(middle);
    let end = second(stage.end.saturating_sub(500_000_001)).max(middle);
    let of_stage = shares.get(begin..shares.len().min(end + 1)).unwrap_or_default();
    let held = of_stage.iter().filter(|share| **share >= run::HELD_MIN).count();
    if of_stage.is_empty() { 0.0 } else { held as f64 / of_stage.len() as f64 }
}

fn generator(efforts: &[Effort], total: &Latencies) -> run::Generator {
    run::Generator {
        busiest: efforts.iter().map(Effort::busy).fold(0.0, f64::max),
        cpu_seconds: efforts.iter().map(|effort| effort.cpu).sum(),
        waited: efforts.iter().map(Effort::starved).fold(0.0, f64::max),
        wanted: efforts.iter().map(|e| e.busy() + e.starved()).fold(0.0, f64::max),
        unsent: 0,
        goes_first: efforts.iter().any(|effort| effort.goes_first),
        lag_p999: Quantile::percent(99.9).ok().and_then(|q| total.of(Kind::Lag).at(q)),
    }
}
