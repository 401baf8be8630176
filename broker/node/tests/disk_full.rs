//! A full disk refuses writes, keeps reads, and takes writes again when there is room, without a restart. On a small file system of its own, which
//! needs root; otherwise it says that it was skipped.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "serving/ports.rs"]
mod ports;

use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, create_dir_all, remove_file};
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_ringwood");
/// A refusal is tried again until the time is up.
const PRODUCE: [&str; 4] = ["produce", "t", "--timeout", "5s"];
/// Partitions of a topic: if each took as much as it would like, the reserve would not be enough for all.
const PARTITIONS: usize = 40;
/// Lines begin with their partition.
const BY_PARTITION: [&str; 2] = ["--format", "%p %v\n"];

/// A file system of 256 MiB in a file. Dropping it unmounts.
struct Small(PathBuf);

fn done(command: &mut Command) -> Result<(), String> {
    let outcome = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if outcome.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&outcome.stderr)))
}

impl Small {
    fn mount(name: &str) -> Result<Small, String> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let (image, at) = (folder.join("image"), folder.join("mount"));
        create_dir_all(&at).map_err(|error| error.to_string())?;
        // What an earlier run may have left mounted; usually nothing.
        drop(Command::new("umount").arg(&at).output());
        let file = File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(256 << 20).map_err(|error| error.to_string())?;
        done(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&image))?;
        done(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&at))?;
        Ok(Small(at))
    }

    /// The same; `None`, with a line, where this machine cannot.
    fn if_possible(name: &str) -> Option<Small> {
        match Small::mount(name) {
            Ok(small) => Some(small),
            Err(why) => {
                // Past the harness, which keeps to itself what a passed test prints.
                let why = why.trim();
                let line = format!(
                    "SKIPPED disk full: it needs root, mkfs.ext4 and loop devices ({why})\n"
                );
                std::io::stderr().write_all(line.as_bytes()).unwrap();
                assert!(std::env::var_os("RINGWOOD_REQUIRE").is_none(), "this test is required");
                None
            }
        }
    }

    /// Mebibytes that are free.
    fn free(&self) -> u64 {
        let space = rustix::fs::statvfs(&self.0).unwrap();
        (space.f_bfree * space.f_frsize) >> 20
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(why) = done(Command::new("umount").arg(&self.0)) {
            if Instant::now() > deadline {
                eprintln!("{why}");
                return;
            }
            sleep(Duration::from_millis(50));
        }
    }
}

struct Broker {
    process: Child,
    address: String,
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Broker {
    fn start(data: &Path, ring: &str) -> Broker {
        let free = || format!("127.0.0.1:{}", ports::free());
        let (address, admin) = (free(), free());
        let mut command = Command::new(BINARY);
        command.arg("start").arg("--data").arg(data).args(["--listen", &address]);
        command.args(["--admin", &admin, "--cores", "1"]);
        command.args(["--ring", ring, "--memory", "32MiB", "--reserve", "16MiB"]);
        // Not on the disk that is full: what cannot be said there would end the process.
        let log = File::create(data.parent().unwrap().with_extension("log")).unwrap();
        let process = command.stderr(log).spawn().unwrap();
        let broker = Broker { process, address };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(&broker.address).is_err() {
            assert!(Instant::now() < deadline, "the broker does not listen");
            sleep(Duration::from_millis(20));
        }
        broker
    }

    /// SIGTERM, and a wait for its end.
    fn stop(mut self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.process.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the broker does not stop");
            sleep(Duration::from_millis(20));
        }
    }

    fn run(&self, words: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new(BINARY)
            .args(words)
            .env("RINGWOOD_BOOTSTRAP", &self.address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that ends early closes the pipe; its exit status says why.
        drop(child.stdin.take().unwrap().write_all(input));
        child.wait_with_output().unwrap()
    }

    fn ok(&self, words: &[&str], input: &[u8]) -> Vec<u8> {
        let ran = self.run(words, input);
        assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
        ran.stdout
    }
}

/// Takes all the room there is but about `left` MiB.
fn fill(ballast: &Path, left: u64) {
    let mut out = File::create(ballast).unwrap();
    let block = vec![1; 1 << 20];
    let mut written = 0;
    while out.write_all(&block).and_then(|()| out.sync_data()).is_ok() {
        written += 1;
        assert!(written < 256, "the file system is larger than it was made");
    }
    assert!(written > left, "there was no room to fill");
    out.set_len((written - left) << 20).unwrap();
    out.sync_all().unwrap();
}

/// So many lines of 21,000 bytes for each partition, which is the first word of a line.
fn lines(name: &str, each: usize) -> Vec<String> {
    let value = "x".repeat(21_000);
    (0..each * PARTITIONS).map(|n| format!("{} {name} {n} {value}", n % PARTITIONS)).collect()
}

fn text(lines: &[String]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
}

/// Bytes of the ring that the next start would read again.
fn left_in_the_ring(data: &Path) -> u64 {
    let words = ["storage", "info", "--json", "--data"];
    let said = Command::new(BINARY).args(words).arg(data).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let info: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    info["cores"][0]["ring_used"].as_u64().unwrap()
}

/// Writes lines to one partition after the other until one is refused, with the code that says so; the broker looks at the disk from time to
/// time only. What it took is added to `want`.
fn until_refused(broker: &Broker, want: &mut Vec<String>) {
    let words = [&PRODUCE[..], &BY_PARTITION].concat();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let line = format!("{} full {}", want.len() % PARTITIONS, want.len());
        let ran = broker.run(&words, format!("{line}\n").as_bytes());
        if !ran.status.success() {
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            assert!(said.contains("KAFKA_STORAGE_ERROR"), "{said}");
            return;
        }
        want.push(line);
        assert!(Instant::now() < deadline, "writes go on with a full disk");
        sleep(Duration::from_millis(100));
    }
}

