//! Copies as valgrind sees them: every byte that a call of `memcpy` or `memmove` moves in the broker, whoever makes it, beside
//! what the broker's own counters say of the same run. A copy site that nobody counts shows as the difference.
//!
//! The tool is DHAT, which counts the bytes of copies and who made them; callgrind counts instructions, and how many bytes one
//! moves depends on the machine. As in `prove stages` the portable backend serves, because valgrind does not know io_uring, and
//! the difference between a short and a long run is what is told: start and end are in both. The portable backend copies what it
//! receives, where io_uring receives into buffers that stay: its copies have a column of their own. What the kernel copies is
//! not seen.

use serde_json::Value;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::binary;
use super::gaps::Gaps;
use crate::broker::Broker;
use crate::tally::say;
use crate::{Fault, program, tree};

/// What is asked, and by how many consumers: the same without readers and with them.
const LOADS: [(&str, &str); 2] = [("produce 1 KiB, batches of 16 KiB", "0"), (READ_AS_WELL, "1")];
pub(super) const READ_AS_WELL: &str = "produce and fetch 1 KiB, batches of 16 KiB";
/// A short and a long run, in seconds.
const LENGTHS: [u64; 2] = [3, 12];
/// Under valgrind everything takes some fifty times as long.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the broker counts at its copy sites.
const COUNTED: [&str; 3] = [
    "ringwood_store_tail_copied_bytes_total",
    "ringwood_store_commit_copied_bytes_total",
    "ringwood_network_copied_bytes_total",
];

/// Who copies, by a function that is called on the way.
const WHO: [(&str, &str); 3] = [
    ("the portable backend's own", "ringwood_runtime::portable::"),
    ("into tails", "ringwood_store::tail::"),
    ("into commits", "ringwood_store::journal::filling::"),
];
/// And everything else, in pieces of at least [`LARGE`] bytes and in smaller ones.
const KINDS: usize = WHO.len() + 2;
const OTHERS: usize = WHO.len();
/// What is copied of the loads' batches is 15 KiB at a time. Less is the state of requests, which is moved where they begin, and the
/// heads of answers: so much for each request, whatever its bytes.
const LARGE: u64 = 4096;

/// What one run has moved.
#[derive(Clone, Copy)]
struct Moved {
    produced: u64,
    copied: [u64; KINDS],
    counted: u64,
}

/// What was seen.
pub(super) struct Copies {
    /// A table with its heading.
    pub(super) rows: Vec<String>,
    /// Bytes copied on their way out for each byte produced: what a load that is read as well copies more than one that is not,
    /// in large pieces, without the portable backend's own. None where there is no valgrind.
    pub(super) out: Option<f64>,
}

/// Takes both loads.
pub(super) fn take(gaps: &mut Gaps) -> Result<Copies, Fault> {
    let mut rows =
        vec!["User-space copies, one core, portable backend, under valgrind:".to_owned()];
    rows.push(String::new());
    if Command::new("valgrind").arg("--version").output().is_err() {
        say("SKIPPED figures of copies: no valgrind (Debian: valgrind)")?;
        gaps.add("user-space copies under valgrind", "no valgrind (Debian: valgrind)", false);
        rows.push("Not taken.".to_owned());
        return Ok(Copies { rows, out: None });
    }
    let who = WHO.map(|(name, _)| name).join(" | ");
    rows.push(format!(
        "| load | copies/byte, valgrind | of that {who} | others, large | others, small | copies/byte, counters |"
    ));
    rows.push(format!("|---|{}", "---:|".repeat(KINDS + 2)));
    let mut seen = Vec::new();
    for (name, consumers) in LOADS {
        say(&format!("copies: {name}"))?;
        let [short, long] = LENGTHS;
        let (short, long) = (moved(consumers, short)?, moved(consumers, long)?);
        let (copied, counted) = per_byte(short, long)?;
        let all: f64 = copied.iter().sum();
        let each = copied.map(|c| format!("{c:.2}")).join(" | ");
        rows.push(format!("| {name} | {all:.2} | {each} | {counted:.2} |"));
        seen.push(copied[1..=OTHERS].iter().sum::<f64>());
    }
    let out = match seen[..] {
        [written, read_as_well] => Some(read_as_well - written),
        _ => None,
    };
    Ok(Copies { rows, out })
}

