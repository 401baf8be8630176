//! Adds up what the workers report, second by second.
//!
//! A second is over when no worker has anything to add to it. Then its histograms make room for what is in them, it is told of, and its
//! line of the timeline is made: a run of hours keeps its seconds, and seven whole histograms of each would be more than there is memory.

use std::{borrow::Cow, collections::BTreeMap, fmt, mem, sync::mpsc::Receiver, time::Duration};

use super::meter::{Counters, Report, Share};
use crate::{
    hlog::Interval,
    latency::{Kind, Latencies, SparseLatencies},
    spec::{Quantile, format_bytes, format_count, format_nanos},
};

/// One second of a trial, all workers together.
#[derive(Clone, Debug, Default)]
struct Second {
    /// Until it is over.
    open: Option<Box<Latencies>>,
    /// From then on.
    latencies: SparseLatencies,
    /// As the timeline has it, from then on.
    line: Option<String>,
    counters: Counters,
    reports: usize,
    in_flight: usize,
    behind: u64,
}

impl Second {
    /// To add to.
    fn open(&mut self) -> &mut Latencies {
        let latencies = &self.latencies;
        self.open.get_or_insert_with(|| Box::new(latencies.dense()))
    }

    fn latencies(&self) -> Cow<'_, Latencies> {
        match self.open.as_deref() {
            Some(open) => Cow::Borrowed(open),
            None => Cow::Owned(self.latencies.dense()),
        }
    }

    /// Nothing more comes to it. `start`: since the log's start.
    fn close(&mut self, start: Duration) {
        if self.open.is_none() && self.line.is_some() {
            return;
        }
        let (line, latencies) = {
            let latencies = self.latencies();
            (self.timeline(start, &latencies), SparseLatencies::from(&*latencies))
        };
        (self.open, self.latencies, self.line) = (None, latencies, Some(line));
    }

    fn timeline(&self, start: Duration, latencies: &Latencies) -> String {
        let ms = |kind: Kind, percent: f64| {
            let quantile = Quantile::percent(percent).ok();
            let value = quantile.and_then(|q| latencies.at(kind, q));
            value.map_or_else(String::new, |nanos| format!("{:.3}", nanos as f64 / 1e6))
        };
        let counters = &self.counters;
        format!(
            "{:.0},{},{:.2},{},{},{},{},{},{},{},{},{:.3},{}",
            start.as_secs_f64(),
            counters.acknowledged,
            counters.bytes as f64 / f64::from(1 << 20),
            counters.received,
            ms(Kind::Response, 50.0),
            ms(Kind::Response, 99.0),
            ms(Kind::Response, 99.9),
            ms(Kind::Response, 100.0),
            ms(Kind::EndToEnd, 99.0),
            counters.failed,
            self.in_flight,
            self.behind as f64 / 1e6,
            ms(Kind::Lag, 99.0),
        )
    }
}

/// A trial as it adds up.
#[derive(Debug)]
pub(super) struct Collector {
    workers: usize,
    /// By worker the first second that it may still report.
    reached: Vec<u64>,
    seconds: BTreeMap<u64, Second>,
    /// The first second that was not told of as one that is over.
    next: u64,
    stages: BTreeMap<usize, Share>,
    shown: Option<u64>,
    /// When the last acknowledgement came, warm-up and drain included.
    last_acknowledged: u64,
    /// How many records were acknowledged until then.
    acknowledged_in_all: u64,
    /// Offered records a second, by second.
    target: Option<f64>,
    /// Seconds of the window: what comes after is the drain.
    length: u64,
    /// From the log's start to the window's.
    offset: Duration,
}

/// What a trial under way tells.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// The newest second of which every worker has told, for whoever watches.
    Live(&'a Live),
    /// A second that is over, for whoever keeps it: each one, in order.
    Over(&'a Interval),
}

/// One second of a run under way, for whoever watches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Which second of the measurement has ended, from 1.
    pub second: u64,
    /// How many there are.
    pub seconds: u64,
    /// Offered records a second; `None` for `max`.
    pub target: Option<f64>,
    /// Records acknowledged.
    pub acknowledged: u64,
    /// Bytes of their batches.
    pub bytes: u64,
    /// Records that failed.
    pub failed: u64,
    /// p50, p99, p99.9 and maximum of `response`, nanoseconds; `None` where the second cannot carry it
    /// or the generator may have made it.
    pub percentiles: [Option<u64>; 4],
    /// How far the schedule is ahead of what has been sent, nanoseconds.
    pub behind: u64,
    /// Requests in flight.
    pub in_flight: usize,
    /// The latest that the generator acted, nanoseconds.
    pub generator_lag: u64,
}

