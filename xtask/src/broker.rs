//! A broker process for tests: on free ports, in a fresh data directory, killed and started again at will.

use std::fs::{File, create_dir_all, read_to_string, remove_dir_all};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Fault, http, tree};

/// Tests write on disks that may be small, or rather full: the usual reserve would refuse them.
const RESERVE: &str = "16MiB";

/// One broker. Dropping it kills the process; the data directory stays until the next one of the same name.
pub(crate) struct Broker {
    address: SocketAddr,
    admin: SocketAddr,
    cores: u32,
    /// Arguments before `start`, for a program that runs the broker.
    under: Vec<String>,
    /// More arguments of `ringwood start`.
    more: Vec<String>,
    /// Faults on order; only a build with the feature `faults` has them.
    faults: Option<String>,
    folder: PathBuf,
    program: PathBuf,
    process: Option<Child>,
}

/// Below those that the kernel gives to connections: one of these would be taken by a client while the broker is down.
/// Above those of the defaults, which scenes use, too.
const PORTS: std::ops::Range<u16> = 10_000..11_900;

/// An address of the loopback on which nobody listens; another one for each call.
pub(crate) fn free_port() -> Result<SocketAddr, Fault> {
    static TURN: AtomicU16 = AtomicU16::new(0);
    let size = PORTS.end - PORTS.start;
    // Processes that run side by side begin at different ones.
    let begin = u16::try_from(std::process::id() * 64 % u32::from(size))?;
    for _ in PORTS {
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + begin.wrapping_add(turn) % size;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err("no port is free".into())
}

impl Broker {
    /// A broker that is not started yet, with an empty data directory under `target/clients`.
    pub(crate) fn fresh(name: &str, cores: u32) -> Result<Broker, Fault> {
        let folder = tree::work().join(name);
        if folder.exists() {
            remove_dir_all(&folder)?;
        }
        Broker::again(name, cores)
    }

    /// The same with the data directory that the one before has left.
    pub(crate) fn again(name: &str, cores: u32) -> Result<Broker, Fault> {
        let folder = tree::work().join(name);
        create_dir_all(&folder)?;
        let (address, admin) = (free_port()?, free_port()?);
        Ok(Broker {
            address,
            admin,
            cores,
            under: Vec::new(),
            more: Vec::new(),
            faults: None,
            folder,
            program: tree::binary("ringwood"),
            process: None,
        })
    }

    /// The same with more arguments.
    pub(crate) fn with(mut self, more: &[&str]) -> Broker {
        self.more = more.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// The same with these faults, as `RINGWOOD_FAULTS` takes them.
    pub(crate) fn faults(mut self, rules: &str) -> Broker {
        self.faults = Some(rules.to_owned());
        self
    }

    /// The same, but under a program with these arguments, which becomes the broker.
    pub(crate) fn under(mut self, words: &[&str]) -> Broker {
        self.under = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// The same, but this program.
    pub(crate) fn program(mut self, program: PathBuf) -> Broker {
        self.program = program;
        self
    }

    /// Where its data is.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Where its words go, of all its processes.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// The number of its process, while it runs.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// The most bytes of memory that its process has had at once, as the kernel counts them: its program's own pages included.
    pub(crate) fn most_memory(&self) -> Option<u64> {
        let status = read_to_string(format!("/proc/{}/status", self.process_id()?)).ok()?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(kib.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
    }

    /// From the next start on it has so many cores.
    pub(crate) fn set_cores(&mut self, cores: u32) {
        self.cores = cores;
    }

    /// From the next start on it has these processors alone, as `taskset` takes them.
    pub(crate) fn set_processors(&mut self, processors: &str) {
        let program = std::mem::replace(&mut self.program, PathBuf::from("taskset"));
        self.under = ["--cpu-list", processors].map(str::to_owned).to_vec();
        self.under.push(program.display().to_string());
    }

    /// The sum of a metric over all its labels, as the broker told it last; nothing if it does not answer.
    pub(crate) fn metric(&self, name: &str) -> Option<u64> {
        let text = http::get(&self.admin.to_string(), "/metrics")?;
        let values: Vec<f64> = text
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.split_once("} "))
            .filter_map(|(_, value)| value.trim().parse().ok())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() as u64)
    }

    /// The body of what its admin address answers.
    pub(crate) fn page(&self, path: &str) -> Option<String> {
        let answer = http::get(&self.admin.to_string(), path)?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }

    /// Where clients find it.
    pub(crate) fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    /// Starts the process and does not wait.
    pub(crate) fn spawn(&mut self) -> Result<(), Fault> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let child = Command::new(&self.program)
            .args(&self.under)
            .arg("start")
            .arg("--data")
            .arg(self.data())
            .args(["--listen", &self.address.to_string(), "--admin", &self.admin.to_string()])
            .args(["--cores", &self.cores.to_string()])
            .args(["--reserve", RESERVE])
            .args(&self.more)
            .envs(self.faults.iter().map(|rules| ("RINGWOOD_FAULTS", rules)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.program.display()))?;
        self.process = Some(child);
        Ok(())
    }

    /// Whether it serves now. That something takes connections says less: the kernel may hold the listener of a process that
    /// was killed until its last request has ended.
    pub(crate) fn is_ready(&self) -> bool {
        http::get(&self.admin.to_string(), "/readyz")
            .is_some_and(|text| text.starts_with("HTTP/1.1 200"))
    }

    /// An error if the process has ended by itself.
    pub(crate) fn must_live(&mut self) -> Result<(), Fault> {
        let Some(process) = self.process.as_mut() else {
            return Err("the broker was not started".into());
        };
        match process.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(format!("the broker ended by itself ({status})\n    {}", self.last_words())
                    .into())
            }
        }
    }

    /// Starts the process and waits until it takes connections.
    pub(crate) fn start(&mut self) -> Result<(), Fault> {
        self.spawn()?;
        self.wait_until_ready(Duration::from_secs(60))
    }

    pub(crate) fn wait_until_ready(&mut self, limit: Duration) -> Result<(), Fault> {
        let deadline = Instant::now() + limit;
        loop {
            self.must_live()?;
            if self.is_ready() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(
                    format!("the broker takes no connection\n    {}", self.last_words()).into()
                );
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL, as a power cut for the process: nothing in it runs any more.
    pub(crate) fn kill(&mut self) -> Result<(), Fault> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// SIGTERM, and a wait for its own end.
    pub(crate) fn stop(&mut self, limit: Duration) -> Result<(), Fault> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&process),
            rustix::process::Signal::TERM,
        )?;
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = process.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                return Err(format!("a clean stop: {status}\n    {}", self.last_words()).into());
            }
            sleep(Duration::from_millis(10));
        }
        self.process = Some(process);
        Err(format!("the broker did not stop within {} s", limit.as_secs()).into())
    }

    /// SIGKILL, and no wait for its end.
    pub(crate) fn kill_only(&mut self) -> Result<(), Fault> {
        match self.process.as_mut() {
            Some(process) => Ok(process.kill()?),
            None => Ok(()),
        }
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n    ")
    }

    /// Removes the data directory; for runs that start over many times.
    pub(crate) fn discard(mut self) -> Result<(), Fault> {
        self.kill()?;
        Ok(remove_dir_all(&self.folder)?)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Err(fault) = self.kill() {
            eprintln!("xtask: cannot kill the broker: {fault}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ports_are_none_of_the_kernels_choice_and_given_once() {
        let given: BTreeSet<u16> = (0..10).map(|_| free_port().unwrap().port()).collect();
        assert_eq!(given.len(), 10, "{given:?}");
        assert!(given.iter().all(|port| PORTS.contains(port)), "{given:?}");
    }
}
