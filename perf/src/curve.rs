//! `perf curve`: the same keyed records over more and more partitions, and where it bends.
//!
//! The more partitions the same rate is spread over, the smaller the batches: 20,000 records a second over 10,000 partitions are
//! one record each. Each point is measured three times, open loop: at one rate for all, whose percentiles, flushes and bytes written
//! can be held against each other; up a ramp of doubled rates; and at a little less than its best stage, which lasts a second or
//! two and may have lived on what a buffer takes. What the broker carries is what it keeps up with for a whole measurement. Everything
//! that is written is read meanwhile, by one consumer unless told otherwise: what its readers do not get in time it does not carry.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    awake,
    early::{self, Early},
    failure::Failure,
    host::HostArgs,
    interrupt,
    latency::Kind,
    load::Plan,
    machine::Machine,
    measure::{Leftover, Scene, half_of_the_cores, measure_and_leave},
    progress::Place,
    run::{Directory, Recording, Run, Stage, Verdict},
    spec::{self, KeySpec, Quantile, RateSpec, SizeSpec, format_count, format_nanos},
    terminal::{self, Tone},
    view::{self, Align, Cell, Table},
};

/// Options of `perf curve`.
#[derive(Clone, Debug, clap::Args)]
pub struct CurveArgs {
    #[command(flatten)]
    host: HostArgs,
    /// Numbers of partitions
    #[arg(long, default_value = "1,100,1000,10000", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=100_000))]
    partitions: Vec<u32>,
    /// Bytes of a value
    #[arg(long, default_value = "1KiB,100", value_delimiter = ',')]
    sizes: Vec<SizeSpec>,
    /// Records a second at which latency, flushes and bytes are measured; the ramp begins there
    #[arg(long, default_value = "20k/s")]
    rate: RateSpec,
    /// How many consumers read meanwhile, each its share of the partitions
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    consumers: u32,
    /// How often the ramp doubles its rate
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=12))]
    doublings: u32,
    /// How long each measurement takes; the ramp's stages share it
    #[arg(long, default_value = "9s", value_parser = spec::duration)]
    duration: Duration,
    /// Keep every run here
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// Write the plot as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write table and plots as one page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the table as Markdown; `-` is stdout, instead of the text
    #[arg(long, value_name = "FILE")]
    markdown: Option<String>,
    /// Write the points as JSON; `-` is stdout, instead of the table
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
}

/// One number of partitions with one size.
#[derive(Clone, Debug, Default, serde::Serialize)]
struct Point {
    size: String,
    partitions: u32,
    /// Records a second that it kept up with for a whole measurement, or, where it did with none, that the best stage of the ramp had.
    carried: f64,
    /// It kept up with that for a whole measurement.
    confirmed: bool,
    /// Records a second that the best stage of the ramp had acknowledged.
    ramp_best: f64,
    /// Records a second that the readers received while `carried` was; `None`: there were none.
    read: Option<f64>,
    /// The generator was the bound of the ramp: the broker may carry more.
    at_least: bool,
    /// `response` at the common rate, nanoseconds.
    p50: Option<u64>,
    p99: Option<u64>,
    /// `e2e` then.
    e2e_p99: Option<u64>,
    flushes_per_second: Option<f64>,
    records_per_flush: Option<f64>,
    write_amplification: Option<f64>,
    /// What the measurement at the common rate is worth.
    verdict: String,
    /// Records that failed in it, in words.
    failed: Option<String>,
    /// The same of the measurement that `carried` is of, where that is another.
    carried_failed: Option<String>,
    /// What there is in place of numbers.
    #[serde(serialize_with = "in_words")]
    failure: Option<Failure>,
    /// Why the common rate has no numbers of the broker's, where they are the generator's.
    #[serde(skip)]
    invalid: Option<String>,
}

fn in_words<S: serde::Serializer>(
    failure: &Option<Failure>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&failure.as_ref().map(ToString::to_string), serializer)
}

/// Where a curve is said to bend: what is carried falls below this share of the best before it ...
const CARRIED_MIN: f64 = 0.8;

/// ... or the p99 rises above so many times the best before it.
const P99_MAX: f64 = 2.0;

/// The shares of the ramp's best stage that are tried for a whole measurement, until the broker keeps up with one.
const CONFIRMED: [f64; 3] = [0.95, 0.8, 0.6];

