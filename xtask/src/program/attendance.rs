//! Listens to a program until its end. One that falls silent is told about, thread by thread, and killed with all that it has started.

use std::io::{ErrorKind, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use super::line;
use super::processes::{Family, name_of};
use super::silence::Silence;
use crate::Fault;

/// Bytes that are read at once, and how many such pieces may wait: a program that says more waits for us.
const PIECE_BYTES: usize = 8 << 10;
const PIECES: usize = 64;
/// Between two looks at a program that has closed its output and not ended.
const END_PAUSE: Duration = Duration::from_millis(10);
/// How long the dead may take to let go of their output: the kernel may still be at a request of theirs.
pub(super) const BURIAL: Duration = Duration::from_secs(30);

/// Which of its outputs a program uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Standard,
    Error,
}

/// How a program has ended.
pub(super) enum End {
    Ended(ExitStatus),
    /// Nothing was heard for longer than the bound, or it has ended and something still holds its output. What was found, a line
    /// each, was killed.
    Silent(Vec<String>),
}

type Piece = (Output, Vec<u8>);

/// Runs a program; `heard` gets what it says at once, wherever that is cut. It stays in our process group, for a terminal's Ctrl-C is
/// for all of us.
pub(super) fn attend(
    command: &mut Command,
    bound: Duration,
    mut heard: impl FnMut(Output, &[u8]) -> Result<(), Fault>,
) -> Result<End, Fault> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", line(command)))?;
    let mut family = Family { root: Some(child.id()), pipes: Vec::new() };
    let (sender, pieces) = sync_channel(PIECES);
    if let Some(pipe) = child.stdout.take() {
        family.pipes.extend(name_of(&pipe));
        read(pipe, Output::Standard, sender.clone());
    }
    if let Some(pipe) = child.stderr.take() {
        family.pipes.extend(name_of(&pipe));
        read(pipe, Output::Error, sender.clone());
    }
    drop(sender);
    if let Some(status) = end(&mut child, &pieces, bound, &mut heard)? {
        return Ok(End::Ended(status));
    }
    let found = family.report();
    family.kill();
    let deadline = Instant::now() + BURIAL;
    while Instant::now() < deadline {
        // What they have said before is heard; when nobody holds their output any more, they are gone.
        match pieces.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok((output, piece)) => heard(output, &piece)?,
            Err(_) => break,
        }
    }
    while child.try_wait()?.is_none() && Instant::now() < deadline {
        sleep(END_PAUSE);
    }
    Ok(End::Silent(found))
}

/// Listens until the program has ended and nobody holds its output any more; nothing if it falls silent before.
fn end(
    child: &mut Child,
    pieces: &Receiver<Piece>,
    bound: Duration,
    heard: &mut impl FnMut(Output, &[u8]) -> Result<(), Fault>,
) -> Result<Option<ExitStatus>, Fault> {
    let mut silence = Silence::new(bound, Instant::now());
    loop {
        match pieces.recv_timeout(silence.pause()) {
            Ok((output, piece)) => {
                heard(output, &piece)?;
                silence.heard(Instant::now());
            }
            Err(RecvTimeoutError::Timeout) if silence.look(Instant::now()) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    while !silence.look(Instant::now()) {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        sleep(END_PAUSE.min(silence.pause()));
    }
    Ok(None)
}

/// Sends what comes, piece by piece. An error is an end as good as any.
fn read(mut pipe: impl Read + Send + 'static, output: Output, sender: SyncSender<Piece>) {
    spawn(move || {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match pipe.read(&mut piece) {
                Ok(0) => return,
                Ok(n) if sender.send((output, piece[..n].to_vec())).is_err() => return,
                Err(e) if e.kind() != ErrorKind::Interrupted => return,
                Ok(_) | Err(_) => {}
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::read_to_string;

    /// What is heard of a shell with this script, and how it ends.
    fn run(script: &str, bound: Duration) -> (String, End) {
        let mut said = Vec::new();
        let mut shell = Command::new("sh");
        let end = attend(shell.args(["-c", script]), bound, |_, piece| {
            said.extend_from_slice(piece);
            Ok(())
        });
        (String::from_utf8(said).unwrap(), end.unwrap())
    }

    /// What was found when the script slept and had said this. On a busy machine it needs longer to come there: the bound grows.
    fn silenced(script: &str, said: &str) -> Vec<String> {
        let bounds = [200, 2_000, 20_000].map(Duration::from_millis);
        let found = bounds.into_iter().find_map(|bound| match run(script, bound) {
            (heard, End::Silent(found)) if is_named(&found, "sleep ") => {
                assert_eq!(heard, said);
                Some(found)
            }
            (_, End::Silent(_)) => None,
            (heard, End::Ended(status)) => panic!("{status}: {heard}"),
        });
        found.unwrap()
    }

    fn is_named(found: &[String], name: &str) -> bool {
        found.iter().any(|line| line.starts_with(&format!("    {name}")))
    }

    /// Of the processes that were found none runs any more, or soon none.
    #[track_caller]
    fn are_gone(found: &[String]) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let numbers = found.iter().filter_map(|line| line.split_once(" (")?.1.split_once("): "));
        for (pid, _) in numbers {
            loop {
                let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                // Nobody may have waited for it yet.
                if stat.is_empty() || stat.contains(") Z ") || stat.contains(") X ") {
                    break;
                }
                assert!(Instant::now() < deadline, "{stat}");
                sleep(END_PAUSE);
            }
        }
    }

    #[test]
    fn a_program_that_falls_silent_is_killed_with_all_that_it_has_started_and_named() {
        let found = silenced("echo x; printf half; sleep 1000; echo y", "x\nhalf");
        assert!(is_named(&found, "sh "), "{found:?}");
        let threads = found.iter().filter(|line| line.starts_with("        ")).count();
        assert!(threads >= 2, "{found:?}");
        are_gone(&found);
    }

    #[test]
    fn what_still_holds_the_output_of_a_program_that_has_ended_is_found_and_killed() {
        let found = silenced("sleep 1000 & echo x", "x\n");
        are_gone(&found);
    }

    #[test]
    fn a_program_that_closes_its_output_and_goes_on_is_silent_too() {
        are_gone(&silenced("echo x; exec >&- 2>&-; sleep 1000; true", "x\n"));
    }

    #[test]
    fn a_program_that_talks_now_and_then_comes_to_its_end() {
        let script = "for n in 1 2 3 4 5 6 7 8 9; do echo $n; sleep 0.05; done; exit 3";
        let (heard, end) = run(script, Duration::from_secs(20));
        assert_eq!(heard, "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
        assert!(matches!(end, End::Ended(status) if status.code() == Some(3)));
    }
}
