//! What a worker measured, handed to the collector once a second.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc::Sender},
};

use super::{
    dues::Dues,
    effort::{Effort, EffortMeter},
    window::Window,
};
use crate::latency::{Kind, Latencies};

/// Counts of one stage.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    /// Records sent whose intended time lies in the stage.
    pub(super) sent: u64,
    /// Records acknowledged during the stage, whenever they were due: throughput.
    pub(super) acknowledged: u64,
    /// Bytes of their batches.
    pub(super) bytes: u64,
    /// Records due in the stage that failed, timed out or were never sent.
    pub(super) failed: u64,
    /// Those of them that were never made, though nothing stopped the generator.
    pub(super) unsent: u64,
    /// Records received during the stage, whenever they were due.
    pub(super) received: u64,
    /// Records due in the stage and acknowledged that had not been received when the consumers ended, each group counted.
    pub(super) missing: u64,
    /// Nanoseconds in which the bound held ready work back, summed over connections.
    pub(super) held: u64,
    /// Records by kind of error.
    pub(super) errors: BTreeMap<String, u64>,
}

impl Counters {
    pub(super) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.bytes += other.bytes;
        self.failed += other.failed;
        self.unsent += other.unsent;
        self.received += other.received;
        self.missing += other.missing;
        self.held += other.held;
        for (error, count) in &other.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
    }
}

/// One stage's share of an interval.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    pub(super) latencies: Latencies,
    pub(super) counters: Counters,
}

/// What a worker sends once a second.
#[derive(Debug)]
pub(super) struct Report {
    /// Which worker.
    pub(super) worker: usize,
    /// Seconds since the window began; 0 also for what came before.
    pub(super) second: u64,
    /// By stage.
    pub(super) shares: BTreeMap<usize, Share>,
    /// Requests in flight now.
    pub(super) in_flight: usize,
    /// How far the schedule is ahead of what has been sent, nanoseconds.
    pub(super) behind: u64,
    /// When the last acknowledgement came, warm-up and drain included; 0: none has.
    pub(super) last_acknowledged: u64,
    /// How many records were acknowledged since the last report, warm-up and drain included.
    pub(super) acknowledged_in_all: u64,
    /// It is the worker's last.
    pub(super) is_last: bool,
}

const SECOND: u64 = 1_000_000_000;

#[derive(Debug)]
pub(super) struct Meter {
    worker: usize,
    window: Arc<Window>,
    sender: Sender<Report>,
    shares: BTreeMap<usize, Share>,
    second: u64,
    effort: EffortMeter,
    timeout: u64,
    last_acknowledged: u64,
    acknowledged_in_all: u64,
}

impl Meter {
    pub(super) fn new(
        worker: usize,
        window: Arc<Window>,
        sender: Sender<Report>,
        timeout: u64,
    ) -> Self {
        Self {
            worker,
            window,
            sender,
            shares: BTreeMap::new(),
            second: 0,
            effort: EffortMeter::default(),
            timeout,
            last_acknowledged: 0,
            acknowledged_in_all: 0,
        }
    }

    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    fn share(&mut self, at: u64) -> Option<&mut Share> {
        let stage = self.window.stage_of(at)?;
        Some(self.shares.entry(stage).or_default())
    }

    /// Records are on their way.
    pub(super) fn on_sent(&mut self, dues: &Dues) {
        for segment in dues.segments() {
            if let Some(share) = self.share(segment.first) {
                share.counters.sent += segment.count;
            }
        }
    }

    /// A batch was closed; it should have been at `planned`. Gives back how late that was.
    pub(super) fn on_closed(&mut self, dues: &mut Dues, planned: u64, now: u64, count: u64) -> u64 {
        let late = now.saturating_sub(planned);
        dues.close_late(late);
        if let Some(share) = self.share(planned) {
            share.latencies.of_mut(Kind::Lag).record_n(late, count);
        }
        late
    }

    /// A batch that was sent at `sent` is acknowledged now; its answer may have come at `earliest`.
    pub(super) fn on_acknowledged(
        &mut self,
        dues: &Dues,
        sent: u64,
        earliest: u64,
        now: u64,
        bytes: u64,
    ) {
        let prompt = earliest.clamp(sent.min(now), now).saturating_sub(dues.late());
        self.last_acknowledged = self.last_acknowledged.max(now);
        for segment in dues.segments() {
            let Some(share) = self.share(segment.first) else { continue };
            let since = |then: u64, due: u64| then.saturating_sub(due);
            let latencies = &mut share.latencies;
            for (kind, then) in [(Kind::Response, now), (Kind::Prompt, prompt)] {
                latencies.of_mut(kind).record_line(
                    since(then, segment.first),
                    since(then, segment.last),
                    segment.count,
                );
            }
            latencies.of_mut(Kind::Delay).record_line(
                since(sent, segment.first),
                since(sent, segment.last),
                segment.count,
            );
            latencies.of_mut(Kind::Service).record_n(since(now, sent), segment.count);
        }
        let count: u64 = dues.segments().iter().map(|segment| segment.count).sum();
        self.acknowledged_in_all += count;
        if let Some(share) = self.share(now) {
            share.counters.acknowledged += count;
            share.counters.bytes += bytes;
        }
    }

