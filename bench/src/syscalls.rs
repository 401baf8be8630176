//! How many system calls a server makes for some requests.
//!
//! `perf stat` counts the kernel's tracepoint without stopping the server; where it is missing or not allowed, `strace -c`
//! does, slowly but with the same counts. Counting starts while the server is idle and stops when it is idle again, so the
//! requests and the calls belong together. Counted runs are never timed.

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const EVENT: &str = "raw_syscalls:sys_enter";

/// How long a tracer may take to begin or to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts the system calls of process `pid` while `body` runs. `scratch` is a directory for the tracer's files.
///
/// # Errors
/// `body` fails, or no tracer can be used: says why of both.
pub fn count<T>(
    pid: u32,
    scratch: &Path,
    body: impl FnOnce() -> io::Result<T>,
) -> io::Result<(u64, T)> {
    let perf = match Perf::attach(pid, scratch) {
        Ok(perf) => {
            let value = body()?;
            return Ok((perf.detach()?, value));
        }
        Err(why) => why,
    };
    let strace = Strace::attach(pid, scratch)
        .map_err(|why| io::Error::other(format!("no perf ({perf}), no strace ({why})")))?;
    let value = body()?;
    Ok((strace.detach()?, value))
}

/// A tracer that does not outlive this.
struct Tracer(Child);

impl Tracer {
    /// Asks it to end and waits.
    fn interrupt(&mut self) -> io::Result<()> {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::INT)?;
        }
        wait_until("the tracer does not end", || Ok(self.0.try_wait()?.map(|_| ())))
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Detaches, or has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_until<T>(what: &str, mut done: impl FnMut() -> io::Result<Option<T>>) -> io::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = done()? {
            return Ok(value);
        }
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, what.to_owned()));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

struct Perf {
    tracer: Tracer,
    control: File,
    answers: File,
    output: PathBuf,
    /// Removed in the end.
    _files: Scratch,
}

/// Files of a tracer, gone with this.
struct Scratch(Vec<PathBuf>);

impl Drop for Scratch {
    fn drop(&mut self) {
        for file in &self.0 {
            // Some may never have been made.
            let _ = fs::remove_file(file);
        }
    }
}

impl Perf {
    fn attach(pid: u32, scratch: &Path) -> io::Result<Self> {
        let [control, answers, output] =
            ["perf-control", "perf-answers", "perf-output"].map(|name| scratch.join(name));
        let files = Scratch(vec![control.clone(), answers.clone(), output.clone()]);
        for fifo in [&control, &answers] {
            // Of a run that was killed.
            let _ = fs::remove_file(fifo);
            mknodat(CWD, fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        }
        let open = |path: &Path| {
            let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
            // Both ways, so that opening does not wait for the other end.
            OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(path)
        };
        let (control_end, answers_end) = (open(&control)?, open(&answers)?);
        let child = Command::new("perf")
            .args(["stat", "-x", ",", "-D", "-1", "-e", EVENT, "-p", &pid.to_string()])
            .arg("--control")
            .arg(format!("fifo:{},{}", control.display(), answers.display()))
            .arg("-o")
            .arg(&output)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let tracer = Tracer(child);
        let (control, answers) = (control_end, answers_end);
        let mut perf = Self { tracer, control, answers, output, _files: files };
        perf.say("enable")?;
        Ok(perf)
    }

    /// Gives a command and waits until it has been carried out.
    fn say(&mut self, command: &str) -> io::Result<()> {
        writeln!(self.control, "{command}")?;
        let (tracer, answers) = (&mut self.tracer.0, &mut self.answers);
        let mut heard = Vec::new();
        wait_until("perf does not answer", || {
            let mut some = [0; 16];
            match answers.read(&mut some) {
                Ok(n) => heard.extend_from_slice(&some[..n]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
            if heard.starts_with(b"ack\n") {
                return Ok(Some(()));
            }
            match tracer.try_wait()? {
                Some(status) => Err(io::Error::other(format!("perf stat: {status}"))),
                None => Ok(None),
            }
        })
    }

    fn detach(mut self) -> io::Result<u64> {
        self.say("disable")?;
        self.tracer.interrupt()?;
        let said = fs::read_to_string(&self.output)?;
        parse_perf(&said).ok_or_else(|| io::Error::other(format!("perf stat said {said:?}")))
    }
}

/// The count in lines such as `144,,raw_syscalls:sys_enter,...`.
fn parse_perf(said: &str) -> Option<u64> {
    said.lines().find(|line| line.contains(EVENT))?.split(',').next()?.parse().ok()
}

struct Strace {
    tracer: Tracer,
    output: PathBuf,
    _files: Scratch,
}

impl Strace {
    fn attach(pid: u32, scratch: &Path) -> io::Result<Self> {
        let output = scratch.join("strace-output");
        let said = scratch.join("strace-said");
        let files = Scratch(vec![output.clone(), said.clone()]);
        let child = Command::new("strace")
            .args(["-f", "-c", "-p", &pid.to_string(), "-o"])
            .arg(&output)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&said)?)
            .spawn()?;
        let mut tracer = Tracer(child);
        wait_until("strace does not attach", || {
            let text = fs::read_to_string(&said)?;
            if text.contains("attached") {
                return Ok(Some(()));
            }
            match tracer.0.try_wait()? {
                Some(status) => Err(io::Error::other(format!("strace: {status}: {text}"))),
                None => Ok(None),
            }
        })?;
        Ok(Self { tracer, output, _files: files })
    }

    fn detach(mut self) -> io::Result<u64> {
        self.tracer.interrupt()?;
        let said = fs::read_to_string(&self.output)?;
        parse_strace(&said).ok_or_else(|| io::Error::other(format!("strace said {said:?}")))
    }
}

/// The sum in the last line of the table: `100.00 0.012 7 1755 3 total`.
fn parse_strace(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.trim_end().ends_with(" total"))?;
    line.split_ascii_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_found_in_what_the_tracers_say() {
        let perf = "# started on Fri\n\n144,,raw_syscalls:sys_enter,11,100.00,,\n";
        assert_eq!(parse_perf(perf), Some(144));
        assert_eq!(parse_perf("<not counted>,,raw_syscalls:sys_enter,0,0.00,,"), None);
        let strace = "% time     seconds  usecs/call     calls    errors syscall\n\
                      ------ ----------- ----------- --------- --------- ------\n\
                      100.00    0.012000           7      1700           read\n\
                      ------ ----------- ----------- --------- --------- ------\n\
                      100.00    0.012000           7      1755         3 total\n";
        assert_eq!(parse_strace(strace), Some(1755));
        assert_eq!(parse_strace(""), None);
    }
}
