//! A program that works in the background: what it prints is kept line by line, and it can be talked to, ended and killed.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use crate::Fault;

/// One such program. Dropping it kills it.
pub(super) struct Process {
    name: String,
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts it; its standard error goes to a file of its name in `folder`.
    pub(super) fn start(
        name: &str,
        command: &mut Command,
        folder: &Path,
    ) -> Result<Process, Fault> {
        let log =
            File::options().create(true).append(true).open(folder.join(format!("{name}.log")))?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let (sender, lines) = channel();
        if let Some(pipe) = child.stdout.take() {
            spawn(move || {
                let mut pipe = BufReader::new(pipe);
                let mut line = String::new();
                // The last line of a program that was killed may be cut off, and then it says something else.
                while pipe.read_line(&mut line).is_ok() && line.ends_with('\n') {
                    if sender.send(line.trim_end_matches(['\r', '\n']).to_owned()).is_err() {
                        return;
                    }
                    line.clear();
                }
            });
        }
        Ok(Process { name: name.to_owned(), child, lines })
    }

    /// The lines that have come since the last call.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Takes lines until one is what is waited for.
    pub(super) fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        mut is_it: impl FnMut(&str) -> bool,
    ) -> Result<(), Fault> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if is_it(&line) => return Ok(()),
                Ok(_) => {}
                Err(_) => {
                    return Err(format!(
                        "{} did not say `{what}` within {} s, see its log",
                        self.name,
                        limit.as_secs()
                    )
                    .into());
                }
            }
        }
    }

    /// Writes a line to its standard input.
    pub(super) fn tell(&mut self, line: &str) -> Result<(), Fault> {
        let pipe = self.child.stdin.as_mut().ok_or("its input is closed")?;
        writeln!(pipe, "{line}")?;
        Ok(pipe.flush()?)
    }

    /// Ends its standard input.
    pub(super) fn close_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Asks it to end, as a service manager does.
    pub(super) fn terminate(&mut self) -> Result<(), Fault> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        Ok(())
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) -> Result<(), Fault> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Whether it has ended, and then whether well.
    pub(super) fn ended(&mut self) -> Result<Option<bool>, Fault> {
        Ok(self.child.try_wait()?.map(|status| status.success()))
    }

    /// An error if it has ended by itself.
    pub(super) fn must_live(&mut self) -> Result<(), Fault> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(format!("{} ended by itself ({status}), see its log", self.name).into())
            }
        }
    }

    /// Waits for its end; true if it ended well. It is killed when the limit has passed, and that is an error.
    pub(super) fn join(&mut self, limit: Duration) -> Result<bool, Fault> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(well) = self.ended()? {
                return Ok(well);
            }
            if Instant::now() > deadline {
                self.kill()?;
                return Err(
                    format!("{} did not end within {} s", self.name, limit.as_secs()).into()
                );
            }
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; nothing is left to do then.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
