//! Which targets were reached. What was not measured is neither reached nor missed.

use super::{Report, each, half_latency, latency};
use crate::{
    ceiling::Bounds,
    chance::median,
    peers::{Contender, Pair, Turn, profile::About},
    spec::{SizeSpec, format_bytes, format_count, format_nanos},
    terminal::Tone,
    view::{Align, Cell, Table},
};

/// Records of 100 B a second that one core is to make durable: three brokers without flushes did in 2014.
const INGEST: f64 = 2.02e6;

/// The broker's CPU seconds per GB are to be at most this share of Kafka's with page-cache acknowledgements.
const CPU_SHARE: f64 = 0.2;

/// The durable p99 is to be at most so many times the p99 of a bare flush, and a round trip.
const FLUSH_TIMES: f64 = 1.5;

/// Durable ingest is to be at least this share of what the device takes or the loopback carries, whichever is less.
const INGEST_SHARE: f64 = 0.85;

/// Into the commit and into the tail.
const COPIES_MAX: f64 = 2.005;

/// Share of a core.
const IDLE_MAX: f64 = 0.005;

/// A target, and what was found.
struct Target {
    name: String,
    bound: String,
    measured: String,
    /// `None`: it was not measured.
    reached: Option<bool>,
    /// Whose figure it is, and what could tell why.
    pair: Pair,
    about: About,
}

