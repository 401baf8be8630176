//! One part of the text, sent by kcat while the broker is killed.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::spawn;
use std::time::{Duration, Instant};

use super::TOPIC;
use crate::Fault;
use crate::broker::Broker;

/// Kills while a part is sent: after equal shares of its bytes.
const KILLS: u64 = 2;
const LIMIT: Duration = Duration::from_secs(1800);

fn kcat(bootstrap: &str, codec: &str) -> Result<Child, Fault> {
    Command::new("kcat")
        // -E: that the broker is gone for a while is no reason to end.
        .args(["-P", "-E", "-b", bootstrap, "-t", TOPIC, "-z", codec])
        .args(["-X", "enable.idempotence=true", "-X", "message.timeout.ms=300000"])
        .args(["-X", "queue.buffering.max.messages=50000", "-X", "linger.ms=5"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("kcat: {error} (Debian: kcat)").into())
}

/// Feeds a part to kcat. At each kill it says so and goes on at once, so that there are lines on their way when it comes.
fn feed(mut pipe: ChildStdin, part: &Path, due: &Sender<()>) -> std::io::Result<()> {
    let mut part = File::open(part)?;
    let len = part.metadata()?.len();
    let mut block = vec![0; 64 << 10];
    let (mut fed, mut kills) = (0, 0);
    loop {
        let n = part.read(&mut block)?;
        if n == 0 {
            return Ok(());
        }
        pipe.write_all(&block[..n])?;
        fed += n as u64;
        if kills < KILLS && fed >= len / (KILLS + 1) * (kills + 1) {
            kills += 1;
            if due.send(()).is_err() {
                // Nobody listens any more: the proof has failed.
                return Ok(());
            }
        }
    }
}

/// Waits for kcat's end, and kills the broker whenever the feeder says so.
fn watch(
    child: &mut Child,
    broker: &mut Broker,
    due: &Receiver<()>,
    recoveries: &mut Vec<Duration>,
) -> Result<std::process::ExitStatus, Fault> {
    let started = Instant::now();
    let mut fed = false;
    loop {
        match due.recv_timeout(Duration::from_millis(50)) {
            Ok(()) => {
                let killed = Instant::now();
                broker.kill()?;
                broker.start()?;
                recoveries.push(killed.elapsed());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                fed = true;
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        broker.must_live()?;
        // Not before everything was fed: a kill that is due is not left out because kcat was fast.
        if fed && let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if started.elapsed() > LIMIT {
            return Err(format!("kcat did not end within {} s", LIMIT.as_secs()).into());
        }
    }
}

/// Sends one part; how long it took. That kcat ends well acknowledges every line.
pub(super) fn send(
    broker: &mut Broker,
    codec: &str,
    part: &Path,
    recoveries: &mut Vec<Duration>,
) -> Result<Duration, Fault> {
    let started = Instant::now();
    let mut child = kcat(&broker.bootstrap(), codec)?;
    let pipe = child.stdin.take().ok_or("kcat has no input")?;
    let mut murmurs = child.stderr.take().ok_or("kcat has no output")?;
    let murmurs = spawn(move || {
        let mut all = String::new();
        // What cannot be read is missing from a complaint only.
        drop(murmurs.read_to_string(&mut all));
        all
    });
    let (sender, due) = channel();
    let path = part.to_path_buf();
    let feeder = spawn(move || feed(pipe, &path, &sender));
    let watched = watch(&mut child, broker, &due, recoveries);
    if watched.is_err() {
        child.kill()?;
        child.wait()?;
    }
    let fed = feeder.join().map_err(|_| "the feeding thread panicked")?;
    let murmurs = murmurs.join().map_err(|_| "the reading thread panicked")?;
    let last: Vec<&str> = murmurs.lines().rev().take(8).collect();
    let last = last.join("\n    ");
    let status = watched.map_err(|fault| format!("{codec}: {fault}\n    {last}"))?;
    if !status.success() {
        return Err(format!("kcat {codec}: {status}\n    {last}").into());
    }
    fed.map_err(|error| format!("kcat {codec} did not take all of its input: {error}"))?;
    Ok(started.elapsed())
}