    /// Records failed: their latency is at least the time-out, and at least what has passed.
    pub(super) fn on_failed(&mut self, dues: &Dues, now: u64, error: &str) {
        for segment in dues.segments() {
            self.on_failed_at(segment.first, segment.count, now, error);
        }
    }

    /// The same for records that were due at one time.
    pub(super) fn on_failed_at(&mut self, due: u64, count: u64, now: u64, error: &str) {
        let at_least = self.timeout.max(now.saturating_sub(due));
        if let Some(share) = self.share(due) {
            for kind in [Kind::Response, Kind::Prompt] {
                share.latencies.of_mut(kind).censor(at_least, count);
            }
            share.counters.failed += count;
            match share.counters.errors.get_mut(error) {
                Some(known) => *known += count,
                None => {
                    share.counters.errors.insert(error.to_owned(), count);
                }
            }
        }
    }

    /// A record that was due at this time was never made. The generator's own fault is its lag.
    pub(super) fn on_unsent(&mut self, due: u64, now: u64, own_fault: bool) {
        self.on_failed_at(due, 1, now, "not sent before the run's end");
        if own_fault && let Some(share) = self.share(due) {
            share.latencies.of_mut(Kind::Lag).record(now.saturating_sub(due));
            share.counters.unsent += 1;
        }
    }

    /// A consumer has a record, due at this time, since now; it may have been there at `earliest`. `late`: how late its batch was closed,
    /// where that is known.
    pub(super) fn on_received(
        &mut self,
        intended: u64,
        earliest: u64,
        now: u64,
        late: Option<u64>,
    ) {
        if let Some(share) = self.share(intended) {
            let latencies = &mut share.latencies;
            latencies.of_mut(Kind::EndToEnd).record(now.saturating_sub(intended));
            if let Some(late) = late {
                let prompt = earliest.min(now).saturating_sub(late).saturating_sub(intended);
                latencies.of_mut(Kind::PromptEndToEnd).record(prompt);
            }
        }
    }

    /// So many records were received now, timed or not.
    pub(super) fn on_received_count(&mut self, count: u64, now: u64) {
        if let Some(share) = self.share(now) {
            share.counters.received += count;
        }
    }

    /// An error that met no record: it is named, no more.
    pub(super) fn on_error(&mut self, now: u64, error: &str) {
        if let Some(share) = self.share(now) {
            *share.counters.errors.entry(error.to_owned()).or_default() += 0;
        }
    }

    /// The bound held work back from `from` until `to`.
    pub(super) fn on_held(&mut self, from: u64, to: u64) {
        let held = self.window.overlap(from, to);
        if let Some(share) = self.share(from.max(self.window.begin()))
            && held > 0
        {
            share.counters.held += held;
        }
    }

    /// When the next report is due.
    pub(super) fn next_report(&self) -> u64 {
        self.window.begin().saturating_add((self.second + 1) * SECOND)
    }

    /// To be called often: reports when a second has ended.
    pub(super) fn tick(&mut self, now: u64, in_flight: usize, behind: u64) {
        self.effort.tick(now, &self.window);
        if now >= self.next_report() {
            self.report(in_flight, behind, false);
            self.second = (now - self.window.begin()) / SECOND;
        }
    }

    fn report(&mut self, in_flight: usize, behind: u64, is_last: bool) {
        let shares = std::mem::take(&mut self.shares);
        let report = Report {
            worker: self.worker,
            second: self.second,
            shares,
            in_flight,
            behind,
            last_acknowledged: self.last_acknowledged,
            acknowledged_in_all: std::mem::take(&mut self.acknowledged_in_all),
            is_last,
        };
        // The collector outlives the workers unless it failed, and then nobody asks.
        let _ = self.sender.send(report);
    }

    /// The worker is done: sends what is left.
    pub(super) fn finish(mut self, now: u64) -> Effort {
        self.effort.tick(now, &self.window);
        self.report(0, 0, true);
        self.effort.effort()
    }
}
