//! Where a broker's processor time goes under a load whose target was missed (`--profile`): by `perf record` on the running broker, or under
//! callgrind where `perf` may not look.
//!
//! What is told is each symbol's own share. With `perf` the kernel's symbols are among them (`[k]`); callgrind counts instructions of the
//! portable backend, as it does not know io_uring, and nothing of the kernel. The client is none of it.

use std::fs::remove_file;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Broker, Load, Options, binary, warm};
use crate::Fault;
use crate::broker::Broker as Process;
use crate::program::{self, Outcome};
use crate::prove::stages::counter::under_callgrind;
use crate::tally::say;

/// How long the load lasts.
const TIME: &str = "4s";
/// So many symbols are told.
const SYMBOLS: usize = 15;
/// Under callgrind everything takes some fifty times as long, and `perf report` looks up every symbol.
const PATIENCE: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Perf,
    Callgrind,
}

/// Which of them works here, tried in `folder`; or why none does.
pub(super) fn tool(folder: &Path) -> Result<Tool, String> {
    let works = |command: &mut Command| command.output().is_ok_and(|end| end.status.success());
    let mut perf = Command::new("perf");
    perf.args(["record", "-q", "-o"]).arg(folder.join("trial.data")).args(["--", "true"]);
    if works(&mut perf) {
        return Ok(Tool::Perf);
    }
    let has = |name: &str| works(Command::new(name).arg("--version"));
    if has("valgrind") && has("callgrind_annotate") {
        return Ok(Tool::Callgrind);
    }
    Err("perf record does not work here, and there is no valgrind (Debian: valgrind)".to_owned())
}

/// The symbols that took most of a broker of so many cores, a line each below a heading.
pub(super) fn of(
    tool: Tool,
    options: &Options,
    folder: &Path,
    cores: u32,
    load: &Load,
) -> Result<Vec<String>, Fault> {
    say(&format!("profile: {cores} cores, {}", load.name))?;
    let (how, found) = match tool {
        Tool::Perf => ("perf record", by_perf(options, folder, cores, load)?),
        Tool::Callgrind => ("callgrind, portable backend", by_callgrind(folder, cores, load)?),
    };
    if found.is_empty() {
        return Err(format!("{how} told no symbol of {}", load.name).into());
    }
    let head = format!("{}, {cores} cores, {TIME} by {how}, each symbol's own share:", load.name);
    let mut lines = vec![String::new(), head, String::new()];
    let row = |(share, name): &(f64, String)| format!("    {share:>6.2} %  {name}");
    lines.extend(found.iter().take(SYMBOLS).map(row));
    Ok(lines)
}

/// The load's words behind those of the program that runs it.
fn add_load(command: &mut Command, address: &str, load: &Load) {
    command.args(["perf", "run", "-b", address, "--rate", load.rate, "--partitions", "16"]);
    command.args(["--producers", "2", "--warmup", "0s", "--duration", TIME]).args(load.words);
}

fn must_end_well(outcome: &Outcome, what: &str) -> Result<(), Fault> {
    // 8 is a run whose figures say nothing of the broker's speed: here they are not looked at.
    if matches!(outcome.status.code(), Some(0 | 8)) {
        return Ok(());
    }
    Err(format!("{what} failed\n    {}", outcome.last_words()).into())
}

fn by_perf(
    options: &Options,
    folder: &Path,
    cores: u32,
    load: &Load,
) -> Result<Vec<(f64, String)>, Fault> {
    let broker = Broker::start(folder, cores, None, options)?;
    warm(&broker)?;
    let out = folder.join("profile.data");
    // It samples the broker for as long as the command behind it, the load, takes.
    let mut record = Command::new("perf");
    record.args(["record", "-q", "-F", "499", "-g", "-o"]).arg(&out);
    record.args(["-p", &broker.id().to_string(), "--"]).arg(binary());
    add_load(&mut record, &broker.listen, load);
    must_end_well(&program::run(&mut record, None, PATIENCE)?, "perf record")?;
    drop(broker);
    let mut report = Command::new("perf");
    report.args(["report", "--stdio", "-q", "--no-children", "--no-inline", "--call-graph=none"]);
    report.args(["--percent-limit", "0.1", "--sort", "symbol", "-i"]).arg(&out);
    let told = program::run(&mut report, None, PATIENCE)?;
    must_end_well(&told, "perf report")?;
    Ok(symbols_of_perf(&String::from_utf8_lossy(&told.out)))
}

