//! A broker of our own for a measurement: started with fresh data on free ports, stopped and removed afterwards.

use std::{
    ffi::OsStr,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{failure::Failure, load::Target};

/// How long a broker may take to answer.
const START: Duration = Duration::from_secs(60);

/// How long it may take to end after it was asked to.
const STOP: Duration = Duration::from_secs(20);

/// A process that is stopped, and whose directory is removed, when this goes.
#[derive(Debug)]
pub(crate) struct OwnBroker {
    child: Child,
    address: String,
    /// Where it serves its metrics, where it does.
    admin: Option<String>,
    directory: PathBuf,
    /// Program and arguments as they were started.
    command: Vec<String>,
    /// From the start of the process to its first answer.
    ready_after: Duration,
}

impl OwnBroker {
    /// Starts Ringwood (`binary`, or this very program) with its data in a fresh folder of `parent`.
    pub(crate) fn ringwood(
        binary: Option<&Path>,
        parent: &Path,
        arguments: &[String],
        cores: Option<&str>,
    ) -> Result<Self, Failure> {
        let binary = match binary {
            Some(path) => path.to_path_buf(),
            None => std::env::current_exe()
                .map_err(|e| Failure::Local(format!("cannot find this program: {e}")))?,
        };
        let directory = fresh(parent)?;
        let (listen, admin) = (free_address()?, free_address()?);
        let mut command = pinned(binary.as_os_str(), cores);
        command.arg("start").arg("--data").arg(directory.join("data"));
        command.arg("--listen").arg(&listen).arg("--admin").arg(&admin).args(arguments);
        let mut broker = Self::spawn(command, listen, directory)?;
        broker.admin = Some(admin);
        Ok(broker)
    }

    /// Starts what the command says; it is to answer on `address` and leave its files in `directory`.
    pub(crate) fn spawn(
        mut command: Command,
        address: String,
        directory: PathBuf,
    ) -> Result<Self, Failure> {
        let log = directory.join("broker.log");
        let out = fs::File::create(&log).map_err(|e| Failure::file("create", &log, &e))?;
        let err = out.try_clone().map_err(|e| Failure::file("open", &log, &e))?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let program = command.get_program().to_string_lossy().into_owned();
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let started = Instant::now();
        let child =
            command.spawn().map_err(|e| Failure::Local(format!("cannot start {program}: {e}")))?;
        let ready_after = Duration::ZERO;
        let mut broker =
            Self { child, address, admin: None, directory, command: words, ready_after };
        broker.wait_until_it_answers(&log)?;
        broker.ready_after = started.elapsed();
        Ok(broker)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn admin(&self) -> Option<&str> {
        self.admin.as_deref()
    }

    pub(crate) fn command(&self) -> &[String] {
        &self.command
    }

    pub(crate) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    fn wait_until_it_answers(&mut self, log: &Path) -> Result<(), Failure> {
        let deadline = Instant::now() + START;
        loop {
            let discovered = Target::discover(std::slice::from_ref(&self.address));
            let Err(failure) = discovered else { return Ok(()) };
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(log).unwrap_or_default();
                let last: Vec<&str> = said.lines().rev().take(8).collect();
                let last: Vec<&str> = last.into_iter().rev().collect();
                let state = ended.map_or_else(|| failure.to_string(), |status| status.to_string());
                return Err(Failure::Unreachable(format!(
                    "the broker did not start ({state})\n{}",
                    last.join("\n")
                )));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        // SIGTERM lets it end cleanly; it is killed only if it does not.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + STOP;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The program, on these cores (as `taskset -c` takes them) where they are named.
pub(crate) fn pinned(program: &OsStr, cores: Option<&str>) -> Command {
    match cores {
        Some(cores) => {
            let mut command = Command::new("taskset");
            command.arg("-c").arg(cores).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// Keeps this process, with the threads that it starts from now on, to these cores (as `taskset -c` takes them).
pub(crate) fn keep_to(cores: &str) -> Result<(), Failure> {
    let mut set = rustix::thread::CpuSet::new();
    for core in parse_cores(cores)? {
        set.set(core);
    }
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|e| Failure::Usage(format!("cannot keep to the cores {cores}: {e}")))
}

/// `0,2-4` is 0, 2, 3 and 4.
fn parse_cores(text: &str) -> Result<Vec<usize>, Failure> {
    let wrong = || Failure::Usage(format!("`{text}` names no cores: write 0, 0-1 or 0,2-3"));
    let number = |text: &str| {
        let number = text.trim().parse::<usize>().ok();
        number.filter(|core| *core < rustix::thread::CpuSet::MAX_CPU).ok_or_else(wrong)
    };
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (number(from)?, number(to)?);
        if from > to {
            return Err(wrong());
        }
        cores.extend(from..=to);
    }
    Ok(cores)
}

/// A new folder in `parent`.
pub(crate) fn fresh(parent: &Path) -> Result<PathBuf, Failure> {
    let number = crate::load::Clock::start().now() % 1_000_000_000_000;
    let directory = parent.join(format!("ringwood-perf-{}-{number}", std::process::id()));
    fs::create_dir_all(&directory).map_err(|e| Failure::file("create", &directory, &e))?;
    Ok(directory)
}

/// An address on the loopback where nobody listens now.
pub(crate) fn free_address() -> Result<String, Failure> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map(|a| a.to_string()).map_err(|e| Failure::Local(format!("no free port: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_read_as_taskset_reads_them() {
        assert_eq!(parse_cores("0,2-4").unwrap(), [0, 2, 3, 4]);
        for wrong in ["", "a", "3-1", "0-100000", "1,"] {
            assert!(parse_cores(wrong).is_err(), "{wrong}");
        }
    }
}
