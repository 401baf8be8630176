//! Runs other programs: with a time limit, with their output passed on as long as there is some, or with three tries.

mod attendance;
mod processes;
mod silence;

use std::env::var_os;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write, stderr, stdout};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use self::attendance::{BURIAL, End, Output, attend};
use self::processes::{Family, name_of};
use self::silence::{Last, Lines};
use crate::Fault;
use crate::tally::say;

/// What says nothing for longer is stuck. Cargo names every crate that it begins and every test that takes a minute, and neither
/// the last crate of an optimized build nor the longest of the tests takes so long, two processors given.
pub(crate) const SILENCE: Duration = Duration::from_secs(15 * 60);

/// What a program that was run to its end left behind.
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
    pub(crate) timed_out: bool,
}

impl Outcome {
    /// The end of what it said on standard error, for a complaint.
    pub(crate) fn last_words(&self) -> String {
        let lines: Vec<&str> = self.err.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(15)..].join("\n    ")
    }
}

/// How a command reads on a line of output.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Runs a program with this input; it is killed when the limit has passed, with all that it has started.
pub(crate) fn run(
    command: &mut Command,
    input: Option<Vec<u8>>,
    limit: Duration,
) -> Result<Outcome, Fault> {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", line(command)))?;
    let (what, deadline) = (line(command), Instant::now() + limit);
    let pipes = [
        child.stdin.as_ref().and_then(name_of),
        child.stdout.as_ref().and_then(name_of),
        child.stderr.as_ref().and_then(name_of),
    ];
    let mut family =
        Family { root: Some(child.id()), pipes: pipes.into_iter().flatten().collect() };
    let feeder = child.stdin.take().zip(input).map(|(mut pipe, input)| {
        // A program that ends early closes the pipe; its exit status says why.
        spawn(move || drop(pipe.write_all(&input)))
    });
    let (mut out_pipe, mut err_pipe) = (child.stdout.take(), child.stderr.take());
    let out = spawn(move || drain(&mut out_pipe));
    let err = spawn(move || drain(&mut err_pipe));
    let (status, mut timed_out) = wait(&mut child, &family, deadline, &what)?;
    family.root = None;
    // What it has started may hold its pipes for ever.
    let fed = || feeder.as_ref().is_none_or(JoinHandle::is_finished);
    while !(out.is_finished() && err.is_finished() && fed()) {
        let now = Instant::now();
        if now > deadline && !timed_out {
            timed_out = true;
            kill(&family, &what)?;
        }
        if now > deadline + BURIAL {
            return Err(format!("{what} was killed, and something still holds its output").into());
        }
        sleep(Duration::from_millis(1));
    }
    if let Some(feeder) = feeder {
        feeder.join().map_err(|_| "the feeding thread panicked")?;
    }
    let out = out.join().map_err(|_| "the reading thread panicked")??;
    let err = err.join().map_err(|_| "the reading thread panicked")??;
    Ok(Outcome { status, out, err: String::from_utf8_lossy(&err).into_owned(), timed_out })
}

fn drain(pipe: &mut Option<impl Read>) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    if let Some(pipe) = pipe {
        pipe.read_to_end(&mut all)?;
    }
    Ok(all)
}

fn wait(
    child: &mut Child,
    family: &Family,
    deadline: Instant,
    what: &str,
) -> Result<(ExitStatus, bool), Fault> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, false));
        }
        if Instant::now() > deadline {
            kill(family, what)?;
            return Ok((child.wait()?, true));
        }
        sleep(Duration::from_millis(10));
    }
}

/// Kills what takes too long, and says where each of its threads was.
fn kill(family: &Family, what: &str) -> Result<(), Fault> {
    let found = family.report();
    family.kill();
    say(&format!("STUCK {what}: it takes too long; this was killed:\n{}", found.join("\n")))
}

/// How a program that was watched has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Good,
    Bad,
    /// It was killed: for how long it was silent, and its last lines.
    Silent(String),
}

/// Runs a program whose output is passed on as it comes; what it says on standard output is also given, line by line, to
/// `each`. True if it ends well; false, too, if it falls silent.
pub(crate) fn follow(command: &mut Command, each: impl FnMut(&str)) -> Result<bool, Fault> {
    Ok(watch(command, SILENCE, each)? == Ending::Good)
}

