//! An end that is asked for from outside: SIGINT, SIGTERM, SIGHUP.
//!
//! The first signal sets a flag. Whoever works or waits for long looks at it, and the command unwinds as it does after any failure: its
//! broker is stopped, its folder removed, the topics on a broker of others are deleted, and repeats that were finished are kept. A second
//! one ends the process at once, which then says what stays.

use std::{
    fs,
    io::{self, Read},
    os::unix::net::UnixStream,
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
    low_level::pipe,
};

use crate::{failure::Failure, terminal};

/// The signal that came last; 0: none has.
static CAME: AtomicUsize = AtomicUsize::new(0);

/// What would stay on a broker of others if the process ended now.
static STAYS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Signals that come so soon after the first are the same wish: a terminal and a program that passes signals on both send one.
const TOGETHER: Duration = Duration::from_secs(1);

/// Signals are caught from now on. To be called before anything is started that has to be stopped.
pub(crate) fn catch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Err(e) = listen() {
            terminal::note(&format!("an interrupted command will leave things behind: {e}"));
        }
    });
}

fn listen() -> io::Result<()> {
    let (reader, writer) = UnixStream::pair()?;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for signal in caught(&status) {
        // The flag first: whoever finds the byte finds it set.
        flag::register_usize(signal, &CAME, signal.unsigned_abs() as usize)?;
        pipe::register(signal, writer.try_clone()?)?;
    }
    thread::Builder::new().name("signals".into()).spawn(move || watch(reader)).map(drop)
}

/// Which signals are caught. Under `nohup` a closed terminal is no reason to end. `status`: the process's, as the kernel tells it.
fn caught(status: &str) -> Vec<i32> {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let is_ignored = |signal: &i32| ignored >> (signal - 1) & 1 == 1;
    [SIGINT, SIGTERM].into_iter().chain(Some(SIGHUP).filter(|hup| !is_ignored(hup))).collect()
}

fn watch(mut signals: UnixStream) {
    let mut first: Option<Instant> = None;
    let mut byte = [0];
    while signals.read_exact(&mut byte).is_ok() {
        match first {
            None => {
                first = Some(Instant::now());
                terminal::note(
                    "interrupted: stops and removes what it started; once more, and it ends at once",
                );
            }
            Some(first) if first.elapsed() < TOGETHER => {}
            Some(_) => {
                for stays in STAYS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    terminal::note(&format!("stays: {stays}"));
                }
                std::process::exit(signal().map_or(1, |signal| i32::from(code(signal))));
            }
        }
    }
}

/// The signal that came, where one did.
pub(crate) fn signal() -> Option<i32> {
    i32::try_from(CAME.load(Ordering::Relaxed)).ok().filter(|signal| *signal != 0)
}

/// Whether the command is to end.
pub(crate) fn came() -> bool {
    signal().is_some()
}

/// Goes on, unless the command is to end.
pub(crate) fn check() -> Result<(), Failure> {
    signal().map_or(Ok(()), |signal| Err(Failure::Interrupted(signal)))
}

/// The exit code of a command that such a signal ended, as shells have it.
pub(crate) fn code(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// The signal's name.
pub(crate) fn name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal).map_or_else(|| signal.to_string(), str::to_owned)
}

/// Something on a broker of others, for as long as this is there.
#[derive(Debug)]
pub(crate) struct Stay(String);

impl Stay {
    /// `what`: in words, for whoever has to remove it.
    pub(crate) fn new(what: String) -> Self {
        STAYS.lock().unwrap_or_else(PoisonError::into_inner).push(what.clone());
        Self(what)
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut stays = STAYS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = stays.iter().position(|what| *what == self.0) {
            stays.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_terminal_ends_nothing_that_was_told_to_go_on() {
        let status =
            |mask: &str| format!("Name:\tperf\nSigIgn:\t{mask}\nSigCgt:\t0000000000000001\n");
        // Bit 0 is signal 1.
        assert_eq!(caught(&status("0000000000000001")), [SIGINT, SIGTERM]);
        assert_eq!(caught(&status("0000000000001000")), [SIGINT, SIGTERM, SIGHUP]);
        assert_eq!(caught(""), [SIGINT, SIGTERM, SIGHUP]);
    }

    #[test]
    fn an_interrupted_command_has_the_code_that_shells_know() {
        assert_eq!((code(SIGINT), code(SIGTERM)), (130, 143));
        assert_eq!(Failure::Interrupted(SIGTERM).code(), 143);
        assert_eq!(Failure::Interrupted(SIGINT).to_string(), "error[interrupted]: by SIGINT");
    }

    #[test]
    fn what_was_removed_stays_no_more() {
        let stays =
            || STAYS.lock().unwrap().iter().filter(|what| what.contains("a test's")).count();
        let (first, second) =
            (Stay::new("a test's topic".into()), Stay::new("a test's topic".into()));
        assert_eq!(stays(), 2);
        drop(first);
        assert_eq!(stays(), 1);
        drop(second);
        assert_eq!(stays(), 0);
    }
}
