//! Which targets were reached. What was not measured is neither reached nor missed.

use super::{
    P99, Report,
    middle::{Middle, Part},
};
use crate::{
    ceiling::Bounds,
    load::Plan,
    own,
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

/// Into the commit and into the tail: one on receipt is one too many.
const COPIES_MAX: f64 = 2.005;

/// Fewer messages for a request than this are none, to the digits that are printed.
const MESSAGES_MAX: f64 = 0.005;

/// Share of a core.
const IDLE_MAX: f64 = 0.005;

/// So many turns a percentile must be of on either side: a median of fewer is one of luck.
const TURNS_MIN: usize = 3;

/// A target, and what was found.
struct Target {
    name: String,
    bound: String,
    measured: String,
    answer: Answer,
    /// Whose figure it is, and what could tell why.
    pair: Pair,
    about: About,
}

/// Whether a target was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Reached,
    Missed,
    /// It was not measured, or not so that it can be told, and why.
    NotTold(Option<String>),
}

impl Answer {
    fn of(reached: Option<bool>) -> Self {
        match reached {
            Some(true) => Self::Reached,
            Some(false) => Self::Missed,
            None => Self::NotTold(None),
        }
    }

    /// What speaks against a good answer takes it away.
    fn not_reached_if(self, why: Option<String>) -> Self {
        match (self, why) {
            (Self::Reached, Some(why)) => Self::NotTold(Some(why)),
            (answer, _) => answer,
        }
    }

    /// The same of a bad one.
    fn not_missed_if(self, why: Option<String>) -> Self {
        match (self, why) {
            (Self::Missed, Some(why)) => Self::NotTold(Some(why)),
            (answer, _) => answer,
        }
    }

    /// Both are to be reached.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Missed, _) | (_, Self::Missed) => Self::Missed,
            (Self::NotTold(why), _) | (_, Self::NotTold(why)) => Self::NotTold(why),
            (Self::Reached, Self::Reached) => Self::Reached,
        }
    }
}

/// The p99 of a contender's turns.
struct P99Of {
    /// Of those with which it kept up, where they are enough.
    kept_up: Option<Middle>,
    /// Of those with which it was overloaded as well.
    overloaded_too: Option<Middle>,
    /// What a table has.
    text: String,
}

impl P99Of {
    fn text(middle: Option<&Self>) -> String {
        middle.map_or_else(|| "n/a".into(), |p99| p99.text.clone())
    }

    /// The value to hold something against, or why there is none.
    fn value(middle: Option<&Self>, name: &str) -> Result<f64, Option<String>> {
        let p99 = middle.ok_or(None)?;
        let kept_up = p99.kept_up.map_or(0, |middle| middle.of);
        let enough = p99.kept_up.filter(|middle| middle.of >= TURNS_MIN);
        enough.map(|middle| middle.value).ok_or_else(|| {
            Some(format!(
                "{name} kept up and has a p99 in {kept_up} of its turns, {TURNS_MIN} are needed"
            ))
        })
    }

    /// Whether it is within the bound. An answer that is good only because turns with which it was overloaded are left out is none.
    fn is_within(here: Option<&Self>, name: &str, bound: Result<f64, Option<String>>) -> Answer {
        let (value, bound) = match (Self::value(here, name), bound) {
            (Ok(value), Ok(bound)) => (value, bound),
            (Err(why), _) | (_, Err(why)) => return Answer::NotTold(why),
        };
        let all = here.and_then(|here| here.overloaded_too).map_or(value, |middle| middle.value);
        let luck = (all > bound).then(|| format!("{name} was SATURATED in too many turns"));
        Answer::of(Some(value <= bound)).not_reached_if(luck)
    }
}

