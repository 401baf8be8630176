//! Instructions of a broker under a load: by callgrind, or by the processor's own counter through `perf stat`, which may know cycles and
//! cache misses as well.
//!
//! Callgrind counts from the start of the process to its end. The C library is told not to copy with one repeated instruction, which
//! callgrind would count as one for each byte. `perf stat` is attached to the broker while the load runs; it needs a processor that
//! counts instructions and a kernel that lets us read them, which virtual machines often have not. What else it counts is told beside
//! them, each event where it can be had.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::broker::Broker;
use crate::tally::say;
use crate::{Fault, program, tree};

/// Under callgrind everything takes some fifty times as long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Something that `perf stat` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// As `perf stat -e` takes it: of user code alone.
    name: &'static str,
    /// As people call it.
    pub(super) words: &'static str,
}

/// Nothing else takes its counter (`D`): it is counted all the time, or not at all.
const INSTRUCTIONS: Event = Event { name: "instructions:uD", words: "instructions" };

/// Told beside the instructions, which do not show what a request waits for: each where the processor counts it.
const BESIDE: [Event; 3] = [
    Event { name: "cycles:u", words: "cycles" },
    Event { name: "L1-dcache-load-misses:u", words: "L1d load misses" },
    Event { name: "LLC-load-misses:u", words: "LLC load misses" },
];

/// Why there is no count of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Uncounted {
    /// The processor has no such counter, or shows it to no guest.
    NotSupported,
    /// Its counter was never free.
    NotCounted,
    /// It shared its counter: so many percent of the time were counted, and the rest is a guess.
    Scaled(f64),
    /// `perf stat` does not speak of it.
    Missing,
}

impl std::fmt::Display for Uncounted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Uncounted::NotSupported => f.write_str("perf stat: <not supported>"),
            Uncounted::NotCounted => f.write_str("perf stat: <not counted>"),
            Uncounted::Scaled(share) => {
                write!(f, "perf stat counted {share} % of the time and guessed the rest")
            }
            Uncounted::Missing => f.write_str("perf stat tells nothing of it"),
        }
    }
}

impl Event {
    /// Reads the count from what `perf stat -x ,` has written.
    ///
    /// `1234567,,instructions:u,1000000,100.00,,`: value, unit, event, nanoseconds, and for how much of the time it was counted. The
    /// events of caches stand there without what follows the colon.
    fn read(self, text: &str) -> Result<u64, Uncounted> {
        let bare = |name: &str| name.split(':').next().unwrap_or_default().to_owned();
        let is_ours =
            |columns: &Vec<&str>| columns.get(2).is_some_and(|name| bare(name) == bare(self.name));
        let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<&str>>());
        let columns = lines.find(is_ours).ok_or(Uncounted::Missing)?;
        let value = match columns.first().copied().unwrap_or_default() {
            "<not supported>" => return Err(Uncounted::NotSupported),
            "<not counted>" => return Err(Uncounted::NotCounted),
            value => value.parse().map_err(|_| Uncounted::Missing)?,
        };
        match columns.get(4).and_then(|share| share.parse::<f64>().ok()) {
            Some(share) if share < 100.0 => Err(Uncounted::Scaled(share)),
            Some(_) | None => Ok(value),
        }
    }

    /// Whether it can be counted here. On its own: a name that `perf` does not know would take the others with it.
    fn trial(self) -> Result<Result<u64, Uncounted>, Fault> {
        let mut trial = Command::new("perf");
        trial.args(["stat", "-x", ",", "-e", self.name, "true"]);
        let outcome = program::run(trial.stdin(Stdio::null()), None, PATIENCE)?;
        Ok(self.read(&outcome.err))
    }
}

fn no_instructions(why: Uncounted) -> Fault {
    format!("the processor's instructions cannot be read here ({why}); --counter callgrind can")
        .into()
}

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
    /// What is counted beside the instructions.
    pub(super) beside: &'a [Event],
    /// What the counter's file is named after.
    pub(super) name: &'a str,
    pub(super) seconds: u64,
}

/// What was counted in one run.
pub(super) struct Count {
    pub(super) requests: u64,
    pub(super) instructions: u64,
    /// Of each event beside them.
    pub(super) beside: Vec<Result<u64, Uncounted>>,
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