/// Runs the command. A signal ends it with the points that were finished until then.
///
/// # Errors
/// No broker, a rate that is none, or a point that came to nothing or whose numbers are the generator's.
pub fn run(args: &CurveArgs) -> Result<(), Failure> {
    let RateSpec::Stages(rates) = &args.rate else {
        return Err(Failure::Usage("--rate max has no latency: name a rate".into()));
    };
    let [rate] = rates.as_slice() else {
        return Err(Failure::Usage("--rate is one rate here, no ramp".into()));
    };
    let mut host = args.host.open(&[])?;
    let machine = Machine::look(host.scene().data_dir.as_deref());
    let mut points = Vec::new();
    let mut fingerprint = String::new();
    let of = args.sizes.len() * args.partitions.len();
    let began = Instant::now();
    for (size, partitions) in
        args.sizes.iter().flat_map(|size| args.partitions.iter().map(move |count| (size, count)))
    {
        if interrupt::came() {
            break;
        }
        let name = format!("{partitions} partitions, values of {size}");
        terminal::note(&name);
        if !points.is_empty()
            && let Err(failure) = host.renew()
        {
            if interrupt::came() {
                break;
            }
            return Err(failure);
        }
        let place = Some(Place::step(began, points.len(), of).named(&name));
        let scene = Scene { quiet: true, place, ..host.scene() };
        let plan = Plan {
            partitions: *partitions,
            size: size.clone(),
            keys: KeySpec::Random(1_000_000),
            consumers: args.consumers,
            threads: half_of_the_cores(),
            warmup: Duration::from_secs(1),
            duration: args.duration,
            drain: Duration::from_secs(3),
            ..Plan::default()
        };
        // A point that cannot be had is a row of the table, not its end. One that is cut off is none.
        let mut left = Vec::new();
        let result = point(args, &plan, *rate, &scene, &mut fingerprint, &mut left);
        left.into_iter().for_each(Leftover::delete);
        let mut point = match result {
            Ok(point) => point,
            Err(_) if interrupt::came() => break,
            Err(failure) => Point { failure: Some(failure), ..Point::default() },
        };
        (point.size, point.partitions) = (size.to_string(), *partitions);
        points.push(point);
    }
    let early = Early::now(points.len(), of).filter(|_| points.len() < of);
    if let Some(early) = early.filter(|early| early.is_empty()) {
        return Err(early.failure());
    }
    let awake = awake::line(host.kept_awake()).map_or_else(String::new, |line| format!("; {line}"));
    let title = format!("{fingerprint}; {}{awake}", host.sides);
    drop(host);
    let words = early.map(|early| early.words("points"));
    report(args, &points, &title, words.as_deref(), &machine)?;
    early.map_or_else(|| conclude(&points), |early| Err(early.failure()))
}

/// What the points say to the shell: those that came to nothing, and then those whose numbers are the generator's.
fn conclude(points: &[Point]) -> Result<(), Failure> {
    let name = |point: &Point| format!("{}, {}", point.size, point.partitions);
    let failed = |point: &Point| Some((name(point), point.failure.clone()?));
    let failures: Vec<(String, Failure)> = points.iter().filter_map(failed).collect();
    if let Some(failure) = Failure::together(&failures) {
        return Err(failure);
    }
    let invalid = |point: &Point| Some(format!("{}: {}", name(point), point.invalid.as_ref()?));
    let invalids: Vec<String> = points.iter().filter_map(invalid).collect();
    if invalids.is_empty() { Ok(()) } else { Err(Failure::Invalid(invalids.join("; "))) }
}