impl Report<'_> {
    /// The targets that this comparison can tell about.
    pub(super) fn targets(&self) -> Table {
        let mut table = Table::new(["target", "bound", "measured", ""], Align::Right);
        for Target { name, bound, measured, reached, .. } in self.judged() {
            let (word, tone) = match reached {
                Some(true) => ("reached", Tone::Better),
                Some(false) => ("missed", Tone::Worse),
                None => ("not told", Tone::Plain),
            };
            let last = Cell { text: word.into(), tone };
            table.row(vec![Cell::plain(name), Cell::plain(bound), Cell::plain(measured), last]);
        }
        table
    }

    /// Of each target that was missed where the time went, and what would move it.
    pub(super) fn missed(&self) -> Vec<String> {
        let missed = self.judged().into_iter().filter(|target| target.reached == Some(false));
        missed
            .filter_map(|Target { name, pair, about, .. }| {
                let contender = Contender { is_kafka: false, pair };
                let seen = self.seen.iter().find(|seen| seen.contender == contender)?;
                Some(format!("Missed: {name}: {}.", seen.why(about)))
            })
            .collect()
    }

    fn judged(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        let of = |is_kafka, pair| {
            let contender = Contender { is_kafka, pair };
            self.seen.iter().find(|seen| seen.contender == contender).map(|s| s.turns.as_slice())
        };
        let mut row = |name: &str,
                       bound: String,
                       measured: String,
                       reached: Option<bool>,
                       (pair, about): (Pair, About)| {
            let name = name.to_owned();
            targets.push(Target { name, bound, measured, reached, pair, about });
        };
        let number = |value: Option<f64>, show: &dyn Fn(f64) -> String| {
            value.map_or_else(|| "n/a".into(), show)
        };
        // What several cores carry is no figure of one: too little is too little of one as well, enough is not. Where the generator was
        // the bound, too little is its own.
        let generator_bound =
            of(false, Pair::Fsync).is_some_and(|t| t.iter().any(|turn| turn.fast.is_invalid()));
        let one_core = self.had_one_core();
        let had = if one_core { "" } else { " with more" };
        let of_one_core = |enough: bool| match enough {
            true => one_core.then_some(true),
            false => (!generator_bound).then_some(false),
        };
        if self.args.size == SizeSpec::Fixed(100) {
            let rate =
                of(false, Pair::Fsync).and_then(|t| median(&each(t, |turn| Some(turn.rate))));
            row(
                "durable ingest of 100 B records, one broker core",
                format!(">= {}/s", format_count(INGEST)),
                number(rate, &|rate| format!("{}/s{had}", format_count(rate))),
                rate.and_then(|rate| of_one_core(rate >= INGEST)),
                (Pair::Fsync, About::Ingest),
            );
        }
        let kafka_cpu = of(true, Pair::Written).and_then(|t| median(&each(t, Turn::cpu_per_gb)));
        for (name, pair) in [("written", Pair::Written), ("fsync", Pair::Fsync)] {
            let cpu = of(false, pair).and_then(|t| median(&each(t, Turn::cpu_per_gb)));
            row(
                &format!("broker CPU s/GB produced and fetched, {name}"),
                number(kafka_cpu, &|kafka| format!("<= {:.2}", kafka * CPU_SHARE)),
                number(cpu, &|cpu| format!("{cpu:.2}")),
                cpu.zip(kafka_cpu).map(|(cpu, kafka)| cpu <= kafka * CPU_SHARE),
                (pair, About::Cpu),
            );
        }
        // The third of the percentiles is p99. Each broker at half of its own maximum: the faster one carries more meanwhile.
        let kafka_p99 = of(true, Pair::Written).and_then(|t| half_latency(t, 2));
        let p99 = of(false, Pair::Fsync).and_then(|t| half_latency(t, 2));
        let show = |nanos: f64| format_nanos(nanos as u64);
        row(
            "durable p99 at half load against Kafka's without flush",
            number(kafka_p99, &|nanos| format!("<= {}", show(nanos))),
            number(p99, &show),
            p99.zip(kafka_p99).map(|(here, kafka)| here <= kafka),
            (Pair::Fsync, About::HalfLatency),
        );
        let calm_kafka = of(true, Pair::Written).and_then(|t| latency(t, 2));
        let calm = of(false, Pair::Fsync).and_then(|t| latency(t, 2));
        row(
            &format!("the same, both at {}", self.args.rate),
            number(calm_kafka, &|nanos| format!("<= {}", show(nanos))),
            number(calm, &show),
            calm.zip(calm_kafka).map(|(here, kafka)| here <= kafka),
            (Pair::Fsync, About::CalmLatency),
        );
        let Bounds { flush_p99, round_trip_p99, device, loopback } = self.bounds;
        let bare = flush_p99.zip(round_trip_p99).map(|(flush, trip)| flush * FLUSH_TIMES + trip);
        row(
            "durable p99 at half load against the bare device (with 1 ms of linger)",
            number(bare, &|nanos| format!("<= {}", show(nanos))),
            number(p99, &show),
            p99.zip(bare).map(|(here, bare)| here <= bare),
            (Pair::Fsync, About::HalfLatency),
        );
        let least = device.zip(loopback).map(|(device, loopback)| device.min(loopback));
        let of_fsync = |of: fn(&Turn) -> Option<f64>| {
            self.seen
                .iter()
                .find(|seen| seen.contender == Contender { is_kafka: false, pair: Pair::Fsync })
                .and_then(|seen| median(&each(&seen.turns, of)))
        };
        let ingest = of_fsync(|turn| Some(turn.bytes_rate));
        let bytes = |rate: f64| format!("{}/s", format_bytes(rate));
        row(
            "durable ingest, one broker core (every byte is written twice)",
            number(least, &|rate| format!(">= {}", bytes(rate * INGEST_SHARE))),
            number(ingest, &|rate| format!("{}{had}", bytes(rate))),
            ingest.zip(least).and_then(|(here, least)| of_one_core(here >= least * INGEST_SHARE)),
            (Pair::Fsync, About::Ingest),
        );
        let copies = of_fsync(|turn| turn.copies_in);
        row(
            "bytes copied in user space per byte produced",
            format!("<= {COPIES_MAX:.2}"),
            number(copies, &|copies| format!("{copies:.2}")),
            copies.map(|copies| copies <= COPIES_MAX),
            (Pair::Fsync, About::Cpu),
        );
        // Nothing counts them: what is not measured is not reached.
        row(
            "bytes copied in user space per byte fetched",
            "0".into(),
            "n/a".into(),
            None,
            (Pair::Fsync, About::Other),
        );
        let messages = of_fsync(|turn| turn.messages_per_request);
        // The client asks any core; the target is for one that asks the core that has the partition.
        row(
            "messages between cores per request (this client asks any core)",
            "0".into(),
            number(messages, &|messages| format!("{messages:.2}")),
            messages.filter(|messages| *messages < 0.005).map(|_| true),
            (Pair::Fsync, About::Other),
        );
        let idle = of_fsync(|turn| turn.idle);
        let percent = |share: f64| format!("{:.2} % of a core", share * 100.0);
        row(
            "idle broker",
            format!("< {}", percent(IDLE_MAX)),
            number(idle, &percent),
            idle.map(|idle| idle < IDLE_MAX),
            (Pair::Fsync, About::Other),
        );
        targets
    }

    /// Ringwood had one core, and so its ingest is that of one.
    fn had_one_core(&self) -> bool {
        self.sides.broker.as_ref().is_some_and(|cores| cores.len() == 1)
    }
}
