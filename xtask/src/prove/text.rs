//! Real text through real programs, byte for byte.
//!
//! Lines of real text are numbered and written to a file. kcat, with an idempotent producer, sends them into 16 partitions: a quarter with each of
//! zstd, lz4, snappy and gzip. Meanwhile the broker is killed and started again. That kcat ends well acknowledges every line. franz-go, which shares no
//! code with kcat, writes what it reads to one file a partition. `sort` says whether each of those is in order and without duplicates, and
//! `sha256sum` whether the lines, merged by their numbers, are those that were sent. `ringwood storage dump` says what codec is on the disk.

use std::fs::{File, create_dir_all, read_dir, remove_dir_all};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use super::kill::{self, Counts};
use crate::broker::Broker;
use crate::tally::say;
use crate::{Fault, program, tree};

const CODECS: [&str; 4] = ["zstd", "lz4", "snappy", "gzip"];
const PARTITIONS: u32 = 16;
const TOPIC: &str = "prove-text";
/// Kills while each codec is sent.
const KILLS: u64 = 2;
/// The longest line that is taken; longer ones are cut.
const LINE_MAX: usize = 500_000;

struct Options {
    bytes: u64,
    /// Files and folders of text; none stands for the package indexes of apt and the sources of crates.
    from: Vec<PathBuf>,
    release: bool,
    state: PathBuf,
}

fn size(word: &str) -> Result<u64, Fault> {
    let (number, unit) = ["GiB", "MiB", "KiB"]
        .into_iter()
        .zip([1 << 30, 1 << 20, 1 << 10])
        .find_map(|(name, unit)| Some((word.strip_suffix(name)?, unit)))
        .unwrap_or((word, 1));
    let number: u64 = number.trim().parse().map_err(|_| format!("{word} is no size"))?;
    number.checked_mul(unit).ok_or_else(|| format!("{word} is too large").into())
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let state = tree::target().join("prove").join("text.json");
        let mut options = Options { bytes: 64 << 20, from: Vec::new(), release: false, state };
        let mut rest = words;
        while let [name, more @ ..] = rest {
            if *name == "--release" {
                options.release = true;
                rest = more;
                continue;
            }
            let [value, more @ ..] = more else {
                return Err(format!("{name} needs a value").into());
            };
            match *name {
                "--bytes" => options.bytes = size(value)?,
                "--from" => options.from.push(PathBuf::from(value)),
                "--state" => options.state = PathBuf::from(value),
                other => return Err(format!("no such option: {other}").into()),
            }
            rest = more;
        }
        if options.from.is_empty() {
            options.from.push(PathBuf::from("/var/lib/apt/lists"));
            let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
                std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"))
            });
            options.from.extend(cargo.map(|cargo| cargo.join("registry/src")));
        }
        Ok(options)
    }
}

/// Every file below, in the order of their names.
fn files(at: &Path, found: &mut Vec<PathBuf>) -> Result<(), Fault> {
    if !at.is_dir() {
        found.push(at.to_path_buf());
        return Ok(());
    }
    let mut inner = Vec::new();
    for entry in read_dir(at)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() || kind.is_file() {
            inner.push(entry.path());
        }
    }
    inner.sort();
    inner.iter().try_for_each(|path| files(path, found))
}

/// The bytes of a file, unpacked; nothing if it is no text.
fn text(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    let mut bytes = Vec::new();
    if path.extension().is_some_and(|ending| ending == "lz4") {
        let unpacked =
            Command::new("/usr/lib/apt/apt-helper").arg("cat-file").arg(path).output()?;
        if !unpacked.status.success() {
            return Err(format!("apt-helper cannot unpack {}", path.display()).into());
        }
        bytes = unpacked.stdout;
    } else {
        File::open(path)?.take(64 << 20).read_to_end(&mut bytes)?;
    }
    // A carriage return or a zero byte may mean something to a program that reads lines.
    Ok((!bytes.contains(&0) && !bytes.contains(&b'\r')).then_some(bytes))
}

/// Writes numbered lines, a quarter of the bytes to each file; how many lines and bytes there are.
fn number(options: &Options, parts: &[PathBuf]) -> Result<(u64, u64), Fault> {
    let mut sources = Vec::new();
    for from in options.from.iter().filter(|from| from.exists()) {
        files(from, &mut sources)?;
    }
    let (mut lines, mut bytes) = (0_u64, 0_u64);
    let mut sources = sources.iter();
    let mut open: Vec<u8> = Vec::new();
    let mut at = 0;
    for (part, path) in (1..).zip(parts) {
        let mut out = BufWriter::new(File::create(path)?);
        while bytes < options.bytes / CODECS.len() as u64 * part {
            if at == open.len() {
                let Some(next) = sources.next() else {
                    return Err(format!(
                        "there are only {bytes} bytes of text; name more with --from"
                    )
                    .into());
                };
                open = text(next)?.unwrap_or_default();
                at = 0;
                continue;
            }
            let rest = &open[at..];
            let line = rest.split(|byte| *byte == b'\n').next().unwrap_or(rest);
            at = (at + line.len() + 1).min(open.len());
            let line = &line[..line.len().min(LINE_MAX)];
            write!(out, "{lines:010} ")?;
            out.write_all(line)?;
            out.write_all(b"\n")?;
            lines += 1;
            bytes += line.len() as u64 + 12;
        }
        out.flush()?;
    }
    Ok((lines, bytes))
}

