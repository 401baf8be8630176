//! A broker of the built binary for one test: on free ports, with a fresh data directory, gone with its owner.

#[path = "ports.rs"]
pub(crate) mod ports;

use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_ringwood");

/// One process. Dropping it kills it.
pub(crate) struct Broker {
    process: Child,
    address: String,
    admin: String,
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn free_address() -> String {
    format!("127.0.0.1:{}", ports::free())
}

#[allow(dead_code, reason = "no test asks for all of it")]
impl Broker {
    /// Starts one and waits until it takes connections: recovery is over by then.
    pub(crate) fn serving(data: &Path) -> Self {
        Self::serving_with(data, &["--ring", "1MiB", "--memory", "32MiB"])
    }

    /// The same with options of its own.
    pub(crate) fn serving_with(data: &Path, options: &[&str]) -> Self {
        Self::launched(data, options, || Command::new(BINARY))
    }

    /// The same with no more than so many descriptors.
    pub(crate) fn with_descriptors(data: &Path, options: &[&str], most: usize) -> Self {
        Self::launched(data, options, || {
            let mut shell = Command::new("sh");
            let limited = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
            shell.arg("-c").arg(limited).arg(BINARY);
            shell
        })
    }

    /// The same, and what it says goes to a file.
    pub(crate) fn saying(data: &Path, options: &[&str], words: &Path) -> Self {
        Self::launched(data, options, || {
            let mut shell = Command::new("sh");
            shell.args(["-c", "exec \"$0\" \"$@\" 2>\"$RINGWOOD_TEST_WORDS\""]).arg(BINARY);
            shell.env("RINGWOOD_TEST_WORDS", words);
            shell
        })
    }

    /// Ports that were free may be taken before it listens: other tests open connections meanwhile.
    fn launched(data: &Path, options: &[&str], command: impl Fn() -> Command) -> Self {
        let started = (0..10).find_map(|_| Self::try_launch(data, options, command()));
        started.expect("the broker ended ten times before it listened")
    }

    fn try_launch(data: &Path, options: &[&str], mut command: Command) -> Option<Self> {
        let (address, admin) = (free_address(), free_address());
        command.arg("start").arg("--data").arg(data);
        command.args(["--listen", &address, "--admin", &admin]);
        // The usual reserve would refuse every write on a disk that is rather full.
        command.args(["--reserve", "16MiB"]);
        command.args(options);
        let process = command.stderr(Stdio::null()).spawn().unwrap();
        let mut broker = Self { process, address, admin };
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            // A port that nobody listens on may connect to itself.
            let stream = TcpStream::connect(&broker.address).ok();
            if stream.is_some_and(|s| s.local_addr().ok() != s.peer_addr().ok()) {
                return Some(broker);
            }
            if broker.process.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "the broker does not listen");
            sleep(Duration::from_millis(20));
        }
    }

    /// Ends it without a word, as a crash does. Its data stays.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks it to end, as an operator does.
    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
    }

    /// How it has ended, if it has within this time.
    pub(crate) fn ended_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().unwrap() {
                return Some(status);
            }
            sleep(Duration::from_millis(10));
        }
        None
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Bytes of its own in memory, as the kernel counts them.
    pub(crate) fn resident(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Processor time that its threads have had, as the kernel counts it.
    pub(crate) fn busy(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let nanos = tasks.map(|task| {
            let times = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
            times.split(' ').next().unwrap().parse::<u64>().unwrap()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Where its clients find it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }

    /// A connection to its Kafka port.
    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).unwrap()
    }

    /// A connection to its admin port.
    pub(crate) fn connect_to_admin(&self) -> TcpStream {
        TcpStream::connect(&self.admin).unwrap()
    }

    /// A command of the same binary that succeeds with this broker.
    #[track_caller]
    pub(crate) fn command(&self, arguments: &[&str]) {
        let mut command = Command::new(BINARY);
        command.args(arguments).args(["--bootstrap", &self.address]).stdout(Stdio::null());
        assert!(command.status().unwrap().success(), "{arguments:?}");
    }

    /// A counter of its metrics, all cores together, as they stand on the page.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let mut stream = self.connect_to_admin();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let rows = page.lines().filter_map(|row| row.strip_prefix(name));
        let values: Vec<f64> = rows
            .filter(|rest| rest.starts_with(['{', ' ']))
            .map(|rest| rest.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert!(!values.is_empty(), "no {name} in {page}");
        values.iter().sum::<f64>() as u64
    }
}

/// A place for a data directory that does not exist yet.
pub(crate) fn fresh(name: &str) -> PathBuf {
    let at = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if at.exists() {
        std::fs::remove_dir_all(&at).unwrap();
    }
    at
}
