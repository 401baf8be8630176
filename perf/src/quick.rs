//! `perf quick`: a quarter of a minute, one table and two rows of bars.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    awake,
    ceiling::Bounds,
    failure::Failure,
    host::HostArgs,
    latency::{Kind, Latencies},
    load::Plan,
    measure::{Leftover, Scene, conclude, half_of_the_cores, measure_and_leave},
    memory,
    progress::Place,
    run::{Recording, Run},
    spec::{Quantile, RateSpec, SizeSpec, format_bytes, format_count, format_nanos},
    terminal::{self, visible},
    view::{Align, Cell, Table, sparkline},
};

/// Options of `perf quick`.
#[derive(Clone, Debug, clap::Args)]
pub struct QuickArgs {
    #[command(flatten)]
    host: HostArgs,
    /// Bytes of a value
    #[arg(long, default_value = "1KiB")]
    size: SizeSpec,
    /// Put what is printed into this text as well, between `<!-- perf quick: begin -->` and `<!-- perf quick: end -->`
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
}

/// Load before each of the two parts.
const WARMUP: Duration = Duration::from_secs(1);

/// How long it is measured as fast as it goes.
const FAST: Duration = Duration::from_secs(3);

/// How long the open loop is measured.
const CALM: Duration = Duration::from_secs(6);

/// Runs the command.
///
/// # Errors
/// No broker, or a run that is invalid or at fault.
pub fn run(args: &QuickArgs) -> Result<(), Failure> {
    // A text without its marks is found out before the quarter of a minute, not after it.
    let page = args.into.as_deref().map(Page::open).transpose()?;
    let began = Instant::now();
    let [always, more] = planned(&args.size).map(|time| time.as_secs_f64());
    terminal::note(&format!(
        "some {always:.0} s, and {more:.0} s more where half of the maximum is no measurement"
    ));
    let host = args.host.open_after(memory::QUICK, &[])?;
    // Its counters are not shown, and reading them takes seconds.
    let scene = Scene { admin: None, ..host.scene() };
    let mut left = Vec::new();
    let measured = measure(args, &scene, &mut left);
    // Not before the last measurement: what a broker does to delete gigabytes would be in the next one's percentiles.
    left.into_iter().for_each(Leftover::delete);
    let Quick { fast, name, calm, recording } = measured?;
    let head = header(&calm, &host.sides);
    // The broker ends before the words come: nothing is left of it when they are there.
    drop(host);
    let took = format!("took           {:.1} s\n", began.elapsed().as_secs_f64());
    let text = |colour| render(&head, &fast, name, &calm, &recording, colour) + &took;
    terminal::print(&text(terminal::colour()));
    // A picture of the generator is none to show.
    conclude(&calm)?;
    page.map_or(Ok(()), |page| page.put(&text(false)))
}

/// What was measured.
struct Quick {
    /// As fast as it goes.
    fast: Run,
    /// How much of that the open loop offered, in words.
    name: &'static str,
    calm: Run,
    recording: Recording,
}

/// The load as fast as it goes.
fn fast(size: &SizeSpec) -> Plan {
    Plan {
        rate: RateSpec::Max,
        size: size.clone(),
        partitions: 4,
        threads: half_of_the_cores(),
        warmup: WARMUP,
        duration: FAST,
        ..Plan::default()
    }
}

/// The open loop, whose rate depends on what the other one came to.
fn calm(size: &SizeSpec) -> Plan {
    let can_verify = matches!(size, SizeSpec::Fixed(size) if *size >= crate::stamp::FULL_BYTES);
    Plan { consumers: 2, duration: CALM, verify: can_verify, ..fast(size) }
}

/// For how long the parts are meant to last: those that are always there, and the open loop once more where half of the maximum was no
/// measurement. The broker's start and end, and the wait for the last answers of each part, come on top.
fn planned(size: &SizeSpec) -> [Duration; 2] {
    let [fast, calm] = [fast(size), calm(size)].map(|plan| plan.warmup + plan.duration);
    [memory::QUICK.time + Bounds::GLANCE + fast + calm, calm]
}

fn measure(args: &QuickArgs, scene: &Scene, left: &mut Vec<Leftover>) -> Result<Quick, Failure> {
    let began = Instant::now();
    let step = |number, what| Scene {
        place: Some(Place::step(began, number, 2).named(what)),
        ..scene.clone()
    };
    let first = step(0, "as fast as it goes");
    let (fast, _) = measure_and_leave(&fast(&args.size), &first, left)?;
    let top = fast.rate();
    let plan = calm(&args.size);
    let mut part = |share: f64, name| {
        let rate = RateSpec::constant((top / share).max(1.0) as u64);
        measure_and_leave(&Plan { rate, ..plan.clone() }, &step(1, name), left)
    };
    let mut name = "half of that";
    let (mut calm, mut recording) = part(2.0, name)?;
    if calm.verdict.is_invalid() {
        // Broker and client share the cores: where half of all leaves the client none in time, less may.
        terminal::note(&format!("half of that is {}; an eighth instead", calm.verdict));
        name = "an eighth of that";
        (calm, recording) = part(8.0, name)?;
    }
    Ok(Quick { fast, name, calm, recording })
}

