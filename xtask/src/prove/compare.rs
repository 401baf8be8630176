//! `ringwood perf compare --fail-if` shuts on a planted regression and stays open on noise.
//!
//! Two brokers of the same build: one as it is, and one whose flushes are delayed by the fault hook. Each round makes three runs
//! after each other: a baseline, the same again, and one of the slowed broker. Each condition has its gate, one for the median and one for
//! the p99 if nothing else is said. That between the first two runs must exit with 0, that between the first and the third with 3; what came
//! is counted for each condition by itself. A run that measured its own generator (exit code 8) is made again, and counted.
//!
//! The p99 of a thousand records is that of a few moments, and on a machine of two processors many things make a moment. So the delay is
//! several times what a p99 is there, and what the gates said is printed, whatever it was.

use std::fs::{copy, create_dir_all, remove_dir_all};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::options;
use crate::broker::Broker;
use crate::program;
use crate::tally::say;
use crate::{Fault, tree};

struct Options {
    rounds: u32,
    repeats: u32,
    delay: String,
    conditions: Vec<String>,
}

/// What is judged if nothing else is said.
const CONDITIONS: [&str; 2] = ["p50 > +10%", "p99 > +10%"];

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let mut options =
            Options { rounds: 10, repeats: 5, delay: "10ms".to_owned(), conditions: Vec::new() };
        options::each(words, &[], |name, value| {
            match name {
                "--rounds" => options.rounds = value.parse()?,
                "--repeats" => options.repeats = value.parse()?,
                "--delay" => value.clone_into(&mut options.delay),
                "--fail-if" => options.conditions.push(value.to_owned()),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if options.conditions.is_empty() {
            options.conditions = CONDITIONS.map(str::to_owned).into();
        }
        // With fewer than five of each no difference is rare enough to be told from chance.
        if options.rounds == 0 || options.repeats < 5 {
            return Err("a round at least, and five repeats in each run".into());
        }
        Ok(options)
    }
}

/// A run is made so often before it is given up.
const TRIES: u32 = 5;

/// What `perf` says with its exit code.
const SHUT: i32 = 3;
const INVALID: i32 = 8;

/// What a gate between two runs said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Nothing against it.
    Open,
    /// The condition holds.
    Shut,
    /// Nobody can say: not every repeat carries what is judged, or the command failed.
    Untold,
}

impl Answer {
    /// `line`: what the command said of the condition. `code`: what it ended with.
    fn of(line: &str, code: Option<i32>, repeats: u32) -> Answer {
        // Every repeat has a voice, or the test is another than the one that is promised.
        let by_all = line.contains(&format!("medians of {repeats} and {repeats} repeats"));
        match code {
            Some(0) if by_all => Answer::Open,
            Some(SHUT) if by_all => Answer::Shut,
            Some(_) | None => Answer::Untold,
        }
    }
}

/// What the gates of one condition said in all rounds.
struct Row {
    condition: String,
    /// Between two runs of the same broker.
    noise: Vec<Answer>,
    /// Between a run and one of the slowed broker.
    planted: Vec<Answer>,
}

impl Row {
    /// Open on every noise, shut by every regression.
    fn is_right(&self) -> bool {
        let all = |answers: &[Answer], right: Answer| answers.iter().all(|answer| *answer == right);
        all(&self.noise, Answer::Open) && all(&self.planted, Answer::Shut)
    }
}

/// The answers as a table, two lines a condition.
fn table(rows: &[Row], delay: &str) -> Vec<String> {
    let mut lines = vec![
        "| condition | runs | exit 0 | exit 3 | not told | wanted |".to_owned(),
        "|---|---|---:|---:|---:|---|".to_owned(),
    ];
    for row in rows {
        let late = format!("flushes {delay} late");
        for (runs, answers, wanted) in
            [("the same broker twice", &row.noise, "exit 0"), (&*late, &row.planted, "exit 3")]
        {
            let of = |answer: Answer| answers.iter().filter(|found| **found == answer).count();
            lines.push(format!(
                "| {} | {runs} | {} | {} | {} | {wanted} |",
                row.condition,
                of(Answer::Open),
                of(Answer::Shut),
                of(Answer::Untold)
            ));
        }
    }
    lines
}