fn point(
    args: &CurveArgs,
    plan: &Plan,
    rate: u64,
    scene: &Scene,
    fingerprint: &mut String,
    left: &mut Vec<Leftover>,
) -> Result<Point, Failure> {
    let name = format!("{}-{}", plan.size, plan.partitions);
    // The one at a steady rate first: the ramp ends in overload.
    let steady = Plan { rate: RateSpec::constant(rate), ..plan.clone() };
    let part = |number, what| scene.place.as_ref().map(|place| place.part(number, 3, what));
    let whole = Scene { place: part(0, "at the rate of all"), ..scene.clone() };
    let (calm, recording) = measure_and_leave(&steady, &whole, left)?;
    keep(args, &format!("{name}-rate"), &calm, &recording)?;
    calm.broker.fingerprint.clone_into(fingerprint);
    let rates = (0..=args.doublings).map(|doubling| rate << doubling).collect();
    let ramp = Plan { rate: RateSpec::Stages(rates), ..plan.clone() };
    let quiet = Scene { admin: None, place: part(1, "up a ramp"), ..scene.clone() };
    let (ramp, recorded) = measure_and_leave(&ramp, &quiet, left)?;
    keep(args, &format!("{name}-ramp"), &ramp, &recorded)?;
    let total = recording.total();
    let at = |kind: Kind, percent: f64| {
        let quantile = Quantile::percent(percent).ok()?;
        total.at(kind, quantile).filter(|_| !calm.verdict.is_invalid())
    };
    let best_stage = stages(&ramp).max_by(|one, other| one.rate().total_cmp(&other.rate()));
    let best = best_stage.map_or(0.0, Stage::rate);
    let mut read = read_rate(best_stage);
    // The steady rate is a whole measurement as well.
    let mut confirmed = is_carried(&calm).then(|| calm.rate());
    if confirmed.is_some() {
        read = read_rate(stages(&calm));
    }
    let mut carried_failed = None;
    let quiet = Scene { place: part(2, "what is carried"), ..quiet };
    for share in CONFIRMED {
        let rate = best * share;
        if confirmed.is_some_and(|confirmed| rate <= confirmed) {
            break;
        }
        let plan = Plan { rate: RateSpec::constant((rate as u64).max(1)), ..plan.clone() };
        let (run, recording) = measure_and_leave(&plan, &quiet, left)?;
        keep(args, &format!("{name}-carried-{:.0}", share * 100.0), &run, &recording)?;
        if kept_up(&run, rate) {
            (confirmed, carried_failed) = (Some(run.rate()), run.failures());
            read = read_rate(stages(&run));
            break;
        }
        // A generator that cannot be in time at this rate tells nothing of the broker.
        terminal::note(&format!(
            "{}/s for {:?}: {}",
            format_count(rate),
            plan.duration,
            run.verdict
        ));
    }
    let carried = confirmed.unwrap_or(best);
    // The ramp ended before the broker did, or the generator could not follow it.
    let highest = stages(&ramp).filter_map(|stage| stage.target).fold(0.0, f64::max);
    let inside = calm.broker.inside().unwrap_or_default();
    Ok(Point {
        carried,
        confirmed: confirmed.is_some(),
        ramp_best: best,
        read: (plan.consumers > 0).then_some(read),
        at_least: ramp.verdict.is_invalid() || best > highest * 0.98,
        p50: at(Kind::Response, 50.0),
        p99: at(Kind::Response, 99.0),
        e2e_p99: at(Kind::EndToEnd, 99.0),
        flushes_per_second: inside.flushes_per_second,
        records_per_flush: inside.records_per_flush,
        write_amplification: inside.write_amplification,
        verdict: calm.verdict.word().to_owned(),
        invalid: calm.verdict.is_invalid().then(|| calm.verdict.to_string()),
        failed: calm.failures(),
        carried_failed,
        ..Point::default()
    })
}

/// Whether the broker carried the steady rate: its numbers hold, and all that was written came to the readers in time.
fn is_carried(run: &Run) -> bool {
    matches!(run.verdict, Verdict::Valid) && is_read(run)
}

/// Whether the broker kept up with this rate for the whole measurement. A generator that was late in some percentile, but made and had
/// acknowledged its records, and received them, is enough for that.
fn kept_up(run: &Run, rate: f64) -> bool {
    !matches!(run.verdict, Verdict::Saturated(_)) && run.rate() >= rate * 0.98 && is_read(run)
}

fn is_read(run: &Run) -> bool {
    stages(run).all(|stage| stage.missing == 0)
}

fn stages(run: &Run) -> impl Iterator<Item = &Stage> {
    run.repeats.iter().flat_map(|repeat| &repeat.stages)
}

