//! Many partitions: what one costs that does nothing, and how soon all of them serve after kill -9.
//!
//! A topic of so many partitions; some of them, all by default up to 10,000 and 1,000 beyond, get 20 records each from franz-go. After the first
//! half of those partitions the broker is stopped, which takes a checkpoint, and started again; after the second half it is killed, so that what is
//! in them is only in the ring, if no checkpoint fell between: the proof fails where one did. From the start after that a reader measures until every
//! partition with data has given its first record, and checks all of them.
//!
//! Memory is what the process holds once that no longer changes, each time after kill -9 and a start: of a broker without a topic, with the
//! partitions and without data, and with both while they serve; and once more after a clean stop and a start, when the partitions with data are idle.
//! Memory and open files above what the design allows are failures; with `--release` so are the times.

mod bounds;

use std::fs::{read_dir, read_to_string};
use std::path::PathBuf;
use std::process::Command;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::{options, programs};
use crate::broker::Broker;
use crate::program::{self, Outcome};
use crate::tally::say;
use crate::{Fault, tree};

const TOPIC: &str = "prove-partitions";
const RECORDS: u64 = 20;

struct Options {
    count: u64,
    with_data: u64,
    release: bool,
    state: PathBuf,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let (mut count, mut with_data, mut release, mut state) = (1000, None, false, None);
        options::each(words, &["--release"], |name, value| {
            match name {
                "--count" => count = value.parse()?,
                "--with-data" => with_data = Some(value.parse()?),
                "--release" => release = true,
                "--state" => state = Some(PathBuf::from(value)),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let with_data = with_data.unwrap_or(if count > 10_000 { 1000 } else { count });
        if with_data < 2 || with_data > count {
            return Err("--with-data is from 2 to --count".into());
        }
        let file = format!("partitions-{count}.json");
        let state = state.unwrap_or_else(|| tree::target().join("prove").join(file));
        Ok(Options { count, with_data, release, state })
    }
}

/// What a process holds.
#[derive(Clone, Copy)]
struct Usage {
    resident: u64,
    files: u64,
}

fn usage(broker: &Broker) -> Result<Usage, Fault> {
    let process = broker.process_id().ok_or("the broker does not run")?;
    let status = read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let resident: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    let files = read_dir(format!("/proc/{process}/fd"))?.count() as u64;
    Ok(Usage { resident: resident << 10, files })
}

/// The same once it has not changed for two seconds, or after twenty.
fn settled(broker: &Broker) -> Result<Usage, Fault> {
    let mut last = usage(broker)?;
    let (begun, mut since) = (Instant::now(), Instant::now());
    while since.elapsed() < Duration::from_secs(2) && begun.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(100));
        let now = usage(broker)?;
        if now.resident.abs_diff(last.resident) > 64 << 10 {
            since = Instant::now();
            last = now;
        }
    }
    usage(broker)
}

fn good(outcome: Outcome, what: &str) -> Result<serde_json::Value, Fault> {
    if !outcome.status.success() {
        return Err(format!("{what}: {}\n    {}", outcome.status, outcome.last_words()).into());
    }
    Ok(serde_json::from_slice(&outcome.out)
        .map_err(|error| format!("{what}: {error}: {}", String::from_utf8_lossy(&outcome.out)))?)
}

/// Kills the broker and starts it again; how long until it serves.
fn restart(broker: &mut Broker) -> Result<Duration, Fault> {
    broker.kill()?;
    let started = Instant::now();
    broker.start()?;
    Ok(started.elapsed())
}

/// Starts the killed broker below a reader that waits for it: when it said that it serves, and the reader's report.
fn recover(broker: &mut Broker, options: &Options) -> Result<(u64, serde_json::Value), Fault> {
    let started = Instant::now();
    broker.spawn()?;
    let mut first = Command::new(tree::work().join("go/client"));
    first.args(["first", &broker.bootstrap(), TOPIC]);
    first.args([options.with_data.to_string(), RECORDS.to_string()]);
    scope(|scope| {
        let reader = scope.spawn(|| {
            program::run(&mut first, None, Duration::from_secs(360)).map_err(|e| e.to_string())
        });
        broker.wait_until_ready(Duration::from_secs(120))?;
        let ready = started.elapsed();
        let outcome = reader.join().map_err(|_| "the reader's thread panicked")??;
        Ok((ready.as_millis().try_into()?, good(outcome, "the reader")?))
    })
}