impl fmt::Display for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.map_or_else(|| "max".into(), format_count);
        write!(
            f,
            "{:>4} s  {}/s of {target}  {}/s",
            self.second,
            format_count(self.acknowledged as f64),
            format_bytes(self.bytes as f64)
        )?;
        for (name, value) in ["p50", "p99", "p99.9", "max"].into_iter().zip(self.percentiles) {
            write!(f, "  {name} {}", value.map_or_else(|| "n/a".into(), format_nanos))?;
        }
        if self.failed > 0 {
            write!(f, "  FAILED {}", self.failed)?;
        }
        write!(
            f,
            "  behind {}  in flight {}  generator lag {}",
            format_nanos(self.behind),
            self.in_flight,
            format_nanos(self.generator_lag)
        )
    }
}

/// How long an interval of the log is.
const LENGTH: Duration = Duration::from_secs(1);

/// The columns of `timeline.csv`.
pub(crate) const TIMELINE: &str = "second,acknowledged_per_s,mib_per_s,received_per_s,p50_ms,p99_ms,p999_ms,max_ms,e2e_p99_ms,failed,in_flight,behind_ms,generator_lag_p99_ms";

impl Collector {
    /// `offset`: from the log's start to the window's.
    pub(super) fn new(
        workers: usize,
        target: Option<f64>,
        length: Duration,
        offset: Duration,
    ) -> Self {
        let length = length.as_secs_f64().ceil() as u64;
        Self {
            workers,
            reached: vec![0; workers],
            seconds: BTreeMap::new(),
            next: 0,
            stages: BTreeMap::new(),
            shown: None,
            last_acknowledged: 0,
            acknowledged_in_all: 0,
            target,
            length,
            offset,
        }
    }

    /// Takes what has come within `patience`. `false`: every worker has ended.
    pub(super) fn collect(&mut self, reports: &Receiver<Report>, patience: Duration) -> bool {
        match reports.recv_timeout(patience) {
            Ok(report) => self.add(report),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return false,
        }
        while let Ok(report) = reports.try_recv() {
            self.add(report);
        }
        true
    }

    fn add(&mut self, report: Report) {
        debug_assert!(report.worker < self.workers);
        self.last_acknowledged = self.last_acknowledged.max(report.last_acknowledged);
        self.acknowledged_in_all += report.acknowledged_in_all;
        if let Some(reached) = self.reached.get_mut(report.worker) {
            *reached = if report.is_last { u64::MAX } else { report.second + 1 };
        }
        let second = self.seconds.entry(report.second).or_default();
        second.reports += 1;
        second.in_flight += report.in_flight;
        second.behind = second.behind.max(report.behind);
        for (stage, share) in report.shares {
            second.open().add(&share.latencies);
            second.counters.add(&share.counters);
            let whole = self.stages.entry(stage).or_default();
            whole.latencies.add(&share.latencies);
            whole.counters.add(&share.counters);
        }
    }

    /// The newest second of which every worker has reported, once.
    pub(super) fn live(&mut self) -> Option<Live> {
        let (number, second) =
            self.seconds.iter().rev().find(|(_, second)| second.reports >= self.workers)?;
        if self.shown >= Some(*number) || *number >= self.length {
            return None;
        }
        self.shown = Some(*number);
        let latencies = second.latencies();
        let at = |percent: f64| latencies.at(Kind::Response, Quantile::percent(percent).ok()?);
        Some(Live {
            second: number + 1,
            seconds: self.length,
            target: self.target,
            acknowledged: second.counters.acknowledged,
            bytes: second.counters.bytes,
            failed: second.counters.failed,
            percentiles: [at(50.0), at(99.0), at(99.9), at(100.0)],
            behind: second.behind,
            in_flight: second.in_flight,
            generator_lag: latencies.of(Kind::Lag).at(Quantile::MAX).unwrap_or(0),
        })
    }

