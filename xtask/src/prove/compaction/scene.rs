//! The broker of both parts, the programs that talk to it, and what its cleaner says of itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::broker::Broker;
use crate::program::{self, Outcome};
use crate::prove::processors;
use crate::{Fault, tree};

pub(super) const PARTITIONS: u32 = 8;
/// Small segments, so that there is always something to compact, and tombstones that go soon.
const TABLE: [&str; 4] = [
    "segment.bytes=1048576",
    "min.cleanable.dirty.ratio=0.1",
    "delete.retention.ms=1000",
    "retention.ms=-1",
];
/// The cleaner comes to rest within this time, or something is wrong.
const REST_MAX: Duration = Duration::from_secs(600);

pub(super) struct Scene {
    pub(super) broker: Broker,
    pub(super) binary: PathBuf,
    pub(super) folder: PathBuf,
    /// While latency is measured: the processors of the broker, and those of the program that measures.
    pub(super) sides: Option<(String, String)>,
}

/// What the cleaners say, as of a moment.
#[derive(Debug)]
struct Seen {
    /// How often the cleaner of each core has looked.
    looks: Vec<u64>,
    /// Partitions that are worth a pass.
    due: u64,
    /// Bytes of replaced segments that are still there.
    waiting: u64,
    /// Partitions whose pass failed.
    failed: u64,
}

impl Seen {
    fn read(page: &str) -> Option<Self> {
        let of = |name: &str| -> Option<Vec<u64>> {
            let own = |line: &str| -> Option<u64> {
                let (_, value) = line.strip_prefix(name)?.strip_prefix('{')?.split_once("} ")?;
                Some(value.trim().parse::<f64>().ok()? as u64)
            };
            let values: Vec<u64> = page.lines().filter_map(own).collect();
            (!values.is_empty()).then_some(values)
        };
        let sum = |name: &str| of(name).map(|values| values.iter().sum());
        Some(Self {
            looks: of("ringwood_cleaner_looks_total")?,
            due: sum("ringwood_cleaner_due_partitions")?,
            waiting: sum("ringwood_cleaner_waiting_bytes")?,
            failed: sum("ringwood_cleaner_failed_partitions")?,
        })
    }

    fn nothing_to_do(&self) -> bool {
        self.due == 0 && self.waiting == 0
    }

    /// Whether the cleaner of every core has looked since.
    fn is_later_than(&self, before: &Self) -> bool {
        let mut both = self.looks.iter().zip(&before.looks);
        self.looks.len() == before.looks.len() && both.all(|(now, then)| now > then)
    }
}

fn json(outcome: &Outcome, what: &str) -> Result<Value, Fault> {
    if !outcome.status.success() {
        return Err(format!("{what}: {}\n    {}", outcome.status, outcome.last_words()).into());
    }
    serde_json::from_slice(&outcome.out).map_err(|e| format!("{what}: {e}").into())
}

/// A table that is being written.
pub(super) struct Writer(JoinHandle<Result<Outcome, String>>);

impl Writer {
    pub(super) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// What it says at its end.
    pub(super) fn end(self) -> Result<Value, Fault> {
        json(&self.0.join().map_err(|_| "the writing thread panicked")??, "the writer")
    }
}

impl Scene {
    pub(super) fn create(&self, topic: &str, policy: &str) -> Result<(), Fault> {
        let mut create = Command::new(tree::binary("ringwood-clients-rdkafka"));
        create.args(["create", &self.broker.bootstrap(), topic, &PARTITIONS.to_string()]);
        create.args(TABLE).arg(format!("cleanup.policy={policy}"));
        let outcome = program::run(&mut create, None, Duration::from_secs(60))?;
        if outcome.status.success() {
            return Ok(());
        }
        Err(format!("no topic\n    {}", outcome.last_words()).into())
    }

    pub(super) fn configure(&self, what: &str) -> Result<(), Fault> {
        let mut set = Command::new(&self.binary);
        set.args(["config", "set", "broker", what]);
        set.env("RINGWOOD_BOOTSTRAP", self.broker.bootstrap());
        let outcome = program::run(&mut set, None, Duration::from_secs(30))?;
        if outcome.status.success() {
            return Ok(());
        }
        Err(format!("{what}\n    {}", outcome.last_words()).into())
    }

    /// The processors that the broker has, where it does not have all.
    pub(super) fn of_broker(&self) -> Option<&str> {
        self.sides.as_ref().map(|(own, _)| own.as_str())
    }