/// A text with a place for the picture.
struct Page {
    path: PathBuf,
    before: String,
    after: String,
}

impl Page {
    fn open(path: &Path) -> Result<Self, Failure> {
        const BEGIN: &str = "<!-- perf quick: begin -->\n";
        const END: &str = "<!-- perf quick: end -->";
        let text = fs::read_to_string(path).map_err(|e| Failure::file("read", path, &e))?;
        let place = text.split_once(BEGIN).and_then(|(before, rest)| {
            let (_, after) = rest.split_once(END)?;
            Some((format!("{before}{BEGIN}"), format!("{END}{after}")))
        });
        let (before, after) = place.ok_or_else(|| {
            let marks = format!("{} and {END}", BEGIN.trim());
            Failure::Usage(format!("{}: there is no place between {marks}", path.display()))
        })?;
        Ok(Self { path: path.to_path_buf(), before, after })
    }

    fn put(&self, picture: &str) -> Result<(), Failure> {
        let Self { path, before, after } = self;
        let text = format!("{before}```\n{}\n```\n{after}", picture.trim_end());
        fs::write(path, text).map_err(|e| Failure::file("write", path, &e))
    }
}

fn render(
    head: &str,
    fast: &Run,
    calm_name: &str,
    calm: &Run,
    recording: &Recording,
    colour: bool,
) -> String {
    let mut text = format!("{head}\n");
    let mut table = Table::new(
        ["acks=all", "records/s", "bytes/s", "p50", "p99", "p99.9", "max"],
        Align::Right,
    );
    for (name, run, kinds) in [
        ("as fast as it goes", fast, &[Kind::Service][..]),
        (calm_name, calm, &[Kind::Response, Kind::EndToEnd][..]),
    ] {
        for repeat in &run.repeats {
            let is_invalid = repeat.verdict.is_invalid();
            for (stage, kind) in
                repeat.stages.iter().flat_map(|stage| kinds.iter().map(move |kind| (stage, kind)))
            {
                // As fast as the generator could: the broker may be faster.
                let at_least = if is_invalid && stage.target.is_none() { ">=" } else { "" };
                let mut cells = vec![
                    Cell::plain(format!("{name}, {}", kind.name())),
                    Cell::plain(format!("{at_least}{}", format_count(stage.rate()))),
                    Cell::plain(format!("{at_least}{}/s", format_bytes(stage.bytes_rate()))),
                ];
                let summary = stage.latency.get(kind.name());
                for quantile in ["p50", "p99", "p99.9", "max"] {
                    cells.push(Cell::plain(
                        summary.map_or_else(|| "n/a".into(), |summary| summary.cell(quantile)),
                    ));
                }
                table.row(cells);
            }
        }
    }
    text.push_str(&table.render(colour));
    let end = calm.repeats.iter().flat_map(|r| &r.stages).map(|s| s.seconds).sum::<f64>();
    // What was acknowledged after the end is no second of its own.
    let seconds = recording.intervals.iter().take(end.ceil() as usize);
    let seconds: Vec<Latencies> = seconds.map(|interval| interval.latencies.dense()).collect();
    let p99: Vec<u64> = seconds
        .iter()
        .filter_map(|latencies| latencies.at(Kind::Response, Quantile::percent(99.0).ok()?))
        .collect();
    if !calm.verdict.is_invalid()
        && let (Some(best), Some(worst)) = (p99.iter().min(), p99.iter().max())
    {
        let _ = writeln!(
            text,
            "\np99 by second  {}  {} to {}{}",
            sparkline(&p99.iter().map(|nanos| *nanos as f64).collect::<Vec<_>>()),
            format_nanos(*best),
            format_nanos(*worst),
            // A second that is left out is not to look like one that was good.
            match seconds.len() - p99.len() {
                0 => String::new(),
                without => format!("; {without} of {} seconds without one", seconds.len()),
            }
        );
        let rate: Vec<f64> =
            seconds.iter().map(|latencies| latencies.of(Kind::Response).count() as f64).collect();
        let least = rate.iter().copied().fold(f64::INFINITY, f64::min);
        let _ = writeln!(
            text,
            "records        {}  at least {}/s",
            sparkline(&rate),
            format_count(least)
        );
    } else {
        text.push('\n');
    }
    for verify in calm.repeats.iter().filter_map(|repeat| repeat.verify.as_ref()) {
        let _ = writeln!(text, "verify         {verify}");
        for finding in verify.findings.iter().take(10) {
            let _ = writeln!(text, "               {}", visible(finding));
        }
    }
    if let Some(seconds) = calm.cpu_per_gb() {
        let _ = writeln!(text, "broker CPU     {seconds:.2} s per GB written and read");
    }
    let _ = writeln!(text, "verdict        {}", visible(&calm.verdict_and_failures()));
    if fast.verdict.is_invalid() || fast.failed() > 0 {
        let words = visible(&fast.verdict_and_failures());
        let _ = writeln!(text, "               as fast as it goes: {words}");
    }
    text
}

