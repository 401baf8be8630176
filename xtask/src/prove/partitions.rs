//! Many partitions: what one costs that does nothing, and how soon all of them serve after kill -9.
//!
//! A topic of so many partitions; some of them, all by default up to 10,000 and 1,000 beyond, get 20 records each from franz-go, one half of the
//! partitions after the other. Then the broker is killed. The second half is only in the ring at the kill if no checkpoint fell between: the
//! two counts of checkpoints say whether one did, and nothing forces one before the second half. From the start after that a reader measures until
//! every partition with data has given its first record, and checks all of them.

use std::fs::{read_dir, read_to_string};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::kill::{self, Counts};
use crate::broker::Broker;
use crate::program::{self, Outcome};
use crate::tally::say;
use crate::{Fault, tree};

const TOPIC: &str = "prove-partitions";
const RECORDS: u64 = 20;
/// What STORAGE.md allows an idle partition, in bytes.
const IDLE_MAX: u64 = 2048;

struct Options {
    count: u64,
    with_data: u64,
    release: bool,
    state: PathBuf,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let (mut count, mut with_data, mut release, mut state) = (1000, None, false, None);
        let mut rest = words;
        while let [name, more @ ..] = rest {
            if *name == "--release" {
                release = true;
                rest = more;
                continue;
            }
            let [value, more @ ..] = more else {
                return Err(format!("{name} needs a value").into());
            };
            match *name {
                "--count" => count = value.parse()?,
                "--with-data" => with_data = Some(value.parse()?),
                "--state" => state = Some(PathBuf::from(value)),
                other => return Err(format!("no such option: {other}").into()),
            }
            rest = more;
        }
        let with_data = with_data.unwrap_or(if count > 10_000 { 1000 } else { count });
        if with_data < 2 || with_data > count {
            return Err("--with-data is from 2 to --count".into());
        }
        let file = format!("partitions-{count}.json");
        let state = state.unwrap_or_else(|| tree::target().join("prove").join(file));
        Ok(Options { count, with_data, release, state })
    }
}

/// Resident bytes and open files of a process.
fn usage(broker: &Broker) -> Result<(u64, u64), Fault> {
    let process = broker.process_id().ok_or("the broker does not run")?;
    let status = read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let resident: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    let open = read_dir(format!("/proc/{process}/fd"))?.count();
    Ok((resident << 10, open as u64))
}

fn good(outcome: Outcome, what: &str) -> Result<serde_json::Value, Fault> {
    if !outcome.status.success() {
        return Err(format!("{what}: {}\n    {}", outcome.status, outcome.last_words()).into());
    }
    Ok(serde_json::from_slice(&outcome.out).unwrap_or_default())
}

/// Runs it once; true if every record was where it belongs. The figures are for a reader to judge.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    kill::build(options.release)?;
    let mut broker = Broker::fresh("prove-partitions", 2)?;
    if options.release {
        broker = broker.program(tree::release_binary("ringwood"));
    }
    broker.start()?;
    let bootstrap = broker.bootstrap();
    let (before, open_before) = usage(&broker)?;
    let mut create = Command::new(tree::binary("ringwood-clients-rdkafka"));
    create.args(["create", &bootstrap, TOPIC, &options.count.to_string(), "retention.ms=-1"]);
    let outcome = program::run(&mut create, None, Duration::from_secs(120))?;
    if !outcome.status.success() {
        return Err(format!("no topic\n    {}", outcome.last_words()).into());
    }
    // A start of its own: what creating them took is not what having them takes.
    broker.kill()?;
    broker.start()?;
    let (idle, open_idle) = usage(&broker)?;
    let client = || Command::new(tree::work().join("go/client"));
    let fill = |from: u64, to: u64| {
        let mut fill = client();
        fill.args(["fill", &bootstrap, TOPIC, &from.to_string(), &to.to_string()]);
        fill.arg(RECORDS.to_string());
        good(program::run(&mut fill, None, Duration::from_secs(540))?, "the writer")
    };
    let half = options.with_data / 2;
    fill(0, half)?;
    let checkpoints = broker.metric("ringwood_store_checkpoints_total").unwrap_or(0);
    fill(half, options.with_data)?;
    let later = broker.metric("ringwood_store_checkpoints_total").unwrap_or(0);
    broker.kill()?;
    let started = Instant::now();
    broker.spawn()?;
    let mut first = client();
    let with_data = options.with_data.to_string();
    first.args(["first", &bootstrap, TOPIC, &with_data, &RECORDS.to_string()]);
    let report = good(program::run(&mut first, None, Duration::from_secs(360))?, "the reader")?;
    let whole = started.elapsed();
    let (serving, open_serving) = usage(&broker)?;
    let of = |name: &str| report.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let each = idle.saturating_sub(before) / options.count;
    let mut counts = Counts::default();
    for (name, n) in [
        ("partitions", options.count),
        ("partitions_with_data", options.with_data),
        ("checkpoints_before_second_half", checkpoints),
        ("checkpoints_before_kill", later),
        ("first_fetch_of_all_ms", of("first_ms")),
        ("all_records_ms", of("all_ms")),
        ("resident_bytes_empty", before),
        ("resident_bytes_idle", idle),
        ("resident_bytes_per_idle_partition", each),
        ("resident_bytes_serving", serving),
        ("open_files_empty", open_before),
        ("open_files_idle", open_idle),
        ("open_files_serving", open_serving),
    ] {
        counts.add(name, n);
    }
    counts.save(&options.state)?;
    say(&serde_json::to_string_pretty(&counts.0)?)?;
    say(&format!(
        "first correct fetch of all {with_data} after {} ms (design: 3000 for 10,000 with data); an idle partition {each} bytes (design: {IDLE_MAX}); \
         open files {open_idle} idle, {open_serving} serving; read in {:.1} s",
        of("first_ms"),
        whole.as_secs_f32()
    ))?;
    broker.discard()?;
    Ok(of("partitions") == options.with_data)
}
