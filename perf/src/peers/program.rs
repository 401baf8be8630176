//! Programs of others that are run to their end: `mvn`, Kafka's format, its tools. Some take minutes, and a command that is to end before
//! does not wait for them.

use std::{
    io::{self, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, Output, Stdio},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{failure::Failure, interrupt};

/// How often it is looked whether a program has ended, or is to.
const LOOK: Duration = Duration::from_millis(20);

/// Runs it to its end and gives what it wrote. `wrong`: what it is called where it cannot be run.
///
/// # Errors
/// It cannot be run; or a signal asked for the end, and it was killed with whatever it had started.
pub(super) fn output(
    command: &mut Command,
    wrong: impl Fn(io::Error) -> Failure,
) -> Result<Output, Failure> {
    output_unless(interrupt::check, command, wrong)
}

/// The same, asking `go_on` instead of for signals.
fn output_unless(
    go_on: impl Fn() -> Result<(), Failure>,
    command: &mut Command,
    wrong: impl Fn(io::Error) -> Failure,
) -> Result<Output, Failure> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own: what it has started ends with it, and a terminal's Ctrl-C is for us.
    let child = command.process_group(0).spawn().map_err(&wrong)?;
    let mut running = Running { child, has_ended: false };
    // Both are read meanwhile: a full pipe would hold it up.
    let (out, err) = (drain(running.child.stdout.take()), drain(running.child.stderr.take()));
    let status = loop {
        go_on()?;
        // What it leaves behind may hold the pipes. Until that has let them go nobody waits for the program: so its number, and with
        // it that of the group, is nobody else's.
        if out.is_finished()
            && err.is_finished()
            && let Some(status) = running.child.try_wait().map_err(&wrong)?
        {
            running.has_ended = true;
            break status;
        }
        thread::sleep(LOOK);
    };
    let read = |reader: JoinHandle<Vec<u8>>| {
        reader.join().map_err(|_| Failure::Local("a program's reader died".into()))
    };
    Ok(Output { status, stdout: read(out)?, stderr: read(err)? })
}

/// A process that is killed, with all that it has started, when this goes before it has ended.
#[derive(Debug)]
struct Running {
    child: Child,
    has_ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        // The number of one that was waited for may be another's by now.
        if !self.has_ended {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Reads to the end on a thread of its own.
fn drain(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What cannot be read is not there; the program's status tells what became of it.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Instant};

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    fn wrong(e: io::Error) -> Failure {
        Failure::Local(e.to_string())
    }

    #[test]
    fn all_that_a_program_wrote_is_there_with_its_status() {
        // More than a pipe holds, in either.
        let mut script = shell("head -c 1000000 /dev/zero; head -c 900000 /dev/zero >&2; exit 3");
        let output = output_unless(|| Ok(()), &mut script, wrong).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!((output.stdout.len(), output.stderr.len()), (1_000_000, 900_000));
        let none = output_unless(|| Ok(()), &mut Command::new("/nonexistent/program"), wrong);
        assert_eq!(none.map_err(|failure| failure.code()).err(), Some(1));
    }

    /// Whether this process is there and at work.
    fn is_running(pid: &str) -> bool {
        // What nobody has waited for yet is a zombie.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.is_some_and(|state| state != 'Z' && state != 'X')
    }

    #[test]
    fn what_a_program_leaves_behind_ends_with_a_signal() {
        let name = format!("ringwood-daemon-{}", std::process::id());
        let place = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&place);
        let written = || fs::read_to_string(&place).unwrap_or_default();
        // The signal comes when the program has gone, and what it started holds its pipes.
        let go_on = || {
            let text = written();
            let has_gone = text.split_whitespace().next().is_some_and(|pid| !is_running(pid));
            let is_due = text.ends_with("done\n") && has_gone;
            if is_due { Err(Failure::Interrupted(15)) } else { Ok(()) }
        };
        let mut script = shell("sleep 100 & echo $$ $! done > \"$0\"");
        let ended = output_unless(go_on, script.arg(&place), wrong);
        assert_eq!(ended.map(|output| output.status), Err(Failure::Interrupted(15)));
        let text = written();
        let left = text.split_whitespace().nth(1).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while is_running(left) {
            assert!(Instant::now() < deadline, "{left} goes on");
            thread::sleep(LOOK);
        }
        fs::remove_file(&place).unwrap();
    }

    #[test]
    fn a_program_ends_with_a_signal_and_so_does_what_it_has_started() {
        let name = format!("ringwood-program-{}", std::process::id());
        let place = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&place);
        let written = || fs::read_to_string(&place).unwrap_or_default();
        // The signal comes when both are there.
        let go_on = || {
            if written().ends_with("done\n") { Err(Failure::Interrupted(15)) } else { Ok(()) }
        };
        let mut script = shell("sleep 1000 & echo $$ $! done > \"$0\"; wait");
        let ended = output_unless(go_on, script.arg(&place), wrong);
        assert_eq!(ended.map(|output| output.status), Err(Failure::Interrupted(15)));
        let text = written();
        let processes: Vec<&str> = text.split_whitespace().take(2).collect();
        assert_eq!(processes.len(), 2, "{text}");
        let deadline = Instant::now() + Duration::from_secs(60);
        while processes.iter().any(|pid| is_running(pid)) {
            assert!(Instant::now() < deadline, "{processes:?} go on");
            thread::sleep(LOOK);
        }
        fs::remove_file(&place).unwrap();
    }
}
