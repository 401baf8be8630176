//! Baselines and scenarios one after the other, each on fresh data.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant, SystemTime},
};

use super::{
    findings::{BASELINE, Base, Findings},
    line::{HEADER, Line, Played},
    scenarios::{LEAD, Neighbour, Scenario, scenarios},
};
use crate::{
    early::Early,
    failure::Failure,
    host::Host,
    interrupt,
    load::Plan,
    measure::{Scene, half_of_the_cores, measure, measure_before_deletion},
    progress::Place,
    run::{Directory, Recording, Repeat, Run},
    spec::RateSpec,
    terminal,
    view::{Align, Table},
};

/// What is run.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// Records a second of every scenario.
    pub(crate) rate: RateSpec,
    /// How long each is measured.
    pub(crate) duration: Duration,
    /// How long it is loaded before.
    pub(crate) warmup: Duration,
    /// Only this one, beside the baseline.
    pub(crate) scenario: Option<u32>,
    /// How often the baseline is measured.
    pub(crate) baselines: u32,
    /// Where every run is kept.
    pub(crate) out: Option<PathBuf>,
}

/// What a broker made of it.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Who answered.
    pub(crate) fingerprint: String,
    /// A line for each baseline and scenario.
    pub(crate) table: Table,
    /// Where a signal ended it: of how many steps the table is.
    pub(crate) early: Option<Early>,
    pub(super) base: Base,
    pub(super) findings: Findings,
}

impl Ran {
    /// Baseline and worst, in a line each.
    pub(crate) fn last_lines(&self) -> String {
        format!("{}{}", self.base.line(), self.findings.last_line())
    }

    /// What it says to the shell.
    pub(crate) fn conclude(&self, fail_above: Option<f64>) -> Result<(), Failure> {
        match self.early {
            Some(early) => Err(early.failure()),
            None => self.findings.conclude(fail_above),
        }
    }
}

impl Course {
    /// Runs all of it on one broker. A signal ends it with what was measured until then.
    ///
    /// # Errors
    /// A rate that is none, or a first baseline that cannot be had.
    pub(crate) fn run(&self, host: &mut Host) -> Result<Ran, Failure> {
        let (mut walk, began) = (self.begin()?, Instant::now());
        for number in 0..walk.length() {
            let fresh = match number {
                0 => Ok(()),
                _ => interrupt::check().and_then(|()| host.renew()),
            };
            let place = Some(Place::step(began, number, walk.length()));
            let scene = fresh.map(|()| Scene { place, ..host.scene() });
            if let Err(failure) = walk.step(number, scene) {
                match walk.early() {
                    Some(early) if !early.is_empty() => return Ok(walk.end(Some(early))),
                    Some(_) | None => return Err(failure),
                }
            }
        }
        Ok(walk.end(None))
    }

    /// Begins one.
    ///
    /// # Errors
    /// A rate that is none.
    pub(crate) fn begin(&self) -> Result<Walk<'_>, Failure> {
        if self.rate == RateSpec::Max {
            return Err(Failure::Usage(
                "--rate max is a closed loop, in which a stall meets a few records: name a rate"
                    .into(),
            ));
        }
        let baseline = Plan {
            rate: self.rate.clone(),
            duration: self.duration,
            warmup: self.warmup,
            threads: half_of_the_cores(),
            ..Plan::default()
        };
        let all: Vec<Scenario> = scenarios(&baseline)
            .into_iter()
            .filter(|scenario| self.scenario.is_none_or(|only| only == scenario.number))
            .collect();
        let steps = steps(all.len(), self.baselines);
        let fingerprint = String::new();
        Ok(Walk { course: self, baseline, all, steps, lines: Vec::new(), fingerprint })
    }

    fn keep(&self, name: &str, run: &Run, recording: &Recording) -> Result<(), Failure> {
        match &self.out {
            Some(out) => {
                Directory::at(out.join(name.replace([' ', ','], "-"))).save(run, recording)
            }
            None => Ok(()),
        }
    }
}

