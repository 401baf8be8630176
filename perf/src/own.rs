//! A broker of our own for a measurement: started with fresh data on free ports, stopped and removed afterwards.

mod folder;
mod ports;

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use folder::Folder;
pub(crate) use folder::fresh;
pub(crate) use ports::free_address;
use ports::with_addresses;
use rustix::process::{Pid, Signal, kill_process};

use crate::{failure::Failure, interrupt, load::Target, machine::Usage};

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
    /// Where all of its files are. It goes after the process.
    folder: Folder,
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
        cores: Option<&[usize]>,
    ) -> Result<Self, Failure> {
        let binary = match binary {
            Some(path) => path.to_path_buf(),
            None => std::env::current_exe()
                .map_err(|e| Failure::Local(format!("cannot find this program: {e}")))?,
        };
        with_addresses(|listen, admin| {
            let folder = fresh(parent)?;
            let mut command = Command::new(&binary);
            command.arg("start").arg("--data").arg(folder.path().join("data"));
            command.arg("--listen").arg(&listen).arg("--admin").arg(&admin);
            // What it writes is removed; the usual reserve would refuse it on a disk that is rather full.
            command.args(["--reserve", "64MiB"]).args(arguments);
            let mut broker = Self::spawn(command, listen, folder, cores)?;
            broker.admin = Some(admin);
            Ok(broker)
        })
    }

    /// Starts what the command says; it is to answer on `address` and leave its files in `folder`.
    pub(crate) fn spawn(
        mut command: Command,
        address: String,
        mut folder: Folder,
        cores: Option<&[usize]>,
    ) -> Result<Self, Failure> {
        let log = folder.path().join("broker.log");
        let out = fs::File::create(&log).map_err(|e| Failure::file("create", &log, &e))?;
        let err = out.try_clone().map_err(|e| Failure::file("open", &log, &e))?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        // A terminal's Ctrl-C is for us: we stop the broker when the measurement has let go of it.
        command.process_group(0);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let started = Instant::now();
        let child = spawn_on(&mut command, cores)?;
        folder.belongs_to(child.id());
        let ready_after = Duration::ZERO;
        let mut broker = Self { child, address, admin: None, folder, command: words, ready_after };
        broker.wait_until_it_answers(&log)?;
        broker.ready_after = started.elapsed();
        Ok(broker)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn directory(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn admin(&self) -> Option<&str> {
        self.admin.as_deref()
    }

    pub(crate) fn command(&self) -> &[String] {
        &self.command
    }

    /// What its process has used until now.
    pub(crate) fn usage(&self) -> Option<Usage> {
        Usage::of(self.child.id())
    }

    pub(crate) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    fn wait_until_it_answers(&mut self, log: &Path) -> Result<(), Failure> {
        let deadline = Instant::now() + START;
        loop {
            interrupt::check()?;
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
    }
}

/// Which cores the broker and the client keep to.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct CoreArgs {
    /// Cores of the broker, as `taskset -c` takes them (0-1), or `all` [default: the lower half]
    #[arg(long, value_name = "CORES")]
    broker_cores: Option<String>,
    /// Cores of the client [default: those that the broker does not have]
    #[arg(long, value_name = "CORES")]
    client_cores: Option<String>,
}

/// The cores of either side; `None` is no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sides {
    pub(crate) broker: Option<Vec<usize>>,
    pub(crate) client: Option<Vec<usize>>,
}

impl CoreArgs {
    /// Divides the cores that this process may use. Broker and client on cores of their own do not take time from each other: on
    /// two cores that they share, the client acts late and every latency is its own.
    pub(crate) fn sides(&self) -> Result<Sides, Failure> {
        divide(&allowed(), self.broker_cores.as_deref(), self.client_cores.as_deref())
    }
}

fn divide(allowed: &[usize], broker: Option<&str>, client: Option<&str>) -> Result<Sides, Failure> {
    let asked = |cores: &str| match cores {
        "all" => Ok(None),
        cores => parse_cores(cores).map(Some),
    };
    let others = |taken: &Option<Vec<usize>>| {
        let taken = taken.as_ref()?;
        let left: Vec<usize> = allowed.iter().copied().filter(|c| !taken.contains(c)).collect();
        (!left.is_empty()).then_some(left)
    };
    Ok(match (broker, client) {
        (Some(broker), Some(client)) => Sides { broker: asked(broker)?, client: asked(client)? },
        (Some(broker), None) => {
            let broker = asked(broker)?;
            Sides { client: others(&broker), broker }
        }
        (None, Some(client)) => {
            let client = asked(client)?;
            Sides { broker: others(&client), client }
        }
        (None, None) if allowed.len() < 2 => Sides::default(),
        (None, None) => {
            let (broker, client) = allowed.split_at(allowed.len().div_ceil(2));
            Sides { broker: Some(broker.to_vec()), client: Some(client.to_vec()) }
        }
    })
}

