//! What became of the records: counted, and told at the end.

use crate::exit;
use crate::failure::{Done, Failure, Stop, exit_of, exit_of_several};
use crate::output::{Output, say};
use crate::topic::count;
use client::{Delivery, Refusal, SendError};
use ids::Offset;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug)]
struct Written {
    records: u64,
    /// First and last offset, where the broker told them.
    offsets: Option<(i64, i64)>,
}

/// The books of one run.
#[derive(Debug)]
pub(super) struct Report {
    topic: String,
    acknowledged: bool,
    partitions: BTreeMap<i32, Written>,
    failed: u64,
    told: u64,
    codes: Vec<u8>,
    /// What the first failure was, for the summary.
    first: Option<Failure>,
}

/// How many failures are named before they are only counted.
const NAMED_MAX: u64 = 20;
/// How many partitions are listed.
const LISTED_MAX: usize = 16;

#[derive(Serialize)]
struct Document<'a> {
    topic: &'a str,
    records: u64,
    failed: u64,
    partitions: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    partition: i32,
    records: u64,
    first_offset: Option<i64>,
    last_offset: Option<i64>,
}

impl Report {
    pub(super) fn new(topic: &str, acknowledged: bool) -> Self {
        Self {
            topic: topic.to_owned(),
            acknowledged,
            partitions: BTreeMap::new(),
            failed: 0,
            told: 0,
            codes: Vec::new(),
            first: None,
        }
    }

    /// A record of the input that is none.
    pub(super) fn unsent(&mut self, number: u64, why: &str) {
        self.tell(&[(number, number)], why);
        self.fail(
            1,
            Failure {
                area: "produce",
                what: String::new(),
                cause: format!("record {number} {why}"),
                remedy: "mend the input, or describe it with -f".into(),
                code: exit::FAILED,
            },
        );
    }

    /// What became of a batch. Gives back why, if it ran out of time.
    pub(super) fn delivered(&mut self, delivery: &Delivery) -> Option<String> {
        let records = u64::try_from(delivery.records).unwrap_or(0);
        let error = match &delivery.result {
            Ok(offset) => {
                self.written(delivery.partition, records, *offset);
                return None;
            }
            Err(error) => error,
        };
        let late = match error {
            SendError::TimedOut(why) => Some(why.clone()),
            SendError::Refused(..) | SendError::Build(_) => None,
        };
        self.fail(records, failure(error));
        late
    }

    fn written(&mut self, partition: i32, records: u64, first: Offset) {
        let known = (first >= Offset::ZERO).then(|| {
            let last = first.0.saturating_add(i64::try_from(records).unwrap_or(i64::MAX) - 1);
            (first.0, last)
        });
        let entry =
            self.partitions.entry(partition).or_insert(Written { records: 0, offsets: None });
        entry.records += records;
        entry.offsets = match (entry.offsets, known) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
    }

    fn fail(&mut self, records: u64, failure: Failure) {
        self.failed += records;
        if !self.codes.contains(&failure.code) {
            self.codes.push(failure.code);
        }
        self.first.get_or_insert(failure);
    }

    /// Names records that failed, the first ones, by their numbers in the input.
    pub(super) fn tell(&mut self, numbers: &[(u64, u64)], why: &str) {
        for (from, to) in merged(numbers) {
            self.told += 1;
            if self.told > NAMED_MAX {
                if self.told == NAMED_MAX + 1 {
                    say("more records failed; they are counted at the end");
                }
                return;
            }
            if from == to {
                say(format_args!("record {from}: {why}"));
            } else {
                say(format_args!("records {from} to {to}: {why}"));
            }
        }
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    fn total(&self) -> u64 {
        self.partitions.values().map(|w| w.records).sum()
    }

    /// Says how it went; `ended` is why the run ended early, if it did.
    pub(super) fn done(self, output: Output, quiet: bool, ended: Done) -> Done {
        if output.json {
            output.json(&self.document())?;
        }
        let total = self.total();
        if !quiet {
            self.summary(total);
        }
        let worked = usize::try_from(total).unwrap_or(usize::MAX);
        match ended {
            Ok(()) => {}
            Err(Stop::Failed(mut failure)) => {
                if total > 0 {
                    failure.code = exit::PARTIAL;
                }
                return Err(Stop::Failed(failure));
            }
            Err(stop) => return Err(stop),
        }
        let Some(first) = self.first else { return Ok(()) };
        let all = total + self.failed;
        Err(Stop::from(Failure {
            what: format!("{} of {} not written", self.failed, plural(all)),
            code: exit_of_several(worked, &self.codes),
            ..first
        }))
    }

    fn document(&self) -> Document<'_> {
        Document {
            topic: &self.topic,
            records: self.total(),
            failed: self.failed,
            partitions: self
                .partitions
                .iter()
                .map(|(partition, w)| Line {
                    partition: *partition,
                    records: w.records,
                    first_offset: w.offsets.map(|(first, _)| first),
                    last_offset: w.offsets.map(|(_, last)| last),
                })
                .collect(),
        }
    }

    fn summary(&self, total: u64) {
        let topic = &self.topic;
        let unknown = if self.acknowledged { "" } else { ", not acknowledged (acks 0)" };
        if let (1, Some((partition, written))) =
            (self.partitions.len(), self.partitions.first_key_value())
        {
            let offsets = written.offsets.map_or_else(String::new, |o| format!(", {}", range(o)));
            say(format_args!(
                "{} to {topic}, partition {partition}{offsets}{unknown}",
                plural(total)
            ));
            return;
        }
        say(format_args!("{} to {topic}{unknown}", plural(total)));
        for (partition, written) in self.partitions.iter().take(LISTED_MAX) {
            let offsets = written.offsets.map_or_else(String::new, |o| format!(", {}", range(o)));
            say(format_args!("  partition {partition}: {}{offsets}", plural(written.records)));
        }
        if self.partitions.len() > LISTED_MAX {
            say(format_args!("  and {} more partitions", self.partitions.len() - LISTED_MAX));
        }
    }
}

/// Ranges in their order, those that touch as one.
fn merged(numbers: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (from, to) in numbers {
        match merged.last_mut() {
            Some((_, end)) if end.saturating_add(1) >= from => *end = to.max(*end),
            Some(_) | None => merged.push((from, to)),
        }
    }
    merged
}

pub(super) fn plural(records: u64) -> String {
    count(i64::try_from(records).unwrap_or(i64::MAX), "record")
}

fn range((first, last): (i64, i64)) -> String {
    if first == last { format!("offset {first}") } else { format!("offsets {first} to {last}") }
}

fn failure(error: &SendError) -> Failure {
    match error {
        SendError::Refused(code, message) => {
            let refusal = Refusal { what: String::new(), code: *code, message: message.clone() };
            Failure { code: exit_of(*code), ..Failure::refused("produce", "", &refusal) }
        }
        SendError::TimedOut(why) => Failure {
            area: "produce",
            what: String::new(),
            cause: why.clone(),
            remedy: "look at the brokers with `ringwood cluster brokers`".into(),
            code: exit::UNREACHABLE,
        },
        SendError::Build(e) => Failure {
            area: "produce",
            what: String::new(),
            cause: e.to_string(),
            remedy: "send smaller records".into(),
            code: exit::FAILED,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_told_as_one() {
        assert_eq!(merged(&[(7, 9), (1, 3), (4, 4), (6, 6)]), [(1, 4), (6, 9)]);
        assert_eq!(merged(&[]), []);
    }
}
