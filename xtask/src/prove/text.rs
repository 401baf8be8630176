//! Real text through real programs, byte for byte.
//!
//! Lines of real text are numbered and written to a file. kcat, with an idempotent producer, sends them into 16 partitions: a quarter with each of
//! zstd, lz4, snappy and gzip. Meanwhile the broker is killed and started again. That kcat ends well acknowledges every line. franz-go, which shares no
//! code with kcat, writes what it reads to one file a partition. `sort` says whether each of those is in order and without duplicates, and
//! `sha256sum` whether the lines, merged by their numbers, are those that were sent. `ringwood storage dump` says what codec is on the disk.
//!
//! A run that is cut off goes on with the same words: with the lines as they were numbered, and after the last part that was sent whole. Half a part
//! cannot be gone on with, as nobody knows what of it was acknowledged; so the data directory is copied before each part and taken from the copy.

mod lines;
mod sending;

use std::fs::{create_dir_all, remove_dir_all, rename, write};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::counts::{Counts, of_the_broker};
use super::{options, programs};
use crate::broker::Broker;
use crate::tally::say;
use crate::{Fault, program, tree};

const CODECS: [&str; 4] = ["zstd", "lz4", "snappy", "gzip"];
const PARTITIONS: u32 = 16;
const TOPIC: &str = "prove-text";
/// The broker is killed at least so often.
const KILLS_MIN: u64 = 5;
/// How the broker is called in `target/clients`.
const NAME: &str = "prove-text";

