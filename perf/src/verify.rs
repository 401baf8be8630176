//! `--verify`: was every acknowledged record received, once, in order, as it was sent?
//!
//! A `Checker` follows one partition as one consumer group reads it. Each producer numbers its records per partition, so a number
//! that is skipped is missing until it comes (then it was out of order) or the run ends (then it is lost, if it had been
//! acknowledged). A number below the next that was not missing is a duplicate. The `Ledger` says what the producers know: how far
//! each went and which records have no known outcome (an error or a time-out leaves it open whether the broker has them).
//!
//! A reader that had not come to the log's end when the wait for it was over has found nothing out about what stands behind its
//! place: as many records as may stand there are *unread*. Lost is what it has passed, and what the log ends before. And a broker runs
//! a produce to its end though the client that sent it has gone: what one repeat left open may come in the next, and is *late* there.

mod verdict;

use std::{collections::BTreeMap, sync::Arc};

pub use verdict::{Finding, Verdict};

use crate::stamp::{Origin, Read};

/// A stretch of sequence numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl Stretch {
    fn count(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What the producers know of one (producer, partition).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The sequence number after the last that was sent.
    pub next: u64,
    /// Stretches without a known outcome.
    pub unknown: Vec<Stretch>,
    /// The offset after the last that was acknowledged, where an answer told one.
    pub end: Option<i64>,
}

/// What the producers know, by (partition, producer).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    sent: BTreeMap<(u32, u32), Sent>,
}

impl Ledger {
    /// The entry of this producer and partition.
    pub fn of(&mut self, producer: u32, partition: u32) -> &mut Sent {
        self.sent.entry((partition, producer)).or_default()
    }

    /// Takes over the entries of another worker, whose producers are others.
    pub fn add(&mut self, other: Self) {
        self.sent.extend(other.sent);
    }

    /// The producers of this partition.
    fn to(&self, partition: u32) -> impl Iterator<Item = (u32, &Sent)> {
        let all = self.sent.range((partition, 0)..=(partition, u32::MAX));
        all.map(|((_, producer), sent)| (*producer, sent))
    }
}

/// What runs before this one, of the same topics, have left open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// By run, partition and producer.
    open: BTreeMap<(u32, u32, u32), Vec<Stretch>>,
}

impl Earlier {
    /// Nobody had received these when their run ended.
    pub fn leave(
        &mut self,
        run: u32,
        partition: u32,
        open: impl IntoIterator<Item = (u32, Stretch)>,
    ) {
        for (producer, stretch) in open {
            self.open.entry((run, partition, producer)).or_default().push(stretch);
        }
    }

    fn holds(&self, run: u32, origin: Origin) -> bool {
        let Origin { producer, partition, sequence } = origin;
        let open = self.open.get(&(run, partition, producer)).map_or(&[][..], Vec::as_slice);
        open.iter().any(|stretch| (stretch.first..=stretch.last).contains(&sequence))
    }
}

/// Where a reader of a partition stood when the wait for it was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The offset that it was to read next.
    pub position: i64,
    /// Where the log ended then; `None`: the broker did not tell.
    pub end: Option<i64>,
}

impl Reach {
    /// How many records may stand behind the reader's place.
    fn room(self) -> u64 {
        self.end
            .map_or(u64::MAX, |end| u64::try_from(end.saturating_sub(self.position)).unwrap_or(0))
    }
}

/// What the check of a partition came to.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The verdict.
    pub verdict: Verdict,
    /// What had not been received, by producer, whatever the reason.
    pub open: Vec<(u32, Stretch)>,
}

/// Follows one partition as one group reads it.
#[derive(Clone, Debug)]
pub struct Checker {
    partition: u32,
    producers: BTreeMap<u32, Progress>,
    earlier: Arc<Earlier>,
    verdict: Verdict,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    next: u64,
    /// First to last of every stretch that was skipped and has not come.
    missing: BTreeMap<u64, u64>,
}

impl Checker {
    /// The checker of this partition.
    #[must_use]
    pub fn new(partition: u32) -> Self {
        Self {
            partition,
            producers: BTreeMap::new(),
            earlier: Arc::default(),
            verdict: Verdict::default(),
        }
    }

    /// The same where runs before this one have left something open.
    #[must_use]
    pub fn after(self, earlier: Arc<Earlier>) -> Self {
        Self { earlier, ..self }
    }