/// The program and the folder of the runs.
struct Bench {
    program: PathBuf,
    folder: PathBuf,
    /// Runs that measured their own generator.
    again: u32,
    /// Repeats of each run.
    repeats: u32,
}

impl Bench {
    /// One run of some repeats, kept under this name.
    fn measure(&mut self, broker: &Broker, name: &str) -> Result<PathBuf, Fault> {
        let out = self.folder.join(name);
        let limit = Duration::from_secs(60 + 10 * u64::from(self.repeats));
        for _ in 0..TRIES {
            let mut command = Command::new(&self.program);
            command.args(["perf", "run", "--bootstrap", &broker.bootstrap()]);
            command.args(["--rate", "2k/s", "--size", "100", "--linger", "0ms"]);
            command.args(["--partitions", "4", "--producers", "1", "--consumers", "0"]);
            // What waits for a slow flush is the broker's, and no bound of the client's.
            command.args(["--max-inflight", "100"]);
            // A p99 needs a thousand records, and is steadier with more of them.
            command.args(["--warmup", "300ms", "--duration", "2s", "--drain", "2s"]);
            command.args(["--repeat", &self.repeats.to_string(), "--out"]).arg(&out);
            let outcome = program::run(&mut command, None, limit)?;
            match outcome.status.code() {
                Some(0) => return Ok(out),
                Some(INVALID) => self.again += 1,
                _ => return Err(format!("{name}: {}", outcome.last_words()).into()),
            }
        }
        Err(format!("{name}: no run of {TRIES} was valid: leave the client a core of its own")
            .into())
    }

    /// What the gate between two runs says.
    fn gate(
        &self,
        baseline: &Path,
        run: &Path,
        condition: &str,
        more: &[&str],
    ) -> Result<Answer, Fault> {
        let mut command = Command::new(&self.program);
        command.args(["perf", "compare"]).args([baseline, run]).args(["--fail-if", condition]);
        command.args(more);
        let outcome = program::run(&mut command, None, Duration::from_secs(30))?;
        let text = String::from_utf8_lossy(&outcome.out);
        let told = text.lines().find(|l| l.starts_with("FAIL ") || l.starts_with("pass "));
        let line = told.ok_or("the gate said nothing")?;
        say(&format!("    {line}"))?;
        Ok(Answer::of(line, outcome.status.code(), self.repeats))
    }
}

