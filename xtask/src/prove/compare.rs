//! `ringwood perf compare --fail-if` shuts on a planted regression and stays open on noise.
//!
//! Two brokers of the same build: one as it is, and one whose flushes are delayed by the fault hook. Each round makes three runs
//! after each other: a baseline, the same again, and one of the slowed broker. The gate between the first two must exit with 0,
//! that between the first and the third with 3. A run that measured its own generator (exit code 8) is made again, and counted.

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
    condition: String,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let mut options = Options {
            rounds: 10,
            repeats: 5,
            delay: "1ms".to_owned(),
            condition: "p50 > +10%".to_owned(),
        };
        options::each(words, &[], |name, value| {
            match name {
                "--rounds" => options.rounds = value.parse()?,
                "--repeats" => options.repeats = value.parse()?,
                "--delay" => value.clone_into(&mut options.delay),
                "--fail-if" => value.clone_into(&mut options.condition),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
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
        for _ in 0..TRIES {
            let mut command = Command::new(&self.program);
            command.args(["perf", "run", "--bootstrap", &broker.bootstrap()]);
            command.args(["--rate", "2k/s", "--size", "100", "--linger", "0ms"]);
            command.args(["--partitions", "4", "--producers", "1", "--consumers", "0"]);
            command.args(["--warmup", "300ms", "--duration", "1s", "--drain", "2s"]);
            command.args(["--repeat", &self.repeats.to_string(), "--out"]).arg(&out);
            let outcome = program::run(&mut command, None, Duration::from_secs(90))?;
            match outcome.status.code() {
                Some(0) => return Ok(out),
                Some(INVALID) => self.again += 1,
                _ => return Err(format!("{name}: {}", outcome.last_words()).into()),
            }
        }
        Err(format!("{name}: no run of {TRIES} was valid: leave the client a core of its own")
            .into())
    }

    /// What the gate between two runs exits with.
    fn gate(
        &self,
        baseline: &Path,
        run: &Path,
        condition: &str,
        more: &[&str],
    ) -> Result<i32, Fault> {
        let mut command = Command::new(&self.program);
        command.args(["perf", "compare"]).args([baseline, run]).args(["--fail-if", condition]);
        command.args(more);
        let outcome = program::run(&mut command, None, Duration::from_secs(30))?;
        let text = String::from_utf8_lossy(&outcome.out);
        let told = text.lines().find(|l| l.starts_with("FAIL ") || l.starts_with("pass "));
        let line = told.ok_or("the gate said nothing")?;
        say(&format!("    {line}"))?;
        // Every repeat has a voice, or the test is another than the one that is promised.
        let repeats = self.repeats;
        if !line.contains(&format!("medians of {repeats} and {repeats} repeats")) {
            return Err(format!("not judged by {repeats} repeats on each side: {line}").into());
        }
        Ok(outcome.status.code().unwrap_or(-1))
    }
}

/// True if the gate was shut by every planted regression and by no noise.
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
    let (mut noise, mut planted) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        say(&format!("round {round} of {}", options.rounds))?;
        let baseline = bench.measure(&sound, &format!("{round}-baseline"))?;
        // The same build started anew, as two runs of a gate are.
        sound.stop(Duration::from_secs(30))?;
        sound.start()?;
        let same = bench.measure(&sound, &format!("{round}-same"))?;
        let slow = bench.measure(&slowed, &format!("{round}-planted"))?;
        noise.push(bench.gate(&baseline, &same, &options.condition, &[])?);
        let pages = ["planted.svg", "planted.html"].map(|name| bench.folder.join(name));
        let [svg, html] = pages.each_ref().map(|path| path.display().to_string());
        let more = ["--svg", &svg, "--html", &html];
        planted.push(bench.gate(&baseline, &slow, &options.condition, &more)?);
    }
    sound.discard()?;
    slowed.discard()?;
    let of = |codes: &[i32], code: i32| codes.iter().filter(|found| **found == code).count();
    let (open, shut) = (of(&noise, 0), of(&planted, SHUT));
    say(&format!("--fail-if '{}', runs of {} repeats", options.condition, options.repeats))?;
    say(&format!("the same broker twice: {open} of {} exit 0 ({noise:?})", noise.len()))?;
    let late = format!("flushes {} late", options.delay);
    say(&format!("{late}: {shut} of {} exit 3 ({planted:?})", planted.len()))?;
    say(&format!("runs made again because they measured their generator: {}", bench.again))?;
    say(&format!("the last comparison as pages: {}", bench.folder.join("planted.html").display()))?;
    Ok(open == noise.len() && shut == planted.len())
}