/// Records a second that consumers received in these.
fn read_rate<'a>(stages: impl IntoIterator<Item = &'a Stage>) -> f64 {
    let (mut received, mut seconds) = (0, 0.0);
    for stage in stages {
        received += stage.received;
        seconds += stage.seconds;
    }
    if seconds > 0.0 { received as f64 / seconds } else { 0.0 }
}

fn keep(args: &CurveArgs, name: &str, run: &Run, recording: &Recording) -> Result<(), Failure> {
    match &args.out {
        Some(out) => Directory::at(out.join(name)).save(run, recording),
        None => Ok(()),
    }
}

/// Where the points of one size first leave what came before them, in words.
fn bend(points: &[&Point]) -> Option<String> {
    let (mut best_carried, mut best_p99) = (0.0_f64, None::<u64>);
    for point in points.iter().filter(|point| point.failure.is_none()) {
        let mut words = Vec::new();
        if point.carried < best_carried * CARRIED_MIN {
            let share = point.carried / best_carried * 100.0;
            words.push(format!("carries {share:.0} % of the best before it"));
        }
        if let (Some(best), Some(p99)) = (best_p99, point.p99)
            && p99 as f64 > best as f64 * P99_MAX
        {
            let times = p99 as f64 / best as f64;
            words.push(format!("p99 is {times:.1} times the best before it"));
        }
        if !words.is_empty() {
            let count = point.partitions;
            return Some(format!("bends at {count} partitions: {}", words.join(", ")));
        }
        best_carried = best_carried.max(point.carried);
        best_p99 = best_p99.into_iter().chain(point.p99).min();
    }
    None
}

/// A line for each size.
fn bends(args: &CurveArgs, points: &[Point]) -> Vec<String> {
    let line = |size: &SizeSpec| {
        let size = size.to_string();
        let of: Vec<&Point> = points.iter().filter(|point| point.size == size).collect();
        let words = bend(&of).unwrap_or_else(|| "does not bend".to_owned());
        format!("values of {size}: {words}")
    };
    args.sizes.iter().map(line).collect()
}

fn table(args: &CurveArgs, points: &[Point]) -> Table {
    let header = [
        "size, partitions".to_owned(),
        "carried records/s".to_owned(),
        "read records/s".to_owned(),
        "best second".to_owned(),
        format!("p50 at {}", args.rate),
        format!("p99 at {}", args.rate),
        format!("e2e p99 at {}", args.rate),
        "flushes/s".to_owned(),
        "records/flush".to_owned(),
        "written/byte".to_owned(),
        "verdict".to_owned(),
    ];
    let mut table = Table::new(header, Align::Right);
    for point in points {
        let name = Cell::plain(format!("{}, {}", point.size, point.partitions));
        if let Some(why) = &point.failure {
            table.row(vec![name, Cell { text: format!("FAILED: {why}"), tone: Tone::Worse }]);
            continue;
        }
        let nanos = |value: Option<u64>| value.map_or_else(|| "n/a".into(), format_nanos);
        let count = |value: Option<f64>| value.map_or_else(|| "n/a".into(), format_count);
        let at_least = if point.at_least { ">=" } else { "" };
        let cells = [
            format!("{at_least}{}", format_count(point.carried)),
            count(point.read),
            format_count(point.ramp_best),
            nanos(point.p50),
            nanos(point.p99),
            nanos(point.e2e_p99),
            count(point.flushes_per_second),
            count(point.records_per_flush),
            point.write_amplification.map_or_else(|| "n/a".into(), |times| format!("{times:.2}")),
            verdict(point),
        ];
        table.row(std::iter::once(name).chain(cells.map(Cell::plain)).collect());
    }
    table
}