/// True if the gate of each condition was shut by every planted regression and by no noise.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    let mut build = Command::new("cargo");
    build.args(["build", "--package", "ringwood", "--features", "faults"]);
    if !program::follow(build.current_dir(tree::root()), |_| {})? {
        return Err("the build failed".into());
    }
    let folder = tree::target().join("prove").join("compare");
    if folder.exists() {
        remove_dir_all(&folder)?;
    }
    create_dir_all(&folder)?;
    // The next build puts one without faults in its place.
    let program = folder.join("ringwood");
    copy(tree::binary("ringwood"), &program)?;
    let small = ["--memory", "64MiB", "--ring", "64MiB"];
    let mut sound = Broker::fresh("prove-compare", 1)?.with(&small).program(program.clone());
    let rule = format!("sync,delay={}", options.delay);
    let mut slowed = Broker::fresh("prove-compare-slowed", 1)?
        .with(&small)
        .program(program.clone())
        .faults(&rule);
    sound.start()?;
    slowed.start()?;
    let mut bench = Bench { program, folder, again: 0, repeats: options.repeats };
    let row = |condition: &String| Row {
        condition: condition.clone(),
        noise: Vec::new(),
        planted: Vec::new(),
    };
    let mut rows: Vec<Row> = options.conditions.iter().map(row).collect();
    for round in 1..=options.rounds {
        say(&format!("round {round} of {}", options.rounds))?;
        let baseline = bench.measure(&sound, &format!("{round}-baseline"))?;
        // The same build started anew, as two runs of a gate are.
        sound.stop(Duration::from_secs(30))?;
        sound.start()?;
        let same = bench.measure(&sound, &format!("{round}-same"))?;
        let slow = bench.measure(&slowed, &format!("{round}-planted"))?;
        let pages = ["planted.svg", "planted.html"].map(|name| bench.folder.join(name));
        let [svg, html] = pages.each_ref().map(|path| path.display().to_string());
        let more = ["--svg", &svg, "--html", &html];
        for row in &mut rows {
            row.noise.push(bench.gate(&baseline, &same, &row.condition, &[])?);
            row.planted.push(bench.gate(&baseline, &slow, &row.condition, &more)?);
        }
    }
    sound.discard()?;
    slowed.discard()?;
    say(&format!("{} rounds, runs of {} repeats", options.rounds, options.repeats))?;
    say(&table(&rows, &options.delay).join("\n"))?;
    say(&format!("runs made again because they measured their generator: {}", bench.again))?;
    say(&format!("the last comparison as pages: {}", bench.folder.join("planted.html").display()))?;
    Ok(rows.iter().all(Row::is_right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_p99_are_judged_in_ten_rounds_if_nothing_else_is_said() {
        let options = Options::parse(&[]).unwrap();
        assert_eq!(options.conditions, ["p50 > +10%", "p99 > +10%"]);
        assert!(options.rounds >= 10 && options.repeats >= 5);
        let named = ["--fail-if", "p90 > +20%", "--fail-if", "max > +50%"];
        let options = Options::parse(&named).unwrap();
        assert_eq!(options.conditions, ["p90 > +20%", "max > +50%"]);
        assert!(Options::parse(&["--repeats", "4"]).is_err());
    }

    #[test]
    fn an_answer_is_one_of_every_repeat_or_none() {
        let line = "pass b: p99 > +10%: 2.0 ms against 2.0 ms, medians of 5 and 5 repeats";
        assert_eq!(Answer::of(line, Some(0), 5), Answer::Open);
        assert_eq!(Answer::of(line, Some(SHUT), 5), Answer::Shut);
        for code in [Some(INVALID), Some(1), None] {
            assert_eq!(Answer::of(line, code, 5), Answer::Untold);
        }
        assert_eq!(Answer::of(line, Some(0), 6), Answer::Untold);
        // It is shut, and not for the regression.
        let untold = "FAIL b: p99 > +10% cannot be told: too few records";
        assert_eq!(Answer::of(untold, Some(SHUT), 5), Answer::Untold);
    }

    #[test]
    fn each_condition_is_counted_by_itself() {
        use Answer::{Open, Shut, Untold};
        let row = |condition: &str, noise: &[Answer], planted: &[Answer]| Row {
            condition: condition.to_owned(),
            noise: noise.to_vec(),
            planted: planted.to_vec(),
        };
        let rows = [
            row("p50 > +10%", &[Open, Open], &[Shut, Shut]),
            row("p99 > +10%", &[Open, Shut], &[Shut, Untold]),
        ];
        let lines = table(&rows, "10ms");
        assert_eq!(
            lines[2..],
            [
                "| p50 > +10% | the same broker twice | 2 | 0 | 0 | exit 0 |",
                "| p50 > +10% | flushes 10ms late | 0 | 2 | 0 | exit 3 |",
                "| p99 > +10% | the same broker twice | 1 | 1 | 0 | exit 0 |",
                "| p99 > +10% | flushes 10ms late | 0 | 1 | 1 | exit 3 |",
            ]
        );
        assert_eq!(rows.each_ref().map(Row::is_right), [true, false]);
    }
}
