//! Instructions of a broker under a load: by callgrind, or by the processor's own counter through `perf stat`.
//!
//! Callgrind counts from the start of the process to its end. The C library is told not to copy with one repeated instruction, which
//! callgrind would count as one for each byte. `perf stat` is attached to the broker while the load runs; it needs a processor that
//! counts instructions and a kernel that lets us read them, which virtual machines often have not.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::broker::Broker;
use crate::{Fault, program, tree};

/// Under callgrind everything takes some fifty times as long.
const PATIENCE: Duration = Duration::from_secs(120);

/// The event: what user code executes.
const EVENT: &str = "instructions:u";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counter {
    Callgrind,
    Perf,
}

/// A broker and what it is given to do.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) broker: &'a Path,
    /// The program whose `perf run` is the load.
    pub(super) generator: &'a Path,
    pub(super) io: &'a str,
    pub(super) rate: &'a str,
    /// Arguments of `ringwood perf run`.
    pub(super) load: &'a [String],
    /// What the counter's file is named after.
    pub(super) name: &'a str,
    pub(super) seconds: u64,
}

/// What was counted in one run.
pub(super) struct Count {
    pub(super) requests: u64,
    pub(super) instructions: u64,
}

impl Counter {
    pub(super) fn named(name: &str) -> Result<Counter, Fault> {
        match name {
            "callgrind" => Ok(Counter::Callgrind),
            "perf" => Ok(Counter::Perf),
            _ => Err("it is callgrind or perf".into()),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Counter::Callgrind => "callgrind",
            Counter::Perf => "perf stat",
        }
    }

    /// Finds out before the brokers are built that nothing can be counted here.
    pub(super) fn must_count(self) -> Result<(), Fault> {
        match self {
            Counter::Callgrind => Ok(()),
            Counter::Perf => {
                let mut trial = Command::new("perf");
                trial.args(["stat", "-x", ",", "-e", EVENT, "true"]);
                let outcome = program::run(trial.stdin(Stdio::null()), None, PATIENCE)?;
                instructions_of_perf(&outcome.err).map(drop)
            }
        }
    }

    /// Runs a broker and one load, and counts.
    pub(super) fn count(self, work: &Work<'_>) -> Result<Count, Fault> {
        let file = format!("{}.{}.{}", self.name().replace(' ', "-"), work.name, work.seconds);
        let out = tree::work().join("stages").join(file);
        if out.exists() {
            std::fs::remove_file(&out)?;
        }
        let broker = Broker::fresh("stages-data", 1)?;
        let more = ["--io", work.io, "--ring", "8MiB", "--memory", "64MiB"];
        let mut process = match self {
            Counter::Callgrind => {
                let under = under_callgrind(&out, work.broker);
                let under: Vec<&str> = under.iter().map(String::as_str).collect();
                broker.program("env".into()).under(&under)
            }
            Counter::Perf => broker.program(work.broker.to_path_buf()),
        }
        .with(&more);
        process.spawn()?;
        process.wait_until_ready(PATIENCE)?;
        let mut load = match (self, process.process_id()) {
            (Counter::Perf, Some(id)) => {
                let mut load = Command::new("perf");
                load.args(["stat", "-x", ",", "-e", EVENT, "-o"]).arg(&out);
                load.args(["-p", &id.to_string(), "--"]).arg(work.generator);
                load
            }
            (Counter::Callgrind | Counter::Perf, _) => Command::new(work.generator),
        };
        load.args(["perf", "run", "-b", &process.bootstrap(), "--warmup", "0s"]);
        load.args(["--rate", work.rate, "--duration", &format!("{}s", work.seconds)]);
        load.args(work.load);
        let limit = PATIENCE + Duration::from_secs(work.seconds);
        let outcome = program::run(load.stdin(Stdio::null()), None, limit)?;
        // 8 is a run whose figures say nothing of the broker's speed: here they are not looked at.
        if !matches!(outcome.status.code(), Some(0 | 8)) {
            return Err(format!("the load failed\n    {}", outcome.last_words()).into());
        }
        // What is counted is told once a second.
        sleep(Duration::from_millis(2500));
        let requests = process.metric("ringwood_kafka_requests_total");
        let requests = requests.ok_or("the broker does not tell its requests")?;
        process.stop(PATIENCE)?;
        let text = std::fs::read_to_string(&out)?;
        let instructions = match self {
            Counter::Callgrind => instructions_of_callgrind(&text),
            Counter::Perf => instructions_of_perf(&text),
        }?;
        Ok(Count { requests, instructions })
    }
}

/// The arguments of `env` that make this broker run under callgrind.
fn under_callgrind(out: &Path, broker: &Path) -> [String; 5] {
    [
        "GLIBC_TUNABLES=glibc.cpu.x86_rep_movsb_threshold=1073741824:glibc.cpu.x86_rep_stosb_threshold=1073741824".into(),
        "valgrind".into(),
        "--tool=callgrind".into(),
        format!("--callgrind-out-file={}", out.display()),
        broker.display().to_string(),
    ]
}

fn instructions_of_callgrind(text: &str) -> Result<u64, Fault> {
    let total = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    Ok(total.ok_or("callgrind wrote no total")?.trim().parse()?)
}

/// `1234567,,instructions:u,1000000,100.00,,`: value, unit, event, and for how much of the time it was counted.
fn instructions_of_perf(text: &str) -> Result<u64, Fault> {
    let line = text.lines().find(|line| line.split(',').nth(2) == Some(EVENT));
    let columns: Vec<&str> = line.ok_or("perf stat wrote no instructions")?.split(',').collect();
    let Some(value) = columns.first().and_then(|value| value.parse().ok()) else {
        let said = columns.first().copied().unwrap_or_default();
        return Err(format!(
            "the processor's instructions cannot be read here (perf stat: {said}); --counter callgrind can"
        )
        .into());
    };
    match columns.get(4).and_then(|share| share.parse::<f64>().ok()) {
        Some(share) if share < 100.0 => {
            Err(format!("perf stat counted {share} % of the time and guessed the rest").into())
        }
        Some(_) | None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_one_of_all_the_time_or_none() {
        let perf = |text: &str| instructions_of_perf(text).map_err(|fault| fault.to_string());
        let comment = "# started on Sat Nov 28\n\n";
        let counted = "9876543210,,instructions:u,4000000,100.00,,\n";
        assert_eq!(perf(&format!("{comment}{counted}")), Ok(9_876_543_210));
        let shared = "9876543210,,instructions:u,4000000,73.10,,\n";
        assert!(perf(shared).is_err_and(|why| why.contains("73.1 %")));
        let refused = perf("<not supported>,,instructions:u,0,100.00,,\n").unwrap_err();
        assert!(refused.contains("<not supported>") && refused.contains("callgrind"), "{refused}");
        assert!(perf(comment).is_err());
    }

    #[test]
    fn callgrinds_total_is_the_last() {
        let text = "events: Ir\nsummary: 5\n\ntotals: 123456\n";
        assert_eq!(instructions_of_callgrind(text).ok(), Some(123_456));
        assert!(instructions_of_callgrind("events: Ir\n").is_err());
    }

    #[test]
    fn the_broker_is_the_last_word_of_what_runs_it() {
        let words = under_callgrind(Path::new("/out"), Path::new("/broker"));
        assert!(words.contains(&"--callgrind-out-file=/out".to_owned()));
        assert_eq!(words[4], "/broker");
    }
}