/// A course under way: whoever walks it may do something else between its steps.
pub(crate) struct Walk<'a> {
    course: &'a Course,
    baseline: Plan,
    all: Vec<Scenario>,
    steps: Vec<Option<usize>>,
    lines: Vec<Line>,
    fingerprint: String,
}

impl Walk<'_> {
    /// How many steps it has.
    pub(crate) fn length(&self) -> usize {
        self.steps.len()
    }

    /// How many were taken.
    pub(crate) fn taken(&self) -> usize {
        self.lines.len()
    }

    /// Where it is to end now: of how many of its steps it can tell.
    fn early(&self) -> Option<Early> {
        Early::now(self.taken(), self.length())
    }

    /// Takes the step of this number on a broker with fresh data, or notes why there is none.
    ///
    /// # Errors
    /// The first baseline cannot be had, a run not be kept, or the command is to end: then it is as if the step had not been begun.
    pub(crate) fn step(
        &mut self,
        place: usize,
        scene: Result<Scene, Failure>,
    ) -> Result<(), Failure> {
        interrupt::check()?;
        let step = self.steps.get(place).copied().flatten();
        let Some(scenario) = step.and_then(|number| self.all.get(number)) else {
            return self.baseline(scene);
        };
        let name = format!("{} {}", scenario.number, scenario.name);
        terminal::note(&name);
        let scene = named(scene, &name);
        // A scenario that the broker does not survive is a row of the table, not its end; nor is one before which no other starts.
        let line = match scene.and_then(|scene| play(scenario, &scene)) {
            Ok((played, recording)) => {
                self.course.keep(&name, &played.run, &recording)?;
                let scenario = Some((scenario.number, scenario.name));
                Line::Played { name, scenario, played: Box::new(played) }
            }
            Err(failure) => {
                interrupt::check()?;
                nothing(name, scenario.number, failure)
            }
        };
        self.lines.push(line);
        Ok(())
    }

    fn baseline(&mut self, scene: Result<Scene, Failure>) -> Result<(), Failure> {
        let number = self.lines.iter().filter(|line| line.is_of_baseline()).count() + 1;
        let name = match self.course.baselines {
            1 => "0 baseline".to_owned(),
            _ => format!("0 baseline, {number}"),
        };
        terminal::note(&name);
        match named(scene, &name).and_then(|scene| measure(&self.baseline, &scene)) {
            Ok((run, recording)) => {
                self.course.keep(&name, &run, &recording)?;
                run.broker.fingerprint.clone_into(&mut self.fingerprint);
                let played = Box::new(Played::of(run, &recording, &self.baseline, &[]));
                self.lines.push(Line::Played { name, scenario: None, played });
            }
            // Without the first there is nothing to begin with; a later one is missed by the median alone.
            Err(failure) if self.lines.is_empty() => return Err(failure),
            Err(failure) => {
                interrupt::check()?;
                self.lines.push(nothing(name, BASELINE, failure));
            }
        }
        Ok(())
    }

    /// What it came to. `early`: where it was not walked to its end.
    pub(crate) fn end(self, early: Option<Early>) -> Ran {
        let base = Base::of(&self.lines);
        let mut findings = Findings::default();
        let mut table = Table::new(HEADER, Align::Right);
        for line in &self.lines {
            findings.add(line, &base);
            table.row(line.row(base.measure()));
        }
        if base.p99.is_none() {
            findings.invalids.push("the baseline has no p99 to hold the others against".into());
        }
        Ran { fingerprint: self.fingerprint, table, early, base, findings }
    }
}

/// The scene with what is measured in it, for the line of the progress.
fn named(scene: Result<Scene, Failure>, what: &str) -> Result<Scene, Failure> {
    scene.map(|scene| {
        let place = scene.place.clone().map(|place| place.named(what));
        Scene { place, ..scene }
    })
}