    /// Begins to write a table, at so many updates a second; 0 is as fast as they go.
    pub(super) fn write(
        &self,
        topic: &str,
        updates: u64,
        keys: u64,
        rate: u64,
        to: &Path,
    ) -> Writer {
        let program = tree::work().join("go/client");
        // Beside a measurement it takes what the broker leaves of its processors: what is measured is the broker, not how this
        // program and the one that measures share a processor.
        let mut writer = if rate == 0 {
            Command::new(program)
        } else {
            let mut idle = processors::on(self.of_broker(), Path::new("chrt"));
            idle.args(["--idle", "0"]).arg(program);
            idle
        };
        // A large table is most of what this program has in memory.
        writer.env("GOGC", "20");
        writer.args(["table", &self.broker.bootstrap(), topic]);
        writer.args([u64::from(PARTITIONS), updates, keys, rate].map(|n| n.to_string())).arg(to);
        Writer(spawn(move || {
            program::run(&mut writer, None, Duration::from_secs(3600)).map_err(|e| e.to_string())
        }))
    }

    pub(super) fn read(&self, topic: &str, to: &Path) -> Result<Value, Fault> {
        let mut reader = Command::new(tree::binary("ringwood-clients-rdkafka"));
        reader.args(["table", &self.broker.bootstrap(), topic, &PARTITIONS.to_string()]).arg(to);
        json(&program::run(&mut reader, None, Duration::from_secs(1800))?, "the reader")
    }

    /// Bytes that the cleaner has read since the broker started.
    pub(super) fn cleaned(&self) -> u64 {
        self.broker.metric("ringwood_cleaner_read_bytes_total").unwrap_or(0)
    }

    /// Waits until the cleaner has nothing to do and the files of what it has replaced have gone.
    ///
    /// Metrics are gathered once a second. The first that say something new may have been gathered in part before this began;
    /// those after them have not, but the cleaner may have looked before. So it is three times that every cleaner must have
    /// looked again and found nothing.
    pub(super) fn rest(&mut self) -> Result<(), Fault> {
        let deadline = Instant::now() + REST_MAX;
        let (mut calm, mut last) = (0, None::<Seen>);
        while calm < 3 {
            if Instant::now() > deadline {
                return Err(format!(
                    "the cleaner does not come to rest within {} s: {last:?}",
                    REST_MAX.as_secs()
                )
                .into());
            }
            self.broker.must_live()?;
            if let Some(seen) = self.broker.page("/metrics").as_deref().and_then(Seen::read) {
                if seen.failed > 0 {
                    return Err(format!(
                        "{} partitions cannot be compacted\n    {}",
                        seen.failed,
                        self.broker.last_words()
                    )
                    .into());
                }
                let later = last.as_ref().is_none_or(|last| seen.is_later_than(last));
                if later {
                    let known = last.is_some() && seen.nothing_to_do();
                    calm = if known { calm + 1 } else { 0 };
                    last = Some(seen);
                }
            }
            sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# TYPE ringwood_cleaner_looks_total counter
ringwood_cleaner_looks_total{core=\"0\"} 7
ringwood_cleaner_looks_total{core=\"1\"} 9
ringwood_cleaner_due_partitions{core=\"0\"} 0
ringwood_cleaner_due_partitions{core=\"1\"} 2
ringwood_cleaner_waiting_bytes{core=\"0\"} 0
ringwood_cleaner_waiting_bytes{core=\"1\"} 0
ringwood_cleaner_failed_partitions{core=\"0\"} 0
ringwood_cleaner_failed_partitions{core=\"1\"} 1
";

    #[test]
    fn what_the_cleaners_say_is_read_and_every_one_of_them_counts() {
        let seen = Seen::read(PAGE).unwrap();
        assert_eq!((&seen.looks[..], seen.due, seen.waiting, seen.failed), (&[7, 9][..], 2, 0, 1));
        assert!(!seen.nothing_to_do());
        assert!(Seen::read("").is_none(), "a broker that has counted nothing yet");
        let later = |looks: &str| Seen::read(&PAGE.replace("\"0\"} 7", looks)).unwrap();
        assert!(!later("\"0\"} 8").is_later_than(&seen), "core 1 has not looked");
        let both = PAGE.replace("\"0\"} 7", "\"0\"} 8").replace("\"1\"} 9", "\"1\"} 10");
        assert!(Seen::read(&both).unwrap().is_later_than(&seen));
    }
}
