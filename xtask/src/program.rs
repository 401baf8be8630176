//! Runs other programs: with a time limit, with their output passed on, or with three tries.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use crate::Fault;
use crate::tally::say;

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

/// Runs a program with this input; it is killed when the limit has passed.
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
    let feeder = child.stdin.take().zip(input).map(|(mut pipe, input)| {
        // A program that ends early closes the pipe; its exit status says why.
        spawn(move || drop(pipe.write_all(&input)))
    });
    let (mut out_pipe, mut err_pipe) = (child.stdout.take(), child.stderr.take());
    let out = spawn(move || drain(&mut out_pipe));
    let err = spawn(move || drain(&mut err_pipe));
    let (status, timed_out) = wait(&mut child, limit)?;
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

fn wait(child: &mut Child, limit: Duration) -> Result<(ExitStatus, bool), Fault> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, false));
        }
        if Instant::now() > deadline {
            child.kill()?;
            return Ok((child.wait()?, true));
        }
        sleep(Duration::from_millis(10));
    }
}

/// Runs a program whose standard output is passed on and also given, line by line, to `each`.
pub(crate) fn follow(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool, Fault> {
    say(&format!("+ {}", line(command)))?;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    if let Some(pipe) = child.stdout.take() {
        for text in BufReader::new(pipe).lines() {
            let text = text?;
            say(&text)?;
            each(&text);
        }
    }
    Ok(child.wait()?.success())
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
        let (status, timed_out) = wait(&mut self.child, limit)?;
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