/// What the row is worth: of the steady rate, and of what is carried.
fn verdict(point: &Point) -> String {
    let carried = match &point.carried_failed {
        _ if !point.confirmed => Some("carried not confirmed".to_owned()),
        Some(failed) => Some(format!("of carried {failed}")),
        None => None,
    };
    let words = [Some(point.verdict.clone()), point.failed.clone(), carried];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The plots: what is carried, and the p99.
fn plots(args: &CurveArgs, points: &[Point]) -> [String; 2] {
    let lines = |of: fn(&Point) -> Option<f64>| -> Vec<(String, Vec<(f64, f64)>)> {
        let line = |size: &SizeSpec| {
            let size = size.to_string();
            let of_size = points.iter().filter(|point| point.size == size);
            let places = of_size.filter_map(|p| Some((f64::from(p.partitions), of(p)?))).collect();
            (format!("values of {size}"), places)
        };
        args.sizes.iter().map(line).collect()
    };
    let carried = lines(|point| point.failure.is_none().then_some(point.carried));
    let p99 = lines(|point| point.p99.map(|nanos| nanos as f64));
    [
        view::decades_svg("Records a second carried, by partitions", &carried, format_count),
        view::decades_svg(&format!("p99 at {}, by partitions", args.rate), &p99, |nanos| {
            format_nanos(nanos as u64)
        }),
    ]
}

fn report(
    args: &CurveArgs,
    points: &[Point],
    title: &str,
    early: Option<&str>,
    machine: &Machine,
) -> Result<(), Failure> {
    let write = |path: &Path, text: &str| {
        fs::write(path, text).map_err(|e| Failure::file("write", path, &e))
    };
    let (table, bends, plots) = (table(args, points), bends(args, points), plots(args, points));
    let readers = match args.consumers {
        0 => "no consumers".to_owned(),
        1 => "1 consumer".to_owned(),
        count => format!("{count} consumers"),
    };
    let head = format!(
        "{}{title}\n{} ({} cores), {}; keyed records, acks=all, 4 producers, linger 1 ms, {readers}",
        early.map_or_else(String::new, |early| format!("{early}\n")),
        machine.cpu,
        machine.cores,
        machine.kernel
    );
    if let Some(path) = &args.svg {
        write(path, &plots[0])?;
    }
    if let Some(path) = &args.html {
        let mut body: String = head.lines().map(view::paragraph).collect();
        body.push_str(&view::html_table(&table));
        bends.iter().for_each(|bend| body.push_str(&view::paragraph(bend)));
        plots.iter().for_each(|plot| body.push_str(plot));
        write(path, &view::page("By partitions", &body))?;
    }
    let json = early::json(&points, early)
        .map_err(|e| Failure::Local(format!("the points as JSON: {e}")))?;
    match args.json.as_deref() {
        Some("-") => terminal::print(&format!("{json}\n")),
        Some(path) => write(Path::new(path), &json)?,
        None => {}
    }
    if let Some(place) = args.markdown.as_deref() {
        let bends: String = bends.iter().map(|bend| format!("- {bend}\n")).collect();
        view::put_markdown(place, &format!("{head}\n\n{}\n{bends}", table.markdown()))?;
    }
    if [args.json.as_deref(), args.markdown.as_deref()].iter().all(|to| *to != Some("-")) {
        let colour = terminal::colour();
        terminal::print(&format!("{head}\n{}{}\n", table.render(colour), bends.join("\n")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(partitions: u32, carried: f64, p99: u64) -> Point {
        Point { partitions, carried, p99: Some(p99), ..Point::default() }
    }

    #[test]
    fn a_rate_is_carried_if_all_of_a_measurement_kept_up() {
        let run = |acknowledged, verdict| Run {
            repeats: vec![crate::run::Repeat {
                stages: vec![Stage { seconds: 9.0, acknowledged, ..Stage::default() }],
                ..Default::default()
            }],
            verdict,
            ..Run::default()
        };
        assert!(kept_up(&run(9_000, Verdict::Valid), 1_000.0));
        assert!(kept_up(&run(9_000, Verdict::Invalid("late".into())), 1_000.0));
        assert!(!kept_up(&run(8_000, Verdict::Valid), 1_000.0));
        assert!(!kept_up(&run(9_000, Verdict::Saturated("held".into())), 1_000.0));
        // All of it was written, and not all of it read, by a generator that was late as well.
        let mut unread = run(9_000, Verdict::Invalid("late".into()));
        unread.repeats[0].stages[0].missing = 1;
        assert!(!kept_up(&unread, 1_000.0));
        // The steady rate is held to it as well, and to more: its percentiles are told.
        assert!(is_carried(&run(9_000, Verdict::Valid)));
        assert!(!is_carried(&run(9_000, Verdict::Invalid("late".into()))));
        unread.verdict = Verdict::Valid;
        assert!(!is_carried(&unread));
    }

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: CurveArgs,
    }

    #[test]
    fn what_is_written_is_read_and_the_row_says_how() {
        let parse = |words: &[&str]| <Line as clap::Parser>::parse_from(words).args;
        let args = parse(&["curve"]);
        assert_eq!((args.consumers, parse(&["curve", "--consumers", "0"]).consumers), (1, 0));
        let stage = |received| Stage { received, seconds: 9.0, ..Stage::default() };
        assert!((read_rate(&[stage(9_000), stage(27_000)]) - 2_000.0).abs() < 1e-9);
        assert!(read_rate(None) < 1e-9);
        let point = Point {
            carried: 2e6,
            read: Some(1.9e6),
            e2e_p99: Some(7_000_000),
            ..point(10_000, 2e6, 3_000_000)
        };
        let table = table(&args, &[point, Point::default()]);
        let column = |name: &str| table.header().iter().position(|head| head == name).unwrap();
        let cell = |row: usize, name: &str| table.rows()[row][column(name)].text.clone();
        assert_eq!(cell(0, "read records/s"), "1.90M");
        assert_eq!(cell(0, "e2e p99 at 20.0k/s"), "7.00 ms");
        // Nobody read.
        assert_eq!(cell(1, "read records/s"), "n/a");
        assert_eq!(table.rows()[0].len(), table.header().len());
    }

    #[test]
    fn what_a_curve_tells_the_shell_is_in_its_worst_point() {
        let code = |points: &[Point]| conclude(points).map_or_else(|f| f.code(), |()| 0);
        let sound = point(1, 9e5, 3_000_000);
        let invalid = Point { invalid: Some("INVALID(generator): late".into()), ..sound.clone() };
        let failed = |failure| Point { failure: Some(failure), ..Point::default() };
        let gone = failed(Failure::Unreachable("gone".into()));
        assert_eq!(code(&[sound.clone(), sound.clone()]), 0);
        assert_eq!(code(&[sound.clone(), invalid.clone()]), 8);
        assert_eq!(code(&[gone.clone(), invalid, sound]), 4);
        assert_eq!(code(&[gone, failed(Failure::Local("no room".into()))]), 3);
        // In words, as a reader of the points has it.
        let told = serde_json::to_value(failed(Failure::Unreachable("gone".into()))).unwrap();
        assert_eq!(told["failure"], "error[unreachable]: gone");
        assert!(told.get("invalid").is_none(), "{told}");
    }

    #[test]
    fn what_is_refused_is_told_by_its_name() {
        let words = |failed: Option<&str>, carried: Option<&str>, confirmed| {
            verdict(&Point {
                verdict: "valid".into(),
                failed: failed.map(str::to_owned),
                carried_failed: carried.map(str::to_owned),
                confirmed,
                ..Point::default()
            })
        };
        let refused = Some("9 records failed: KAFKA_STORAGE_ERROR");
        assert_eq!(words(None, None, true), "valid");
        assert_eq!(words(None, None, false), "valid, carried not confirmed");
        assert_eq!(words(refused, None, true), "valid, 9 records failed: KAFKA_STORAGE_ERROR");
        let carried = "valid, of carried 9 records failed: KAFKA_STORAGE_ERROR";
        assert_eq!(words(None, refused, true), carried);
    }

    #[test]
    fn a_curve_bends_where_it_first_leaves_what_was_before() {
        let all = [
            point(1, 9e5, 3_000_000),
            point(100, 1e6, 3_500_000),
            point(1_000, 9e5, 4_000_000),
            point(10_000, 3e5, 9_000_000),
        ];
        let told = |points: &[Point]| bend(&points.iter().collect::<Vec<_>>());
        let words = told(&all).unwrap();
        assert!(words.starts_with("bends at 10000 partitions: carries 30 %"), "{words}");
        assert!(words.ends_with("p99 is 3.0 times the best before it"), "{words}");
        assert_eq!(told(&all[..3]), None);
        // One that came to nothing is no bend; what comes after it may be.
        let failed = Point { failure: Some(Failure::Local("no".into())), ..Point::default() };
        assert_eq!(told(&[point(1, 1e6, 5), failed.clone(), point(9, 1e6, 6)]), None);
        assert!(told(&[point(1, 1e6, 5), failed, point(9, 1e5, 6)]).is_some());
    }
}
