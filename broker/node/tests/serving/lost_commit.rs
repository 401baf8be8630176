//! A partition of `__consumer_offsets` that takes no writes, because acknowledged records of it are missing: who commits is
//! told at once, with an error that may pass.

use crate::broker::{Broker, fresh};
use crate::line::Line;
use crate::requests::{FIND_COORDINATOR, OFFSET_COMMIT, commit, committed, coordinator};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use wire::ErrorCode;

/// Turns a bit of every place under `folder` where `needle` stands; how many these are.
fn spoil(folder: &Path, needle: &[u8]) -> usize {
    let mut spoilt = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            spoilt += spoil(&path, needle);
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        let found: Vec<usize> = bytes
            .windows(needle.len())
            .enumerate()
            .filter_map(|(at, window)| (window == needle).then_some(at))
            .collect();
        for at in &found {
            bytes[*at] ^= 1;
        }
        if !found.is_empty() {
            fs::write(&path, &bytes).unwrap();
        }
        spoilt += found.len();
    }
    spoilt
}

/// The answer of the coordinator, once it has read its log.
fn answer(line: &mut Line, offset: i64, text: &str) -> ErrorCode {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let code = committed(&line.ask(OFFSET_COMMIT, &commit("g", "t", offset, text)));
        if code != ErrorCode::COORDINATOR_LOAD_IN_PROGRESS && code != ErrorCode::NOT_COORDINATOR {
            return code;
        }
        assert!(Instant::now() < deadline, "{code}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_commit_that_cannot_be_written_is_refused_for_now_and_at_once() {
    let data = fresh("lost-commit");
    let options = ["--ring", "1MiB", "--memory", "32MiB", "--cores", "1"];
    let broker = Broker::serving_with(&data, &options);
    broker.command(&["topic", "create", "t"]);
    let mut line = Line::to(&broker);
    line.ask(FIND_COORDINATOR, &coordinator("g"));
    for offset in 1..=5 {
        assert_eq!(answer(&mut line, offset, &format!("commit-number-{offset}")), ErrorCode::NONE);
    }
    broker.kill();
    assert_eq!(spoil(&data, b"commit-number-3"), 1);

    let broker = Broker::serving_with(&data, &options);
    let mut line = Line::to(&broker);
    let begun = Instant::now();
    assert_eq!(answer(&mut line, 6, ""), ErrorCode::COORDINATOR_NOT_AVAILABLE);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert!(ErrorCode::COORDINATOR_NOT_AVAILABLE.is_retriable());
}