/// Writes a line as soon as it is taken.
fn until_taken(broker: &Broker, want: &mut Vec<String>) {
    let words = [&PRODUCE[..], &BY_PARTITION].concat();
    let line = format!("7 after {}", want.len());
    let deadline = Instant::now() + Duration::from_secs(60);
    while !broker.run(&words, format!("{line}\n").as_bytes()).status.success() {
        assert!(Instant::now() < deadline, "writes do not resume");
        sleep(Duration::from_millis(200));
    }
    want.push(line);
}

/// Everything that was acknowledged is there, and nothing else.
fn check(broker: &Broker, want: &[String]) {
    let words = [&["consume", "t"][..], &BY_PARTITION].concat();
    let out = String::from_utf8(broker.ok(&words, b"")).unwrap();
    let mut found: Vec<&str> = out.lines().collect();
    let mut want: Vec<&str> = want.iter().map(String::as_str).collect();
    found.sort_unstable();
    want.sort_unstable();
    // Too long to be printed whole.
    let head = |line: &str| line.chars().take(40).collect::<String>();
    let other = found.iter().zip(&want).find(|(found, want)| found != want);
    let other = other.map(|(found, want)| (head(found), head(want)));
    assert_eq!((found.len(), other), (want.len(), None));
}

#[test]
fn a_full_disk_refuses_writes_and_takes_them_again_when_there_is_room() {
    let Some(small) = Small::if_possible("disk-full") else { return };
    let data = small.0.join("data");
    let broker = Broker::start(&data, "4MiB");
    broker.ok(&["topic", "create", "t", "-p", &PARTITIONS.to_string()], b"");
    let to_partitions = [&["produce", "t"][..], &BY_PARTITION].concat();
    // Nearly a quarter of a mebibyte each: what a file has allocated is used up, and with the next block it would like as much again.
    let mut want = lines("old", 12);
    broker.ok(&to_partitions, &text(&want));
    let ballast = small.0.join("ballast");
    fill(&ballast, 2);
    until_refused(&broker, &mut want);
    check(&broker, &want);

    // Room again: the same process takes writes.
    remove_file(&ballast).unwrap();
    until_taken(&broker, &mut want);
    check(&broker, &want);

    // All is in the files; then each partition has something in the ring and nowhere else, and there is no room at all.
    broker.stop();
    let broker = Broker::start(&data, "4MiB");
    let new = lines("new", 1);
    broker.ok(&to_partitions, &text(&new));
    want.extend(new);
    fill(&ballast, 0);
    until_refused(&broker, &mut want);

    // The reserve is enough for all of them, and a start on the full disk serves what was acknowledged.
    broker.stop();
    let left = left_in_the_ring(&data);
    assert!(left < 64 << 10, "{left} bytes found no room in their files");
    let broker = Broker::start(&data, "4MiB");
    check(&broker, &want);
    remove_file(&ballast).unwrap();
    until_taken(&broker, &mut want);
    drop(broker);
    drop(small);
}

#[test]
fn a_start_on_a_nearly_full_disk_leaves_what_there_is() {
    let Some(small) = Small::if_possible("disk-nearly-full") else { return };
    let ballast = small.0.join("ballast");
    // The ring fits, and the reserve, which is more than the ring, does not.
    fill(&ballast, 40);
    let broker = Broker::start(&small.0.join("data"), "20MiB");
    let free = small.free();
    assert!((14..40).contains(&free), "{free} MiB are free");
    let created = broker.run(&["topic", "create", "t"], b"");
    let ran = broker.run(&PRODUCE, b"no\n");
    assert!(!ran.status.success(), "it takes writes: {created:?}");
    remove_file(&ballast).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !broker.run(&["topic", "create", "u"], b"").status.success()
        || !broker.run(&["produce", "u"], b"after\n").status.success()
    {
        assert!(Instant::now() < deadline, "writes do not begin");
        sleep(Duration::from_millis(200));
    }
    drop(broker);
    drop(small);
}
