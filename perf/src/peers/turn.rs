//! One turn of one contender: a fresh broker, the parts one after the other, and what each came to.

use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    Contender, Lengths, PERCENTS, PeersArgs,
    fetching::{self, Fetched},
    kafka::Kafka,
    profile::Profile,
    scene,
};
use crate::{
    awake::Awake,
    failure::Failure,
    gauntlet::Failed,
    latency::{Kind, Latency, Told},
    load::Plan,
    machine::Counters,
    measure::{Scene, measure},
    own::OwnBroker,
    progress::Place,
    run::{Directory, Recording, Repeat, Run, Stage, Verdict},
    spec::{Quantile, RateSpec},
};

/// A contender with all of its turns.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) contender: Contender,
    pub(super) turns: Vec<Turn>,
    /// `response` at the common rate of the turns in which it kept up, added up.
    pub(super) response: Latency,
    /// What it told of its inside.
    pub(super) profile: Profile,
    /// What it said it is, and under which durability and backend.
    pub(super) fingerprint: String,
    /// How it was started the last time.
    pub(super) command: Vec<String>,
    pub(super) configuration: String,
    /// Turns that came to nothing, and why.
    pub(super) failures: Vec<Failure>,
}

impl Seen {
    pub(super) fn new(contender: Contender) -> Self {
        Self {
            contender,
            turns: Vec::new(),
            response: Latency::new(),
            profile: Profile::default(),
            fingerprint: String::new(),
            command: Vec::new(),
            configuration: String::new(),
            failures: Vec::new(),
        }
    }
}

/// What one turn came to.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(super) struct Turn {
    pub(super) contender: &'static str,
    pub(super) turn: u32,
    /// Processors of the client that were kept from sleeping.
    pub(super) kept_awake: usize,
    /// From the start of the process to its first answer.
    pub(super) start_seconds: f64,
    /// Records and bytes a second as fast as it went.
    pub(super) rate: f64,
    pub(super) bytes_rate: f64,
    pub(super) fast: Verdict,
    /// CPU seconds for each GB produced, as fast as it went.
    pub(super) cpu_per_gb_produced: Option<f64>,
    /// The same of the client: where it is less, one core of the client drives more than one of the broker.
    pub(super) client_cpu_per_gb: Option<f64>,
    /// The same of the broker's cores, whoever was busy there, where it was kept to cores of its own.
    pub(super) cores_per_gb_produced: Option<f64>,
    /// Bytes by which the page cache grew meanwhile: memory that is in no process's.
    pub(super) cached_bytes: Option<i64>,
    /// Bytes a second that one consumer fetched of what lay there, and CPU seconds for each GB of them.
    pub(super) fetch_bytes_rate: Option<f64>,
    pub(super) cpu_per_gb_fetched: Option<f64>,
    /// The client was the bound of the fetching.
    pub(super) fetch: Verdict,
    /// Share of a core that it used with nothing to do.
    pub(super) idle: Option<f64>,
    /// Bytes copied in user space for each byte produced, and messages between cores for each request; where it tells.
    pub(super) copies_in: Option<f64>,
    pub(super) messages_per_request: Option<f64>,
    /// Memory held after both parts.
    pub(super) resident_bytes: u64,
    /// `response` at the common rate at the percentiles of [`PERCENTS`].
    #[serde(serialize_with = "as_json")]
    pub(super) latency: Vec<Told>,
    pub(super) calm: Verdict,
    /// Half of `rate`: what was offered then, and the same percentiles.
    pub(super) half_rate: u64,
    #[serde(serialize_with = "as_json")]
    pub(super) half_latency: Vec<Told>,
    /// `service` then.
    #[serde(serialize_with = "as_json")]
    pub(super) half_service: Vec<Told>,
    pub(super) half: Verdict,
    /// The records that failed, by the part in which they did.
    pub(super) failed: BTreeMap<&'static str, Failed>,
}

impl Turn {
    /// CPU seconds for a GB that is produced and fetched once.
    pub(super) fn cpu_per_gb(&self) -> Option<f64> {
        Some(self.cpu_per_gb_produced? + self.cpu_per_gb_fetched?)
    }
}

/// Nanoseconds; null where the records were too few, a word where the generator may have made the value.
fn as_json<S: serde::Serializer>(all: &[Told], serializer: S) -> Result<S::Ok, S::Error> {
    let value = |told: &Told| match told {
        Told::Nanos(nanos) => serde_json::Value::from(*nanos),
        Told::TooFew => serde_json::Value::Null,
        Told::Moved => serde_json::Value::from(told.to_string()),
    };
    serializer.collect_seq(all.iter().map(value))
}

