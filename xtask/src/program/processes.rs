//! The processes of a program, as `/proc` tells of them: which they are, what each of their threads waits for, and their end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{read, read_dir, read_link};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

/// No more of them are told about, and no more threads of each: a complaint is read by people.
const PROCESSES: usize = 50;
const THREADS: usize = 100;
/// What starts others faster than this stops it goes on.
const ROUNDS: usize = 100;

/// A program's own process, all that are below it, and all that hold a pipe of it: whose parent has gone is found by what it holds.
pub(super) struct Family {
    /// Nothing once it has been waited for: another process may have its number then.
    pub(super) root: Option<u32>,
    pub(super) pipes: Vec<PathBuf>,
}

/// What the links to a pipe say, with which whoever holds it is found.
pub(super) fn name_of(pipe: &impl AsRawFd) -> Option<PathBuf> {
    read_link(format!("/proc/self/fd/{}", pipe.as_raw_fd())).ok()
}

impl Family {
    fn members(&self) -> BTreeSet<u32> {
        let parents: BTreeMap<u32, u32> = numbers("/proc")
            .into_iter()
            .filter_map(|pid| Some((pid, stat(&text(&format!("/proc/{pid}/stat"))?)?.parent)))
            .collect();
        let own = std::process::id();
        let mut roots: BTreeSet<u32> = self.root.into_iter().collect();
        roots.extend(parents.keys().filter(|pid| **pid != own && self.is_held_by(**pid)));
        below(roots, &parents)
    }

    fn is_held_by(&self, pid: u32) -> bool {
        let Ok(files) = read_dir(format!("/proc/{pid}/fd")) else { return false };
        let mut links = files.flatten().filter_map(|file| read_link(file.path()).ok());
        links.any(|link| self.pipes.contains(&link))
    }

    /// A line for each process and each of its threads.
    pub(super) fn report(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for pid in self.members().into_iter().take(PROCESSES) {
            let of = |file: &str| text(&format!("/proc/{pid}/{file}")).unwrap_or_default();
            lines.push(process_line(pid, &of("stat"), &of("cmdline")));
            for thread in numbers(&format!("/proc/{pid}/task")).into_iter().take(THREADS) {
                let of = |file: &str| of(&format!("task/{thread}/{file}"));
                lines.push(thread_line(thread, &of("stat"), &of("wchan"), &of("syscall")));
            }
        }
        lines
    }

    /// Kills all. They are stopped first, so that none starts another one, or gives up a child, before its turn comes.
    pub(super) fn kill(&self) {
        let mut stopped = BTreeSet::new();
        for _ in 0..ROUNDS {
            let more: Vec<u32> = self.members().difference(&stopped).copied().collect();
            if more.is_empty() {
                break;
            }
            for pid in &more {
                send(*pid, Signal::STOP);
            }
            stopped.extend(more);
        }
        for pid in stopped {
            send(pid, Signal::KILL);
        }
    }
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have gone by itself.
        let _ = kill_process(pid, signal);
    }
}

/// Those files of a folder that are called by a number, in order.
fn numbers(folder: &str) -> BTreeSet<u32> {
    let Ok(files) = read_dir(folder) else { return BTreeSet::new() };
    files.flatten().filter_map(|file| file.file_name().to_str()?.parse().ok()).collect()
}

/// The kernel's words. A name may hold whatever bytes somebody gave it.
fn text(file: &str) -> Option<String> {
    Some(String::from_utf8_lossy(&read(file).ok()?).into_owned())
}

/// What `/proc/PID/stat` says, of a process or of a thread.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    state: String,
    parent: u32,
}

/// The name is in brackets and may hold more of them.
fn stat(text: &str) -> Option<Stat> {
    let (before, behind) = text.rsplit_once(") ")?;
    let (_, name) = before.split_once('(')?;
    let mut words = behind.split_ascii_whitespace();
    let (state, parent) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
    Some(Stat { name: name.to_owned(), state, parent })
}

