//! `perf peers --gauntlet`: the same situations for every contender, each against a baseline of its own.
//!
//! A ratio of p99s says how much a situation hurts, and nothing of how fast a broker is without it: the tables have both. What a
//! scenario has to show (see [`crate::gauntlet`]) is asked of a broker that tells it; Kafka tells neither what retention nor what
//! compaction took, so that its rows are taken at their word.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{Contender, Lengths, PeersArgs, WARM, contenders, kafka::Kafka};
use crate::{
    awake::{self, Awake},
    early::Early,
    failure::Failure,
    gauntlet::{Course, Walk},
    measure::Scene,
    own::{OwnBroker, Sides},
    progress::Place,
    terminal, view,
};

/// How often each baseline is measured.
const BASELINES: u32 = 3;

/// A contender on its way.
struct Field<'a> {
    contender: Contender,
    walk: Walk<'a>,
    /// Why it goes no further.
    failure: Option<Failure>,
}

/// Runs the situations on all of them, in turns: a slow minute of the machine meets the same situation of every one.
pub(super) fn run(
    args: &PeersArgs,
    kafka: &Kafka,
    sides: &Sides,
    memory: &str,
    awake: &Awake,
) -> Result<(), Failure> {
    let duration = Lengths::of(args).duration;
    let mut early = None;
    let (text, markdown, results) = {
        let courses: Vec<(Contender, Course)> = contenders(args.only)
            .map(|contender| (contender, course(args, contender, duration)))
            .collect();
        let mut fields = Vec::new();
        for (contender, course) in &courses {
            fields.push(Field { contender: *contender, walk: course.begin()?, failure: None });
        }
        let steps = fields.first().map_or(0, |field| field.walk.length());
        let (all, began) = (steps * fields.len(), Instant::now());
        for (done, (step, number)) in order(steps, fields.len()).enumerate() {
            let taken: usize = fields.iter().map(|field| field.walk.taken()).sum();
            early = Early::now(taken, all);
            if early.is_some() {
                break;
            }
            let field = &mut fields[number];
            if field.failure.is_some() {
                continue;
            }
            let name = field.contender.name();
            terminal::note(name);
            // The one before has ended when the next begins: two would share the cores.
            let broker = field.contender.start(args, kafka, sides.broker.as_deref(), true);
            let place = Place::step(began, done, all).named(name);
            let scene = broker.as_ref().map(|(broker, _)| scene(broker, awake, place));
            // One that cannot be run does not take the others with it.
            if let Err(failure) = field.walk.step(step, scene.map_err(Clone::clone)) {
                early = Early::now(taken, all);
                if early.is_some() {
                    break;
                }
                terminal::note(&failure.to_string());
                field.failure = Some(failure);
            }
        }
        if let Some(early) = early.filter(|early| early.is_empty()) {
            return Err(early.failure());
        }
        let said = early.map_or_else(String::new, |early| early.words("steps") + "\n");
        let kept = awake::line(awake.count()).map_or_else(String::new, |line| line + "\n");
        told(fields, &format!("{said}{}{kept}", head(args, sides, duration, memory)), early)
    };
    if let Some(place) = args.markdown.as_deref() {
        view::put_markdown(place, &markdown)?;
    }
    if args.markdown.as_deref() != Some("-") {
        terminal::print(&text);
    }
    match early {
        Some(early) => Err(early.failure()),
        None => results.into_iter().collect(),
    }
}

/// Every contender's step of a number before anybody's next one.
fn order(steps: usize, contenders: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..steps).flat_map(move |step| (0..contenders).map(move |contender| (step, contender)))
}

/// As long a warm-up as there is measured, for all of them: a JVM that has just started compiles for seconds, and its baseline would be
/// that of a start.
fn course(args: &PeersArgs, contender: Contender, duration: Duration) -> Course {
    let folder = |out: &PathBuf| out.join(contender.name().replace([' ', '='], "-"));
    Course {
        rate: args.rate.clone(),
        duration,
        warmup: duration,
        scenario: None,
        baselines: BASELINES,
        out: args.out.as_ref().map(folder),
    }
}

fn scene(broker: &OwnBroker, awake: &Awake, place: Place) -> Scene {
    Scene {
        place: Some(place),
        data_dir: Some(broker.directory().to_path_buf()),
        admin: broker.admin().map(str::to_owned),
        ..super::scene(broker.address(), awake)
    }
}

fn head(args: &PeersArgs, sides: &Sides, duration: Duration, memory: &str) -> String {
    let seconds = duration.as_secs_f64();
    let cold = if duration < WARM {
        "\nA JVM is not warm after so little: Kafka's baselines are those of a start, and what hurts it beside them looks less.\n"
    } else {
        ""
    };
    format!(
        "{} of values of 1 KiB, each scenario {seconds:.0} s after a warm-up of {seconds:.0} s; the contenders take turns; a fresh broker \
         for each; {}; {memory}\n{cold}",
        args.rate,
        sides.words()
    )
}

/// The tables as text and as Markdown, and what each says to the shell.
fn told(
    fields: Vec<Field<'_>>,
    head: &str,
    early: Option<Early>,
) -> (String, String, Vec<Result<(), Failure>>) {
    let (mut text, mut markdown) = (head.to_owned(), head.to_owned());
    let mut results = Vec::new();
    for Field { contender, walk, failure } in fields {
        let name = contender.name();
        if let Some(failure) = failure {
            text.push_str(&format!("\n{name}: {failure}\n"));
            markdown.push_str(&format!("\n{name}: {failure}\n"));
            results.push(Err(failure));
            continue;
        }
        // Its turn had not come.
        if walk.taken() == 0 {
            text.push_str(&format!("\n{name}: nothing was measured\n"));
            markdown.push_str(&format!("\n{name}: nothing was measured\n"));
            continue;
        }
        let ran = walk.end(early);
        let (who, last) = (&ran.fingerprint, ran.last_lines());
        let table = ran.table.render(terminal::colour());
        text.push_str(&format!("\n{name}: {who}\n{table}{last}"));
        let table = ran.table.markdown();
        markdown.push_str(&format!("\n{name}: {who}\n\n{table}\n{last}"));
        // What a peer does not survive is its row, and no fault of this command's.
        results.push(if contender.is_kafka { Ok(()) } else { ran.conclude(None) });
    }
    (text, markdown, results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::Pair;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: PeersArgs,
    }

    #[test]
    fn a_situation_meets_all_before_the_next_meets_any() {
        let order: Vec<_> = order(3, 2).collect();
        assert_eq!(order, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
    }

    #[test]
    fn every_contender_is_loaded_as_long_before_as_it_is_measured() {
        let args = Line::parse_from(["peers", "--gauntlet", "--duration", "12s"]).args;
        for is_kafka in [true, false] {
            let contender = Contender { is_kafka, pair: Pair::Fsync };
            let course = course(&args, contender, Lengths::of(&args).duration);
            assert_eq!((course.warmup, course.duration), (Duration::from_secs(12), course.warmup));
        }
        let head = |seconds| head(&args, &Sides::default(), Duration::from_secs(seconds), "");
        assert!(head(4).contains("baselines are those of a start"), "{}", head(4));
        assert!(!head(12).contains("of a start"), "{}", head(12));
    }
}