struct Options {
    bytes: u64,
    /// Files and folders of text.
    from: Vec<PathBuf>,
    release: bool,
    state: PathBuf,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let state = tree::target().join("prove").join("text.json");
        let mut options = Options { bytes: 64 << 20, from: Vec::new(), release: false, state };
        options::each(words, &["--release"], |name, value| {
            match name {
                "--bytes" => options.bytes = options::size(value)?,
                "--from" => options.from.push(PathBuf::from(value)),
                "--release" => options.release = true,
                "--state" => options.state = PathBuf::from(value),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if options.from.is_empty() {
            options.from = lines::sources();
        }
        Ok(options)
    }

    fn binary(&self) -> PathBuf {
        if self.release { tree::release_binary("ringwood") } else { tree::binary("ringwood") }
    }
}

/// What lies below `target/prove/text` while a run is under way.
struct Folder(PathBuf);

impl Folder {
    /// The numbered lines of each codec.
    fn parts(&self) -> Vec<PathBuf> {
        CODECS.iter().map(|codec| self.0.join(codec)).collect()
    }

    /// What the reader has written.
    fn read(&self) -> PathBuf {
        self.0.join("read")
    }

    /// The data directory as it was when so many parts had been sent.
    fn before(&self, sent: u64) -> PathBuf {
        self.0.join(format!("before-{sent}"))
    }

    /// What was asked for, in one line: there if the lines were numbered whole.
    fn asked(&self) -> PathBuf {
        self.0.join("asked")
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Fault> {
    if to.exists() {
        remove_dir_all(to)?;
    }
    let mut copy = Command::new("cp");
    copy.args(["-r", "--sparse=always"]).arg(from).arg(to);
    if copy.status()?.success() { Ok(()) } else { Err(program::line(&copy).into()) }
}

/// The digest of one or more files, one after the other or merged.
fn digest(command: &mut Command) -> Result<String, Fault> {
    let mut first = command.env("LC_ALL", "C").stdout(Stdio::piped()).spawn()?;
    let pipe = first.stdout.take().ok_or("no output")?;
    let sum = Command::new("sha256sum").stdin(Stdio::from(pipe)).output()?;
    if !first.wait()?.success() || !sum.status.success() {
        return Err(format!("{} failed", program::line(command)).into());
    }
    let sum = String::from_utf8(sum.stdout)?;
    Ok(sum.split(' ').next().unwrap_or_default().to_owned())
}

/// How many batches of each codec the segments and rings hold.
fn codecs(binary: &Path, data: &Path, counts: &mut Counts) -> Result<(), Fault> {
    let mut dump = Command::new(binary)
        .args(["storage", "dump", "--data"])
        .arg(data)
        .stdout(Stdio::piped())
        .spawn()?;
    let pipe = dump.stdout.take().ok_or("no output")?;
    for line in BufReader::new(pipe).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        if let Some(codec) = CODECS.iter().find(|c| line.contains(&format!("codec={c}"))) {
            counts.add(&format!("batches_{codec}"), 1);
        }
    }
    if !dump.wait()?.success() {
        return Err("ringwood storage dump failed".into());
    }
    Ok(())
}

/// The lines, as they were numbered before if the same was asked for; whether the run goes on.
fn prepare(options: &Options, folder: &Folder) -> Result<bool, Fault> {
    let asked = format!("{} bytes of {:?}, {}\n", options.bytes, options.from, of_the_broker()?);
    if std::fs::read_to_string(folder.asked()).is_ok_and(|before| before == asked) {
        return Ok(true);
    }
    if folder.0.exists() {
        remove_dir_all(&folder.0)?;
    }
    create_dir_all(folder.read())?;
    lines::number(&options.from, options.bytes, &folder.parts())?;
    let aside = folder.asked().with_extension("new");
    write(&aside, asked)?;
    rename(aside, folder.asked())?;
    Ok(false)
}

/// The broker of this run, not started: with the data directory as the last whole part has left it.
fn broker(options: &Options, folder: &Folder, sent: u64) -> Result<Broker, Fault> {
    let broker = if sent == 0 { Broker::fresh(NAME, 2)? } else { Broker::again(NAME, 2)? };
    if folder.before(sent).exists() {
        copy(&folder.before(sent), &broker.data())?;
    }
    let words = ["--ring", "32MiB", "--memory", "512MiB"];
    Ok(broker.with(&words).program(options.binary()))
}

fn create_topic(broker: &Broker) -> Result<(), Fault> {
    let mut create = Command::new(tree::binary("ringwood-clients-rdkafka"));
    let partitions = PARTITIONS.to_string();
    create.args(["create", &broker.bootstrap(), TOPIC, &partitions, "retention.ms=-1"]);
    let created = program::run(&mut create, None, Duration::from_secs(60))?;
    if created.status.success() {
        return Ok(());
    }
    Err(format!("no topic\n    {}", created.last_words()).into())
}

/// Sends the parts that have not been sent yet.
fn send(options: &Options, folder: &Folder, counts: &mut Counts) -> Result<Broker, Fault> {
    let sent = counts.of("parts_sent");
    let mut broker = broker(options, folder, sent)?;
    let rest: Vec<_> = CODECS.iter().zip(folder.parts()).skip(sent.try_into()?).collect();
    for (sent, (codec, part)) in (sent..).zip(rest) {
        let before = folder.before(sent);
        if broker.data().exists() && !before.exists() {
            // Copied whole or not at all: a copy that was cut off has another name.
            let aside = before.with_extension("new");
            copy(&broker.data(), &aside)?;
            rename(aside, &before)?;
        }
        broker.start()?;
        if sent == 0 {
            create_topic(&broker)?;
        }
        let mut recoveries = Vec::new();
        let took = sending::send(&mut broker, codec, &part, &mut recoveries)?;
        broker.kill()?;
        counts.add("parts_sent", 1);
        counts.add("kills", recoveries.len() as u64);
        let longest = recoveries.iter().max().copied().unwrap_or_default().as_millis();
        counts.raise("longest_recovery_ms", longest.try_into()?);
        counts.save(&options.state)?;
        if before.exists() {
            remove_dir_all(before)?;
        }
        say(&format!("{codec}: sent in {:.1} s, {} kills", took.as_secs_f32(), recoveries.len()))?;
    }
    Ok(broker)
}

/// Runs it once; true if every line was there once, in order.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    programs::build(options.release)?;
    let folder = Folder(tree::target().join("prove").join("text"));
    let goes_on = prepare(&options, &folder)?;
    let mut counts = if goes_on { Counts::load(&options.state)? } else { Counts::anew()? };
    let (lines, bytes) = lines::count(&folder.parts())?;
    counts.raise("lines", lines);
    counts.raise("bytes", bytes);
    let sent = digest(Command::new("cat").args(folder.parts()))?;
    say(&format!(
        "prove text: {lines} lines, {bytes} bytes, sha256 {sent}; {} of {} parts sent before",
        counts.of("parts_sent"),
        CODECS.len()
    ))?;
    let mut broker = send(&options, &folder, &mut counts)?;
    broker.start()?;
    let mut reader = Command::new(tree::work().join("go/client"));
    reader.args(["lines", &broker.bootstrap(), TOPIC]).arg(folder.read());
    let report = program::run(&mut reader, None, Duration::from_secs(1800))?;
    if !report.status.success() {
        return Err(format!("the reader failed\n    {}", report.last_words()).into());
    }
    broker.kill()?;
    let mut complaints = Vec::new();
    let files: Vec<PathBuf> =
        (0..PARTITIONS).map(|partition| folder.read().join(partition.to_string())).collect();
    for file in &files {
        let mut check = Command::new("sort");
        check.args(["-c", "-u"]).arg(file).env("LC_ALL", "C");
        if !check.status()?.success() {
            complaints.push(format!("{} is out of order or has a line twice", file.display()));
        }
    }
    let received = digest(Command::new("sort").arg("-m").args(&files))?;
    say(&format!("read: {} sha256 {received}", String::from_utf8_lossy(&report.out).trim()))?;
    if sent != received {
        complaints.push("what was read is not what was sent".to_owned());
    }
    counts.0.insert("digests_equal".to_owned(), u64::from(sent == received));
    let mut found = Counts::default();
    codecs(&options.binary(), &broker.data(), &mut found)?;
    for codec in CODECS {
        let batches = found.of(&format!("batches_{codec}"));
        counts.raise(&format!("batches_{codec}"), batches);
        if batches == 0 {
            complaints.push(format!("no batch of {codec} on the disk"));
        }
    }
    if counts.of("kills") < KILLS_MIN {
        complaints.push(format!("{} kills, fewer than {KILLS_MIN}", counts.of("kills")));
    }
    counts.save(&options.state)?;
    say(&serde_json::to_string(&counts.0)?)?;
    for complaint in &complaints {
        say(&format!("FAILED {complaint}"))?;
    }
    if complaints.is_empty() {
        // The next run numbers lines anew.
        remove_dir_all(&folder.0)?;
        broker.discard()?;
    }
    Ok(complaints.is_empty())
}
