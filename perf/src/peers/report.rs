//! What the turns came to: one table, which targets were reached, and how every contender was started.

mod middle;
mod targets;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{
    Lengths, PERCENTS, PeersArgs, Seen, Turn,
    turn::{FETCH, FILL, HALF, MAX, RATE},
};
use crate::{
    awake,
    ceiling::Bounds,
    gauntlet::Failed,
    hgrm::Curve,
    latency::Told,
    machine::Machine,
    own::Sides,
    run::Verdict,
    spec::{Quantile, RateSpec, format_bytes, format_count, format_nanos},
    terminal,
    view::{self, Align, Cell, Line, Table},
};
use middle::{Middle, Part};

/// The place of p99 in [`PERCENTS`].
const P99: usize = 2;

/// Everything that the report is made of.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) machine: Machine,
    /// Rounds that were played.
    pub(super) turns: u32,
    /// Of how many turns it is, where a signal ended them.
    pub(super) early: Option<String>,
    pub(super) lengths: Lengths,
    /// How long all of it took, without the bringing of Kafka's jars.
    pub(super) took: Duration,
    /// How long that took, where `mvn` was asked.
    pub(super) brought: Option<Duration>,
    pub(super) args: &'a PeersArgs,
    pub(super) sides: &'a Sides,
    /// What became of the memory before the first turn.
    pub(super) memory: String,
    /// Processors of the client that were kept from sleeping, for all contenders.
    pub(super) kept_awake: usize,
    pub(super) bounds: Bounds,
    pub(super) seen: &'a [Seen],
}

/// What is said of the bringing of Kafka's jars.
pub(super) fn brought(took: Duration) -> String {
    format!(
        "mvn brought Kafka's jars in {:.0} s, which are not counted: they stay for the next comparison.",
        took.as_secs_f64()
    )
}

