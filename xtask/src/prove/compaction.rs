//! A table of many updates becomes its last values, under load and under kill -9, and nobody beside it notices.
//!
//! First part (`table`): franz-go writes numbered updates of a table, a hundredth of them deletes, while the broker compacts and is killed again
//! and again. When the cleaner has nothing left to do, librdkafka reads the topic from its start: offsets and each key's numbers must rise, and
//! the table that remains must be, byte for byte, the one that the writer remembers. The same once more after another kill, and
//! `ringwood storage verify` on what is on the disk. The room of what was replaced must have been given back by then, keys that the
//! key map cannot hold at once must have taken several passes of each partition, and the broker's memory must have stayed within
//! its bounds.
//!
//! Second part (`beside`): `ringwood perf run` writes to another topic while a table is updated at a steady rate, in turn with compaction and
//! without, the first of a round being the second of the next. The latencies of both are printed side by side, with the medians of all
//! rounds at the end; they are no verdict. That the cleaner worked, or did not, is, and so is a load that broker and generator could
//! bear: what a saturated broker says of latency is nothing. A percentile that the lateness of the program that measures may have
//! moved is printed as the two values that it lies between. The broker has one core there (`--cores`), and that program the other
//! processors, which are kept awake.

mod beside;
mod bounds;
mod scene;
mod table;

use std::fs::{create_dir_all, remove_dir_all};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use self::scene::Scene;
use super::counts::Counts;
use super::{options, processors, programs};
use crate::broker::Broker;
use crate::tally::say;
use crate::{Fault, program, tree};

struct Options {
    updates: u64,
    keys: u64,
    /// Bytes of the key maps of all cores; as the broker has it, if none are told.
    dedupe: Option<u64>,
    kills: u64,
    rounds: u64,
    seconds: u64,
    /// Updates of the table in a second while latency is measured, and records of the load that is measured.
    beside: u64,
    rate: u64,
    /// Cores of the broker while latency is measured.
    cores: u32,
    release: bool,
    seed: u64,
    state: PathBuf,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let state = tree::target().join("prove").join("compaction.json");
        let mut options = Options {
            updates: 10_000_000,
            keys: 100_000,
            dedupe: None,
            kills: 3,
            rounds: 3,
            seconds: 8,
            beside: 20_000,
            rate: 500,
            cores: 1,
            release: false,
            seed: 1,
            state,
        };
        options::each(words, &["--release"], |name, value| {
            match name {
                "--release" => options.release = true,
                "--updates" => options.updates = value.parse()?,
                "--keys" => options.keys = value.parse()?,
                "--dedupe" => options.dedupe = Some(value.parse()?),
                "--kills" => options.kills = value.parse()?,
                "--rounds" => options.rounds = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                "--beside" => options.beside = value.parse()?,
                "--rate" => options.rate = value.parse()?,
                "--cores" => options.cores = value.parse()?,
                "--seed" => options.seed = value.parse()?,
                "--state" => options.state = PathBuf::from(value),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if [options.updates, options.keys, options.beside, options.rate, options.seconds]
            .contains(&0)
            || options.cores == 0
        {
            return Err(
                "--updates, --keys, --beside, --rate, --seconds and --cores are at least 1".into(),
            );
        }
        Ok(options)
    }
}

/// Of the broker: what `start` gets.
const CORES: u32 = 2;
const BUDGET: &str = "256MiB";

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
    let broker = Broker::fresh("prove-compaction", CORES)?
        .with(&["--ring", "32MiB", "--memory", BUDGET])
        .program(binary.clone());
    let mut scene = Scene { broker, binary, folder, sides: None };
    scene.broker.start()?;
    scene.configure("log.cleaner.backoff.ms=200")?;
    if let Some(bytes) = options.dedupe {
        scene.configure(&format!("log.cleaner.dedupe.buffer.size={bytes}"))?;
    }
    let mut counts = Counts::anew()?;
    let mut good = table::table(&mut scene, &options, &mut counts)?;
    scene.broker.stop(Duration::from_secs(60))?;
    scene.broker.set_cores(options.cores);
    scene.sides = processors::sides(options.cores);
    if let Some((own, _)) = &scene.sides {
        scene.broker.set_processors(own);
    }
    scene.broker.start()?;
    good &= beside::beside(&mut scene, &options, &mut counts)?;
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
