//! A server as a child process: started, asked what it has used, stopped.

use crate::edition::{Edition, parse_ready};
use client::{Client, ClientConfig, NewTopic};
use core_affinity::CoreId;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to be ready.
const START: Duration = Duration::from_secs(60);

/// Where servers are started.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program of the editions: `ringwood-bench` itself.
    pub program: PathBuf,
    /// The real broker's binary.
    pub broker: PathBuf,
    /// For the files of a server, made anew for each.
    pub directory: PathBuf,
    /// Partitions of the topic.
    pub partitions: usize,
    /// The server's processor.
    pub processor: Option<usize>,
    /// The client's processor.
    pub own_processor: Option<usize>,
}

impl Setup {
    /// For this program, with a broker beside it, on the first and the last of the processors if there are two.
    ///
    /// # Errors
    /// The program's own path cannot be read.
    pub fn new(directory: PathBuf, partitions: usize) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let broker = program.with_file_name("ringwood");
        let all: Vec<usize> =
            core_affinity::get_core_ids().unwrap_or_default().iter().map(|c| c.id).collect();
        let (processor, own_processor) = match all[..] {
            [first, .., last] => (Some(first), Some(last)),
            _ => (None, None),
        };
        Ok(Self { program, broker, directory, partitions, processor, own_processor })
    }
}

/// What a process has used since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Of all its threads, also those of the kernel's that work for its ring, to the nanosecond.
    pub cpu: Duration,
    /// The kernel's part of it in clock ticks, and both parts: only good for their ratio.
    pub system_ticks: u64,
    /// User and system.
    pub all_ticks: u64,
}

/// A running server; it ends with this.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    facts: String,
    directory: PathBuf,
}

impl Server {
    /// Starts one with fresh files.
    ///
    /// # Errors
    /// It cannot be started, or is not ready in time; what it said is in the message.
    pub fn start(edition: Edition, setup: &Setup) -> io::Result<Self> {
        let directory =
            setup.directory.join(format!("ringwood-bench-{edition}-{}", std::process::id()));
        match fs::remove_dir_all(&directory) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        fs::create_dir_all(&directory)?;
        // A child inherits where its parent's thread may run.
        pin(setup.processor);
        let started = match edition {
            Edition::Broker => Self::broker(setup, &directory),
            Edition::Reactor | Edition::ReactorPlain | Edition::Epoll | Edition::Glommio => {
                Self::edition(edition, setup, &directory)
            }
        };
        pin(setup.own_processor);
        started
    }

    fn edition(edition: Edition, setup: &Setup, directory: &Path) -> io::Result<Self> {
        let mut child = Command::new(&setup.program)
            .args(["serve", edition.name(), "--partitions", &setup.partitions.to_string()])
            .arg("--file")
            .arg(directory.join("ring"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let mut server = Self::of(child, directory);
        (server.address, server.facts) = parse_ready(&line).map_err(io::Error::other)?;
        Ok(server)
    }

    fn broker(setup: &Setup, directory: &Path) -> io::Result<Self> {
        let (address, admin) = (free_address()?, free_address()?);
        let log = directory.join("log");
        let out = fs::File::create(&log)?;
        let child = Command::new(&setup.broker)
            .args(["start", "--cores", "1", "--listen", &address.to_string()])
            .args(["--admin", &admin.to_string(), "--reserve", "64MiB"])
            // So little that it has been used once before anything is measured: the kernel clears what is touched for the first
            // time, which would be most of what is seen here.
            .args(["--memory", "64MiB"])
            .arg("--data")
            .arg(directory.join("data"))
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", setup.broker.display())))?;
        let mut server = Self::of(child, directory);
        (server.address, server.facts) = (address, "with routing, journal, segments".to_owned());
        let deadline = Instant::now() + START;
        while let Err(why) = server.make_topic(setup.partitions) {
            let ended = server.child.try_wait()?.is_some();
            if ended || Instant::now() > deadline {
                let said = fs::read_to_string(&log).unwrap_or_default();
                return Err(io::Error::other(format!("the broker did not start: {why}\n{said}")));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    fn of(child: Child, directory: &Path) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { child, address, facts: String::new(), directory: directory.to_owned() }
    }

    fn make_topic(&self, partitions: usize) -> Result<(), String> {
        let bootstrap = [self.address.to_string()];
        let mut client =
            Client::connect(&bootstrap, ClientConfig::default()).map_err(|e| e.to_string())?;
        let topic = NewTopic {
            name: bench_core::TOPIC.to_owned(),
            partitions: i32::try_from(partitions).ok(),
            replication_factor: None,
            configs: Vec::new(),
        };
        let made = client.create_topics(&[topic], false).map_err(|e| e.to_string())?;
        match made.into_iter().find_map(|outcome| outcome.result.err()) {
            Some(why) => Err(format!("{why:?}")),
            None => Ok(()),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it said of itself.
    #[must_use]
    pub fn facts(&self) -> &str {
        &self.facts
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its ring file; the broker has none.
    #[must_use]
    pub fn ring_file(&self) -> PathBuf {
        self.directory.join("ring")
    }

    /// Ends it as a crash would, and gives the ring file's bytes.
    ///
    /// # Errors
    /// It cannot be killed, or the file cannot be read.
    pub fn kill(mut self) -> io::Result<Vec<u8>> {
        self.child.kill()?;
        self.child.wait()?;
        fs::read(self.ring_file())
    }

    /// What it has used.
    ///
    /// # Errors
    /// It is gone.
    pub fn used(&self) -> io::Result<Used> {
        let pid = i32::try_from(self.pid()).map_err(io::Error::other)?;
        let clock = clock_getcpuclockid(Pid::from_raw(pid))?;
        let cpu = Duration::from(clock_gettime(clock)?);
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in parentheses may hold blanks: fields are counted after it. 14 and 15 are user and system time.
        let (user, system) = parse_ticks(&stat).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Used { cpu, system_ticks: system, all_ticks: user + system })
    }
}

fn parse_ticks(stat: &str) -> Option<(u64, u64)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its files are of no use any more; a kill is the quickest end. Nothing can be done about a failure here.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Where this thread, and what it starts, may run from now on.
fn pin(processor: Option<usize>) {
    if let Some(id) = processor {
        core_affinity::set_for_current(CoreId { id });
    }
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 111 222 0 0";
        assert_eq!(parse_ticks(stat), Some((111, 222)));
        assert_eq!(parse_ticks("42 (a) S 1"), None);
        assert_eq!(parse_ticks(""), None);
    }
}