impl Sides {
    /// Keeps the calling thread, with the threads that it starts from now on, to the client's cores.
    pub(crate) fn keep_client(&self) -> Result<(), Failure> {
        self.client.as_deref().map_or(Ok(()), keep_to)
    }

    /// `broker on 0, client on 1`.
    pub(crate) fn words(&self) -> String {
        let words = |cores: &Option<Vec<usize>>| match cores {
            None => "all cores".to_owned(),
            Some(cores) => {
                let numbers: Vec<String> = cores.iter().map(ToString::to_string).collect();
                let noun = if cores.len() == 1 { "core" } else { "cores" };
                format!("{noun} {}", numbers.join(","))
            }
        };
        format!("broker on {}, client on {}", words(&self.broker), words(&self.client))
    }
}

/// The cores that this process may use.
pub(crate) fn allowed() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// Keeps the calling thread to these cores.
pub(crate) fn keep_to(cores: &[usize]) -> Result<(), Failure> {
    let mut set = rustix::thread::CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|e| Failure::Usage(format!("cannot keep to the cores {cores:?}: {e}")))
}

/// Starts a process that keeps to these cores: it inherits them from the thread that starts it.
fn spawn_on(command: &mut Command, cores: Option<&[usize]>) -> Result<Child, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let before = allowed();
    if let Some(cores) = cores {
        keep_to(cores)?;
    }
    let child = command.spawn();
    if cores.is_some() && !before.is_empty() {
        keep_to(&before)?;
    }
    child.map_err(|e| Failure::Local(format!("cannot start {program}: {e}")))
}

/// `0,2-4` is 0, 2, 3 and 4.
pub(crate) fn parse_cores(text: &str) -> Result<Vec<usize>, Failure> {
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

    #[test]
    fn broker_and_client_have_cores_of_their_own() {
        let sides = |all: &[usize], broker, client| {
            let Sides { broker, client } = divide(all, broker, client).unwrap();
            (broker.unwrap_or_default(), client.unwrap_or_default())
        };
        assert_eq!(sides(&[0, 1], None, None), (vec![0], vec![1]));
        assert_eq!(sides(&[2, 3, 6], None, None), (vec![2, 3], vec![6]));
        assert_eq!(sides(&[0], None, None), (vec![], vec![]));
        assert_eq!(sides(&[0, 1, 2, 3], Some("0"), None), (vec![0], vec![1, 2, 3]));
        assert_eq!(sides(&[0, 1, 2, 3], None, Some("3")), (vec![0, 1, 2], vec![3]));
        assert_eq!(sides(&[0, 1], Some("all"), Some("all")), (vec![], vec![]));
        assert!(divide(&[0, 1], Some("x"), None).is_err());
    }

    #[test]
    fn a_process_is_started_on_its_cores_and_we_stay_on_ours() {
        let before = allowed();
        let Some(last) = before.last().copied() else { return };
        let mut command = Command::new("sleep");
        let mut child = spawn_on(command.arg("30"), Some(&[last])).unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:")).unwrap();
        assert_eq!(line.trim(), last.to_string());
        assert_eq!(allowed(), before);
    }

    #[test]
    fn a_broker_that_cannot_be_started_leaves_no_folder() {
        let parent = std::env::temp_dir().join(format!("ringwood-none-{}", std::process::id()));
        let _ = fs::remove_dir_all(&parent);
        fs::create_dir_all(&parent).unwrap();
        // One that is not there, and one that ends at once.
        for (program, code) in [("/nonexistent/ringwood", 1), ("false", 4)] {
            let failure = OwnBroker::ringwood(Some(Path::new(program)), &parent, &[], None);
            assert_eq!(failure.unwrap_err().code(), code, "{program}");
            assert_eq!(fs::read_dir(&parent).unwrap().count(), 0, "{program}");
        }
        fs::remove_dir(&parent).unwrap();
    }
}