/// The same. When it has been silent for longer than the bound it is killed, with all that it has started, and what was found is
/// said.
pub(crate) fn watch(
    command: &mut Command,
    bound: Duration,
    each: impl FnMut(&str),
) -> Result<Ending, Fault> {
    say(&format!("+ {}", line(command)))?;
    // Cargo meets a pipe where it would have met our terminal.
    let is_unset = |name: &str| var_os(name).is_none();
    if stderr().is_terminal() && is_unset("CARGO_TERM_COLOR") && is_unset("NO_COLOR") {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let (ending, found) = listen(command, bound, (&mut stdout(), &mut stderr()), each)?;
    if matches!(ending, Ending::Silent(_)) {
        // Its last line may have no end.
        say(&format!(
            "\nSILENT {}: nothing was heard for {bound:?}; this was killed:\n{}",
            line(command),
            found.join("\n")
        ))?;
    }
    Ok(ending)
}

/// Runs a program and passes its outputs on. Also gives what was found, a line each, where it was silent.
fn listen(
    command: &mut Command,
    bound: Duration,
    (out, err): (&mut impl Write, &mut impl Write),
    mut each: impl FnMut(&str),
) -> Result<(Ending, Vec<String>), Fault> {
    let (mut lines, mut errors, mut last) = (Lines::default(), Lines::default(), Last::default());
    let end = attend(command, bound, |output, piece| {
        match output {
            Output::Standard => {
                pass(out, piece)?;
                lines.add(piece, |line| {
                    each(line);
                    last.push(line);
                });
            }
            Output::Error => {
                pass(err, piece)?;
                errors.add(piece, |line| last.push(line));
            }
        }
        Ok(())
    })?;
    lines.end(|line| {
        each(line);
        last.push(line);
    });
    errors.end(|line| last.push(line));
    Ok(match end {
        End::Ended(status) if status.success() => (Ending::Good, Vec::new()),
        End::Ended(_) => (Ending::Bad, Vec::new()),
        End::Silent(found) => {
            let words = last.words();
            let words = format!("silent for {bound:?} and killed; its last lines:{words}");
            (Ending::Silent(words), found)
        }
    })
}

/// A line that has no end yet is passed on, too.
fn pass(to: &mut impl Write, piece: &[u8]) -> std::io::Result<()> {
    to.write_all(piece)?;
    to.flush()
}

/// Runs set-up steps in order. As they fetch over a network, each has three tries; its words after the last are the complaint.
pub(crate) fn three_tries(steps: Vec<Command>) -> Result<(), String> {
    for mut step in steps {
        let mut complaint = String::new();
        for wait in [0, 5, 20] {
            sleep(Duration::from_secs(wait));
            match run(&mut step, None, Duration::from_secs(600)) {
                Ok(outcome) if outcome.status.success() => {
                    complaint.clear();
                    break;
                }
                Ok(outcome) => {
                    let out = String::from_utf8_lossy(&outcome.out).into_owned();
                    let tail: Vec<&str> = out.lines().rev().take(5).collect();
                    let tail: Vec<&str> = tail.into_iter().rev().collect();
                    complaint = format!(
                        "{}\n    {}\n    {}",
                        line(&step),
                        tail.join("\n    "),
                        outcome.last_words()
                    );
                }
                Err(fault) => complaint = fault.to_string(),
            }
        }
        if !complaint.is_empty() {
            return Err(complaint);
        }
    }
    Ok(())
}

/// A program that takes commands on standard input and answers each with one line of JSON.
pub(crate) struct Conversation {
    child: Child,
    name: &'static str,
    answers: std::sync::mpsc::Receiver<String>,
    /// The last lines of its standard error.
    murmurs: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
}

impl Conversation {
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Result<Conversation, Fault> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (sender, answers) = std::sync::mpsc::channel();
        if let Some(pipe) = child.stdout.take() {
            spawn(move || {
                for text in BufReader::new(pipe).lines().map_while(Result::ok) {
                    if sender.send(text).is_err() {
                        return;
                    }
                }
            });
        }
        let murmurs: Arc<Mutex<Vec<String>>> = Arc::default();
        if let Some(pipe) = child.stderr.take() {
            let murmurs = Arc::clone(&murmurs);
            spawn(move || {
                for text in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut all = murmurs.lock().unwrap_or_else(PoisonError::into_inner);
                    all.push(text);
                    // The last ones tell why it ended; a client that cannot connect says so many times a second.
                    if all.len() > 200 {
                        all.drain(..100);
                    }
                }
            });
        }
        Ok(Conversation { child, name, answers, murmurs, over: Arc::default() })
    }

    /// Sends one command and waits for its answer.
    pub(crate) fn ask(
        &mut self,
        command: &str,
        limit: Duration,
    ) -> Result<serde_json::Value, Fault> {
        if let Some(pipe) = self.child.stdin.as_mut() {
            writeln!(pipe, "{command}")?;
            pipe.flush()?;
        }
        let answer = self.answers.recv_timeout(limit).map_err(|_| {
            let murmurs = self.murmurs.lock().unwrap_or_else(PoisonError::into_inner);
            let last = murmurs[murmurs.len().saturating_sub(10)..].join("\n    ");
            format!(
                "{} did not answer `{command}` within {} s\n    {last}",
                self.name,
                limit.as_secs()
            )
        })?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// Closes its input and waits for it to end.
    pub(crate) fn end(mut self, limit: Duration) -> Result<(), Fault> {
        self.over.store(true, Ordering::SeqCst);
        drop(self.child.stdin.take());
        let family = Family { root: Some(self.child.id()), pipes: Vec::new() };
        let deadline = Instant::now() + limit;
        let (status, timed_out) = wait(&mut self.child, &family, deadline, self.name)?;
        if timed_out || !status.success() {
            let murmurs = self.murmurs.lock().unwrap_or_else(PoisonError::into_inner);
            let last = murmurs[murmurs.len().saturating_sub(10)..].join("\n    ");
            return Err(format!("{} ended badly ({status})\n    {last}", self.name).into());
        }
        Ok(())
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        if !self.over.load(Ordering::SeqCst) {
            // It may have ended by itself; nothing is left to say to it either way.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::sink;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_a_program_says_is_passed_on_as_it_is_and_its_lines_are_given() {
        let (mut out, mut err, mut lines) = (Vec::<u8>::new(), Vec::<u8>::new(), Vec::new());
        let script = "printf 'a\\n\\033[1mb'; printf 'c\\r\\nd' >&2; exit 1";
        let each = |line: &str| lines.push(line.to_owned());
        let long = Duration::from_secs(60);
        let heard = listen(&mut shell(script), long, (&mut out, &mut err), each).unwrap();
        assert_eq!(heard, (Ending::Bad, Vec::new()));
        assert_eq!((&out[..], &err[..]), (&b"a\n\x1b[1mb"[..], &b"c\r\nd"[..]));
        assert_eq!(lines, ["a", "\u{1b}[1mb"]);
        let good = listen(&mut shell("true"), long, (&mut out, &mut err), |_| {}).unwrap();
        assert_eq!(good.0, Ending::Good);
    }

    #[test]
    fn a_program_that_falls_silent_is_a_failure_that_names_its_last_lines() {
        // On a busy machine it may need longer to say them.
        let words = [200, 2_000, 20_000].into_iter().find_map(|ms| {
            let mut shell = shell("echo one; printf 'test two ... '; sleep 1000; true");
            let (bound, mut out, mut err) = (Duration::from_millis(ms), sink(), sink());
            let heard = listen(&mut shell, bound, (&mut out, &mut err), |_| {}).unwrap();
            assert!(!heard.1.is_empty());
            match heard.0 {
                Ending::Silent(words) => words.contains("two").then_some(words),
                Ending::Good | Ending::Bad => panic!("it has ended"),
            }
        });
        let words = words.unwrap();
        assert!(words.starts_with("silent for "), "{words}");
        assert!(words.ends_with(":\n    one\n    test two ... "), "{words}");
    }

    #[test]
    fn a_program_that_takes_too_long_is_killed_with_what_it_has_started() {
        let mut slow = shell("sleep 1000; true");
        let outcome = run(&mut slow, None, Duration::from_millis(200)).unwrap();
        assert!(outcome.timed_out && !outcome.status.success());
        // It has ended by itself, and what it has started holds its output.
        let mut quick = shell("sleep 1000 & true");
        let outcome = run(&mut quick, None, Duration::from_secs(2)).unwrap();
        assert!(outcome.timed_out);
    }
}