    /// Tells of the seconds to which no worker adds any more, in order. The newest waits for [`Self::close_all`]: what was never
    /// received is found out at the end, and counts in it.
    pub(super) fn close(&mut self, tell: &mut dyn FnMut(&Interval)) {
        let over = self.reached.iter().copied().min().unwrap_or(0);
        let newest = self.seconds.keys().next_back().copied().unwrap_or(0);
        self.close_before(over.min(newest), tell);
    }

    /// Tells of all that are left: every worker has ended.
    pub(super) fn close_all(&mut self, tell: &mut dyn FnMut(&Interval)) {
        self.close_before(u64::MAX, tell);
    }

    fn close_before(&mut self, end: u64, tell: &mut dyn FnMut(&Interval)) {
        if end <= self.next {
            return;
        }
        for (number, second) in self.seconds.range_mut(self.next..end) {
            let start = self.offset + Duration::from_secs(*number);
            second.close(start);
            let latencies = mem::take(&mut second.latencies);
            let interval = Interval { start, length: LENGTH, latencies };
            tell(&interval);
            second.latencies = interval.latencies;
        }
        self.next = end;
    }

    /// So many records, due in this stage and acknowledged, had not been received when the consumers ended: whoever waited for them
    /// waits at least so long. They count in the last second, which is where it was found out.
    pub(super) fn miss(&mut self, stage: usize, at_least: u64, count: u64) {
        if count == 0 {
            return;
        }
        let whole = self.stages.entry(stage).or_default();
        let censor = |latencies: &mut Latencies| {
            for kind in [Kind::EndToEnd, Kind::PromptEndToEnd] {
                latencies.of_mut(kind).censor(at_least, count);
            }
        };
        censor(&mut whole.latencies);
        whole.counters.missing += count;
        let last = self.seconds.keys().next_back().copied().unwrap_or(0);
        let second = self.seconds.entry(last).or_default();
        censor(second.open());
        second.counters.missing += count;
    }

    /// How many records of a stage were acknowledged, whenever that was, and how many received.
    pub(super) fn acknowledged_and_received(&self, stage: usize) -> (u64, u64) {
        let Some(share) = self.stages.get(&stage) else { return (0, 0) };
        let response = share.latencies.of(Kind::Response);
        let received = share.latencies.of(Kind::EndToEnd).count();
        (response.count() - response.censored(), received)
    }

    /// When the last acknowledgement of all came (0: none has), and how many records were acknowledged in all.
    pub(super) fn acknowledged(&self) -> (u64, u64) {
        (self.last_acknowledged, self.acknowledged_in_all)
    }

    /// For each second of the window the share of it in which the bound held ready work back, mean of the connections. A hold is
    /// reported when it ends: what is more than fits into that second was before it.
    pub(super) fn held(&self, connections: f64) -> Vec<f64> {
        let held = |second: u64| {
            self.seconds.get(&second).map_or(0.0, |s| s.counters.held as f64 / 1e9 / connections)
        };
        let after: f64 = self.seconds.range(self.length..).map(|(second, _)| held(*second)).sum();
        let mut more = after;
        let mut shares: Vec<f64> = (0..self.length)
            .rev()
            .map(|second| {
                let all = held(second) + more;
                more = (all - 1.0).max(0.0);
                all.min(1.0)
            })
            .collect();
        shares.reverse();
        shares
    }

    /// What each stage came to.
    pub(super) fn stage(&mut self, stage: usize) -> Share {
        self.stages.remove(&stage).unwrap_or_default()
    }