/// Runs a broker and one load under valgrind.
fn moved(consumers: &str, seconds: u64) -> Result<Moved, Fault> {
    let ours = binary().display().to_string();
    let told_to = tree::work().join("dhat.out");
    let out = format!("--dhat-out-file={}", told_to.display());
    let mut broker = Broker::fresh("figures-copies", 1)?
        .program("valgrind".into())
        .under(&["--tool=dhat", "--mode=copy", "--num-callers=40", &out, &ours])
        .with(&["--io", "portable", "--ring", "8MiB", "--memory", "64MiB"]);
    broker.spawn()?;
    broker.wait_until_ready(PATIENCE)?;
    let mut load = Command::new(&ours);
    load.args(["perf", "run", "-b", &broker.bootstrap(), "--rate", "max", "--warmup", "0s"]);
    load.args(["--size", "1KiB", "--batch", "16KiB", "--partitions", "4", "--producers", "1"]);
    load.args(["--max-inflight", "2", "--consumers", consumers]);
    load.args(["--duration", &format!("{seconds}s")]);
    let limit = PATIENCE + Duration::from_secs(seconds);
    let outcome = program::run(load.stdin(Stdio::null()), None, limit)?;
    // 8 is a run whose figures say nothing of the broker's speed: here they are not looked at.
    if !matches!(outcome.status.code(), Some(0 | 8)) {
        return Err(format!("the load failed\n    {}", outcome.last_words()).into());
    }
    // What is counted is told once a second.
    sleep(Duration::from_millis(2500));
    let told = |name: &str| broker.metric(name).ok_or_else(|| format!("there is no {name}"));
    let produced = told("ringwood_kafka_produce_bytes_total")?;
    let counted = COUNTED.into_iter().map(told).sum::<Result<u64, _>>()?;
    broker.stop(PATIENCE)?;
    let copied = copies(&std::fs::read(&told_to)?)?;
    Ok(Moved { produced, copied, counted })
}

/// The bytes of all copies by who made them, of what DHAT wrote: `pps` has an entry for each chain of calls, with its bytes as
/// `tb`, how many copies they are as `tbk` and its frames as `fs`, the innermost first; these are indexes into the names of `ftbl`.
fn copies(told: &[u8]) -> Result<[u64; KINDS], Fault> {
    let told: Value = serde_json::from_slice(told)?;
    let list = |of: &'static str| told[of].as_array().ok_or(format!("valgrind told no {of}"));
    let kinds: Vec<Option<usize>> = list("ftbl")?
        .iter()
        .map(|name| {
            let name = name.as_str().unwrap_or_default();
            WHO.iter().position(|(_, function)| name.contains(function))
        })
        .collect();
    let mut all = [0; KINDS];
    for copy in list("pps")? {
        let bytes = copy["tb"].as_u64().ok_or("valgrind told no bytes")?;
        let blocks = copy["tbk"].as_u64().ok_or("valgrind told no blocks")?;
        let mut frames = copy["fs"].as_array().ok_or("valgrind told no frames")?.iter();
        let kind = frames.find_map(|at| kinds[usize::try_from(at.as_u64()?).ok()?]);
        let small = bytes < blocks.saturating_mul(LARGE);
        all[kind.unwrap_or(OTHERS + usize::from(small))] += bytes;
    }
    Ok(all)
}

/// What the longer run has moved more, by what it was given more: as valgrind sees it, and as the broker counts it.
fn per_byte(short: Moved, long: Moved) -> Result<([f64; KINDS], f64), Fault> {
    let produced = long.produced.saturating_sub(short.produced);
    if produced < 1 << 20 {
        return Err(format!("{produced} bytes more in the longer run are too few").into());
    }
    let by = |long: u64, short: u64| (long as f64 - short as f64) / produced as f64;
    let copied = std::array::from_fn(|kind| by(long.copied[kind], short.copied[kind]));
    Ok((copied, by(long.counted, short.counted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_valgrind_says_is_divided_among_those_who_copied() {
        let told = br#"{"mode": "copy", "ftbl": ["[root]", "0x1: memmove (in dhat.so)",
            "0x2: {async_fn#0}<ringwood_runtime::portable::sockets::recv> (watched.rs:156)",
            "0x3: ringwood_store::tail::Tail::append (tail.rs:78)",
            "0x4: ringwood_store::journal::filling::<impl Journal<A>>::append (filling.rs:9)",
            "0x5: ringwood_runtime::executor::Executor::run (executor.rs:128)"],
            "pps": [{"tb": 100, "tbk": 2, "fs": [1, 2, 5]}, {"tb": 20, "tbk": 1, "fs": [1, 3, 5]},
                {"tb": 7, "tbk": 1, "fs": [1, 4, 5]}, {"tb": 5, "tbk": 9, "fs": [1, 5]},
                {"tb": 8192, "tbk": 2, "fs": [1, 5]}, {"tb": 11, "tbk": 1, "fs": [1, 2]}]}"#;
        assert_eq!(copies(told).ok(), Some([111, 20, 7, 8192, 5]));
        assert!(copies(b"{}").is_err() && copies(b"no json").is_err());
    }

    #[test]
    fn the_start_is_left_out() {
        let moved = |produced, copied, counted| Moved { produced, copied, counted };
        let short = moved(1 << 20, [3 << 20, 1 << 20, 2 << 20, 0, 1 << 20], 2 << 20);
        let long = moved(5 << 20, [7 << 20, 5 << 20, 6 << 20, 2 << 20, 1 << 20], 10 << 20);
        assert_eq!(per_byte(short, long).ok(), Some(([1.0, 1.0, 1.0, 0.5, 0.0], 2.0)));
        assert!(per_byte(long, short).is_err());
    }
}
