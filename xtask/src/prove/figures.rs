//! The figures of the durable path over TCP: what one broker takes and gives, and what it costs, beside the bare device.
//!
//! Each round starts a fresh broker for each number of cores and each load; the rounds follow each other, so that a slow minute
//! hits all. What is printed is the median of the rounds, beside the targets of the design; of each that is missed, what was measured of broker,
//! device and client under that load, and with `--profile` where the broker's time went. Two things are a verdict: a load at the
//! broker's limit that has not gone round the ring three times has not met the cost of its checkpoints, and shows nothing; and a disk
//! that was asked for by its name must be there. What else could not be measured is told at the end.
//!
//! What reading alone costs is measured on a log that is there already, of which a consumer takes everything, so that no produce is in the figure. How
//! often a byte is copied is counted by the broker where it copies, and once more by valgrind, which sees every copy.
//!
//! How long an acknowledgement takes at a rate that the broker keeps easily, open loop, is measured on every file system that can be had here: a
//! flush costs what the file system makes of it.

mod broker;
mod copies;
mod disks;
mod fetching;
mod gaps;
mod latencies;
mod profile;
mod reasons;
mod targets;

use std::fs::{create_dir_all, read_to_string, write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use self::broker::Broker;
use self::disks::Disk;
use self::gaps::Gaps;
use self::profile::Tool;
use self::targets::{COPIES, COPIES_OUT, Light, RECORDS, Reached, SHARE};
use super::{options, processors};
use crate::tally::say;
use crate::{Fault, program, tree};

struct Options {
    rounds: usize,
    seconds: u64,
    cores: Vec<u32>,
    memory: String,
    /// Where the latency is measured.
    disks: Vec<Disk>,
    /// These disks and no others were asked for.
    named: bool,
    /// Where the time goes is looked for where a target is missed.
    profile: bool,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let mut options = Options {
            rounds: 3,
            seconds: 8,
            cores: vec![1, 2, 4],
            memory: "256MiB".to_owned(),
            disks: disks::ALL.to_vec(),
            named: false,
            profile: false,
        };
        options::each(words, &["--profile"], |name, value| {
            match name {
                "--rounds" => options.rounds = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                "--memory" => value.clone_into(&mut options.memory),
                "--cores" => options.cores = options::cores(value)?,
                "--disks" => {
                    options.disks = value.split(',').map(Disk::parse).collect::<Result<_, _>>()?;
                    options.named = true;
                }
                "--profile" => options.profile = true,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if options.rounds == 0 || options.seconds == 0 {
            return Err("a round is one at least, of a second at least".into());
        }
        Ok(options)
    }
}

/// What is asked of the broker: a name, and the arguments of `ringwood perf run`.
struct Load {
    name: &'static str,
    /// Records a second. At most what the broker takes, latency is counted from the sending of a request; at a fixed rate
    /// from the moment at which the record was due.
    rate: &'static str,
    words: &'static [&'static str],
}

static LOADS: [Load; 5] = [
    Load {
        rate: "max",
        name: "produce 100 B, batches of 16 KiB",
        words: &["--size", "100", "--batch", "16KiB", "--consumers", "0", "--max-inflight", "16"],
    },
    Load {
        rate: "max",
        name: "produce 1 KiB, batches of 16 KiB",
        words: &["--size", "1KiB", "--batch", "16KiB", "--consumers", "0", "--max-inflight", "16"],
    },
    Load {
        rate: "max",
        name: "produce 1 KiB, batches of 128 KiB",
        words: &["--size", "1KiB", "--batch", "128KiB", "--consumers", "0"],
    },
    Load {
        rate: "max",
        name: "produce and fetch 1 KiB, batches of 16 KiB",
        words: &["--size", "1KiB", "--batch", "16KiB", "--consumers", "2", "--max-inflight", "16"],
    },
    Load {
        rate: "max",
        name: "produce and fetch 1 KiB, batches of 128 KiB",
        words: &["--size", "1KiB", "--batch", "128KiB", "--consumers", "2"],
    },
];

/// A load at the broker's limit must write the ring so many times over.
const RING_LENGTHS: f64 = 3.0;
/// The bytes of batches that the broker took.
const PRODUCED: &str = "ringwood_kafka_produce_bytes_total";

/// The columns of the table of all loads.
const HEAD: &str = "| load | cores | 1000 records/s | MB/s in | MB/s out | CPU s/GB | p50 ms | p99 ms | flushes/s | copies/byte | written/byte, own | written/byte, device | core messages/request | ring lengths | |";
/// Of which time each of them is: what is divided by something is of the same time as that.
const LEGEND: &str = "Of the seconds that were measured, after the warm-up: 1000 records/s and MB/s in (acknowledged), MB/s out (received), CPU s/GB (what the broker's process used in them, for each GB of MB/s in), \
    p50 ms and p99 ms. Of all the time under load, from the first record of the warm-up to the last acknowledgement, as the broker counts it: flushes/s, copies/byte, written/byte, own and written/byte, device \
    (with what others write there), for each byte produced in that time, core messages/request, for each request of that time, and ring lengths.";

fn binary() -> PathBuf {
    tree::target().join("release").join("ringwood")
}

/// The sum of a metric over the cores.
fn sum(metrics: &str, name: &str) -> f64 {
    metrics
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.split_once("} "))
        .filter_map(|(_, value)| value.trim().parse::<f64>().ok())
        .sum()
}

/// Bytes that the kernel has written to the device that holds `folder`.
fn device_bytes(folder: &Path) -> Option<f64> {
    let df = Command::new("df").arg("--output=source").arg(folder).output().ok()?;
    let text = String::from_utf8_lossy(&df.stdout).into_owned();
    let device = text.lines().nth(1)?.trim().strip_prefix("/dev/")?.to_owned();
    let stats = read_to_string("/proc/diskstats").ok()?;
    let line = stats.lines().find(|l| l.split_whitespace().nth(2) == Some(&device))?;
    Some(line.split_whitespace().nth(9)?.parse::<f64>().ok()? * 512.0)
}

/// One measurement.
#[derive(Clone, Debug, Default)]
struct Figure {
    records: f64,
    bytes: f64,
    fetched: f64,
    cpu: f64,
    p50: f64,
    p99: f64,
    flushes: f64,
    copies: f64,
    /// The same into tails, into commits, and of received bytes before they were a request.
    copied: [f64; 3],
    own: f64,
    device: f64,
    messages: f64,
    /// How often the ring was written over.
    laps: f64,
    checkpoints: f64,
    /// Processors that the broker used, and the kernel's share of that, between 0 and 1.
    busy: f64,
    kernel: f64,
    /// The share of a processor that the client's busiest thread wanted, between 0 and 1.
    client: f64,
    verdict: String,
}

/// The admin port's text is a second old at most.
const METRICS_AGE: Duration = Duration::from_millis(1_200);
/// How long a broker is under load before it is looked at.
const WARM: &str = "2s";

fn measure(options: &Options, folder: &Path, cores: u32, load: &Load) -> Result<Figure, Fault> {
    // Where latency is measured, neither takes time from the other.
    let sides = if load.rate == "max" { None } else { processors::sides(cores) };
    let (ours, theirs) = sides.as_ref().map(|(broker, client)| (&**broker, &**client)).unzip();
    let broker = Broker::start(folder, cores, ours, options)?;
    warm(&broker)?;
    let before = broker.metrics().ok_or("no metrics")?;
    let device = device_bytes(folder);
    let times = broker.times()?;
    let mut command = processors::on(theirs, &binary());
    command
        .args(["perf", "run", "-b", &broker.listen, "--rate", load.rate, "--partitions", "16"])
        .args(["--producers", "2", "--warmup", "2s", "--json", "-"])
        .args(["--duration", &format!("{}s", options.seconds)])
        .args(load.words);
    if sides.is_some() {
        // A processor that has slept wakes late, in a virtual machine by milliseconds: then the client's times are withheld.
        command.arg("--keep-awake");
    }
    let limit = Duration::from_secs(options.seconds * 3 + 60);
    let outcome = program::run(&mut command, None, limit)?;
    let kernel = times.kernel_share_until(broker.times()?);
    let run: Value = serde_json::from_slice(&outcome.out)
        .map_err(|e| format!("{}: {e}\n    {}", program::line(&command), outcome.last_words()))?;
    sleep(METRICS_AGE);
    let after = broker.metrics().ok_or("no metrics")?;
    let written = device_bytes(folder).zip(device).map(|(after, before)| after - before);
    let of = |name: &str| sum(&after, name) - sum(&before, name);
    Ok(Figure {
        device: written.unwrap_or(f64::NAN) / of(PRODUCED),
        laps: of("ringwood_journal_bytes_total") / sum(&after, "ringwood_journal_size_bytes"),
        kernel,
        ..figure(&run, load, &of)
    })
}

/// Has the broker use its memory once. The kernel clears what is touched for the first time, and a virtual machine may have to ask its
/// host for it: seconds for each GiB, which belong to a start and not to a load.
fn warm(broker: &Broker) -> Result<(), Fault> {
    let mut command = Command::new(binary());
    command
        .args(["perf", "run", "-b", &broker.listen, "--rate", "max", "--partitions", "16"])
        .args(["--producers", "2", "--warmup", "0s", "--duration", WARM])
        .args(["--size", "1KiB", "--batch", "128KiB", "--consumers", "0"]);
    let outcome = program::run(&mut command, None, Duration::from_secs(60))?;
    // 8 is a run whose figures say nothing of the broker's speed: here they are not looked at.
    if !matches!(outcome.status.code(), Some(0 | 8)) {
        return Err(format!("the first load failed\n    {}", outcome.last_words()).into());
    }
    sleep(METRICS_AGE);
    Ok(())
}

/// What a load came to: see [`LEGEND`] for what is of which time. `run`: as `perf run` tells it. `of`: by how much a counter of the
/// broker rose over all of it.
fn figure(run: &Value, load: &Load, of: &dyn Fn(&str) -> f64) -> Figure {
    let repeat = &run["repeats"][0];
    let (stage, own) = (&repeat["stages"][0], &repeat["broker"]);
    let number = |v: &Value| v.as_f64().unwrap_or(f64::NAN);
    let [measured, acknowledged, bytes, received] =
        ["seconds", "acknowledged", "bytes", "received"].map(|name| number(&stage[name]));
    // What the counters rose by, they rose by under load: while the client starts and ends nothing is sent.
    let loaded = number(&repeat["loaded_seconds"]);
    let (produced, requests) = (of(PRODUCED), of("ringwood_kafka_requests_total"));
    let copied = [
        "ringwood_store_tail_copied_bytes_total",
        "ringwood_store_commit_copied_bytes_total",
        "ringwood_network_copied_bytes_total",
    ]
    .map(|name| of(name) / produced);
    let busy = number(&own["cpu_seconds"]) / number(&own["seconds"]);
    let [busiest, wanted] = ["busiest", "wanted"].map(|name| number(&repeat["generator"][name]));
    let kind = if load.rate == "max" { "service" } else { "response" };
    let latency = &stage["latency"][kind]["percentiles"];
    Figure {
        records: acknowledged / measured,
        bytes: bytes / measured,
        // All records of a load are of one size. The broker's own count of bytes fetched has the warm-up in it.
        fetched: received * (bytes / acknowledged) / measured,
        cpu: busy / (bytes / measured / 1e9),
        p50: number(&latency["p50"]) / 1e6,
        p99: number(&latency["p99"]) / 1e6,
        flushes: of("ringwood_journal_flushes_total") / loaded,
        copies: copied.iter().sum(),
        copied,
        own: (of("ringwood_journal_bytes_total")
            + of("ringwood_store_segment_bytes_total")
            + of("ringwood_store_rest_bytes_total")
            + of("ringwood_store_manifest_bytes_total"))
            / produced,
        messages: of("ringwood_core_messages_total") / requests,
        checkpoints: of("ringwood_store_checkpoints_total"),
        busy,
        client: busiest.max(wanted),
        verdict: run["verdict"]["is"].as_str().unwrap_or("none").to_owned(),
        ..Figure::default()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn row(cores: u32, load: &Load, all: &[Figure]) -> String {
    let of = |f: fn(&Figure) -> f64| median(all.iter().map(f).collect());
    let fetched = if load.name.contains("fetch") {
        format!("{:.0}", of(|f| f.fetched) / 1e6)
    } else {
        "-".to_owned()
    };
    format!(
        "| {} | {cores} | {:.0} | {:.0} | {fetched} | {:.2} | {:.2} | {:.2} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} | {} |",
        load.name,
        of(|f| f.records) / 1e3,
        of(|f| f.bytes) / 1e6,
        of(|f| f.cpu),
        of(|f| f.p50),
        of(|f| f.p99),
        of(|f| f.flushes),
        of(|f| f.copies),
        of(|f| f.own),
        of(|f| f.device),
        of(|f| f.messages),
        of(|f| f.laps),
        remark(all),
    )
}

/// The loads at the limit that have not gone round the ring often enough.
fn short_of_laps(load: &Load, cores: u32, all: &[Figure]) -> Option<String> {
    // A figure that could not be taken shows nothing either.
    let short = all.iter().find(|f| f.laps.is_nan() || f.laps < RING_LENGTHS)?;
    Some(format!(
        "{}, {cores} cores: {:.1} ring lengths, at least {RING_LENGTHS} are needed: a longer --seconds or less --memory",
        load.name, short.laps
    ))
}

/// How many of the measurements the client itself spoiled, and in how many the broker did not keep up.
fn remark(all: &[Figure]) -> String {
    let words = |verdict: &str| {
        let count = all.iter().filter(|f| f.verdict == verdict).count();
        (count > 0).then(|| format!("{count} of {} {verdict}", all.len()))
    };
    let without = all.iter().filter(|f| f.checkpoints < 1.0).count();
    let without = (without > 0).then(|| format!("{without} of {} without a checkpoint", all.len()));
    let verdicts = ["invalid", "saturated"].into_iter().filter_map(words);
    verdicts.chain(without).collect::<Vec<_>>().join(", ")
}

/// What the device and the loopback give without a broker.
fn ceiling(folder: &Path) -> Result<String, Fault> {
    let mut command = Command::new(binary());
    command.args(["perf", "ceiling", "--dir"]).arg(folder);
    let outcome = program::run(&mut command, None, Duration::from_secs(120))?;
    if !outcome.status.success() {
        return Err(format!("perf ceiling: {}", outcome.last_words()).into());
    }
    Ok(String::from_utf8_lossy(&outcome.out).trim_end().to_owned())
}

fn head() -> String {
    let text = |program: &str, words: &[&str]| {
        let out = Command::new(program).args(words).current_dir(tree::root()).output();
        out.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
    };
    let cpu = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or_default();
    let changed = text("git", &["status", "--porcelain", "--untracked-files=no"]);
    format!(
        "revision {}{}; {} x {}; Linux {}; load average {}",
        text("git", &["rev-parse", "--short=12", "HEAD"]),
        if changed.is_empty() { "" } else { " with changes" },
        std::thread::available_parallelism().map_or(0, usize::from),
        cpu.trim_start_matches([' ', '\t', ':']),
        text("uname", &["-r"]),
        read_to_string("/proc/loadavg").unwrap_or_default().trim(),
    )
}

/// What the kernel has written to the device is known only where it counts that by itself.
fn look_for_the_device(folder: &Path, gaps: &mut Gaps) {
    if device_bytes(folder).is_none() {
        let why = format!("/proc/diskstats does not count the device of {}", folder.display());
        gaps.add("written/byte, device", &why, false);
    }
}

/// What a profile is taken with, where one was asked for.
fn find_tool(options: &Options, folder: &Path, gaps: &mut Gaps) -> Option<Tool> {
    if !options.profile {
        return None;
    }
    match profile::tool(folder) {
        Ok(tool) => Some(tool),
        Err(why) => {
            gaps.add("the profile of what misses its target", &why, true);
            None
        }
    }
}

/// What was measured where a target was missed, and where the time went there if that was asked for. `all`: by number of cores and load.
fn why_missed(
    options: &Options,
    folder: &Path,
    all: &[Vec<Vec<Figure>>],
    light: Option<Light>,
    reached: &[Reached],
    tool: Option<Tool>,
) -> Result<Vec<String>, Fault> {
    let missed = targets::missed(reached);
    if missed.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = vec![String::new(), "Under each load that missed a target:".to_owned()];
    lines.push(String::new());
    let mut loads: Vec<(&Load, u32)> = Vec::new();
    for (name, cores, what) in missed {
        let taken = options.cores.iter().zip(all).find(|(count, _)| **count == cores);
        let Some((_, figures)) = taken else { continue };
        for (load, figures) in LOADS.iter().zip(figures).filter(|(load, _)| load.name == name) {
            let words = reasons::of(what, cores, figures, light);
            lines.push(format!("- {name}, {cores} cores, {what}: {words}."));
            if !loads.iter().any(|(before, _)| before.name == name) {
                loads.push((load, cores));
            }
        }
    }
    if let Some(tool) = tool {
        for (load, cores) in loads {
            lines.extend(profile::of(tool, options, folder, cores, load)?);
        }
    }
    Ok(lines)
}

/// Measures everything and prints one table; false only where a load was too short to show anything, or where something could not be
/// measured that was asked for by its name.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--package", "ringwood"]).current_dir(tree::root());
    if !program::follow(&mut build, |_| {})? {
        return Err("the build failed".into());
    }
    let folder = tree::target().join("prove").join("figures");
    create_dir_all(&folder)?;
    let mut gaps = Gaps::default();
    look_for_the_device(&folder, &mut gaps);
    let tool = find_tool(&options, &folder, &mut gaps);
    let calm = latencies::rows(&options, &folder, &mut gaps)?;
    let table = ceiling(&folder)?;
    let light = targets::speed_of_light(&table);
    let limit = light.map_or(f64::NAN, Light::slower);
    if limit.is_nan() {
        gaps.add(SHARE, "the table of the bare device and the loopback has no such rates", false);
    }
    let mut text = vec![head(), String::new(), table, String::new()];
    let mut all = vec![vec![Vec::new(); LOADS.len()]; options.cores.len()];
    for round in 1..=options.rounds {
        for (cores, figures) in options.cores.iter().zip(&mut all) {
            for (load, figures) in LOADS.iter().zip(figures) {
                say(&format!("round {round} of {}: {cores} cores, {}", options.rounds, load.name))?;
                figures.push(measure(&options, &folder, *cores, load)?);
            }
        }
    }
    text.push(format!(
        "{} rounds of {} s after 2 s, medians, each of a broker that has been under load for {WARM} already; acks=all, fsync; 16 partitions, 2 producers; --memory {} and the ring that goes with it.",
        options.rounds, options.seconds, options.memory
    ));
    text.push(String::new());
    text.push(LEGEND.to_owned());
    text.push(String::new());
    text.push(HEAD.to_owned());
    text.push(
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|".to_owned(),
    );
    let (mut short, mut reached) = (Vec::new(), Vec::new());
    for (cores, figures) in options.cores.iter().zip(&all) {
        for (load, figures) in LOADS.iter().zip(figures) {
            text.push(row(*cores, load, figures));
            short.extend(short_of_laps(load, *cores, figures));
            let records = median(figures.iter().map(|f| f.records).collect()) / 1e3;
            reached.push((load.name, *cores, RECORDS, records));
            let copies = median(figures.iter().map(|f| f.copies).collect());
            reached.push((load.name, *cores, COPIES, copies));
            let bytes = median(figures.iter().map(|f| f.bytes).collect());
            reached.push((load.name, *cores, SHARE, bytes / limit * 100.0));
        }
    }
    let copies = copies::take(&mut gaps)?;
    reached.extend(copies.out.map(|out| (copies::READ_AS_WELL, 1, COPIES_OUT, out)));
    text.push(String::new());
    text.push("Targets:".to_owned());
    text.push(String::new());
    text.push("| load | cores | figure | target | here |".to_owned());
    text.push("|---|---:|---|---:|---|".to_owned());
    text.extend(targets::against(&reached));
    text.extend(why_missed(&options, &folder, &all, light, &reached, tool)?);
    text.push(String::new());
    text.push(
        "Fetch alone, of a log of batches of 128 KiB that is there already, by one consumer; bytes, seconds and CPU seconds from its start to its end:"
            .to_owned(),
    );
    text.push(String::new());
    text.push("| cores | MB/s out | CPU s/GB |".to_owned());
    text.push("|---:|---:|---:|".to_owned());
    for cores in &options.cores {
        let mut all = Vec::new();
        for round in 1..=options.rounds {
            say(&format!("round {round} of {}: {cores} cores, fetch alone", options.rounds))?;
            all.push(fetching::alone(&options, &folder, *cores)?);
        }
        let of = |f: fn(&(f64, f64)) -> f64| median(all.iter().map(f).collect());
        text.push(format!("| {cores} | {:.0} | {:.2} |", of(|f| f.0), of(|f| f.1)));
    }
    text.push(String::new());
    text.extend(copies.rows);
    text.push(String::new());
    text.extend(calm);
    text.push(String::new());
    text.push(ceiling(&folder)?);
    let untold = gaps.lines();
    if !untold.is_empty() {
        text.push(String::new());
        text.extend(untold);
    }
    let text = text.join("\n");
    let path = folder.with_extension("md");
    write(&path, format!("{text}\n"))?;
    say(&text)?;
    say(&format!("the same in {}", path.display()))?;
    short.extend(gaps.failures());
    for gap in &short {
        say(&format!("FAILED {gap}"))?;
    }
    Ok(short.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_asked_for_by_name_or_taken_as_they_are_here() {
        let named = |words: &[&str]| Options::parse(words).map(|o| o.named).ok();
        assert_eq!(named(&[]), Some(false));
        assert_eq!(named(&["--disks", "here,xfs"]), Some(true));
        assert_eq!(named(&["--disks", "btrfs"]), None);
        let profile = |words: &[&str]| Options::parse(words).map(|o| o.profile).ok();
        assert_eq!((profile(&[]), profile(&["--profile"])), (Some(false), Some(true)));
    }

    #[test]
    fn what_is_read_is_of_the_time_in_which_what_is_written_is() {
        // Eight seconds are measured, in which the readers kept up, after two in which half as much was carried.
        let run = serde_json::json!({
            "verdict": {"is": "valid"},
            "repeats": [{
                "loaded_seconds": 10.0,
                "broker": {"seconds": 10.0, "cpu_seconds": 5.0},
                "generator": {"busiest": 0.5, "wanted": 0.75},
                "stages": [{
                    "seconds": 8.0, "acknowledged": 8_000, "bytes": 8_800_000, "received": 8_000,
                    "latency": {"service": {"percentiles": {"p50": 1e6, "p99": 2e6}}},
                }],
            }],
        });
        let of = |name: &str| match name {
            PRODUCED | "ringwood_kafka_fetch_bytes_total" => 9_900_000.0,
            "ringwood_journal_bytes_total" => 19_800_000.0,
            "ringwood_journal_flushes_total" => 90.0,
            "ringwood_kafka_requests_total" => 900.0,
            "ringwood_core_messages_total" => 450.0,
            "ringwood_store_tail_copied_bytes_total" => 9_900_000.0,
            "ringwood_network_copied_bytes_total" => 4_950_000.0,
            _ => 0.0,
        };
        let found = figure(&run, &LOADS[3], &of);
        assert_eq!((found.records, found.bytes, found.fetched), (1e3, 1.1e6, 1.1e6));
        // Half a core for 1.1 MB/s.
        assert!((found.cpu - 0.5 / 1.1e-3).abs() < 1e-9, "{}", found.cpu);
        assert_eq!((found.flushes, found.own, found.messages), (9.0, 2.0, 0.5));
        assert_eq!((found.p50, found.p99), (1.0, 2.0));
        assert_eq!((found.copies, found.copied), (1.5, [1.0, 0.0, 0.5]));
        assert_eq!((found.busy, found.client), (0.5, 0.75));
    }

    #[test]
    fn of_every_column_the_legend_says_which_time_it_is_of() {
        let columns: Vec<&str> = HEAD.split('|').map(str::trim).filter(|c| !c.is_empty()).collect();
        assert_eq!(&columns[..2], ["load", "cores"]);
        for column in &columns[2..] {
            assert!(LEGEND.contains(column), "{column}");
        }
    }

    #[test]
    fn a_load_that_has_not_gone_round_the_ring_is_named() {
        let of = |laps: &[f64]| -> Vec<Figure> {
            laps.iter().map(|laps| Figure { laps: *laps, ..Figure::default() }).collect()
        };
        assert_eq!(short_of_laps(&LOADS[0], 1, &of(&[3.0, 9.0])), None);
        assert!(short_of_laps(&LOADS[0], 1, &of(&[30.0, 2.9])).is_some());
        assert!(short_of_laps(&LOADS[0], 1, &of(&[f64::NAN])).is_some(), "no figure");
        let remarks =
            remark(&[Figure::default(), Figure { checkpoints: 2.0, ..Figure::default() }]);
        assert_eq!(remarks, "1 of 2 without a checkpoint");
    }
}