/// What a turn is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It does nothing.
    Idle,
    /// It takes records as fast as it can.
    Max,
    /// A log is written and read once: who reads for the first time compiles and looks things up.
    Fill,
    /// That log is read again.
    Fetch,
    /// What was written goes to the device, and for a while nothing else happens.
    Rest,
    /// An open loop at the rate of all.
    Rate,
    /// An open loop at half of what this turn has carried.
    Half,
}

impl Step {
    /// In words, for the line of the progress.
    fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Max => "as fast as it goes",
            Self::Fill | Self::Fetch => "fetching",
            Self::Rest => "at rest",
            Self::Rate => "at the rate of all",
            Self::Half => "at half of its max",
        }
    }
}

/// The same for every contender. No part whose latencies are told has to bear what the parts before it left to the system.
fn steps(idle: bool) -> Vec<Step> {
    let parts =
        [Step::Max, Step::Fill, Step::Fetch, Step::Rest, Step::Rate, Step::Rest, Step::Half];
    idle.then_some(Step::Idle).into_iter().chain(parts).collect()
}

/// The parts in which records may fail, as files and tables name them.
pub(super) const MAX: &str = "max";
pub(super) const FILL: &str = "fill";
pub(super) const FETCH: &str = "fetch";
pub(super) const RATE: &str = "rate";
pub(super) const HALF: &str = "half";

/// How long a broker settles, and how long it is then watched doing nothing: a JVM is busy with its own start for seconds.
const SETTLE: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(3);

/// How long nothing happens before a part whose latencies are told.
const PAUSE: Duration = Duration::from_secs(3);

/// How long the rest at this place is. To read a broker's counters before and after a part takes a while in which it rests: one that
/// has none rests as long.
fn pause(steps: &[Step], place: usize, has_counters: bool) -> Duration {
    let beside = [place.checked_sub(1), place.checked_add(1)];
    let beside = beside.into_iter().flatten().filter_map(|place| steps.get(place));
    let counted = beside.filter(|step| matches!(step, Step::Max | Step::Rate | Step::Half));
    let readings = counted.fold(Duration::ZERO, |sum, _| sum + Counters::READING);
    if has_counters { PAUSE } else { PAUSE + readings }
}

/// How long the turn of this number takes by plan: without what a broker needs to start, to answer the last requests, and to end.
pub(super) fn planned(lengths: &Lengths, number: u32) -> Duration {
    let steps = steps(lengths.watch_idle(number));
    let of = |(place, step): (usize, &Step)| match step {
        Step::Idle => SETTLE + IDLE,
        Step::Max | Step::Rate | Step::Half => lengths.warmup + lengths.duration,
        Step::Fill => fetching::FILLED,
        Step::Fetch => fetching::watched(lengths.duration),
        Step::Rest => pause(&steps, place, false),
    };
    steps.iter().enumerate().map(of).sum()
}

/// What all turns are played with.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) args: &'a PeersArgs,
    pub(super) kafka: &'a Kafka,
    pub(super) plan: Plan,
    pub(super) lengths: Lengths,
    /// Those of the broker.
    pub(super) cores: Option<&'a [usize]>,
    /// What keeps the client's processors from sleeping.
    pub(super) awake: &'a Awake,
}