/// Who was measured, and where. `sides`: which cores they had, where they were ours to divide.
fn header(run: &Run, sides: &str) -> String {
    let mut text = visible(&run.broker.fingerprint);
    let settings: Vec<String> = run
        .broker
        .settings
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "ringwood.durability" | "ringwood.backend"))
        .map(|(name, value)| visible(&format!("{} {value}", name.trim_start_matches("ringwood."))))
        .collect();
    if settings.is_empty() {
        for (name, value) in &run.broker.settings {
            let _ = write!(text, "\n  {}", visible(&format!("{name} {value}")));
        }
    } else {
        let _ = write!(text, ", {}", settings.join(", "));
    }
    let storage = run.machine.storage.clone().unwrap_or_default();
    let file_system = if storage.file_system.is_empty() {
        String::new()
    } else {
        format!(", {}", storage.file_system)
    };
    let _ = writeln!(
        text,
        "\n{} ({} cores), {}{file_system}",
        run.machine.cpu, run.machine.cores, run.machine.kernel
    );
    if !sides.is_empty() {
        let _ = writeln!(text, "{sides}");
    }
    if let Some(line) = awake::line(run.kept_awake) {
        let _ = writeln!(text, "{line}");
    }
    let load = |name: &str| run.load.get(name).cloned().unwrap_or_default();
    let _ = writeln!(
        text,
        "values of {}, {} partitions, {} producers, {} consumers",
        load("size"),
        load("partitions"),
        load("producers"),
        load("consumers")
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Repeat, Stage};

    #[test]
    fn what_is_refused_is_told_by_its_name() {
        // A hundredth of what was due: by the rate the broker kept up.
        let run = |failed: u64, error: &str| {
            let errors = [(error.to_owned(), failed)].into();
            let stage = Stage { seconds: 1.0, failed, errors, ..Stage::default() };
            let repeats = vec![Repeat { stages: vec![stage], ..Repeat::default() }];
            Run { repeats, ..Run::default() }
        };
        let text = |fast: &Run, calm: &Run| {
            render("", fast, "half of that", calm, &Recording::default(), false)
        };
        let sound = run(0, "NOT_ENOUGH_REPLICAS");
        let ends = |text: &str, end: &str| assert!(text.ends_with(end), "{text}");
        ends(&text(&sound, &sound), "verdict        valid\n");
        let refusing = run(380, "NOT_ENOUGH_REPLICAS");
        let words = "valid, 380 records failed: NOT_ENOUGH_REPLICAS\n";
        ends(&text(&sound, &refusing), &format!("verdict        {words}"));
        ends(&text(&refusing, &sound), &format!("as fast as it goes: {words}"));
    }

    #[test]
    fn what_is_planned_is_a_quarter_of_a_minute() {
        let [always, more] = planned(&SizeSpec::Fixed(1024));
        assert!(always <= Duration::from_secs(18), "{always:?}");
        assert!(always + more <= Duration::from_secs(25), "{more:?} more than {always:?}");
        // It is what is played, and no more than that.
        let of = |plan: Plan| (plan.warmup, plan.duration);
        let size = SizeSpec::Fixed(1024);
        assert_eq!(of(fast(&size)), (WARMUP, FAST));
        assert_eq!(of(calm(&size)), (WARMUP, CALM));
    }

    #[test]
    fn processors_that_were_kept_awake_are_told_of() {
        let head = |kept_awake| header(&Run { kept_awake, ..Run::default() }, "");
        let said = "\nprocessors kept awake by an idle-class thread each: 1\n";
        assert!(head(1).contains(said) && !head(0).contains("awake"), "{}", head(1));
    }

    #[test]
    fn the_picture_goes_between_its_marks_and_nowhere_else() {
        let path = std::env::temp_dir().join(format!("ringwood-quick-{}.md", std::process::id()));
        let text = |inside: &str| {
            format!("# A\n<!-- perf quick: begin -->\n{inside}<!-- perf quick: end -->\nend\n")
        };
        fs::write(&path, text("old\n")).unwrap();
        Page::open(&path).unwrap().put("new\n\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text("```\nnew\n```\n"));
        fs::write(&path, "no marks").unwrap();
        assert!(Page::open(&path).is_err());
        fs::remove_file(&path).unwrap();
    }
}