impl Report<'_> {
    /// For the terminal.
    pub(super) fn text(&self) -> String {
        let early = self.early.as_ref().map_or_else(String::new, |early| format!("{early}\n"));
        let mut text = format!("{early}{}\n{}\n", self.machine_line(), self.work_line());
        self.identities().iter().for_each(|line| text.push_str(&format!("{line}\n")));
        text.push('\n');
        let colour = terminal::colour();
        text.push_str(&self.table().render(colour));
        text.push('\n');
        text.push_str(&self.targets().render(colour));
        for note in self.explained().into_iter().chain(self.notes()) {
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
        let early = self.early.as_ref().map_or_else(String::new, |early| format!("{early}\n\n"));
        let mut text = format!("{early}{}\n\n{}\n\n", self.machine_line(), self.work_line());
        self.identities().iter().for_each(|line| text.push_str(&format!("- {line}\n")));
        text.push('\n');
        text.push_str(&format!("{}\n{}", self.table().markdown(), self.targets().markdown()));
        for note in self.explained().into_iter().chain(self.notes()) {
            text.push_str(&format!("\n{note}\n"));
        }
        text
    }

    /// As one page.
    pub(super) fn html(&self) -> String {
        let mut body = self.early.as_deref().map_or_else(String::new, view::paragraph);
        body.push_str(&view::paragraph(&self.machine_line()));
        body.push_str(&view::paragraph(&self.work_line()));
        for line in self.identities() {
            body.push_str(&view::paragraph(&line));
        }
        body.push_str(&view::html_table(&self.table()));
        body.push_str(&view::heading("Targets"));
        body.push_str(&view::html_table(&self.targets()));
        for note in self.explained().into_iter().chain(self.notes()) {
            body.push_str(&view::paragraph(&note));
        }
        let lines: Vec<Line> = self
            .seen
            .iter()
            .filter(|seen| seen.response.count() > 0)
            .map(|seen| Line {
                name: seen.contender.name().into(),
                points: Curve::of(&seen.response).points,
                ..Line::default()
            })
            .collect();
        let title = format!("Response by percentile at {}, all turns that kept up", self.args.rate);
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
             4 producers, 1 consumer at the rates and in the fetching, which is the second reading of a log; fresh broker and data each turn; {}; {}; {:.0} min in all",
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

    /// The median of a contender's turns.
    fn middle(&self, turns: &[Turn], of: impl Fn(&Turn) -> Option<f64>) -> Option<Middle> {
        Middle::of(self.turns, turns, of)
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
            let middle = self.middle(turns, |turn| Some(turn.rate))?;
            Some(middle.show(|rate| format!("{}{}", at_least(turns), format_count(rate))))
        });
        row("max bytes/s".into(), &|turns| {
            let middle = self.middle(turns, |turn| Some(turn.bytes_rate))?;
            Some(middle.show(|rate| format!("{}{}/s", at_least(turns), format_bytes(rate))))
        });
        row("fetch bytes/s".into(), &|turns| {
            let bound = if turns.iter().any(|turn| turn.fetch.is_invalid()) { ">=" } else { "" };
            let middle = self.middle(turns, |turn| turn.fetch_bytes_rate)?;
            Some(middle.show(|rate| format!("{bound}{}/s", format_bytes(rate))))
        });
        let seconds = |turns: &[Turn], of: fn(&Turn) -> Option<f64>| {
            Some(self.middle(turns, of)?.show(|seconds| format!("{seconds:.2}")))
        };
        row("broker CPU s/GB produced".into(), &|turns| {
            seconds(turns, |turn| turn.cpu_per_gb_produced)
        });
        row("the client's CPU s/GB produced".into(), &|turns| {
            seconds(turns, |turn| turn.client_cpu_per_gb)
        });
        row("broker's, of its cores, with the kernel's part".into(), &|turns| {
            seconds(turns, |turn| turn.cores_per_gb_produced)
        });
        row("broker CPU s/GB fetched".into(), &|turns| {
            seconds(turns, |turn| turn.cpu_per_gb_fetched)
        });
        row("idle, % of a core".into(), &|turns| {
            seconds(turns, |turn| turn.idle.map(|share| share * 100.0))
        });
        for (part, what) in
            [(Part::Calm, self.args.rate.to_string()), (Part::Half, "half of its max".into())]
        {
            for (place, percent) in PERCENTS.iter().enumerate() {
                let Ok(quantile) = Quantile::percent(*percent) else { continue };
                row(format!("{quantile} at {what}"), &|turns| {
                    Some(part.cell(self.turns, turns, place))
                });
            }
        }
        row("half of its max, records/s".into(), &|turns| {
            let middle = self.middle(turns, |turn| Some(turn.half_rate as f64))?;
            // Where the generator was the bound, half of the broker's own is more.
            Some(middle.show(|rate| format!("{}{}", at_least(turns), format_count(rate))))
        });
        // How far below saturation the common rate is.
        row(format!("{} in % of its max", self.args.rate), &|turns| {
            let middle = self.middle(turns, |turn| Some(turn.rate))?;
            let RateSpec::Stages(rates) = &self.args.rate else { return None };
            let rate = rates.iter().copied().max().filter(|_| middle.value > 0.0)? as f64;
            let at_most = if at_least(turns).is_empty() { "" } else { "<=" };
            Some(middle.show(|max| format!("{at_most}{:.1}", rate / max * 100.0)))
        });
        row("memory".into(), &|turns| {
            let middle = self.middle(turns, |turn| Some(turn.resident_bytes as f64))?;
            Some(middle.show(format_bytes))
        });
        row("page cache grown by, at max".into(), &|turns| {
            let middle = self.middle(turns, |turn| turn.cached_bytes.map(|bytes| bytes as f64))?;
            Some(middle.show(|grown| format_bytes(grown.max(0.0))))
        });
        row("start to first answer".into(), &|turns| {
            let middle = self.middle(turns, |turn| Some(turn.start_seconds))?;
            Some(middle.show(|seconds| format_nanos((seconds * 1e9) as u64)))
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
        for (part, what) in self.parts() {
            let failed = |turns: &[Turn]| {
                let mut failed = Failed::default();
                turns.iter().filter_map(|turn| turn.failed.get(part)).for_each(|f| failed.add(f));
                failed
            };
            if self.seen.iter().any(|seen| !failed(&seen.turns).is_none()) {
                row(format!("records that failed {what}"), &|turns| {
                    Some(failed(turns).words().unwrap_or_else(|| "none".into()))
                });
            }
        }
        table
    }

    /// The parts in which records may fail, in words.
    fn parts(&self) -> [(&'static str, String); 5] {
        [
            (MAX, "at max".to_owned()),
            (FILL, "before the fetching".to_owned()),
            (FETCH, "in the fetching".to_owned()),
            (RATE, format!("at {}", self.args.rate)),
            (HALF, "at half of its max".to_owned()),
        ]
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
        header.extend(["half, records/s", "p99 at half", "at half", "failed"].map(str::to_owned));
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
            cells.extend(turn.latency.iter().map(Told::to_string));
            cells.push(turn.calm.word().to_owned());
            let p99 = turn.half_latency.get(P99).copied().unwrap_or(Told::TooFew);
            cells.push(format_count(turn.half_rate as f64));
            cells.push(p99.to_string());
            cells.push(turn.half.word().to_owned());
            let failed = turn.failed.iter().filter_map(|(part, failed)| {
                failed.words().map(|words| format!("{part}: {words}"))
            });
            cells.push(failed.collect::<Vec<_>>().join("; "));
            table.row(cells.into_iter().map(Cell::plain).collect());
        }
        table
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = awake::line(self.kept_awake).into_iter().collect();
        notes.extend(self.brought.map(brought));
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
        let kept_up = |turn: &Turn| turn.calm == Verdict::Valid && turn.half == Verdict::Valid;
        if !turns().all(kept_up) {
            notes.push(
                "Percentiles are medians of the turns with which the broker kept up. Turns marked INVALID(generator) are left out, as the \
                 client was late itself, and so are SATURATED ones while there are others; `3 of 5` says of how many turns a figure is."
                    .to_owned(),
            );
        }
        if !self.lengths.is_warm() && self.seen.iter().any(|seen| seen.contender.is_kafka) {
            notes.push(format!(
                "Kafka's JVM was loaded for {:.0} s before its maximum was measured: one that has compiled what it does may carry more, and with \
                 less CPU.",
                self.lengths.warmup.as_secs_f64()
            ));
        }
        for seen in self.seen {
            for failure in &seen.failures {
                notes.push(format!("{}: a turn failed: {failure}", seen.contender.name()));
            }
        }
        notes
    }
}