impl Bench<'_> {
    /// Plays a turn.
    pub(super) fn play(
        &self,
        seen: &mut Seen,
        number: u32,
        stretch: &Place,
    ) -> Result<(), Failure> {
        let Self { args, kafka, plan, .. } = self;
        let (broker, configuration) = seen.contender.start(args, kafka, self.cores, false)?;
        seen.command = broker.command().to_vec();
        seen.configuration = configuration;
        let contender = seen.contender.name();
        let scene = Scene {
            name: format!("{}-{number}", contender.replace([' ', '='], "-")),
            data_dir: Some(broker.directory().to_path_buf()),
            admin: broker.admin().map(str::to_owned),
            ..scene(broker.address(), self.awake)
        };
        // Its counters are not looked at in the fetching, and reading them takes seconds.
        let reading = Scene { admin: None, topic: Some("fetched".into()), ..scene.clone() };
        let start_seconds = broker.ready_after().as_secs_f64();
        let kept_awake = self.awake.count();
        let mut turn =
            Turn { contender, turn: number, kept_awake, start_seconds, ..Turn::default() };
        // What it took as fast as it could.
        let mut taken = Stage::default();
        let steps = steps(self.lengths.watch_idle(number));
        for (place, step) in steps.iter().enumerate() {
            let part = Some(stretch.part(place, steps.len(), step.name()));
            let (scene, reading) = (
                Scene { place: part.clone(), ..scene.clone() },
                Scene { place: part, ..reading.clone() },
            );
            match step {
                Step::Idle => turn.idle = idle(&broker),
                Step::Max => taken = self.max(&scene, seen, &mut turn)?,
                Step::Rest => {
                    sync(broker.directory())?;
                    thread::sleep(pause(&steps, place, scene.admin.is_some()));
                }
                Step::Fill => {
                    let (read, _) = measure(&fetching::fill(plan, taken.bytes_rate()), &reading)?;
                    note_failed(&mut turn, FILL, &read);
                }
                Step::Fetch => {
                    let (read, _) =
                        self.measure(FETCH, &fetching::fetch(plan), &reading, &mut turn)?;
                    let fetched = Fetched::of(&read, &taken);
                    turn.fetch_bytes_rate = fetched.map(|fetched| fetched.bytes_rate);
                    turn.cpu_per_gb_fetched = fetched.and_then(|fetched| fetched.cpu_per_gb);
                    turn.fetch = read.verdict;
                }
                Step::Rate => {
                    let plan = Plan { rate: args.rate.clone(), consumers: 1, ..plan.clone() };
                    let (run, recording) = self.measure(RATE, &plan, &scene, &mut turn)?;
                    if run.verdict == Verdict::Valid {
                        seen.response.add(recording.total().of(Kind::Response));
                        seen.profile.calm.add(&recording);
                    }
                    let held = run.broker.after.iter().map(|usage| usage.resident_bytes);
                    turn.resident_bytes = held.sum();
                    turn.latency = percentiles(&run, &recording, Kind::Response);
                    turn.calm = run.verdict;
                }
                Step::Half => {
                    turn.half_rate = half_of(turn.rate);
                    let rate = RateSpec::constant(turn.half_rate);
                    let plan = Plan { rate, consumers: 1, ..plan.clone() };
                    let (run, recording) = self.measure(HALF, &plan, &scene, &mut turn)?;
                    if run.verdict == Verdict::Valid {
                        seen.profile.half.add(&recording);
                    }
                    turn.half_latency = percentiles(&run, &recording, Kind::Response);
                    turn.half_service = percentiles(&run, &recording, Kind::Service);
                    turn.half = run.verdict;
                }
            }
        }
        seen.turns.push(turn);
        Ok(())
    }

    fn max(&self, scene: &Scene, seen: &mut Seen, turn: &mut Turn) -> Result<Stage, Failure> {
        let plan = Plan { rate: RateSpec::Max, ..self.plan.clone() };
        let (run, recording) = self.measure(MAX, &plan, scene, turn)?;
        seen.profile.add(&run, &recording);
        seen.fingerprint = identity(&run);
        let first = run.repeats.first();
        let stage = first.and_then(|repeat| repeat.stages.first()).cloned().unwrap_or_default();
        (turn.rate, turn.bytes_rate) = (stage.rate(), stage.bytes_rate());
        turn.cpu_per_gb_produced = run.cpu_per_gb();
        turn.client_cpu_per_gb = first.and_then(Repeat::client_cpu_per_gb);
        // What is kept awake is busy, whoever else is.
        let cores = self.cores.filter(|cores| !self.awake.is_on(cores));
        turn.cores_per_gb_produced =
            first.zip(cores).and_then(|(repeat, cores)| repeat.cores_per_gb(cores));
        turn.cached_bytes = first.and_then(|repeat| Some(repeat.machine.as_ref()?.cached));
        let inside = run.broker.inside().unwrap_or_default();
        turn.copies_in = inside.copies_in;
        turn.messages_per_request = inside.messages_per_request;
        turn.fast = run.verdict;
        Ok(stage)
    }

    /// Measures a part, keeps it, and notes what failed in it.
    fn measure(
        &self,
        part: &'static str,
        plan: &Plan,
        scene: &Scene,
        turn: &mut Turn,
    ) -> Result<(Run, Recording), Failure> {
        let (run, recording) = measure(plan, scene)?;
        if let Some(out) = &self.args.out {
            Directory::at(out.join(format!("{}-{part}", scene.name))).save(&run, &recording)?;
        }
        note_failed(turn, part, &run);
        Ok((run, recording))
    }
}