/// kcat with its input, and the thread that feeds it.
fn send(bootstrap: &str, codec: &str, part: &Path) -> Result<(Child, JoinHandle<bool>), Fault> {
    let mut child = Command::new("kcat")
        // -E: that the broker is gone for a while is no reason to end.
        .args(["-P", "-E", "-b", bootstrap, "-t", TOPIC, "-z", codec])
        .args(["-X", "enable.idempotence=true", "-X", "message.timeout.ms=300000"])
        .args(["-X", "queue.buffering.max.messages=50000", "-X", "linger.ms=5"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("kcat: {error} (Debian: kcat)"))?;
    let mut pipe = child.stdin.take().ok_or("kcat has no input")?;
    let mut part = File::open(part)?;
    let feeder = spawn(move || std::io::copy(&mut part, &mut pipe).is_ok());
    Ok((child, feeder))
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

/// Sends one part while the broker is killed.
fn play(
    broker: &mut Broker,
    codec: &str,
    part: &Path,
    recoveries: &mut Vec<Duration>,
) -> Result<(), Fault> {
    let started = Instant::now();
    let (mut child, feeder) = send(&broker.bootstrap(), codec, part)?;
    let mut murmurs = child.stderr.take().ok_or("kcat has no output")?;
    let murmurs = spawn(move || {
        let mut all = String::new();
        // What cannot be read is missing from a complaint only.
        drop(murmurs.read_to_string(&mut all));
        all
    });
    let mut kills = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > Duration::from_secs(1800) {
            child.kill()?;
            return Err(format!("kcat {codec} did not end within 30 minutes").into());
        }
        sleep(Duration::from_millis(500));
        broker.must_live()?;
        if kills < KILLS {
            let killed = Instant::now();
            broker.kill()?;
            broker.start()?;
            recoveries.push(killed.elapsed());
            kills += 1;
        }
    };
    let fed = feeder.join().map_err(|_| "the feeding thread panicked")?;
    let murmurs = murmurs.join().map_err(|_| "the reading thread panicked")?;
    if !status.success() || !fed {
        let last: Vec<&str> = murmurs.lines().rev().take(8).collect();
        return Err(format!("kcat {codec}: {status}\n    {}", last.join("\n    ")).into());
    }
    say(&format!("{codec}: sent in {:.1} s, {kills} kills", started.elapsed().as_secs_f32()))
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

/// Runs it once; true if every line was there once, in order.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    kill::build(options.release)?;
    let folder = tree::target().join("prove").join("text");
    if folder.exists() {
        remove_dir_all(&folder)?;
    }
    let read = folder.join("read");
    create_dir_all(&read)?;
    let parts: Vec<PathBuf> = CODECS.iter().map(|codec| folder.join(codec)).collect();
    let (lines, bytes) = number(&options, &parts)?;
    let sent = digest(Command::new("cat").args(&parts))?;
    say(&format!("prove text: {lines} lines, {bytes} bytes, sha256 {sent}"))?;
    let binary =
        if options.release { tree::release_binary("ringwood") } else { tree::binary("ringwood") };
    let mut broker = Broker::fresh("prove-text", 2)?
        .with(&["--ring", "32MiB", "--memory", "512MiB"])
        .program(binary.clone());
    broker.start()?;
    let mut create = Command::new(tree::binary("ringwood-clients-rdkafka"));
    let partitions = PARTITIONS.to_string();
    create.args(["create", &broker.bootstrap(), TOPIC, &partitions, "retention.ms=-1"]);
    let created = program::run(&mut create, None, Duration::from_secs(60))?;
    if !created.status.success() {
        return Err(format!("no topic\n    {}", created.last_words()).into());
    }
    let mut recoveries = Vec::new();
    for (codec, part) in CODECS.iter().zip(&parts) {
        play(&mut broker, codec, part, &mut recoveries)?;
    }
    let mut reader = Command::new(tree::work().join("go/client"));
    reader.args(["lines", &broker.bootstrap(), TOPIC]).arg(&read);
    let report = program::run(&mut reader, None, Duration::from_secs(1800))?;
    if !report.status.success() {
        return Err(format!("the reader failed\n    {}", report.last_words()).into());
    }
    broker.kill()?;
    let mut counts = Counts::default();
    counts.add("lines", lines);
    counts.add("bytes", bytes);
    counts.add("kills", recoveries.len() as u64);
    let longest = recoveries.iter().max().copied().unwrap_or_default();
    counts.add("longest_recovery_ms", longest.as_millis().try_into()?);
    let mut bad = 0;
    for partition in 0..PARTITIONS {
        let mut check = Command::new("sort");
        check.args(["-c", "-u"]).arg(read.join(partition.to_string())).env("LC_ALL", "C");
        if !check.status()?.success() {
            say(&format!("FAILED partition {partition} is out of order or has a line twice"))?;
            bad += 1;
        }
    }
    counts.add("partitions_out_of_order", bad);
    let all = (0..PARTITIONS).map(|partition| read.join(partition.to_string()));
    let received = digest(Command::new("sort").arg("-m").args(all))?;
    say(&format!("read: {} sha256 {received}", String::from_utf8_lossy(&report.out).trim()))?;
    counts.add("digests_equal", u64::from(sent == received));
    codecs(&binary, &broker.data(), &mut counts)?;
    counts.save(&options.state)?;
    say(&serde_json::to_string(&counts.0)?)?;
    let unseen = CODECS.iter().filter(|codec| counts.of(&format!("batches_{codec}")) == 0);
    let unseen: Vec<&&str> = unseen.collect();
    if !unseen.is_empty() {
        say(&format!("FAILED no batch of {unseen:?} on the disk"))?;
    }
    let enough = recoveries.len() >= 5;
    if !enough {
        say("FAILED fewer than 5 kills: more --bytes")?;
    }
    let good = bad == 0 && sent == received && unseen.is_empty() && enough;
    if good {
        remove_dir_all(&folder)?;
        broker.discard()?;
    }
    Ok(good)
}
