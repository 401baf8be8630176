//! What the clients do, in order: administer, write, read what the others wrote, alone and in groups; then the broker is killed and they
//! read again, and ask for what their groups had committed. At last the broker stops, and what lies on its disk is looked at.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::roster::Member;
use super::{Under, dumped, examples, faces, kcat};
use crate::tally::{Tally, say};
use crate::{Fault, program};

/// No client program may take longer for one act; a stuck one is a failure, not a stuck test run.
const LIMIT: Duration = Duration::from_secs(420);

/// Readers at once. Most of their time is a client's own waiting (for metadata, for a fetch that ends its session), not work.
const READERS: usize = 4;

/// Everything.
pub(crate) fn play(
    tally: &mut Tally,
    under: Under,
    members: &[&'static Member],
    groups: bool,
    run: &str,
    base: i64,
) -> Result<(), Fault> {
    let stage = Stage { bootstrap: under.bootstrap(), run: run.to_owned(), base };
    for member in members {
        stage.act(tally, member, "admin", &[], "")?;
        stage.act(tally, member, "write", &[], "")?;
    }
    let everything: Vec<String> = members
        .iter()
        .map(|writer| format!("{}:{}", writer.name, corpus::STREAMS.join(",")))
        .collect();
    let readers = members.iter().filter(|member| member.reads);
    stage.all_read(tally, readers.map(|reader| (*reader, everything.clone())).collect(), "")?;
    for (place, member) in members.iter().enumerate().filter(|(_, m)| groups && m.groups) {
        stage.act(tally, member, "group", &group_of(members, place), "")?;
    }
    if members.iter().any(|member| member.suite == "python") {
        examples::run(tally, &stage.bootstrap, run)?;
    }
    if members.iter().any(|member| member.suite == "java") {
        faces::run(tally, &stage.bootstrap, run)?;
    }
    match under {
        Under::Running(_) => say("clients: the broker is not ours, so it is not killed"),
        Under::Ours(mut broker) => {
            broker.must_live()?;
            broker.kill()?;
            let started = Instant::now();
            let back = broker.start().err().map(|fault| fault.to_string());
            tally.check("clients: the broker starts again after kill -9", back.as_deref())?;
            if back.is_some() {
                return Ok(());
            }
            say(&format!("clients: killed, and back after {} ms", started.elapsed().as_millis()))?;
            again(tally, &stage, members, groups)?;
            let alive = broker.must_live().err().map(|fault| fault.to_string());
            tally.check("clients: the broker is alive at the end", alive.as_deref())?;
            dumped::check(tally, &mut broker, members, run)
        }
    }
}

/// After the kill everything acknowledged is read by a client other than the writer (acks=0 promises nothing).
fn again(
    tally: &mut Tally,
    stage: &Stage,
    members: &[&'static Member],
    groups: bool,
) -> Result<(), Fault> {
    let readers: Vec<&&Member> = members.iter().filter(|member| member.reads).collect();
    let promised: Vec<&str> =
        corpus::STREAMS.into_iter().filter(|stream| *stream != "acks0").collect();
    let mut shares = Vec::new();
    for (place, reader) in readers.iter().enumerate() {
        let mut asked = Vec::new();
        for (turn, writer) in members.iter().enumerate() {
            // Writer n goes to reader n + 1; with one reader only, it reads its own.
            if (turn + 1) % readers.len() == place {
                asked.push(format!("{}:{}", writer.name, promised.join(",")));
            }
        }
        if !asked.is_empty() {
            shares.push((**reader, asked));
        }
    }
    stage.all_read(tally, shares, " after kill -9")?;
    for (place, member) in members.iter().enumerate().filter(|(_, m)| groups && m.groups) {
        stage.act(tally, member, "committed", &group_of(members, place), " after kill -9")?;
    }
    Ok(())
}

/// What the group of a member reads: `none` and one compressed stream of two writers, others than itself where there are so many.
fn group_of(members: &[&'static Member], place: usize) -> Vec<String> {
    let codec = corpus::CODECS.iter().skip(1).cycle().nth(place).unwrap_or(&"gzip");
    let mut writers: Vec<&str> =
        [1, 3, 2, 0].map(|step| members[(place + step) % members.len()].name).to_vec();
    let mut seen = std::collections::BTreeSet::new();
    writers.retain(|writer| seen.insert(*writer));
    writers.iter().take(2).map(|writer| format!("{writer}:none,{codec}")).collect()
}

/// Where and about what the clients play.
pub(crate) struct Stage {
    pub(crate) bootstrap: String,
    pub(crate) run: String,
    pub(crate) base: i64,
}

impl Stage {
    /// Every reader reads its share, a few of them at once. Readers leave nothing behind, so none sees another.
    fn all_read(
        &self,
        tally: &mut Tally,
        shares: Vec<(&'static Member, Vec<String>)>,
        when: &str,
    ) -> Result<(), Fault> {
        let waiting = Mutex::new(VecDeque::from(shares));
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let read = || {
            let mut own = Tally::default();
            while let Some((reader, asked)) = next() {
                // A fault is one reader's: the others go on, and it is told as a failure.
                if let Err(fault) = self.act(&mut own, reader, "read", &asked, when) {
                    own.check(
                        &format!("clients/{} read{when}", reader.name),
                        Some(&fault.to_string()),
                    )
                    .map_err(|fault| fault.to_string())?;
                }
            }
            Ok::<_, String>(own)
        };
        let tallies: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
            threads.into_iter().map(|thread| thread.join()).collect()
        });
        for one in tallies {
            tally.add(one.map_err(|_| "a reading thread panicked")??);
        }
        Ok(())
    }

    fn act(
        &self,
        tally: &mut Tally,
        member: &Member,
        verb: &str,
        more: &[String],
        when: &str,
    ) -> Result<(), Fault> {
        let label = format!("clients/{} {verb}{when}", member.name);
        let (before, started) = ((tally.passed, tally.failed), Instant::now());
        if let Some(mut command) = member.program() {
            command.args([verb, &self.bootstrap, &self.run, &self.base.to_string()]).args(more);
            let outcome = program::run(&mut command, None, LIMIT)?;
            count(tally, &label, &outcome)?;
        } else {
            kcat::act(tally, self, &label, verb, more)?;
        }
        let (passed, failed) = (tally.passed - before.0, tally.failed - before.1);
        let seconds = started.elapsed().as_secs_f32();
        say(&format!("{label}: {passed} passed, {failed} failed in {seconds:.1} s"))
    }
}

/// Counts the lines that a program printed; it must come to its end and have printed as many checks as it says.
fn count(tally: &mut Tally, label: &str, outcome: &program::Outcome) -> Result<(), Fault> {
    let (mut checks, mut end) = (0, None);
    for line in String::from_utf8_lossy(&outcome.out).lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        if let Some(total) = line.get("end").and_then(Value::as_u64) {
            end = Some(total);
        } else if let Some(check) = line.get("check").and_then(Value::as_str) {
            checks += 1;
            let good = line.get("ok").and_then(Value::as_bool) == Some(true);
            let detail = line.get("detail").and_then(Value::as_str).unwrap_or("no detail");
            tally.check(&format!("{label}: {check}"), (!good).then_some(detail))?;
        }
    }
    let complaint = if outcome.timed_out {
        Some(format!("stopped after {} s", LIMIT.as_secs()))
    } else if !outcome.status.success() {
        Some(format!("{}", outcome.status))
    } else if end != Some(checks) || checks == 0 {
        Some(format!("printed {checks} checks and said {end:?}"))
    } else {
        None
    };
    if let Some(complaint) = complaint {
        tally.check(label, Some(&format!("{complaint}\n    {}", outcome.last_words())))?;
    }
    Ok(())
}