fn nothing(name: String, number: u32, failure: Failure) -> Line {
    terminal::note(&failure.to_string());
    Line::Nothing { name, number, failure }
}

/// What is measured when: the number of a scenario, or `None` for the baseline. The baselines are spread evenly, the first before
/// everything and the last behind it.
pub(super) fn steps(scenarios: usize, baselines: u32) -> Vec<Option<usize>> {
    let gaps = (baselines as usize).saturating_sub(1);
    let mut steps = vec![None];
    let mut made = 0;
    for number in 0..scenarios {
        steps.push(Some(number));
        while made < gaps && (made + 1) * scenarios <= (number + 1) * gaps {
            made += 1;
            steps.push(None);
        }
    }
    steps
}

fn play(scenario: &Scenario, scene: &Scene) -> Result<(Played, Recording), Failure> {
    let own = Scene { topic_config: scenario.topic_config.clone(), ..scene.clone() };
    let Some(neighbour) = &scenario.neighbour else {
        let (run, recording) = measure(&scenario.plan, &own)?;
        return Ok((Played::of(run, &recording, &scenario.plan, scenario.signs), recording));
    };
    thread::scope(|scope| {
        let beside = beside(scene, neighbour);
        let noise = scope.spawn(move || {
            let (run, topics) = measure_before_deletion(&neighbour.plan, &beside)?;
            let topics = if neighbour.stays {
                Some(topics)
            } else {
                topics.delete();
                None
            };
            let deleted = SystemTime::now();
            let (run, recording) = run?;
            let until = measured_until(&run, &recording);
            Ok((run, Noise { until, deleted }, topics))
        });
        thread::sleep(LEAD);
        let result = measure(&scenario.plan, &own);
        let noise: Result<_, Failure> =
            noise.join().map_err(|_| Failure::Local("the neighbour's thread died".into()))?;
        let (neighbour_run, noise, topics) = noise?;
        if let Some(topics) = topics {
            topics.delete();
        }
        let (run, recording) = result?;
        was_beside(neighbour.stays, noise, measured_until(&run, &recording))?;
        let played = Played::of(run, &recording, &scenario.plan, scenario.signs);
        let (neighbour, device) = (Some(neighbour_run), scene.device);
        Ok((Played { neighbour, device, ..played }, recording))
    })
}

/// The neighbour's own measurement: nobody looks at its counters, and a topic that is to be deleted is, whatever is kept otherwise.
pub(super) fn beside(scene: &Scene, neighbour: &Neighbour) -> Scene {
    let keep_topics = scene.keep_topics && neighbour.stays;
    Scene { quiet: true, admin: None, keep_topics, place: None, ..scene.clone() }
}

/// Until when a neighbour made its noise, and when its topic had been deleted, where it does not stay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise {
    pub(super) until: SystemTime,
    pub(super) deleted: SystemTime,
}

/// The end of what was measured. What comes after it, the last answers, the broker's counters and its log, may take longer than any
/// neighbour stays.
pub(super) fn measured_until(run: &Run, recording: &Recording) -> SystemTime {
    let end = |repeat: &Repeat| {
        let measured: f64 = repeat.stages.iter().map(|stage| stage.seconds).sum();
        recording.started + Duration::from_secs_f64((repeat.from_seconds + measured).max(0.0))
    };
    run.repeats.iter().map(end).max().unwrap_or(recording.started)
}

/// Whether the neighbour was there until this moment, or, where it does not stay, had its topic deleted before.
pub(super) fn was_beside(stays: bool, noise: Noise, until: SystemTime) -> Result<(), Failure> {
    if stays && noise.until < until {
        let early = until.duration_since(noise.until).unwrap_or_default().as_millis();
        return Err(Failure::Invalid(format!("the neighbour had gone {early} ms too early")));
    }
    if !stays && noise.deleted >= until {
        let why = "the neighbour's topic was deleted only after the measurement";
        return Err(Failure::Invalid(why.into()));
    }
    Ok(())
}
