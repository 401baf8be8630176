//! Processors that are kept from sleeping while something is measured (`--keep-awake`).
//!
//! A virtual machine gives a processor that has nothing to do back to its host, and has it again when the host likes: a thread that
//! slept wakes 1.5 to 2.5 ms late (p99 of such machines), and an open loop sleeps between its records. So a thread on each processor
//! of the client can do nothing without end. It is of the idle class (SCHED_IDLE), or it is not at all: whatever else wants its
//! processor has it at once. Where that does not hold, it is refused: see [`beside`] for a broker in another group of the scheduler.

mod beside;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use crate::{
    failure::Failure,
    interrupt,
    load::Target,
    own::{allowed, keep_to},
};

/// The option of the commands that measure.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct AwakeArgs {
    /// Keep the client's processors from sleeping, by a thread of the idle class (SCHED_IDLE) on each: a virtual machine wakes them
    /// milliseconds late. The report says so
    #[arg(long)]
    keep_awake: bool,
}

impl AwakeArgs {
    /// Begins, where that was asked for, beside a broker that this process starts. `client`: the processors that the client will be
    /// kept to; `None` is all that this process may use. To be called before it keeps to them.
    ///
    /// # Errors
    /// The class is refused, or such threads would take from the broker all the same.
    pub(crate) fn begin(self, client: Option<&[usize]>) -> Result<Awake, Failure> {
        if !self.keep_awake {
            return Ok(Awake::default());
        }
        let all = allowed();
        let given = thread::available_parallelism().map_or(all.len(), usize::from);
        must_have_all(given, all.len())?;
        Awake::on(client.unwrap_or(&all))
    }

    /// The same beside brokers that are there already, on all processors that this process may use.
    ///
    /// # Errors
    /// The same, and no broker.
    pub(crate) fn begin_beside(self, bootstrap: &[String]) -> Result<Awake, Failure> {
        if self.keep_awake {
            let target = Target::discover(bootstrap)?;
            let addresses = target.facts().addresses.iter().chain(bootstrap);
            beside::all_are_given_way(addresses, &allowed())?;
        }
        self.begin(None)
    }
}

/// Whether this process may use the time of all of its processors. What is kept awake counts against a control group's bound, which
/// is the broker's, too, where it is in that group. `given`: how many processors' time; `all`: how many processors.
fn must_have_all(given: usize, all: usize) -> Result<(), Failure> {
    if all == 0 {
        return Err(Failure::Usage(
            "--keep-awake: the system does not tell which processors there are".into(),
        ));
    }
    if given < all {
        return Err(Failure::Usage(format!(
            "--keep-awake: the control group bounds the processor time (of {given} processors, where there are {all}), and \
             what keeps one awake would take it from the broker"
        )));
    }
    Ok(())
}

/// Threads that keep a processor each from sleeping, until this goes or the command is interrupted.
#[derive(Debug, Default)]
pub(crate) struct Awake {
    cores: Vec<usize>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Awake {
    fn on(cores: &[usize]) -> Result<Self, Failure> {
        let mut awake = Self::default();
        for core in cores.iter().copied().collect::<BTreeSet<_>>() {
            let (ready, told) = mpsc::channel();
            let stop = Arc::clone(&awake.stop);
            let work = move || {
                let begun = keep_to(&[core]).and_then(|()| go_last());
                let is_fit = begun.is_ok();
                // Whoever started it waits for this.
                let _ = ready.send(begun);
                if is_fit {
                    spin(&stop);
                }
            };
            let thread = thread::Builder::new().name(format!("awake-{core}")).spawn(work);
            awake.threads.push(thread.map_err(|e| {
                Failure::Local(format!("no thread to keep processor {core} awake: {e}"))
            })?);
            let died = |_| Err(Failure::Local(format!("the thread of processor {core} died")));
            told.recv().unwrap_or_else(died)?;
            awake.cores.push(core);
        }
        Ok(awake)
    }

    /// How many processors are kept awake.
    pub(crate) fn count(&self) -> usize {
        self.cores.len()
    }

    /// Whether one of these is: the time that it is busy is no measure of a broker there.
    pub(crate) fn is_on(&self, cores: &[usize]) -> bool {
        self.cores.iter().any(|core| cores.contains(core))
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that died keeps nothing awake any more.
            let _ = thread.join();
        }
    }
}

/// Puts the calling thread into the idle class.
fn go_last() -> Result<(), Failure> {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id, thread_schedule_policy,
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let set = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    // The call sets a nice value as well, which is refused to whoever has a higher one: what counts is the class that there is now.
    if thread_schedule_policy().is_ok_and(|policy| policy == idle) {
        return Ok(());
    }
    let why = set.err().map_or_else(|| "without a word".to_owned(), |e| e.to_string());
    Err(Failure::Usage(format!(
        "--keep-awake: the idle class (SCHED_IDLE) is refused ({why}); a thread of another class would take the processor from the broker"
    )))
}

