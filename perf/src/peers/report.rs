//! What the turns came to: one table, which targets were reached, and how every contender was started.

use std::time::Duration;

use super::{Contender, Lengths, PERCENTS, Pair, PeersArgs, Seen, Turn};
use crate::{
    ceiling::Bounds,
    chance::median,
    hgrm::Curve,
    machine::Machine,
    own::Sides,
    run::Verdict,
    spec::{Quantile, RateSpec, SizeSpec, format_bytes, format_count, format_nanos},
    terminal::{self, Tone},
    view::{self, Align, Cell, Line, Table},
};

/// Everything that the report is made of.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) machine: Machine,
    /// Rounds that were played.
    pub(super) turns: u32,
    pub(super) lengths: Lengths,
    /// How long all of it took.
    pub(super) took: Duration,
    pub(super) args: &'a PeersArgs,
    pub(super) sides: &'a Sides,
    /// What became of the memory before the first turn.
    pub(super) memory: String,
    pub(super) bounds: Bounds,
    pub(super) seen: &'a [Seen],
}

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

impl Report<'_> {
    /// For the terminal.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}\n{}\n", self.machine_line(), self.work_line());
        self.identities().iter().for_each(|line| text.push_str(&format!("{line}\n")));
        text.push('\n');
        let colour = terminal::colour();
        text.push_str(&self.table().render(colour));
        text.push('\n');
        text.push_str(&self.targets().render(colour));
        for note in self.notes() {
            text.push_str(&format!("\n{note}\n"));
        }
        for seen in self.seen {
            text.push_str(&format!("\n{}: {}\n", seen.contender.name(), seen.command.join(" ")));
            text.push_str(&seen.configuration);
        }
        text
    }

    /// For a page of the documentation: the machine, the work, both tables, the notes.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("{}\n\n{}\n\n", self.machine_line(), self.work_line());
        self.identities().iter().for_each(|line| text.push_str(&format!("- {line}\n")));
        text.push('\n');
        text.push_str(&format!("{}\n{}", self.table().markdown(), self.targets().markdown()));
        self.notes().iter().for_each(|note| text.push_str(&format!("\n{note}\n")));
        text
    }

    /// As one page.
    pub(super) fn html(&self) -> String {
        let mut body = view::paragraph(&self.machine_line());
        body.push_str(&view::paragraph(&self.work_line()));
        for line in self.identities() {
            body.push_str(&view::paragraph(&line));
        }
        body.push_str(&view::html_table(&self.table()));
        body.push_str(&view::heading("Targets"));
        body.push_str(&view::html_table(&self.targets()));
        for note in self.notes() {
            body.push_str(&view::paragraph(&note));
        }
        let lines: Vec<Line> = self
            .seen
            .iter()
            .filter(|seen| seen.response.count() > 0)
            .map(|seen| Line {
                name: seen.contender.name().into(),
                points: Curve::of(&seen.response).points,
            })
            .collect();
        let title = format!("Response by percentile at {}, all valid turns", self.args.rate);
        body.push_str(&view::percentile_svg(&title, &lines));
        body.push_str(&view::heading("Every turn"));
        body.push_str(&view::html_table(&self.every_turn()));
        body.push_str(&view::heading("How each was started"));
        for seen in self.seen {
            body.push_str(&view::paragraph(seen.contender.name()));
            let text = format!("{}\n\n{}", seen.command.join(" "), seen.configuration);
            body.push_str(&view::verbatim(text.trim_end()));
        }
        body.push_str(&view::heading("Machine"));
        let machine = &self.machine;
        let storage = machine.storage.clone().unwrap_or_default();
        body.push_str(&view::facts(&[
            ("harness", std::env::args().collect::<Vec<_>>().join(" ")),
            ("revision", crate::run::revision()),
            ("cores", self.sides.words()),
            ("memory", format_bytes(machine.memory_bytes as f64)),
            ("limits", machine.limits.join("; ")),
            ("load average at the end", machine.load_average.clone()),
            ("file system", format!("{} {}", storage.file_system, storage.options)),
        ]));
        view::page("Apache Kafka and Ringwood on one machine", &body)
    }

    fn machine_line(&self) -> String {
        let machine = &self.machine;
        let storage = machine.storage.clone().unwrap_or_default();
        format!(
            "{} ({} cores), {}, {} on {} {}",
            machine.cpu,
            machine.cores,
            machine.kernel,
            storage.file_system,
            storage.device,
            storage.facts
        )
    }

    fn work_line(&self) -> String {
        format!(
            "median of {} interleaved turns, each part {:.0} s after a warm-up of {:.0} s; values of {}, {} partitions, acks=all, \
             4 producers, 1 consumer at the rates and in the fetching; fresh broker and data each turn; {}; {}; {:.0} min in all",
            self.turns,
            self.lengths.duration.as_secs_f64(),
            self.lengths.warmup.as_secs_f64(),
            self.args.size,
            self.args.partitions,
            self.sides.words(),
            self.memory,
            self.took.as_secs_f64() / 60.0
        )
    }

    /// Who answered under each name.
    fn identities(&self) -> Vec<String> {
        let line = |seen: &Seen| format!("{}: {}", seen.contender.name(), seen.fingerprint);
        self.seen.iter().filter(|seen| !seen.fingerprint.is_empty()).map(line).collect()
    }

    /// Ringwood had one core, and so its ingest is that of one.
    fn had_one_core(&self) -> bool {
        self.sides.broker.as_ref().is_some_and(|cores| cores.len() == 1)
    }

    fn table(&self) -> Table {
        let names = self.seen.iter().map(|seen| seen.contender.name().to_owned());
        let mut table = Table::new(std::iter::once(String::new()).chain(names), Align::Right);
        let mut row = |name: String, of: &dyn Fn(&[Turn]) -> Option<String>| {
            let cell = |seen: &Seen| Cell::plain(of(&seen.turns).unwrap_or_else(|| "n/a".into()));
            let cells = self.seen.iter().map(cell);
            table.row(std::iter::once(Cell::plain(name)).chain(cells).collect());
        };
        // Where the generator was the bound in some turn, the broker may be faster.
        let at_least = |turns: &[Turn]| {
            if turns.iter().any(|turn| turn.fast.is_invalid()) { ">=" } else { "" }
        };
        row("max records/s".into(), &|turns| {
            let rate = median(&each(turns, |turn| Some(turn.rate)))?;
            Some(format!("{}{}", at_least(turns), format_count(rate)))
        });
        row("max bytes/s".into(), &|turns| {
            let rate = median(&each(turns, |turn| Some(turn.bytes_rate)))?;
            Some(format!("{}{}/s", at_least(turns), format_bytes(rate)))
        });
        row("fetch bytes/s".into(), &|turns| {
            let rate = median(&each(turns, |turn| turn.fetch_bytes_rate))?;
            let bound = if turns.iter().any(|turn| turn.fetch.is_invalid()) { ">=" } else { "" };
            Some(format!("{bound}{}/s", format_bytes(rate)))
        });
        let seconds = |turns: &[Turn], of: fn(&Turn) -> Option<f64>| {
            median(&each(turns, of)).map(|seconds| format!("{seconds:.2}"))
        };
        row("broker CPU s/GB produced".into(), &|turns| {
            seconds(turns, |turn| turn.cpu_per_gb_produced)
        });
        row("the same of its cores, with the kernel's part".into(), &|turns| {
            seconds(turns, |turn| turn.cores_per_gb_produced)
        });
        row("broker CPU s/GB fetched".into(), &|turns| {
            seconds(turns, |turn| turn.cpu_per_gb_fetched)
        });
        row("idle, % of a core".into(), &|turns| {
            median(&each(turns, |turn| turn.idle)).map(|share| format!("{:.2}", share * 100.0))
        });
        for (place, percent) in PERCENTS.iter().enumerate() {
            let Ok(quantile) = Quantile::percent(*percent) else { continue };
            row(format!("{quantile} at {}", self.args.rate), &|turns| {
                if !turns.is_empty() && turns.iter().all(|turn| turn.calm.is_invalid()) {
                    return Some("INVALID".into());
                }
                latency(turns, place).map(|nanos| format_nanos(nanos as u64))
            });
        }
        for (place, percent) in PERCENTS.iter().enumerate() {
            let Ok(quantile) = Quantile::percent(*percent) else { continue };
            row(format!("{quantile} at half of its max"), &|turns| {
                if !turns.is_empty() && turns.iter().all(|turn| turn.half.is_invalid()) {
                    return Some("INVALID".into());
                }
                half_latency(turns, place).map(|nanos| format_nanos(nanos as u64))
            });
        }
        row("half of its max, records/s".into(), &|turns| {
            let rate = median(&each(turns, |turn| Some(turn.half_rate as f64)))?;
            // Where the generator was the bound, half of the broker's own is more.
            Some(format!("{}{}", at_least(turns), format_count(rate)))
        });
        // How far below saturation the common rate is.
        row(format!("{} in % of its max", self.args.rate), &|turns| {
            let max = median(&each(turns, |turn| Some(turn.rate))).filter(|max| *max > 0.0)?;
            let RateSpec::Stages(rates) = &self.args.rate else { return None };
            let rate = rates.iter().copied().max()? as f64;
            Some(format!(
                "{}{:.1}",
                if at_least(turns).is_empty() { "" } else { "<=" },
                rate / max * 100.0
            ))
        });
        row("memory".into(), &|turns| {
            median(&each(turns, |turn| Some(turn.resident_bytes as f64))).map(format_bytes)
        });
        row("page cache grown by, at max".into(), &|turns| {
            let grown = median(&each(turns, |turn| turn.cached_bytes.map(|bytes| bytes as f64)))?;
            Some(format_bytes(grown.max(0.0)))
        });
        row("start to first answer".into(), &|turns| {
            let seconds = median(&each(turns, |turn| Some(turn.start_seconds)))?;
            Some(format_nanos((seconds * 1e9) as u64))
        });
        let count = |turns: &[Turn], is: fn(&Verdict) -> bool, of: fn(&Turn) -> &Verdict| {
            let found = turns.iter().filter(|turn| is(of(turn))).count();
            Some(format!("{found} of {}", turns.len()))
        };
        row("saturated at the rate".into(), &|turns| {
            count(turns, |v| matches!(v, Verdict::Saturated(_)), |turn| &turn.calm)
        });
        row("INVALID(generator) at the rate".into(), &|turns| {
            count(turns, Verdict::is_invalid, |turn| &turn.calm)
        });
        row("saturated at half of its max".into(), &|turns| {
            count(turns, |v| matches!(v, Verdict::Saturated(_)), |turn| &turn.half)
        });
        row("INVALID(generator) at half of its max".into(), &|turns| {
            count(turns, Verdict::is_invalid, |turn| &turn.half)
        });
        row("INVALID(generator) at max".into(), &|turns| {
            count(turns, Verdict::is_invalid, |turn| &turn.fast)
        });
        table
    }

    /// The targets that this comparison can tell about.
    fn targets(&self) -> Table {
        let mut table = Table::new(["target", "bound", "measured", ""], Align::Right);
        let of = |is_kafka, pair| {
            let contender = Contender { is_kafka, pair };
            self.seen.iter().find(|seen| seen.contender == contender).map(|s| s.turns.as_slice())
        };
        let mut row = |name: &str, bound: String, measured: String, reached: Option<bool>| {
            let (word, tone) = match reached {
                Some(true) => ("reached", Tone::Better),
                Some(false) => ("missed", Tone::Worse),
                None => ("not told", Tone::Plain),
            };
            let last = Cell { text: word.into(), tone };
            table.row(vec![Cell::plain(name), Cell::plain(bound), Cell::plain(measured), last]);
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
        );
        let calm_kafka = of(true, Pair::Written).and_then(|t| latency(t, 2));
        let calm = of(false, Pair::Fsync).and_then(|t| latency(t, 2));
        row(
            &format!("the same, both at {}", self.args.rate),
            number(calm_kafka, &|nanos| format!("<= {}", show(nanos))),
            number(calm, &show),
            calm.zip(calm_kafka).map(|(here, kafka)| here <= kafka),
        );
        let Bounds { flush_p99, round_trip_p99, device, loopback } = self.bounds;
        let bare = flush_p99.zip(round_trip_p99).map(|(flush, trip)| flush * FLUSH_TIMES + trip);
        row(
            "durable p99 at half load against the bare device (with 1 ms of linger)",
            number(bare, &|nanos| format!("<= {}", show(nanos))),
            number(p99, &show),
            p99.zip(bare).map(|(here, bare)| here <= bare),
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
        );
        let copies = of_fsync(|turn| turn.copies_in);
        row(
            "bytes copied in user space per byte produced",
            format!("<= {COPIES_MAX:.2}"),
            number(copies, &|copies| format!("{copies:.2}")),
            copies.map(|copies| copies <= COPIES_MAX),
        );
        // Nothing counts them: what is not measured is not reached.
        row("bytes copied in user space per byte fetched", "0".into(), "n/a".into(), None);
        let messages = of_fsync(|turn| turn.messages_per_request);
        // The client asks any core; the target is for one that asks the core that has the partition.
        row(
            "messages between cores per request (this client asks any core)",
            "0".into(),
            number(messages, &|messages| format!("{messages:.2}")),
            messages.filter(|messages| *messages < 0.005).map(|_| true),
        );
        let idle = of_fsync(|turn| turn.idle);
        let percent = |share: f64| format!("{:.2} % of a core", share * 100.0);
        row(
            "idle broker",
            format!("< {}", percent(IDLE_MAX)),
            number(idle, &percent),
            idle.map(|idle| idle < IDLE_MAX),
        );
        table
    }

    fn every_turn(&self) -> Table {
        let mut header: Vec<String> = [
            "turn",
            "start",
            "max records/s",
            "CPU s/GB in",
            "fetch bytes/s",
            "CPU s/GB out",
            "idle %",
            "memory",
            "at max",
        ]
        .map(str::to_owned)
        .into();
        let quantiles = PERCENTS.iter().filter_map(|percent| Quantile::percent(*percent).ok());
        header.extend(quantiles.map(|quantile| quantile.to_string()));
        header.push("at the rate".into());
        header.extend(["half, records/s", "p99 at half", "at half"].map(str::to_owned));
        let mut table = Table::new(header, Align::Right);
        let two = |value: Option<f64>| value.map_or_else(|| "n/a".into(), |v| format!("{v:.2}"));
        for turn in self.seen.iter().flat_map(|seen| &seen.turns) {
            let mut cells = vec![
                format!("{} {}", turn.contender, turn.turn),
                format_nanos((turn.start_seconds * 1e9) as u64),
                format_count(turn.rate),
                two(turn.cpu_per_gb_produced),
                turn.fetch_bytes_rate.map_or_else(|| "n/a".into(), format_bytes),
                two(turn.cpu_per_gb_fetched),
                two(turn.idle.map(|share| share * 100.0)),
                format_bytes(turn.resident_bytes as f64),
                turn.fast.word().to_owned(),
            ];
            let none = if turn.calm.is_invalid() { "INVALID" } else { "n/a" };
            cells.extend(
                turn.latency.iter().map(|value| value.map_or_else(|| none.into(), format_nanos)),
            );
            cells.push(turn.calm.word().to_owned());
            let none = if turn.half.is_invalid() { "INVALID" } else { "n/a" };
            let p99 = turn.half_latency.get(2).copied().flatten();
            cells.push(format_count(turn.half_rate as f64));
            cells.push(p99.map_or_else(|| none.into(), format_nanos));
            cells.push(turn.half.word().to_owned());
            table.row(cells.into_iter().map(Cell::plain).collect());
        }
        table
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.sides.broker.is_none() || self.sides.client.is_none() {
            notes.push(
                "Brokers and client were not kept to cores of their own (--broker-cores, --client-cores): they took time from \
                 each other, from all contenders alike."
                    .to_owned(),
            );
        }
        notes.push(
            "CPU and memory of a broker are its process's. Pages that Kafka leaves to the system are flushed by threads of the kernel and kept \
             in memory that is nobody's: the rows of the cores and of the page cache have them, and whatever else ran there."
                .to_owned(),
        );
        if self.turns < 5 {
            notes.push(format!("A median of {} turns: of fewer than five.", self.turns));
        }
        if self.seen.iter().any(|seen| seen.fingerprint.contains("portable")) {
            notes.push(
                "Ringwood ran on the portable backend: not its figures with io_uring.".to_owned(),
            );
        }
        let turns = || self.seen.iter().flat_map(|seen| &seen.turns);
        if turns().any(|turn| turn.calm.is_invalid() || turn.half.is_invalid()) {
            notes.push(
                "Turns marked INVALID(generator) are left out of the percentiles: the client was late itself.".to_owned(),
            );
        }
        for seen in self.seen {
            for failure in &seen.failures {
                notes.push(format!("{}: a turn failed: {failure}", seen.contender.name()));
            }
        }
        notes
    }
}