    /// A record came, at this offset, and its value read so.
    pub fn on_record(&mut self, offset: i64, read: Read) {
        let origin = match read {
            Read::Verified { origin, .. } => origin,
            Read::Another { run, origin }
                if origin.partition == self.partition && self.earlier.holds(run, origin) =>
            {
                self.verdict.late += 1;
                return;
            }
            Read::Corrupt | Read::Foreign | Read::Another { .. } | Read::Timed { .. } => {
                self.verdict.corrupt += 1;
                return self.verdict.name(&Finding::Corrupt { partition: self.partition, offset });
            }
        };
        if origin.partition != self.partition {
            self.verdict.corrupt += 1;
            let partition = self.partition;
            return self.verdict.name(&Finding::Misplaced { origin, partition, offset });
        }
        self.verdict.received += 1;
        let progress = self.producers.entry(origin.producer).or_default();
        let sequence = origin.sequence;
        if sequence >= progress.next {
            if sequence > progress.next {
                progress.missing.insert(progress.next, sequence - 1);
            }
            progress.next = sequence.saturating_add(1);
        } else if progress.found(sequence) {
            self.verdict.reordered += 1;
            self.verdict.name(&Finding::Reordered { origin, offset });
        } else {
            self.verdict.duplicates += 1;
            self.verdict.name(&Finding::Duplicate { origin, offset });
        }
    }

    /// Number of the partition within the run.
    #[must_use]
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// Whether something that was sent has not come by now, wherever it stands.
    #[must_use]
    pub fn is_short(&self, ledger: &Ledger) -> bool {
        let next = |producer| self.producers.get(&producer).map_or(0, |progress| progress.next);
        ledger.to(self.partition).any(|(producer, sent)| next(producer) < sent.next)
    }

    /// The run is over: what the ledger has and never came is lost, unless the reader had not come to it.
    #[must_use]
    pub fn finish(mut self, ledger: &Ledger, reach: Reach) -> Checked {
        let mut open = Vec::new();
        let mut tails = Vec::new();
        for (producer, sent) in ledger.to(self.partition) {
            let mut progress = self.producers.remove(&producer).unwrap_or_default();
            let seen = progress.next;
            if seen > sent.next {
                self.unsent(producer, Stretch { first: sent.next, last: seen - 1 });
            } else if seen < sent.next {
                progress.missing.insert(seen, sent.next - 1);
            }
            open.extend(progress.stretches().map(|stretch| (producer, stretch)));
            for stretch in &sent.unknown {
                self.verdict.unknown += stretch.count();
                progress.forgive(*stretch);
            }
            // Where all that was acknowledged stands before the reader's place, it has passed all of it.
            let has_passed_all = sent.end.is_some_and(|end| end <= reach.position);
            for records in progress.stretches() {
                if records.first >= seen && !has_passed_all {
                    tails.push((producer, records));
                } else {
                    self.lost(producer, records);
                }
            }
        }
        for (producer, progress) in std::mem::take(&mut self.producers) {
            let last = progress.next.saturating_sub(1);
            self.unsent(producer, Stretch { first: 0, last });
        }
        self.judge_tails(tails, reach);
        Checked { verdict: self.verdict, open }
    }

    /// Nothing of these has come, and nothing behind them.
    fn judge_tails(&mut self, tails: Vec<(u32, Stretch)>, reach: Reach) {
        let all: u64 = tails.iter().map(|(_, records)| records.count()).sum();
        let unread = all.min(reach.room());
        if unread == 0 {
            tails.into_iter().for_each(|(producer, records)| self.lost(producer, records));
            return;
        }
        let (partition, Reach { position, end }) = (self.partition, reach);
        self.verdict.unread += unread;
        self.verdict.name(&Finding::Unread { partition, position, end, records: unread });
        if let Some(end) = end.filter(|_| all > unread) {
            self.verdict.lost += all - unread;
            self.verdict.name(&Finding::Beyond { partition, end, records: all - unread });
        }
    }

    fn lost(&mut self, producer: u32, records: Stretch) {
        self.verdict.lost += records.count();
        self.verdict.name(&Finding::Lost { producer, partition: self.partition, records });
    }

    fn unsent(&mut self, producer: u32, records: Stretch) {
        self.verdict.corrupt += records.count();
        self.verdict.name(&Finding::Unsent { producer, partition: self.partition, records });
    }
}

impl Progress {
    fn stretches(&self) -> impl Iterator<Item = Stretch> {
        self.missing.iter().map(|(first, last)| Stretch { first: *first, last: *last })
    }

    /// Whether this number was missing; it no longer is.
    fn found(&mut self, sequence: u64) -> bool {
        let Some((&first, &last)) = self.missing.range(..=sequence).next_back() else {
            return false;
        };
        if sequence > last {
            return false;
        }
        self.forgive(Stretch { first: sequence, last: sequence });
        debug_assert!(first <= sequence);
        true
    }

    /// Takes the stretch out of what is missing.
    fn forgive(&mut self, stretch: Stretch) {
        let touched: Vec<(u64, u64)> = self
            .missing
            .range(..=stretch.last)
            .rev()
            .take_while(|(_, last)| **last >= stretch.first)
            .map(|(first, last)| (*first, *last))
            .collect();
        for (first, last) in touched {
            self.missing.remove(&first);
            if first < stretch.first {
                self.missing.insert(first, stretch.first - 1);
            }
            if last > stretch.last {
                self.missing.insert(stretch.last + 1, last);
            }
        }
    }
}

#[cfg(test)]
mod tests;