    /// Gives away the seconds, as intervals of the log and as lines of the timeline.
    pub(super) fn intervals(&mut self) -> (Vec<Interval>, Vec<String>) {
        let (mut intervals, mut lines) = (Vec::new(), Vec::new());
        for (number, mut second) in mem::take(&mut self.seconds) {
            let start = self.offset + Duration::from_secs(number);
            second.close(start);
            intervals.push(Interval { start, length: LENGTH, latencies: second.latencies });
            lines.extend(second.line);
        }
        (intervals, lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand values of each kind from 1 to 18 ms, no two of them in one bucket.
    fn report(worker: usize, second: u64, is_last: bool) -> Report {
        let mut share = Share::default();
        for kind in Kind::ALL {
            for place in 0..1_000 {
                let nanos = 1_000_000 + place * 17_000;
                share.latencies.of_mut(kind).record_n(nanos, 1 + place % 200);
            }
        }
        share.counters.acknowledged = 100_500;
        Report {
            worker,
            second,
            shares: [(0, share)].into(),
            in_flight: 1,
            behind: 0,
            last_acknowledged: 0,
            acknowledged_in_all: 0,
            is_last,
        }
    }

    fn collector(workers: usize) -> Collector {
        Collector::new(workers, None, Duration::from_secs(3_600), Duration::from_secs(10))
    }

    #[test]
    fn an_hour_of_seconds_is_tens_of_megabytes() {
        const SECONDS: u64 = 60;
        let (mut collector, mut told) = (collector(1), 0);
        for second in 0..SECONDS {
            collector.add(report(0, second, false));
            assert!(collector.live().is_some_and(|live| live.percentiles[0].is_some()));
            collector.close(&mut |_| told += 1);
            let open = collector.seconds.values().filter(|second| second.open.is_some()).count();
            assert_eq!(open, 1, "the newest alone has whole histograms");
        }
        assert_eq!(told, SECONDS - 1);
        collector.close_all(&mut |_| told += 1);
        assert_eq!(told, SECONDS);
        let bytes: usize = collector.seconds.values().map(|second| second.latencies.bytes()).sum();
        assert!(bytes * 60 < 80 << 20, "{bytes} in a minute");
        let (intervals, lines) = collector.intervals();
        assert_eq!((intervals.len(), lines.len()), (60, 60));
        assert!(lines[7].starts_with("17,100500,0.00,0,"), "{}", lines[7]);
        let response = intervals[7].latencies.of(Kind::Response);
        assert_eq!((response.count(), response.buckets().count()), (100_500, 1_000));
        assert!(collector.seconds.is_empty(), "they were given away, not copied");
    }

    #[test]
    fn a_second_is_over_when_every_worker_is_past_it() {
        let mut collector = collector(2);
        let mut over = |worker, second, is_last| {
            collector.add(report(worker, second, is_last));
            let mut told = Vec::new();
            collector.close(&mut |interval| told.push(interval.start.as_secs()));
            told
        };
        let none: [u64; 0] = [];
        assert_eq!(over(0, 0, false), none);
        assert_eq!(over(0, 1, false), none, "the other may still report");
        assert_eq!(over(1, 0, false), [10]);
        assert_eq!(over(0, 2, false), none);
        // A worker that had no core for a second has nothing to say of it.
        assert_eq!(over(1, 2, false), [11]);
        assert_eq!(over(0, 3, true), [12]);
        assert_eq!(over(1, 3, true), none, "the newest");
        collector.miss(0, 30_000_000_000, 7);
        let mut missed = 0;
        collector.close_all(&mut |interval| {
            assert_eq!(interval.start.as_secs(), 13);
            missed += interval.latencies.of(Kind::EndToEnd).censored();
        });
        assert_eq!(missed, 7);
        let (intervals, _) = collector.intervals();
        let counts = intervals.iter().map(|i| i.latencies.of(Kind::EndToEnd).count());
        assert_eq!(counts.collect::<Vec<_>>(), [201_000, 100_500, 201_000, 201_007]);
    }

    #[test]
    fn a_second_is_told_in_one_line() {
        let second = Live {
            second: 3,
            seconds: 10,
            target: Some(2_000.0),
            acknowledged: 1_990,
            bytes: 3 << 20,
            failed: 0,
            percentiles: [Some(1_500_000), Some(20_000_000), None, Some(31_000_000)],
            behind: 5_000_000,
            in_flight: 4,
            generator_lag: 70_000,
        };
        let line = "   3 s  2.0k/s of 2.0k  3.0 MiB/s  p50 1.50 ms  p99 20.0 ms  p99.9 n/a  max 31.0 ms  behind 5.00 ms  in flight 4  generator lag 70.0 us";
        assert_eq!(second.to_string(), line);
        let failing = Live { target: None, failed: 7, ..second };
        let text = failing.to_string();
        assert!(text.contains("/s of max  ") && text.contains("  FAILED 7  behind"), "{text}");
    }
}