/// Runs it once; true if every record was where it belongs, and no figure is above what the design allows.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    programs::build(options.release)?;
    let mut broker = Broker::fresh("prove-partitions", 2)?;
    if options.release {
        broker = broker.program(tree::release_binary("ringwood"));
    }
    broker.start()?;
    restart(&mut broker)?;
    let empty = settled(&broker)?;
    let bootstrap = broker.bootstrap();
    let created = Instant::now();
    let mut create = Command::new(tree::binary("ringwood-clients-rdkafka"));
    create.args(["create", &bootstrap, TOPIC, &options.count.to_string(), "retention.ms=-1"]);
    let outcome = program::run(&mut create, None, Duration::from_secs(300))?;
    if !outcome.status.success() {
        return Err(format!("no topic\n    {}", outcome.last_words()).into());
    }
    let created = created.elapsed();
    let idle_ready = restart(&mut broker)?;
    let idle = settled(&broker)?;
    let fill = |from: u64, to: u64| {
        let mut fill = Command::new(tree::work().join("go/client"));
        fill.args(["fill", &bootstrap, TOPIC, &from.to_string(), &to.to_string()]);
        fill.arg(RECORDS.to_string());
        good(program::run(&mut fill, None, Duration::from_secs(540))?, "the writer")
    };
    let half = options.with_data / 2;
    let ring = |broker: &Broker| -> Result<u64, Fault> {
        // What the admin port says is a second old at most.
        sleep(Duration::from_millis(1200));
        Ok(broker.metric("ringwood_journal_used_bytes").ok_or("no ringwood_journal_used_bytes")?)
    };
    fill(0, half)?;
    let ring_first = ring(&broker)?;
    broker.stop(Duration::from_secs(60))?;
    broker.start()?;
    let ring_stopped = ring(&broker)?;
    fill(half, options.with_data)?;
    let ring_second = ring(&broker)?;
    let checkpoints = broker.metric("ringwood_store_checkpoints_total");
    let checkpoints = checkpoints.ok_or("no ringwood_store_checkpoints_total")?;
    broker.kill()?;
    let (ready, report) = recover(&mut broker, &options)?;
    let serving = settled(&broker)?;
    broker.stop(Duration::from_secs(60))?;
    broker.start()?;
    let rested = settled(&broker)?;
    let of = |name: &str| report.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let each = idle.resident.saturating_sub(empty.resident) / options.count;
    let more = rested.resident.saturating_sub(idle.resident) / options.with_data;
    let mut counts = Counts::anew()?;
    for (name, n) in [
        ("partitions", options.count),
        ("partitions_with_data", options.with_data),
        ("created_in_ms", created.as_millis().try_into()?),
        ("ring_bytes_after_first_half", ring_first),
        ("ring_bytes_after_stop", ring_stopped),
        ("ring_bytes_after_second_half", ring_second),
        ("checkpoints_after_second_half", checkpoints),
        ("ready_without_data_ms", idle_ready.as_millis().try_into()?),
        ("ready_ms", ready),
        ("first_fetch_of_all_ms", of("first_ms")),
        ("all_records_ms", of("all_ms")),
        ("resident_bytes_empty", empty.resident),
        ("resident_bytes_idle", idle.resident),
        ("resident_bytes_per_idle_partition", each),
        ("resident_bytes_idle_with_data", rested.resident),
        ("resident_bytes_per_idle_partition_with_data", each + more),
        ("resident_bytes_serving", serving.resident),
        ("open_files_empty", empty.files),
        ("open_files_idle", idle.files),
        ("open_files_serving", serving.files),
    ] {
        counts.add(name, n);
    }
    counts.save(&options.state)?;
    say(&serde_json::to_string_pretty(&counts.0)?)?;
    let (table, above) = bounds::judge(&options, &counts);
    say(&table)?;
    broker.discard()?;
    for figure in &above {
        say(&format!("FAILED {figure}"))?;
    }
    if checkpoints > 0 {
        say("FAILED a checkpoint came after the second half: not all of it was only in the ring")?;
    }
    let all = of("partitions");
    if all != options.with_data {
        say(&format!("FAILED {all} of {} partitions have given their records", options.with_data))?;
    }
    Ok(all == options.with_data && checkpoints == 0 && above.is_empty())
}