    /// Finds out before the brokers are built what can be counted here beside the instructions, and says what cannot. Without
    /// instructions there is no answer, and nothing is begun.
    pub(super) fn beside(self) -> Result<Vec<Event>, Fault> {
        if self == Counter::Callgrind {
            return Ok(Vec::new());
        }
        INSTRUCTIONS.trial()?.map_err(no_instructions)?;
        let (mut beside, mut not) = (Vec::new(), Vec::new());
        for event in BESIDE {
            match event.trial()? {
                Ok(_) => beside.push(event),
                Err(why) => not.push(format!("{} ({why})", event.words)),
            }
        }
        if !not.is_empty() {
            say(&format!("not counted here: {}", not.join(", ")))?;
        }
        Ok(beside)
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
        let events = events(work.beside);
        let mut load = match (self, process.process_id()) {
            (Counter::Perf, Some(id)) => {
                let mut load = Command::new("perf");
                load.args(["stat", "-x", ",", "-e", &events, "-o"]).arg(&out);
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
            Counter::Perf => INSTRUCTIONS.read(&text).map_err(no_instructions),
        }?;
        let beside = work.beside.iter().map(|event| event.read(&text)).collect();
        Ok(Count { requests, instructions, beside })
    }
}

/// The instructions and these, as `perf stat -e` takes them.
fn events(beside: &[Event]) -> String {
    let all = std::iter::once(&INSTRUCTIONS).chain(beside);
    all.map(|event| event.name).collect::<Vec<_>>().join(",")
}

/// The arguments of `env` that make this broker run under callgrind.
pub(in crate::prove) fn under_callgrind(out: &Path, broker: &Path) -> [String; 5] {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_one_of_all_the_time_or_none() {
        let perf = |text: &str| INSTRUCTIONS.read(text);
        let comment = "# started on Sat Nov 28\n\n";
        let counted = "9876543210,,instructions:uD,4000000,100.00,,\n";
        assert_eq!(perf(&format!("{comment}{counted}")), Ok(9_876_543_210));
        let shared = "9876543210,,instructions:u,4000000,73.10,,\n";
        assert_eq!(perf(shared), Err(Uncounted::Scaled(73.1)));
        assert!(no_instructions(Uncounted::Scaled(73.1)).to_string().contains("73.1 %"));
        // One that never had its counter.
        assert_eq!(perf("0,,instructions:uD,0,0.00,,\n"), Err(Uncounted::Scaled(0.0)));
        let not = |what: &str| format!("<not {what}>,,instructions:uD,0,100.00,,\n");
        assert_eq!(perf(&not("supported")), Err(Uncounted::NotSupported));
        assert_eq!(perf(&not("counted")), Err(Uncounted::NotCounted));
        let refused = no_instructions(Uncounted::NotSupported).to_string();
        assert!(refused.contains("<not supported>") && refused.contains("callgrind"), "{refused}");
        assert_eq!(perf(comment), Err(Uncounted::Missing));
        let unknown = "event syntax error: 'instructions:uD'\n";
        assert_eq!(perf(unknown), Err(Uncounted::Missing));
        assert_eq!(perf("some,,instructions:uD,0,100.00,,\n"), Err(Uncounted::Missing));
    }

    #[test]
    fn each_event_is_read_by_its_own_line() {
        let text = "# started on Sat Nov 28\n\n\
            900,,instructions:uD,4000000,100.00,2.25,insn per cycle\n\
            400,,cycles:u,4000000,100.00,,\n\
            31,,L1-dcache-load-misses,4000000,80.00,,\n\
            <not supported>,,LLC-load-misses,0,100.00,,\n";
        assert_eq!(INSTRUCTIONS.read(text), Ok(900));
        let beside = BESIDE.map(|event| event.read(text));
        assert_eq!(beside, [Ok(400), Err(Uncounted::Scaled(80.0)), Err(Uncounted::NotSupported)]);
        let all = "instructions:uD,cycles:u,L1-dcache-load-misses:u,LLC-load-misses:u";
        assert_eq!((events(&BESIDE).as_str(), events(&[]).as_str()), (all, "instructions:uD"));
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