fn by_callgrind(folder: &Path, cores: u32, load: &Load) -> Result<Vec<(f64, String)>, Fault> {
    let (ours, out) = (binary(), folder.join("profile.callgrind"));
    if out.exists() {
        remove_file(&out)?;
    }
    let under = under_callgrind(&out, &ours);
    let under: Vec<&str> = under.iter().map(String::as_str).collect();
    let mut broker = Process::fresh("figures-profile", cores)?
        .program("env".into())
        .under(&under)
        .with(&["--io", "portable", "--ring", "8MiB", "--memory", "64MiB"]);
    broker.spawn()?;
    broker.wait_until_ready(PATIENCE)?;
    let mut run = Command::new(&ours);
    add_load(&mut run, &broker.bootstrap(), load);
    must_end_well(&program::run(&mut run, None, PATIENCE)?, "the load")?;
    broker.stop(PATIENCE)?;
    let mut annotate = Command::new("callgrind_annotate");
    annotate.arg("--auto=no").arg(&out);
    let told = program::run(&mut annotate, None, PATIENCE)?;
    must_end_well(&told, "callgrind_annotate")?;
    Ok(symbols_of_callgrind(&String::from_utf8_lossy(&told.out)))
}

/// `    12.34%  [k] copy_user_generic`, most first, as `perf report` prints them.
fn symbols_of_perf(text: &str) -> Vec<(f64, String)> {
    let symbol = |line: &str| {
        let (share, name) = line.trim().split_once('%')?;
        let name = name.split_whitespace().collect::<Vec<&str>>().join(" ");
        Some((share.parse::<f64>().ok()?, name))
    };
    text.lines().filter_map(symbol).collect()
}

/// `5,000,000 (22.01%)  file:function [object]`, most first, as `callgrind_annotate` prints them below a heading.
fn symbols_of_callgrind(text: &str) -> Vec<(f64, String)> {
    let symbol = |line: &str| {
        let (_, behind) = line.split_once('(')?;
        let (share, name) = behind.split_once("%)")?;
        Some((share.trim().parse::<f64>().ok()?, name.trim().to_owned()))
    };
    let table = text.lines().skip_while(|line| !line.contains("file:function"));
    table.filter_map(symbol).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(found: &[(f64, String)]) -> Vec<(f64, &str)> {
        found.iter().map(|(share, name)| (*share, name.as_str())).collect()
    }

    #[test]
    fn symbols_are_read_from_what_perf_prints() {
        let text = "# Samples: 2K of event 'cycles'\n#\n    41.27%  [k] copy_user_generic\n\
                    \u{20}   9.05%  [.] crc32c::combine   \n\n";
        let found = symbols_of_perf(text);
        let want = [(41.27, "[k] copy_user_generic"), (9.05, "[.] crc32c::combine")];
        assert_eq!(named(&found), want);
        assert!(symbols_of_perf("Error:\nThe profile.data data has no samples!\n").is_empty());
    }

    #[test]
    fn symbols_are_read_from_what_callgrind_prints() {
        let text = "22,716,145 (100.0%)  PROGRAM TOTALS\n\n----\nIr  file:function\n----\n\
                    5,000,000 (22.01%)  ???:memcpy [/lib/libc.so.6]\n\
                    900,000 ( 3.96%)  a.rs:<F as G>::h(i) [b]\n";
        let found = symbols_of_callgrind(text);
        let want = [(22.01, "???:memcpy [/lib/libc.so.6]"), (3.96, "a.rs:<F as G>::h(i) [b]")];
        assert_eq!(named(&found), want);
        assert!(symbols_of_callgrind("no data\n").is_empty());
    }
}