/// The roots, and all that have one of them above them.
fn below(roots: BTreeSet<u32>, parents: &BTreeMap<u32, u32>) -> BTreeSet<u32> {
    let mut all = roots;
    loop {
        let is_new = |pid: &u32, parent: &u32| all.contains(parent) && !all.contains(pid);
        let more: Vec<u32> = parents
            .iter()
            .filter(|(pid, parent)| is_new(pid, parent))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

fn process_line(pid: u32, text: &str, arguments: &str) -> String {
    let name = stat(text).map_or_else(|| "gone".to_owned(), |stat| stat.name);
    let words: Vec<&str> = arguments.split('\0').filter(|word| !word.is_empty()).collect();
    format!("    {name} ({pid}): {}", words.join(" "))
}

/// Where a thread is: its state, where in the kernel it sleeps, and in which call. What the kernel does not tell us is `?`.
fn thread_line(thread: u32, text: &str, wchan: &str, syscall: &str) -> String {
    let (name, state) = stat(text).map_or_else(Default::default, |stat| (stat.name, stat.state));
    let or = |word: &str| if word.is_empty() { "?".to_owned() } else { word.to_owned() };
    let (name, state, wchan) = (or(&name), or(&state), or(wchan.trim()));
    format!("        {thread} {name}: {state}, in {wchan}, {}", call(syscall))
}

/// `/proc/PID/syscall`: a number, six arguments, and where the stack and the program are; or why there is none.
fn call(text: &str) -> String {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    match words[..] {
        [] => "call ?".to_owned(),
        ["-1", ..] => "no call".to_owned(),
        [number, ref arguments @ .., _, _] => format!("call {number}({})", arguments.join(", ")),
        // `running`: it is on a processor.
        [word, ..] => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_process_is_read_behind_any_name() {
        let of = |name: &str, state: &str, parent| {
            Some(Stat { name: name.to_owned(), state: state.to_owned(), parent })
        };
        assert_eq!(stat("42 (cargo) S 7 42 42 0 -1"), of("cargo", "S", 7));
        assert_eq!(stat("42 (a) b) (c) D 1 2 3"), of("a) b) (c", "D", 1));
        assert_eq!(stat("42 (cargo) S"), None);
        assert_eq!(stat(""), None);
    }

    #[test]
    fn a_family_is_what_has_its_root_above_it() {
        let parents = [(1, 0), (9, 1), (5, 9), (4, 5), (7, 1), (8, 7), (3, 4)];
        let parents = BTreeMap::from(parents);
        assert_eq!(below(BTreeSet::from([9]), &parents), BTreeSet::from([3, 4, 5, 9]));
        assert_eq!(below(BTreeSet::from([5, 7]), &parents), BTreeSet::from([3, 4, 5, 7, 8]));
        // One that cannot be seen has nobody below it.
        assert_eq!(below(BTreeSet::from([77]), &parents), BTreeSet::from([77]));
        assert!(below(BTreeSet::new(), &parents).is_empty());
    }

    #[test]
    fn a_thread_is_told_with_what_it_waits_for() {
        let futex = "202 0x7f2a4 0x189 0x0 0x0 0x0 0xffffffff 0x7ffd10 0x7f2a8d\n";
        assert_eq!(
            thread_line(43, "43 (core 0) S 7 42", "futex_wait_queue", futex),
            "        43 core 0: S, in futex_wait_queue, call 202(0x7f2a4, 0x189, 0x0, 0x0, 0x0, 0xffffffff)"
        );
        assert_eq!(
            thread_line(43, "43 (core 0) R 7 42", "0", "running\n"),
            "        43 core 0: R, in 0, running"
        );
        assert_eq!(thread_line(43, "", "", ""), "        43 ?: ?, in ?, call ?");
        assert_eq!(call("-1 0x7ffd10 0x7f2a8d\n"), "no call");
    }

    #[test]
    fn a_process_is_told_with_its_arguments() {
        assert_eq!(
            process_line(42, "42 (cargo) S 7 42", "cargo\0test\0--workspace\0"),
            "    cargo (42): cargo test --workspace"
        );
        assert_eq!(process_line(42, "", ""), "    gone (42): ");
    }

    #[test]
    fn this_process_is_seen_as_it_is() {
        let own = std::process::id();
        let seen = stat(&text(&format!("/proc/{own}/stat")).unwrap()).unwrap();
        assert_eq!(seen.parent, std::os::unix::process::parent_id());
        assert!(numbers("/proc").contains(&own));
        // The first thread has the number of the process.
        assert!(numbers(&format!("/proc/{own}/task")).contains(&own));
    }
}
