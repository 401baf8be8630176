//! A table of many updates becomes its last values, under load and under kill -9, and nobody beside it notices.
//!
//! First part: franz-go writes numbered updates of a table, a hundredth of them deletes, while the broker compacts and is killed again and
//! again. When the cleaner has nothing left to do, librdkafka reads the topic from its start: offsets and each key's numbers must rise, and
//! the table that remains must be, byte for byte, the one that the writer remembers. The same once more after another kill, and
//! `ringwood storage verify` on what is on the disk.
//!
//! Second part: `ringwood perf run` writes to another topic while the table is updated at a steady rate, in turn with compaction and
//! without, the first of a round being the second of the next. The latencies of both are printed side by side, with the medians of all
//! rounds at the end; they are no verdict. That the cleaner worked, or did not, is, and so is a load that broker and generator could
//! bear: what a saturated broker says of latency is nothing.

use std::fs::{create_dir_all, read_dir, remove_dir_all};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::counts::Counts;
use super::random::Random;
use super::{options, programs};
use crate::broker::Broker;
use crate::program::{self, Outcome};
use crate::tally::say;
use crate::{Fault, tree};

const PARTITIONS: u32 = 8;
/// Small segments, so that there is always something to compact, and tombstones that go soon.
const TABLE: [&str; 4] = [
    "segment.bytes=1048576",
    "min.cleanable.dirty.ratio=0.1",
    "delete.retention.ms=1000",
    "retention.ms=-1",
];
struct Options {
    updates: u64,
    keys: u64,
    kills: u64,
    rounds: u64,
    seconds: u64,
    /// Updates of the table in a second while latency is measured, and records of the load that is measured.
    beside: u64,
    rate: u64,
    release: bool,
    seed: u64,
    state: PathBuf,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let state = tree::target().join("prove").join("compaction.json");
        let mut options = Options {
            updates: 1_000_000,
            keys: 100_000,
            kills: 3,
            rounds: 1,
            seconds: 5,
            beside: 20_000,
            rate: 1_000,
            release: false,
            seed: 1,
            state,
        };
        options::each(words, &["--release"], |name, value| {
            match name {
                "--release" => options.release = true,
                "--updates" => options.updates = value.parse()?,
                "--keys" => options.keys = value.parse()?,
                "--kills" => options.kills = value.parse()?,
                "--rounds" => options.rounds = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                "--beside" => options.beside = value.parse()?,
                "--rate" => options.rate = value.parse()?,
                "--seed" => options.seed = value.parse()?,
                "--state" => options.state = PathBuf::from(value),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if [options.updates, options.keys, options.beside, options.rate].contains(&0) {
            return Err("--updates, --keys, --beside and --rate are at least 1".into());
        }
        Ok(options)
    }
}

/// The broker of both parts, and the programs that talk to it.
struct Scene {
    broker: Broker,
    binary: PathBuf,
    folder: PathBuf,
}

fn json(outcome: &Outcome, what: &str) -> Result<Value, Fault> {
    if !outcome.status.success() {
        return Err(format!("{what}: {}\n    {}", outcome.status, outcome.last_words()).into());
    }
    serde_json::from_slice(&outcome.out).map_err(|e| format!("{what}: {e}").into())
}

fn of(v: &Value, name: &str) -> u64 {
    v.get(name).and_then(Value::as_u64).unwrap_or(0)
}

/// Bytes that the files below take.
fn space(at: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    // Files come and go while the cleaner works: what cannot be looked at is gone.
    let Ok(entries) = read_dir(at) else { return 0 };
    let each = entries.flatten().map(|entry| match entry.metadata() {
        Ok(m) if m.is_dir() => space(&entry.path()),
        Ok(m) => m.blocks() * 512,
        Err(_) => 0,
    });
    each.sum()
}

impl Scene {
    fn create(&self, topic: &str, policy: &str) -> Result<(), Fault> {
        let mut create = Command::new(tree::binary("ringwood-clients-rdkafka"));
        create.args(["create", &self.broker.bootstrap(), topic, &PARTITIONS.to_string()]);
        create.args(TABLE).arg(format!("cleanup.policy={policy}"));
        let outcome = program::run(&mut create, None, Duration::from_secs(60))?;
        if outcome.status.success() {
            return Ok(());
        }
        Err(format!("no topic\n    {}", outcome.last_words()).into())
    }

    fn configure(&self, what: &str) -> Result<(), Fault> {
        let mut set = Command::new(&self.binary);
        set.args(["config", "set", "broker", what]);
        set.env("RINGWOOD_BOOTSTRAP", self.broker.bootstrap());
        let outcome = program::run(&mut set, None, Duration::from_secs(30))?;
        if outcome.status.success() {
            return Ok(());
        }
        Err(format!("{what}\n    {}", outcome.last_words()).into())
    }

    fn write(
        &self,
        topic: &str,
        updates: u64,
        keys: u64,
        rate: u64,
        to: &Path,
    ) -> JoinHandle<Result<Outcome, String>> {
        let mut writer = Command::new(tree::work().join("go/client"));
        writer.args(["table", &self.broker.bootstrap(), topic]);
        writer.args([u64::from(PARTITIONS), updates, keys, rate].map(|n| n.to_string())).arg(to);
        spawn(move || {
            program::run(&mut writer, None, Duration::from_secs(3600)).map_err(|e| e.to_string())
        })
    }

    fn read(&self, topic: &str, to: &Path) -> Result<Value, Fault> {
        let mut reader = Command::new(tree::binary("ringwood-clients-rdkafka"));
        reader.args(["table", &self.broker.bootstrap(), topic, &PARTITIONS.to_string()]).arg(to);
        json(&program::run(&mut reader, None, Duration::from_secs(1800))?, "the reader")
    }

    fn cleaned(&self) -> u64 {
        self.broker.metric("ringwood_cleaner_read_bytes_total").unwrap_or(0)
    }

    /// Waits until the cleaner has read nothing for a while.
    fn rest(&mut self) -> Result<(), Fault> {
        let deadline = Instant::now() + Duration::from_secs(600);
        let (mut seen, mut since) = (self.cleaned(), Instant::now());
        while since.elapsed() < Duration::from_secs(8) {
            if Instant::now() > deadline {
                return Err("the cleaner does not come to rest within 10 minutes".into());
            }
            sleep(Duration::from_millis(500));
            self.broker.must_live()?;
            let now = self.cleaned();
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
        Ok(())
    }
}

/// The table; true if what was read is what was written.
fn table(scene: &mut Scene, options: &Options, counts: &mut Counts) -> Result<bool, Fault> {
    scene.create("table", "compact")?;
    let (written, read) = (scene.folder.join("written"), scene.folder.join("read"));
    let writer = scene.write("table", options.updates, options.keys, 0, &written);
    let mut random = Random(options.seed);
    let (mut kills, mut largest) = (0, 0);
    let topics = scene.broker.data().join("topics");
    let mut passes = 0;
    while !writer.is_finished() {
        sleep(Duration::from_millis(500 + random.below(1500)));
        scene.broker.must_live()?;
        largest = largest.max(space(&topics));
        if kills < options.kills && !writer.is_finished() {
            passes += scene.broker.metric("ringwood_cleaner_passes_total").unwrap_or(0);
            scene.broker.kill()?;
            scene.broker.start()?;
            kills += 1;
        }
    }
    let outcome = writer.join().map_err(|_| "the writing thread panicked")??;
    let told = json(&outcome, "the writer")?;
    scene.rest()?;
    passes += scene.broker.metric("ringwood_cleaner_passes_total").unwrap_or(0);
    let left = space(&topics);
    let found = scene.read("table", &read)?;
    let mut good = same(&written, &read)?;
    scene.broker.kill()?;
    scene.broker.start()?;
    scene.read("table", &read)?;
    good &= same(&written, &read)?;
    for (name, n) in [
        ("updates", of(&told, "updates")),
        ("tombstones_written", of(&told, "tombstones")),
        ("keys_alive", of(&told, "alive")),
        ("write_ms", of(&told, "milliseconds")),
        ("kills", kills),
        ("passes", passes),
        ("records_left", of(&found, "records")),
        ("tombstones_left", of(&found, "tombstones")),
        ("bytes_at_most", largest),
        ("bytes_left", left),
        ("tables_equal", u64::from(good)),
    ] {
        counts.add(name, n);
    }
    if of(&found, "offsets") != options.updates {
        let ends = of(&found, "offsets");
        say(&format!("FAILED the last offsets say {ends} updates, not {}", options.updates))?;
        good = false;
    }
    if passes == 0 || of(&found, "records") >= options.updates {
        say("FAILED nothing was compacted")?;
        good = false;
    }
    Ok(good)
}

fn same(one: &Path, other: &Path) -> Result<bool, Fault> {
    let equal = Command::new("cmp").arg(one).arg(other).status()?.success();
    if !equal {
        say("FAILED the table that was read is not the one that was written")?;
    }
    Ok(equal)
}

/// One measurement.
struct Beside {
    /// Response times in milliseconds: p50, p99, p99.9.
    times: [f64; 3],
    /// What `perf run` thinks of it.
    verdict: String,
    cleaned: u64,
    checkpoints: u64,
    syncs: u64,
}

/// The topic that is measured, with a table of this policy beside it.
fn measure(scene: &Scene, options: &Options, topic: &str, policy: &str) -> Result<Beside, Fault> {
    scene.create(topic, policy)?;
    let updates = options.beside * (options.seconds + 4);
    let written = scene.folder.join("beside");
    let writer = scene.write(topic, updates, options.keys, options.beside, &written);
    let counted = |name: &str| scene.broker.metric(name).unwrap_or(0);
    let names = ["ringwood_store_checkpoints_total", "ringwood_store_syncs_total"];
    let (cleaned, before) = (scene.cleaned(), names.map(counted));
    let mut load = Command::new(&scene.binary);
    load.args(["perf", "run", "-b", &scene.broker.bootstrap()]);
    load.args(["--rate", &format!("{}/s", options.rate), "--size", "100"]);
    load.args(["--partitions", "4", "--producers", "2", "--warmup", "3s", "--json", "-"]);
    load.args(["--duration", &format!("{}s", options.seconds)]);
    let outcome = program::run(&mut load, None, Duration::from_secs(300))?;
    // The metrics are a second old at most.
    sleep(Duration::from_millis(1200));
    let cleaned = scene.cleaned() - cleaned;
    let [checkpoints, syncs] = names.map(counted);
    let run: Value = serde_json::from_slice(&outcome.out)
        .map_err(|e| format!("perf run: {e}\n    {}", outcome.last_words()))?;
    json(&writer.join().map_err(|_| "the writing thread panicked")??, "the writer")?;
    let stage = &run["repeats"][0]["stages"][0];
    let times = &stage["latency"]["response"]["percentiles"];
    Ok(Beside {
        times: ["p50", "p99", "p99.9"].map(|p| times[p].as_f64().unwrap_or(f64::NAN) / 1e6),
        verdict: match run["verdict"]["because"].as_str() {
            Some(why) => format!("{}: {why}", run["verdict"]["is"].as_str().unwrap_or("none")),
            None => run["verdict"]["is"].as_str().unwrap_or("none").to_owned(),
        },
        cleaned,
        checkpoints: checkpoints.saturating_sub(before[0]),
        syncs: syncs.saturating_sub(before[1]),
    })
}

/// Latency of a topic beside the table; true if the cleaner worked only when it was to, and the broker was not saturated.
fn beside(scene: &mut Scene, options: &Options, counts: &mut Counts) -> Result<bool, Fault> {
    let mut good = true;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let order = if round % 2 == 1 { ["delete", "compact"] } else { ["compact", "delete"] };
        for policy in order {
            let topic = format!("beside-{policy}-{round}");
            let found = measure(scene, options, &topic, policy)?;
            let Beside { times: [p50, p99, p999], verdict, cleaned, checkpoints, syncs } = found;
            say(&format!(
                "round {round}, {policy}: response p50 {p50:.2}, p99 {p99:.2}, p99.9 {p999:.2} ms ({verdict}); \
                 the cleaner read {cleaned} bytes; {checkpoints} checkpoints, {syncs} syncs"
            ))?;
            if (cleaned > 0) != (policy == "compact") {
                say("FAILED the cleaner")?;
                good = false;
            }
            if verdict != "valid" {
                say("FAILED this measures nothing but an overload; lower --rate and --beside")?;
                good = false;
            }
            counts.add(&format!("beside_{policy}_cleaned_bytes"), cleaned);
            counts.add(&format!("beside_{policy}_checkpoints"), checkpoints);
            let side = if policy == "compact" { &mut with } else { &mut without };
            side.push([p50, p99, p999]);
            // The next measurement begins when this table has been compacted.
            scene.rest()?;
        }
    }
    for (at, name) in ["p50", "p99", "p99.9"].into_iter().enumerate() {
        let [a, b] = [&without, &with].map(|side| median(side.iter().map(|t| t[at]).collect()));
        let ratio = b / a;
        say(&format!(
            "{name}: without compaction {a:.2} ms, with it {b:.2} ms, {ratio:.2} times; medians of {} rounds",
            options.rounds
        ))?;
    }
    Ok(good)
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs it once.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    programs::build(options.release)?;
    let folder = tree::target().join("prove").join("compaction");
    if folder.exists() {
        remove_dir_all(&folder)?;
    }
    create_dir_all(&folder)?;
    let binary =
        if options.release { tree::release_binary("ringwood") } else { tree::binary("ringwood") };
    let broker = Broker::fresh("prove-compaction", 2)?
        .with(&["--ring", "32MiB", "--memory", "256MiB"])
        .program(binary.clone());
    let mut scene = Scene { broker, binary, folder };
    scene.broker.start()?;
    scene.configure("log.cleaner.backoff.ms=200")?;
    let mut counts = Counts::default();
    let mut good = table(&mut scene, &options, &mut counts)?;
    good &= beside(&mut scene, &options, &mut counts)?;
    scene.broker.kill()?;
    let mut verify = Command::new(&scene.binary);
    verify.args(["storage", "verify", "--data"]).arg(scene.broker.data());
    let verified = program::run(&mut verify, None, Duration::from_secs(600))?;
    if !verified.status.success() {
        say(&format!("FAILED storage verify\n    {}", verified.last_words()))?;
        good = false;
    }
    counts.save(&options.state)?;
    say(&serde_json::to_string(&counts.0)?)?;
    if good {
        scene.broker.discard()?;
    }
    Ok(good)
}