fn note_failed(turn: &mut Turn, part: &'static str, run: &Run) {
    let failed = Failed::of(run);
    if !failed.is_none() {
        turn.failed.insert(part, failed);
    }
}

/// Has the device take everything that was left to the system on this file system.
fn sync(directory: &Path) -> Result<(), Failure> {
    let opened = File::open(directory);
    let synced = opened.and_then(|file| rustix::fs::syncfs(&file).map_err(Into::into));
    synced.map_err(|e| Failure::file("sync", directory, &e))
}

/// Half of what was carried; a record a second at least.
fn half_of(rate: f64) -> u64 {
    ((rate / 2.0) as u64).max(1)
}

/// Latencies of this kind at the percentiles of [`PERCENTS`]; of an invalid run none.
fn percentiles(run: &Run, recording: &Recording, kind: Kind) -> Vec<Told> {
    let total = recording.total();
    let told = |percent: &f64| match Quantile::percent(*percent) {
        _ if run.verdict.is_invalid() => Told::Moved,
        Ok(quantile) => total.told(kind, quantile),
        Err(_) => Told::TooFew,
    };
    PERCENTS.iter().map(told).collect()
}

/// What the broker said it is, with the settings that change what its figures mean.
fn identity(run: &Run) -> String {
    let mut words = vec![run.broker.fingerprint.clone()];
    for name in ["ringwood.durability", "log.flush.interval.messages"] {
        words.extend(run.broker.settings.get(name).map(|value| format!("{name} {value}")));
    }
    words.join(", ")
}

/// The share of a core that a broker with nothing to do uses.
fn idle(broker: &OwnBroker) -> Option<f64> {
    thread::sleep(SETTLE);
    let (before, at) = (broker.usage()?, Instant::now());
    thread::sleep(IDLE);
    let after = broker.usage()?;
    Some((after.cpu_seconds() - before.cpu_seconds()) / at.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_latencies_begins_after_a_rest_and_reading_after_a_reading() {
        for idle in [false, true] {
            let steps = steps(idle);
            assert_eq!(steps.contains(&Step::Idle), idle);
            let place = |step| steps.iter().position(|other| *other == step).unwrap();
            for step in [Step::Rate, Step::Half] {
                assert_eq!(steps[place(step) - 1], Step::Rest, "{steps:?}");
            }
            assert_eq!(steps[place(Step::Fetch) - 1], Step::Fill, "{steps:?}");
            assert!(place(Step::Max) < place(Step::Half), "half of what was carried");
        }
    }

    #[test]
    fn who_has_no_counters_rests_as_long_as_who_has_some() {
        let steps = steps(true);
        let rests: Vec<usize> =
            (0..steps.len()).filter(|place| steps[*place] == Step::Rest).collect();
        // Before the first of them nobody's counters are read, at the second on either side.
        for (place, readings) in rests.into_iter().zip([1, 2]) {
            let with = pause(&steps, place, true);
            assert_eq!(pause(&steps, place, false), with + Counters::READING * readings);
            assert_eq!(with, PAUSE);
        }
    }

    #[test]
    fn half_load_is_half_of_what_was_carried() {
        assert_eq!((half_of(901_001.0), half_of(0.0)), (450_500, 1));
        let mut latencies = crate::latency::Latencies::default();
        latencies.of_mut(Kind::Response).record_n(2_000_000, 2_000);
        let recording = Recording {
            intervals: vec![crate::hlog::Interval {
                start: Duration::ZERO,
                length: Duration::from_secs(1),
                latencies: (&latencies).into(),
            }],
            ..Recording::default()
        };
        let told = percentiles(&Run::default(), &recording, Kind::Response);
        let p99 = told[2].nanos();
        assert!(p99.is_some_and(|p99| p99.abs_diff(2_000_000) < 2_000), "{told:?}");
        assert_eq!(told[3], Told::TooFew);
        assert_eq!(percentiles(&Run::default(), &recording, Kind::Service), [Told::TooFew; 5]);
        let invalid = Run { verdict: Verdict::Invalid("late".into()), ..Run::default() };
        assert_eq!(percentiles(&invalid, &recording, Kind::Response), [Told::Moved; 5]);
    }

    #[test]
    fn a_percentile_in_json_is_a_number_or_says_why_not() {
        let latency = vec![Told::Nanos(7), Told::TooFew, Told::Moved];
        let json = serde_json::to_value(Turn { latency, ..Turn::default() }).unwrap();
        assert_eq!(json["latency"], serde_json::json!([7, null, "INVALID"]));
    }
}
