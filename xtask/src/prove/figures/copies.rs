//! Copies as valgrind sees them: every byte that a call of `memcpy` or `memmove` moves in the broker, whoever makes it, beside
//! what the broker's own counters say of the same run. A copy site that nobody counts shows as the difference.
//!
//! The tool is DHAT, which counts the bytes of copies; callgrind counts instructions, and how many bytes one moves depends on
//! the machine. As in `prove stages` the portable backend serves, because valgrind does not know io_uring, and the difference
//! between a short and a long run is what is told: start and end are in both. What the kernel copies is not seen.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::binary;
use super::gaps::Gaps;
use crate::broker::Broker;
use crate::tally::say;
use crate::{Fault, program, tree};

/// What is asked, and by how many consumers: the same without and with them, so that the difference is what fetching copies.
const LOADS: [(&str, &str); 2] = [("produce 1 KiB, batches of 16 KiB", "0"), (FETCHING, "1")];
/// The load whose consumers read all that is written.
pub(super) const FETCHING: &str = "produce and fetch 1 KiB, batches of 16 KiB";
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

/// What one run has moved.
#[derive(Clone, Copy)]
struct Moved {
    produced: u64,
    fetched: u64,
    copied: u64,
    counted: u64,
}

/// What a load moved for each byte that was produced.
#[derive(Clone, Copy, Debug, PartialEq)]
struct PerByte {
    copied: f64,
    counted: f64,
    fetched: f64,
}

/// What was found, as a table with its heading, and the bytes that are copied for each byte fetched, where that could be taken.
pub(super) struct Found {
    pub(super) rows: Vec<String>,
    pub(super) out: Option<f64>,
}

/// Takes it.
pub(super) fn find(gaps: &mut Gaps) -> Result<Found, Fault> {
    let mut rows =
        vec!["User-space copies, one core, portable backend, under valgrind:".to_owned()];
    rows.push(String::new());
    if Command::new("valgrind").arg("--version").output().is_err() {
        say("SKIPPED figures of copies: no valgrind (Debian: valgrind)")?;
        gaps.add("user-space copies under valgrind", "no valgrind (Debian: valgrind)", false);
        rows.push("Not taken.".to_owned());
        return Ok(Found { rows, out: None });
    }
    rows.push("| load | copies/byte, valgrind | copies/byte, counters |".to_owned());
    rows.push("|---|---:|---:|".to_owned());
    let mut all = Vec::new();
    for (name, consumers) in LOADS {
        say(&format!("copies: {name}"))?;
        let [short, long] = LENGTHS;
        let found = per_byte(moved(consumers, short)?, moved(consumers, long)?)?;
        rows.push(format!("| {name} | {:.2} | {:.2} |", found.copied, found.counted));
        all.push(found);
    }
    let [without, with] = all.as_slice() else { return Ok(Found { rows, out: None }) };
    Ok(Found { rows, out: out_per_byte(*without, *with) })
}

/// Bytes copied for each byte fetched: what is copied more where somebody reads, less what of it the broker counts, which it does on the way
/// in alone.
fn out_per_byte(without: PerByte, with: PerByte) -> Option<f64> {
    let uncounted = |of: PerByte| of.copied - of.counted;
    let more = uncounted(with) - uncounted(without);
    // Too few bytes were read to tell, or none.
    (with.fetched > 0.1).then(|| (more / with.fetched).max(0.0))
}

/// Runs a broker and one load under valgrind.
fn moved(consumers: &str, seconds: u64) -> Result<Moved, Fault> {
    let ours = binary().display().to_string();
    let out = tree::work().join("dhat.out");
    let out = format!("--dhat-out-file={}", out.display());
    let mut broker = Broker::fresh("figures-copies", 1)?
        .program("valgrind".into())
        .under(&["--tool=dhat", "--mode=copy", &out, &ours])
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
    let fetched = told("ringwood_kafka_fetch_bytes_total")?;
    let counted = COUNTED.into_iter().map(told).sum::<Result<u64, _>>()?;
    broker.stop(PATIENCE)?;
    let words = broker.last_words();
    let copied = total(&words).ok_or_else(|| format!("valgrind told no total\n    {words}"))?;
    Ok(Moved { produced, fetched, copied, counted })
}

/// The bytes of all copies, as DHAT says at its end: `==77== Total:     10,730 bytes in 742 blocks`.
fn total(words: &str) -> Option<u64> {
    let line = words.lines().rev().find_map(|line| line.split_once("== Total:"))?.1;
    line.split_once(" bytes in ")?.0.trim().replace(',', "").parse().ok()
}

/// What the longer run has moved more, by what it was given more: as valgrind sees it, and as the broker counts it.
fn per_byte(short: Moved, long: Moved) -> Result<PerByte, Fault> {
    let more = |of: fn(&Moved) -> u64| of(&long).saturating_sub(of(&short));
    let produced = more(|m| m.produced);
    if produced < 1 << 20 {
        return Err(format!("{produced} bytes more in the longer run are too few").into());
    }
    let by = |bytes: u64| bytes as f64 / produced as f64;
    let [copied, counted, fetched] =
        [more(|m| m.copied), more(|m| m.counted), more(|m| m.fetched)].map(by);
    Ok(PerByte { copied, counted, fetched })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_valgrind_says_is_read_and_the_start_is_left_out() {
        let words = "==7== \n==7== Total:     1,010,730 bytes in 742 blocks\n==7== To view";
        assert_eq!(total(words), Some(1_010_730));
        assert_eq!(total("the broker stops"), None);
        let moved = |produced, copied, counted| Moved { produced, fetched: 0, copied, counted };
        let (short, long) = (moved(1 << 20, 7 << 20, 2 << 20), moved(5 << 20, 15 << 20, 10 << 20));
        let expected = PerByte { copied: 2.0, counted: 2.0, fetched: 0.0 };
        assert_eq!(per_byte(short, long).ok(), Some(expected));
        assert!(per_byte(long, short).is_err());
    }

    #[test]
    fn a_copy_on_the_way_out_is_found_though_nobody_counts_it() {
        let of = |copied, counted, fetched| PerByte { copied, counted, fetched };
        let without = of(2.25, 2.0, 0.0);
        // Requests of readers are copied on receipt, and counted there.
        assert_eq!(out_per_byte(without, of(2.5, 2.25, 1.0)), Some(0.0));
        // Half of what was written has been read, and every byte of that copied.
        assert_eq!(out_per_byte(without, of(2.75, 2.0, 0.5)), Some(1.0));
        assert_eq!(out_per_byte(without, of(2.0, 2.0, 1.0)), Some(0.0));
        assert_eq!(out_per_byte(without, of(2.25, 2.0, 0.0)), None);
    }
}