impl Report<'_> {
    /// The targets that this comparison can tell about.
    pub(super) fn targets(&self) -> Table {
        let mut table = Table::new(["target", "bound", "measured", ""], Align::Right);
        for Target { name, bound, measured, answer, .. } in self.judged() {
            let (word, tone) = match answer {
                Answer::Reached => ("reached", Tone::Better),
                Answer::Missed => ("missed", Tone::Worse),
                Answer::NotTold(_) => ("not told", Tone::Plain),
            };
            let last = Cell { text: word.into(), tone };
            table.row(vec![Cell::plain(name), Cell::plain(bound), Cell::plain(measured), last]);
        }
        table
    }

    /// Of each target that was missed where the time went, and what would move it; of each that cannot be told why not.
    pub(super) fn explained(&self) -> Vec<String> {
        let explain = |Target { name, answer, pair, about, .. }| match answer {
            Answer::Reached | Answer::NotTold(None) => None,
            Answer::NotTold(Some(why)) => Some(format!("Not told: {name}: {why}.")),
            Answer::Missed => {
                let contender = Contender { is_kafka: false, pair };
                let seen = self.seen.iter().find(|seen| seen.contender == contender)?;
                Some(format!("Missed: {name}: {}.", seen.why(about)))
            }
        };
        self.judged().into_iter().filter_map(explain).collect()
    }

    /// A contender's turns, where it took part.
    fn turns_of(&self, is_kafka: bool, pair: Pair) -> Option<&[Turn]> {
        let contender = Contender { is_kafka, pair };
        self.seen.iter().find(|seen| seen.contender == contender).map(|s| s.turns.as_slice())
    }

    /// The median of a contender's turns.
    fn of(
        &self,
        is_kafka: bool,
        pair: Pair,
        value: impl Fn(&Turn) -> Option<f64>,
    ) -> Option<Middle> {
        self.middle(self.turns_of(is_kafka, pair)?, value)
    }

    fn p99_of(&self, is_kafka: bool, pair: Pair, part: Part) -> Option<P99Of> {
        let turns = self.turns_of(is_kafka, pair)?;
        Some(P99Of {
            kept_up: part.kept_up(self.turns, turns, P99),
            overloaded_too: part.overloaded_too(self.turns, turns, P99),
            text: part.cell(self.turns, turns, P99),
        })
    }

    /// The client was the bound of what a contender carried as fast as it went.
    fn is_client_bound(&self, is_kafka: bool, pair: Pair) -> bool {
        let turns = self.turns_of(is_kafka, pair);
        turns.is_some_and(|turns| turns.iter().any(|turn| turn.fast.is_invalid()))
    }

    /// The same as a reason: what is called half of its load then is less.
    fn less_than_half(&self, is_kafka: bool, pair: Pair) -> Option<String> {
        let name = Contender { is_kafka, pair }.name();
        self.is_client_bound(is_kafka, pair)
            .then(|| format!("the client was the bound of {name}'s max: its half load was less"))
    }

    fn judged(&self) -> Vec<Target> {
        let mut targets = self.of_ingest_and_cpu();
        targets.extend(self.of_latency());
        targets.extend(self.of_the_rest());
        targets
    }

    fn of_ingest_and_cpu(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        // What several cores carry is no figure of one: too little is too little of one as well, enough is not. Where the generator was
        // the bound, too little is its own.
        let one_core = self.had_one_core();
        let had = if one_core { "" } else { " with more" };
        let of_one_core = |reached: Option<bool>| {
            let more = (!one_core).then(|| "the broker had more than one core".to_owned());
            let bound = self.is_client_bound(false, Pair::Fsync);
            let bound = bound.then(|| "the client was the bound".to_owned());
            Answer::of(reached).not_reached_if(more).not_missed_if(bound)
        };
        if self.args.size == SizeSpec::Fixed(100) {
            let rate = self.of(false, Pair::Fsync, |turn| Some(turn.rate));
            targets.push(Target {
                name: "durable ingest of 100 B records, one broker core".into(),
                bound: format!(">= {}/s", format_count(INGEST)),
                measured: number(rate, |rate| format!("{}/s{had}", format_count(rate))),
                answer: of_one_core(rate.map(|rate| rate.value >= INGEST)),
                pair: Pair::Fsync,
                about: About::Ingest,
            });
        }
        let kafka = self.of(true, Pair::Written, Turn::cpu_per_gb);
        // A JVM that compiles beside its work takes more CPU than it needs, and a share of that is more than there should be.
        let cold = (!self.lengths.is_warm()).then(|| {
            let seconds = self.lengths.warmup.as_secs_f64();
            format!("the JVM was warmed up for {seconds:.0} s")
        });
        for (name, pair) in [("written", Pair::Written), ("fsync", Pair::Fsync)] {
            let cpu = self.of(false, pair, Turn::cpu_per_gb);
            let both = cpu.zip(kafka);
            let reached = both.map(|(cpu, kafka)| cpu.value <= kafka.value * CPU_SHARE);
            targets.push(Target {
                name: format!("broker CPU s/GB produced and fetched, {name}"),
                bound: number(kafka, |kafka| format!("<= {:.2}", kafka * CPU_SHARE)),
                measured: number(cpu, |cpu| format!("{cpu:.2}")),
                answer: Answer::of(reached).not_reached_if(cold.clone()),
                pair,
                about: About::Cpu,
            });
        }
        let Bounds { device, loopback, .. } = self.bounds;
        let least = device.zip(loopback).map(|(device, loopback)| device.min(loopback));
        let ingest = self.of(false, Pair::Fsync, |turn| Some(turn.bytes_rate));
        let bytes = |rate: f64| format!("{}/s", format_bytes(rate));
        let both = ingest.zip(least);
        targets.push(Target {
            name: "durable ingest, one broker core (every byte is written twice)".into(),
            bound: least
                .map_or_else(|| "n/a".into(), |rate| format!(">= {}", bytes(rate * INGEST_SHARE))),
            measured: number(ingest, |rate| format!("{}{had}", bytes(rate))),
            answer: of_one_core(both.map(|(here, least)| here.value >= least * INGEST_SHARE)),
            pair: Pair::Fsync,
            about: About::Ingest,
        });
        targets
    }

    /// Each broker at half of its own maximum: the faster one carries more meanwhile. And both at the rate of all.
    fn of_latency(&self) -> Vec<Target> {
        let name = |is_kafka, pair| Contender { is_kafka, pair }.name();
        let (ours, theirs) = (name(false, Pair::Fsync), name(true, Pair::Written));
        let pair = Pair::Fsync;
        let at = |part| {
            let here = self.p99_of(false, Pair::Fsync, part);
            let kafka = self.p99_of(true, Pair::Written, part);
            let answer =
                P99Of::is_within(here.as_ref(), ours, P99Of::value(kafka.as_ref(), theirs));
            let bound = kafka.as_ref().map_or_else(|| "n/a".into(), |k| format!("<= {}", k.text));
            (bound, P99Of::text(here.as_ref()), answer)
        };
        let less = self.less_than_half(false, Pair::Fsync);
        let (bound, measured, answer) = at(Part::Half);
        let half = Target {
            name: "durable p99 at half load against Kafka's without flush".into(),
            bound,
            measured,
            answer: answer
                .not_reached_if(less.clone())
                .not_missed_if(self.less_than_half(true, Pair::Written)),
            pair,
            about: About::HalfLatency,
        };
        let (bound, measured, answer) = at(Part::Calm);
        let calm = Target {
            name: format!("the same, both at {}", self.args.rate),
            bound,
            measured,
            answer,
            pair,
            about: About::CalmLatency,
        };
        let Bounds { flush_p99, round_trip_p99, .. } = self.bounds;
        let bare = flush_p99.zip(round_trip_p99).map(|(flush, trip)| flush * FLUSH_TIMES + trip);
        // A flush and a round trip are of a request; the linger before it is the client's own wish, of which the bound has nothing. So the
        // request is judged from its sending on. What the broker keeps from being sent is not in that, but in the response: it may be
        // longer by the linger, and by no more.
        let linger = Plan::default().linger.as_nanos() as f64;
        let service = self.p99_of(false, Pair::Fsync, Part::HalfService);
        let response = self.p99_of(false, Pair::Fsync, Part::Half);
        let within = |p99: Option<&P99Of>, more: f64| {
            P99Of::is_within(p99, ours, bare.map(|bare| bare + more).ok_or(None))
        };
        let nanos = |nanos: f64| format_nanos(nanos as u64);
        let device = Target {
            name: format!(
                "durable p99 at half load against the bare device: service (response, with {} of linger)",
                nanos(linger)
            ),
            bound: bare.map_or_else(
                || "n/a".into(),
                |bare| format!("<= {} ({})", nanos(bare), nanos(bare + linger)),
            ),
            measured: format!(
                "{} ({})",
                P99Of::text(service.as_ref()),
                P99Of::text(response.as_ref())
            ),
            answer: within(service.as_ref(), 0.0)
                .and(within(response.as_ref(), linger))
                .not_reached_if(less),
            pair,
            about: About::HalfLatency,
        };
        vec![half, calm, device]
    }

    /// The client asks any core; the target is for one that asks the core that has the partition. What is not sent to others by a broker
    /// without others is no figure of it.
    fn of_messages(&self, messages: Option<Middle>) -> Answer {
        let why = match messages {
            None => return Answer::NotTold(None),
            Some(_) if !self.had_other_cores() => {
                "the broker had one core, and nobody to send one to"
            }
            Some(messages) if messages.value < MESSAGES_MAX => return Answer::Reached,
            Some(_) => "this client does not ask the core that has the partition",
        };
        Answer::NotTold(Some(why.to_owned()))
    }

    fn of_the_rest(&self) -> Vec<Target> {
        let of_fsync = |of: fn(&Turn) -> Option<f64>| self.of(false, Pair::Fsync, of);
        let target = |name: &str, bound: String, measured, answer, about| Target {
            name: name.into(),
            bound,
            measured,
            answer,
            pair: Pair::Fsync,
            about,
        };
        let copies = of_fsync(|turn| turn.copies_in);
        let messages = of_fsync(|turn| turn.messages_per_request);
        let idle = of_fsync(|turn| turn.idle);
        let percent = |share: f64| format!("{:.2} % of a core", share * 100.0);
        // The broker counts where it copies, and on the way out it has no such place: a copy that somebody adds there would be in no
        // counter, and a 0 of these no measurement.
        let uncounted = "the broker's counters are of copies on the way in; `cargo xtask prove figures` counts every copy under valgrind";
        vec![
            target(
                "bytes copied in user space per byte produced",
                format!("<= {COPIES_MAX:.2}"),
                number(copies, |copies| format!("{copies:.2}")),
                Answer::of(copies.map(|copies| copies.value <= COPIES_MAX)),
                About::Cpu,
            ),
            target(
                "bytes copied in user space per byte fetched",
                "0".into(),
                "n/a".into(),
                Answer::NotTold(Some(uncounted.into())),
                About::Other,
            ),
            target(
                "messages between cores per request (this client asks any core)",
                "0".into(),
                number(messages, |messages| format!("{messages:.2}")),
                self.of_messages(messages),
                About::Other,
            ),
            target(
                "idle broker",
                format!("< {}", percent(IDLE_MAX)),
                number(idle, percent),
                Answer::of(idle.map(|idle| idle.value < IDLE_MAX)),
                About::Other,
            ),
        ]
    }

    /// Ringwood had more than one core. One that was not kept to some has those that we have.
    fn had_other_cores(&self) -> bool {
        self.sides.broker.as_ref().map_or_else(|| own::allowed().len(), Vec::len) > 1
    }

    /// Ringwood had one core, and so its ingest is that of one.
    fn had_one_core(&self) -> bool {
        self.sides.broker.as_ref().is_some_and(|cores| cores.len() == 1)
    }
}

/// A median as it is shown.
fn number(middle: Option<Middle>, show: impl FnOnce(f64) -> String) -> String {
    middle.map_or_else(|| "n/a".into(), |middle| middle.show(show))
}
