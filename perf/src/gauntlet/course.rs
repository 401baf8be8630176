//! Baselines and scenarios one after the other, each on fresh data.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use super::{
    findings::{BASELINE, Base, Findings},
    line::{HEADER, Line, Played},
    scenarios::{LEAD, Scenario, scenarios},
};
use crate::{
    failure::Failure,
    interrupt,
    load::Plan,
    measure::{Scene, half_of_the_cores, measure, measure_before_deletion},
    run::{Directory, Recording, Run},
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
    /// Only this one, beside the baseline.
    pub(crate) scenario: Option<u32>,
    /// How often the baseline is measured.
    pub(crate) baselines: u32,
    /// Where every run is kept.
    pub(crate) out: Option<PathBuf>,
}

/// The broker that is run on.
pub(crate) trait Ground {
    /// A measurement on it.
    fn scene(&self) -> Scene;
    /// Puts one with fresh data in its place, where it is ours.
    fn renew(&mut self) -> Result<(), Failure>;
}

/// What a broker made of it.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Who answered.
    pub(crate) fingerprint: String,
    /// A line for each baseline and scenario.
    pub(crate) table: Table,
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
        self.findings.conclude(fail_above)
    }
}

impl Course {
    /// Runs all of it.
    ///
    /// # Errors
    /// A rate that is none, or a first baseline that cannot be had.
    pub(crate) fn run(&self, ground: &mut impl Ground) -> Result<Ran, Failure> {
        if self.rate == RateSpec::Max {
            return Err(Failure::Usage(
                "--rate max is a closed loop, in which a stall meets a few records: name a rate"
                    .into(),
            ));
        }
        let baseline = Plan {
            rate: self.rate.clone(),
            duration: self.duration,
            warmup: Duration::from_secs(2),
            threads: half_of_the_cores(),
            ..Plan::default()
        };
        let all: Vec<Scenario> = scenarios(&baseline)
            .into_iter()
            .filter(|scenario| self.scenario.is_none_or(|only| only == scenario.number))
            .collect();
        let (mut lines, mut fingerprint) = (Vec::<Line>::new(), String::new());
        for (place, step) in steps(all.len(), self.baselines).into_iter().enumerate() {
            interrupt::check()?;
            let fresh = if place > 0 { ground.renew() } else { Ok(()) };
            let Some(scenario) = step.and_then(|number| all.get(number)) else {
                let number = lines.iter().filter(|line| line.is_of_baseline()).count() + 1;
                let name = match self.baselines {
                    1 => "0 baseline".to_owned(),
                    _ => format!("0 baseline, {number}"),
                };
                terminal::note(&name);
                match fresh.and_then(|()| measure(&baseline, &ground.scene())) {
                    Ok((run, recording)) => {
                        self.keep(&name, &run, &recording)?;
                        run.broker.fingerprint.clone_into(&mut fingerprint);
                        let played = Played::of(run, &recording, &baseline, &[]);
                        lines.push(Line::Played { name, scenario: None, played: Box::new(played) });
                    }
                    // Without the first there is nothing to begin with; a later one is missed by the median alone.
                    Err(failure) if place == 0 => return Err(failure),
                    Err(failure) => lines.push(nothing(name, BASELINE, failure)),
                }
                continue;
            };
            let name = format!("{} {}", scenario.number, scenario.name);
            terminal::note(&name);
            // A scenario that the broker does not survive is a row of the table, not its end; nor is one before which no other starts.
            lines.push(match fresh.and_then(|()| play(scenario, &ground.scene())) {
                Ok((played, recording)) => {
                    self.keep(&name, &played.run, &recording)?;
                    let scenario = Some((scenario.number, scenario.name));
                    Line::Played { name, scenario, played: Box::new(played) }
                }
                Err(failure) => nothing(name, scenario.number, failure),
            });
        }
        let base = Base::of(&lines);
        let mut findings = Findings::default();
        let mut table = Table::new(HEADER, Align::Right);
        for line in &lines {
            findings.add(line, &base);
            table.row(line.row(base.measure()));
        }
        if base.p99.is_none() {
            findings.invalids.push("the baseline has no p99 to hold the others against".into());
        }
        Ok(Ran { fingerprint, table, base, findings })
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
        let quiet = Scene { quiet: true, admin: None, ..scene.clone() };
        let noise = scope.spawn(move || {
            let (run, topics) = measure_before_deletion(&neighbour.plan, &quiet)?;
            let ended = Instant::now();
            let topics = if neighbour.stays {
                Some(topics)
            } else {
                topics.delete();
                None
            };
            Ok((run?.0, ended, topics))
        });
        thread::sleep(LEAD);
        let result = measure(&scenario.plan, &own);
        let over = Instant::now();
        let noise: Result<_, Failure> =
            noise.join().map_err(|_| Failure::Local("the neighbour's thread died".into()))?;
        let (noise, ended, topics) = noise?;
        if let Some(topics) = topics {
            topics.delete();
        }
        if neighbour.stays && ended < over {
            let early = over.duration_since(ended).as_millis();
            return Err(Failure::Invalid(format!("the neighbour had gone {early} ms too early")));
        }
        if !neighbour.stays && ended >= over {
            let why = "the neighbour's topic was deleted only after the measurement";
            return Err(Failure::Invalid(why.into()));
        }
        let (run, recording) = result?;
        let played = Played::of(run, &recording, &scenario.plan, scenario.signs);
        Ok((Played { neighbour: Some(noise), ..played }, recording))
    })
}