fn spin(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) && !interrupt::came() {
        // Leaves what the core can do to the processor beside it, where it is two of them.
        std::hint::spin_loop();
    }
}

/// What a report says of it. `None`: nothing was kept awake.
pub(crate) fn line(count: usize) -> Option<String> {
    (count > 0).then(|| format!("processors kept awake by an idle-class thread each: {count}"))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::Path,
        time::{Duration, Instant},
    };

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Perf {
        #[command(subcommand)]
        command: crate::Command,
    }

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        awake: AwakeArgs,
    }

    #[test]
    fn what_measures_can_keep_processors_awake_and_does_not_by_itself() {
        let parses = |words: &[&str]| {
            let words = [&["perf"][..], words, &["--keep-awake"]].concat();
            Perf::try_parse_from(words).map(|perf| perf.command).is_ok()
        };
        for words in [&["run"][..], &["quick"], &["gauntlet"], &["curve"], &["peers"]] {
            assert!(parses(words), "{words:?}");
        }
        assert!(parses(&["peers", "--gauntlet"]) && parses(&["peers", "--check"]));
        assert!(!parses(&["compare", "a"]) && !parses(&["show", "a"]));
        assert!(Line::parse_from(["x", "--keep-awake"]).awake.keep_awake);
        let none = Line::parse_from(["x"]).awake.begin(None).unwrap();
        assert_eq!((none.count(), line(none.count())), (0, None));
        let said = "processors kept awake by an idle-class thread each: 2";
        assert_eq!(line(2).as_deref(), Some(said));
    }

    #[test]
    fn who_has_less_time_than_processors_keeps_none_awake() {
        assert_eq!(must_have_all(2, 2), Ok(()));
        let refused = must_have_all(1, 2).unwrap_err();
        assert_eq!(refused.code(), 2);
        assert!(refused.to_string().contains("of 1 processors, where there are 2"), "{refused}");
        assert!(must_have_all(1, 0).is_err());
    }

    /// As the kernel numbers the classes.
    const SCHED_IDLE: u32 = 5;

    /// A thread that keeps a processor awake, as the kernel tells of it.
    #[derive(Debug)]
    struct Task {
        name: String,
        class: u32,
        /// The processors that it may use.
        cores: String,
        /// What it has used of them.
        ticks: u64,
    }

    impl Task {
        fn read(folder: &Path) -> Option<Self> {
            let read = |file: &str| fs::read_to_string(folder.join(file)).ok();
            let (name, stat, status) = (read("comm")?, read("stat")?, read("status")?);
            // Numbers are counted from the state, the third field, behind the name in brackets.
            let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
            let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
            let cores = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:"))?;
            Some(Self {
                name: name.trim().to_owned(),
                class: field(41)?.try_into().ok()?,
                cores: cores.trim().to_owned(),
                ticks: field(14)? + field(15)?,
            })
        }
    }

    /// Those of this process.
    fn tasks() -> Vec<Task> {
        let folders = fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path());
        let all = folders.filter_map(|folder| Task::read(&folder));
        all.filter(|task| task.name.starts_with("awake-")).collect()
    }

    /// However busy the machine is.
    fn wait_until(what: &str, is_so: impl Fn(&[Task]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !is_so(&tasks()) {
            assert!(Instant::now() < deadline, "not {what}: {:?}", tasks());
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_thread_of_the_idle_class_is_on_each_processor_until_it_is_let_go() {
        let Some(last) = allowed().last().copied() else { return };
        let awake = Awake::on(&[last, last]).unwrap();
        let all = tasks();
        let [task] = &all[..] else { panic!("{all:?}") };
        assert_eq!((task.name.as_str(), task.class), (&*format!("awake-{last}"), SCHED_IDLE));
        assert_eq!(task.cores, last.to_string());
        assert_eq!((awake.count(), awake.is_on(&[last]), awake.is_on(&[])), (1, true, false));
        wait_until("busy", |tasks| tasks.iter().any(|task| task.ticks > 0));
        drop(awake);
        // The kernel tells of a thread for a moment after others have waited for its end.
        wait_until("gone", <[Task]>::is_empty);
        // Where one cannot be had none stays.
        let missing = rustix::thread::CpuSet::MAX_CPU - 1;
        assert!(Awake::on(&[last, missing]).is_err());
        wait_until("gone", <[Task]>::is_empty);
    }
}