fn each(turns: &[Turn], of: impl Fn(&Turn) -> Option<f64>) -> Vec<f64> {
    turns.iter().filter_map(of).collect()
}

/// The same at half of what each turn carried.
fn half_latency(turns: &[Turn], place: usize) -> Option<f64> {
    median(&each(turns, |turn| turn.half_latency.get(place).copied().flatten().map(|n| n as f64)))
}

/// The median of the valid turns at this place of [`PERCENTS`], nanoseconds.
fn latency(turns: &[Turn], place: usize) -> Option<f64> {
    median(&each(turns, |turn| turn.latency.get(place).copied().flatten().map(|n| n as f64)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: PeersArgs,
    }

    fn turn(rate: f64, cpu: f64, p99: Option<u64>, calm: Verdict) -> Turn {
        Turn {
            rate,
            bytes_rate: rate * 100.0,
            cpu_per_gb_produced: Some(cpu / 2.0),
            cores_per_gb_produced: Some(cpu),
            cached_bytes: Some(3 << 30),
            cpu_per_gb_fetched: Some(cpu / 2.0),
            idle: Some(0.002),
            messages_per_request: Some(1.0),
            latency: vec![Some(1_000_000), None, Some(90_000_000), None, None],
            half_rate: (rate / 2.0) as u64,
            half_latency: vec![Some(1_000_000), None, p99, None, None],
            half: calm.clone(),
            calm,
            ..Turn::default()
        }
    }

    fn seen(is_kafka: bool, pair: Pair, turns: Vec<Turn>) -> Seen {
        Seen {
            contender: Contender { is_kafka, pair },
            turns,
            response: Latency::new(),
            fingerprint: format!("{pair:?}, portable"),
            command: vec!["java".into(), "-Xmx1G".into()],
            configuration: "node.id=1\n".into(),
            failures: Vec::new(),
        }
    }

    #[test]
    fn invalid_turns_do_not_count_and_targets_are_told() {
        let args = Line::parse_from(["peers"]).args;
        let invalid = Verdict::Invalid("late".into());
        let sides = Sides { broker: Some(vec![0]), client: Some(vec![1]) };
        let all = [
            seen(true, Pair::Written, vec![turn(9e5, 10.0, Some(5_000_000), Verdict::Valid); 3]),
            seen(
                false,
                Pair::Fsync,
                vec![
                    turn(3e6, 1.9, Some(4_000_000), Verdict::Valid),
                    turn(2.5e6, 2.5, None, invalid),
                    turn(1e6, 1.8, Some(6_000_000), Verdict::Valid),
                ],
            ),
        ];
        let report = Report {
            machine: Machine::default(),
            turns: 3,
            lengths: Lengths::of(&args),
            took: Duration::from_secs(600),
            args: &args,
            sides: &sides,
            memory: "8.0 GiB of memory touched first".into(),
            bounds: Bounds {
                flush_p99: Some(3e6),
                round_trip_p99: Some(1e6),
                device: Some(1e9),
                loopback: Some(2e8),
            },
            seen: &all,
        };
        let text = report.text();
        let line = |start: &str| {
            let found = text.lines().find(|line| line.starts_with(start));
            found.unwrap_or_else(|| panic!("{start} in {text}")).to_owned()
        };
        assert!(line("durable ingest").ends_with("2.50M/s   reached"), "{text}");
        assert!(line("broker CPU s/GB produced and fetched, fsync").ends_with("reached"), "{text}");
        assert!(line("broker CPU s/GB produced and fetched, written").contains("n/a"), "{text}");
        assert!(line("broker CPU s/GB fetched").contains("0.95"), "{text}");
        assert!(line("the same of its cores").contains("10.00"), "{text}");
        // 50,000 of 2.5 M, and of 900,000; the generator was the bound of none.
        assert!(line("50.0k/s in % of its max").ends_with("2.0"), "{text}");
        assert!(line("50.0k/s in % of its max").contains("5.6"), "{text}");
        let markdown = report.markdown();
        assert!(markdown.contains("\n| max records/s | 900.0k | 2.50M |\n"), "{markdown}");
        assert!(markdown.contains("| durable ingest of 100 B records |"), "{markdown}");
        assert!(text.contains("8.0 GiB of memory touched first"), "{text}");
        assert!(line("page cache grown by").contains("3.0 GiB"), "{text}");
        // At half of its own maximum, not at the common rate.
        assert!(line("durable p99 at half load against Kafka").ends_with("reached"), "{text}");
        assert!(line("p99 at half of its max").ends_with("5.00 ms"), "{text}");
        assert!(line("p99 at 50.0k/s").ends_with("90.0 ms"), "{text}");
        assert!(line("half of its max, records/s").ends_with("1.25M"), "{text}");
        assert!(line("INVALID(generator) at half").ends_with("1 of 3"), "{text}");
        // 1.5 times 3 ms and 1 ms.
        let bare = line("durable p99 at half load against the bare");
        assert!(bare.contains("<= 5.50 ms"), "{text}");
        assert!(line("durable ingest, one").ends_with("reached"), "{text}");
        assert!(line("messages between cores").ends_with("not told"), "{text}");
        assert!(
            line("bytes copied in user space per byte fetched").ends_with("not told"),
            "{text}"
        );
        for said in ["kafka page cache: Written, portable", "not its figures", "of fewer than five"]
        {
            assert!(text.contains(said) && markdown.contains(said), "{said}: {text}");
        }
        assert!(line("idle broker").ends_with("reached"), "{text}");
        assert!(line("bytes copied").ends_with("not told"), "{text}");
        assert!(line("INVALID(generator) at the rate").ends_with("1 of 3"), "{text}");
        assert!(report.html().contains("java -Xmx1G") && report.html().contains("node.id=1"));
    }

    #[test]
    fn a_figure_of_one_core_is_neither_that_of_two_nor_the_generators() {
        let args = Line::parse_from(["peers"]).args;
        let told = |rate: f64, cores: &[usize], fast: Verdict| {
            let turn = Turn { fast, ..turn(rate, 1.0, None, Verdict::Valid) };
            let seen = [seen(false, Pair::Fsync, vec![turn])];
            let sides = Sides { broker: Some(cores.to_vec()), client: None };
            let report = Report {
                machine: Machine::default(),
                turns: 1,
                lengths: Lengths::of(&args),
                took: Duration::ZERO,
                args: &args,
                sides: &sides,
                memory: String::new(),
                bounds: Bounds::default(),
                seen: &seen,
            };
            let text = report.text();
            let line = text.lines().find(|line| line.starts_with("durable ingest of 100 B"));
            let line = line.unwrap_or_default();
            let words = ["not told", "reached", "missed"];
            words.into_iter().find(|word| line.ends_with(word)).unwrap_or_default()
        };
        let bound = || Verdict::Invalid("busy".into());
        assert_eq!(told(3e6, &[0], Verdict::Valid), "reached");
        assert_eq!(told(3e6, &[0], bound()), "reached");
        assert_eq!(told(3e6, &[0, 1], Verdict::Valid), "not told");
        assert_eq!(told(1e6, &[0, 1], Verdict::Valid), "missed");
        assert_eq!(told(1e6, &[0], bound()), "not told");
    }
}
