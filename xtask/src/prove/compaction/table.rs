//! The first part: a table becomes its last values, under load and under kill -9.

use std::fs::read_dir;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::Options;
use super::bounds::{memory_at_most, passes_at_least};
use super::scene::Scene;
use crate::Fault;
use crate::prove::counts::Counts;
use crate::prove::random::Random;
use crate::tally::say;

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

fn same(one: &Path, other: &Path) -> Result<bool, Fault> {
    let equal = Command::new("cmp").arg(one).arg(other).status()?.success();
    if !equal {
        say("FAILED the table that was read is not the one that was written")?;
    }
    Ok(equal)
}

/// What happened while the table was written.
#[derive(Default)]
struct Lives {
    kills: u64,
    passes: u64,
    /// Bytes of its files, at most.
    largest: u64,
    /// Bytes of its memory, at most.
    memory: u64,
}

impl Lives {
    /// Kills the broker now and then; each time only when its cleaner has begun to work.
    fn watch(scene: &mut Scene, options: &Options, over: impl Fn() -> bool) -> Result<Self, Fault> {
        let mut random = Random(options.seed);
        let mut lives = Lives::default();
        let topics = scene.broker.data().join("topics");
        while !over() {
            sleep(Duration::from_millis(200 + random.below(600)));
            scene.broker.must_live()?;
            lives.largest = lives.largest.max(space(&topics));
            if lives.kills < options.kills && scene.cleaned() > 0 && !over() {
                lives.passes += passes(scene);
                lives.look_at_memory(scene)?;
                scene.broker.kill()?;
                scene.broker.start()?;
                lives.kills += 1;
            }
        }
        Ok(lives)
    }

    fn look_at_memory(&mut self, scene: &Scene) -> Result<(), Fault> {
        let most = scene.broker.most_memory().ok_or("the kernel does not tell of its memory")?;
        self.memory = self.memory.max(most);
        Ok(())
    }
}

fn passes(scene: &Scene) -> u64 {
    scene.broker.metric("ringwood_cleaner_passes_total").unwrap_or(0)
}

/// Writes, compacts and reads it; true if what was read is what was written, and the room was given back.
pub(super) fn table(
    scene: &mut Scene,
    options: &Options,
    counts: &mut Counts,
) -> Result<bool, Fault> {
    scene.create("table", "compact")?;
    let (written, read) = (scene.folder.join("written"), scene.folder.join("read"));
    let writer = scene.write("table", options.updates, options.keys, 0, &written);
    let mut lives = Lives::watch(scene, options, || writer.is_finished())?;
    let told = writer.end()?;
    let topics = scene.broker.data().join("topics");
    let before = space(&topics);
    scene.rest()?;
    lives.passes += passes(scene);
    let left = space(&topics);
    let found = scene.read("table", &read)?;
    let mut good = same(&written, &read)?;
    lives.look_at_memory(scene)?;
    scene.broker.kill()?;
    scene.broker.start()?;
    scene.read("table", &read)?;
    good &= same(&written, &read)?;
    let (sent, records) = (of(&told, "bytes"), of(&found, "records"));
    let passes_least = passes_at_least(options.keys, options.dedupe, sent / options.updates);
    let memory_most = memory_at_most(options.dedupe, scene.binary.metadata()?.len());
    for (name, n) in [
        ("updates", of(&told, "updates")),
        ("tombstones_written", of(&told, "tombstones")),
        ("keys_alive", of(&told, "alive")),
        ("write_ms", of(&told, "milliseconds")),
        ("kills", lives.kills),
        ("passes", lives.passes),
        ("records_left", records),
        ("tombstones_left", of(&found, "tombstones")),
        ("bytes_written", sent),
        ("bytes_at_most", lives.largest.max(before)),
        ("bytes_left", left),
        ("passes_at_least", passes_least),
        ("memory", lives.memory),
        ("memory_at_most", memory_most),
        ("tables_equal", u64::from(good)),
    ] {
        counts.add(name, n);
    }
    let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
    say(&format!(
        "{} updates of {} keys, {:.1} MiB of keys and values: on disk {:.1} MiB at most, {:.1} MiB when the last was acknowledged, \
         {:.1} MiB compacted; {records} records; {} passes (at least {passes_least}), {} kills; {:.1} MiB of memory, of {:.1}",
        of(&told, "updates"),
        options.keys,
        mib(sent),
        mib(lives.largest.max(before)),
        mib(before),
        mib(left),
        lives.passes,
        lives.kills,
        mib(lives.memory),
        mib(memory_most),
    ))?;
    if of(&found, "offsets") != options.updates {
        let ends = of(&found, "offsets");
        say(&format!("FAILED the last offsets say {ends} updates, not {}", options.updates))?;
        good = false;
    }
    if lives.passes == 0 || records >= options.updates {
        say("FAILED nothing was compacted")?;
        good = false;
    }
    // What was passed in the last second before a kill is not counted.
    if lives.passes < passes_least {
        say("FAILED fewer passes than so many keys take")?;
        good = false;
    }
    if lives.memory > memory_most {
        say("FAILED the broker had more memory than its bounds")?;
        good = false;
    }
    // A table of keys that were hardly updated is as large as what was sent.
    if options.updates >= 4 * options.keys && left >= sent / 2 {
        say("FAILED the room that compaction has made was not given back")?;
        good = false;
    }
    if lives.kills < options.kills {
        say(
            "FAILED the table was written before all kills had come; more --updates, or fewer --kills",
        )?;
        good = false;
    }
    Ok(good)
}
