//! What it costs to know where the time goes: instructions of the broker per request of one small record, with the stages and
//! with them compiled out.
//!
//! Instructions are counted and not time, so that a busy machine changes little: under callgrind, or, where the processor counts them
//! and lets us read it, by `perf stat` (see [`counter`]). A run has a short and a long length, and the difference between the two is what
//! requests cost: what the start and the end cost is in both. The kernel's work is not counted. Callgrind holds
//! every thread while one waits in io_uring, so that only the processor's counter tells of that backend (`--io uring`); the portable
//! one's threads are a part of what is counted, in both alike. One request is in flight at a time, and so few come that a broker
//! under callgrind keeps up: what a request costs depends on how many share a wake-up, a write and a flush, and as many come in the same time to both. Where they
//! did not, because the machine was busy, the round is made again. A round's difference is one of brokers that ran minutes apart; how
//! far the rounds agree says how well the mean of them is known, and the answer is yes or no only where all of what it may be (95 %) lies
//! on one side of the bound.
//!
//! Instructions do not show what a request waits for, such as lines of a cache that it touches. Where the processor counts, cycles and
//! cache misses for a request stand beside them, of the same rounds; they depend on the machine, and no bound is set to them.

pub(super) mod counter;

use std::path::{Path, PathBuf};
use std::process::Command;

use counter::{Count, Counter, Uncounted, Work};

use super::options;
use crate::tally::say;
use crate::{Fault, program, tree};

/// The most that the stages may cost, in percent of what a request costs without them.
const MOST: f64 = 1.0;
/// Requests of both brokers may differ by so much of themselves, or what they cost cannot be held against each other.
const APART: f64 = 0.02;
/// So many rounds are made for one that counts.
const TRIES: usize = 3;

/// Loads by name, one record at a time either way.
const PRODUCE: &str = "--consumers 0 --size 100 --batch 200 --linger 0ms --max-inflight 1 --partitions 4 --producers 1";
/// A consumer's fetch waits at the broker until the next record comes: for each produce one fetch is answered.
const FETCH: &str = "--consumers 1 --size 100 --batch 200 --linger 0ms --max-inflight 1 --partitions 1 --producers 1";

struct Options {
    rounds: usize,
    seconds: [u64; 2],
    rate: String,
    with: Option<PathBuf>,
    without: Option<PathBuf>,
    /// Arguments of `ringwood perf run`.
    load: Vec<String>,
    /// The broker's backend, as `--io` takes it.
    io: &'static str,
    counter: Counter,
}

impl Options {
    fn parse(words: &[&str]) -> Result<Options, Fault> {
        let mut options = Options {
            rounds: 5,
            seconds: [4, 16],
            rate: "400/s".to_owned(),
            with: None,
            without: None,
            load: words_of(PRODUCE),
            io: "portable",
            counter: Counter::Callgrind,
        };
        options::each(words, &[], |name, value| {
            match name {
                "--rounds" => options.rounds = value.parse()?,
                "--seconds" => {
                    let [short, long] = options::list(value)?[..] else {
                        return Err("two lengths, such as 4,16".into());
                    };
                    options.seconds = [short, long];
                }
                "--rate" => value.clone_into(&mut options.rate),
                "--with" => options.with = Some(value.into()),
                "--without" => options.without = Some(value.into()),
                "--io" if value == "portable" => options.io = "portable",
                "--io" if value == "uring" => options.io = "uring",
                "--io" => return Err("it is portable or uring".into()),
                "--counter" => options.counter = Counter::named(value)?,
                "--load" if value == "produce" => options.load = words_of(PRODUCE),
                "--load" if value == "fetch" => options.load = words_of(FETCH),
                "--load" => options.load = words_of(value),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if options.io == "uring" && options.counter == Counter::Callgrind {
            return Err("--io uring needs --counter perf: under callgrind (3.19) no thread goes on while one waits in io_uring".into());
        }
        let [short, long] = options.seconds;
        if options.rounds < ROUNDS_MIN || short == 0 || long <= short {
            return Err("three rounds at least, and a short length before a long one".into());
        }
        Ok(options)
    }
}

fn words_of(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Of fewer rounds nobody can say how far they agree.
const ROUNDS_MIN: usize = 3;

/// `cargo xtask prove stages`: whether they cost no more than they may.
pub(crate) fn run(words: &[&str]) -> Result<bool, Fault> {
    let options = Options::parse(words)?;
    let beside = options.counter.beside()?;
    // What the counter writes goes there, whoever built the brokers.
    std::fs::create_dir_all(tree::work().join("stages"))?;
    let with = binary(options.with.as_deref(), "with", &[])?;
    let without =
        binary(options.without.as_deref(), "without", &["--features", "stages-compiled-out"])?;
    let [short, long] = options.seconds;
    let (load, counter) = (options.load.join(" "), options.counter.name());
    say(&format!("requests of {load} at {}, io {}, by {counter}", options.rate, options.io))?;
    let mut rounds: Vec<[Cost; 2]> = Vec::new();
    let mut tries = 0;
    while rounds.len() < options.rounds {
        tries += 1;
        if tries > options.rounds * TRIES {
            return Err(
                "the machine is too busy: as many requests came to both in too few rounds".into()
            );
        }
        let mut costs = Vec::new();
        for (name, broker) in [("without", &without), ("with", &with)] {
            let count = |seconds| {
                let Options { io, rate, load, .. } = &options;
                let beside = &beside;
                let work = Work { broker, generator: &with, io, rate, load, beside, name, seconds };
                options.counter.count(&work)
            };
            let counts = [count(short)?, count(long)?];
            let [a, b] = &counts;
            let text = format!(
                "{tries}  {name:7}  {:>13} for {:>6} requests, {:>13} for {:>6}",
                a.instructions, a.requests, b.instructions, b.requests
            );
            match per_request(&counts) {
                Ok(cost) => {
                    say(&format!("{text}: {:>9.0} each", cost.instructions))?;
                    costs.push(cost);
                }
                Err(fault) => say(&format!("{text}: {fault}"))?,
            }
        }
        let Ok(pair) = <[Cost; 2]>::try_from(costs) else {
            say("    made again")?;
            continue;
        };
        let [a, b] = [pair[0].requests, pair[1].requests];
        if !are_as_many(a, b) {
            say(&format!("    made again: {a} requests, and {b}"))?;
            continue;
        }
        rounds.push(pair);
    }
    let side = |at: usize| rounds.iter().map(|pair| pair[at].instructions).collect::<Vec<f64>>();
    let (without, with) = (side(0), side(1));
    for (name, costs) in [("without", &without), ("with", &with)] {
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = costs.iter().copied().fold(0.0, f64::max);
        let (rounds, spread) = (costs.len(), spread(costs));
        say(&format!("{name:7}  {least:.0} to {most:.0} in {rounds} rounds: {spread:.2} % apart"))?;
    }
    let percents: Vec<f64> = with
        .iter()
        .zip(&without)
        .map(|(with, without)| (with - without) / without * 100.0)
        .collect();
    let (without, with) = (median(without), median(with));
    let (low, high) = interval(&percents);
    say(&format!(
        "instructions per request: {without:.0} without the stages, {with:.0} with them; {low:+.2} to {high:+.2} % (95 %), at most {MOST:.1} %"
    ))?;
    for (place, event) in beside.iter().enumerate() {
        let pairs: Vec<_> =
            rounds.iter().map(|[a, b]| [a.beside[place], b.beside[place]]).collect();
        say(&format!("{} per request: {}", event.words, differences(&pairs)))?;
    }
    cheap_enough(low, high).ok_or_else(|| {
        "the rounds do not agree well enough to tell: more of them, and leave the machine to it"
            .into()
    })
}

/// Whether all that the cost may be lies within the bound, or beyond it; `None` where it lies on both sides.
fn cheap_enough(low: f64, high: f64) -> Option<bool> {
    if high <= MOST {
        Some(true)
    } else if low > MOST {
        Some(false)
    } else {
        None
    }
}

/// Between which two values the mean lies, at 95 %: Student's t of the rounds.
fn interval(values: &[f64]) -> (f64, f64) {
    /// Two-sided, by degrees of freedom from one on; beyond the last the normal distribution's is near enough.
    const T: [f64; 10] = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    if values.len() < 2 {
        return (f64::NEG_INFINITY, f64::INFINITY);
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / (count - 1.0)).sqrt() / count.sqrt();
    let t = T.get(values.len() - 2).copied().unwrap_or(2.228);
    (mean - t * error, mean + t * error)
}

/// The broker at this path, or one that is built for it.
fn binary(given: Option<&Path>, name: &str, features: &[&str]) -> Result<PathBuf, Fault> {
    if let Some(path) = given {
        return Ok(path.canonicalize()?);
    }
    let folder = tree::work().join("stages");
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(tree::root()).args(["build", "--release", "--package", "ringwood"]);
    build.args(features);
    if !program::follow(&mut build, |_| {})? {
        return Err("the broker cannot be built".into());
    }
    let path = folder.join(name);
    std::fs::copy(tree::release_binary("ringwood"), &path)?;
    Ok(path)
}

/// Whether two counts of requests are near enough for what each cost to be compared.
fn are_as_many(one: u64, other: u64) -> bool {
    one.abs_diff(other) as f64 <= one.max(other) as f64 * APART
}

/// What requests cost in one round.
#[derive(Clone, Debug, PartialEq)]
struct Cost {
    /// Requests that the longer run has more.
    requests: u64,
    /// Instructions of each.
    instructions: f64,
    /// The same of the events beside them.
    beside: Vec<Result<f64, Uncounted>>,
}

/// Requests that the longer run has more, and what one costs: what it has more, by how many it has more.
fn per_request([short, long]: &[Count; 2]) -> Result<Cost, Fault> {
    let requests = long.requests.saturating_sub(short.requests);
    if requests < 1000 {
        return Err(format!("{requests} requests more in the longer run are too few").into());
    }
    let each = |less: u64, more: u64| more.saturating_sub(less) as f64 / requests as f64;
    let of = |(less, more): (&Result<u64, Uncounted>, &Result<u64, Uncounted>)| {
        less.and_then(|less| more.map(|more| each(less, more)))
    };
    Ok(Cost {
        requests,
        instructions: each(short.instructions, long.instructions),
        beside: short.beside.iter().zip(&long.beside).map(of).collect(),
    })
}

/// What an event comes to without the stages and with them, and between which two the mean of the differences lies; or why nobody
/// knows. Each pair is of one round.
fn differences(pairs: &[[Result<f64, Uncounted>; 2]]) -> String {
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for pair in pairs {
        match pair {
            [Ok(a), Ok(b)] => {
                without.push(*a);
                with.push(*b);
            }
            [Err(why), _] | [_, Err(why)] => return format!("not told ({why})"),
        }
    }
    let apart: Vec<f64> = with.iter().zip(&without).map(|(with, without)| with - without).collect();
    let (low, high) = interval(&apart);
    let (without, with) = (median(without), median(with));
    format!("{without:.1} without the stages, {with:.1} with them; {low:+.1} to {high:+.1} (95 %)")
}

/// How far the values are apart, in percent of their median.
fn spread(values: &[f64]) -> f64 {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    (most - least) / median(values.to_vec()) * 100.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (lower, upper) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    f64::midpoint(lower, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_not_counted() {
        let count = |requests, instructions| Count {
            requests,
            instructions,
            beside: vec![Ok(instructions / 2), Err(Uncounted::NotCounted)],
        };
        let counts = [count(1000, 90_000_000), count(3000, 130_000_000)];
        let beside = vec![Ok(10_000.0), Err(Uncounted::NotCounted)];
        let cost = Cost { requests: 2_000, instructions: 20_000.0, beside };
        assert_eq!(per_request(&counts).ok(), Some(cost));
        assert!(are_as_many(1_000, 1_020) && !are_as_many(1_000, 1_100));
        assert!(per_request(&[count(1000, 5), count(1500, 6)]).is_err());
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![1.0, 2.0]), 1.5);
        assert_eq!((spread(&[99.0, 100.0, 103.0]), spread(&[7.0])), (4.0, 0.0));
    }

    #[test]
    fn an_event_is_told_where_all_rounds_have_it() {
        let pair = |without, with| [Ok(without), Ok(with)];
        let all = [pair(100.0, 101.0), pair(104.0, 106.0), pair(96.0, 99.0)];
        let said = "100.0 without the stages, 101.0 with them; -0.5 to +4.5 (95 %)";
        assert_eq!(differences(&all), said);
        let none = [pair(0.0, 0.0); 3];
        let said = "0.0 without the stages, 0.0 with them; +0.0 to +0.0 (95 %)";
        assert_eq!(differences(&none), said, "nothing is divided by it");
        let shared = [all[0], all[1], [Ok(96.0), Err(Uncounted::Scaled(80.0))]];
        let said = "not told (perf stat counted 80 % of the time and guessed the rest)";
        assert_eq!(differences(&shared), said);
    }

    #[test]
    fn lengths_are_a_short_and_a_long_one() {
        assert_eq!(Options::parse(&["--seconds", "2,8"]).map(|o| o.seconds).ok(), Some([2, 8]));
        assert!(Options::parse(&["--seconds", "8,2"]).is_err());
        assert!(Options::parse(&["--seconds", "8"]).is_err());
        assert!(Options::parse(&["--rounds", "2"]).is_err(), "two agree by chance");
        let of = |words: &[&str]| Options::parse(words).map(|o| (o.io, o.counter)).ok();
        assert_eq!(of(&[]), Some(("portable", Counter::Callgrind)));
        assert_eq!(of(&["--io", "uring", "--counter", "perf"]), Some(("uring", Counter::Perf)));
        assert_eq!((of(&["--io", "kqueue"]), of(&["--counter", "time"])), (None, None));
        assert_eq!(of(&["--io", "uring"]), None, "callgrind would wait for ever");
    }

    #[test]
    fn a_load_is_one_by_name_or_as_it_stands() {
        let load = |words: &[&str]| Options::parse(words).map(|o| o.load.join(" ")).unwrap();
        assert_eq!(load(&[]), PRODUCE);
        assert_eq!(load(&["--load", "fetch"]), FETCH);
        assert_eq!(load(&["--load", "--size 9 --consumers 2"]), "--size 9 --consumers 2");
    }

    #[test]
    fn a_cost_is_told_only_where_all_that_it_may_be_is_on_one_side() {
        let told = |percents: &[f64]| {
            let (low, high) = interval(percents);
            cheap_enough(low, high)
        };
        assert_eq!(told(&[0.5, 0.52, 0.48]), Some(true));
        assert_eq!(told(&[1.5, 1.52, 1.48]), Some(false));
        // On average half a percent, and nobody knows.
        assert_eq!(told(&[0.5, 1.4, -0.4]), None);
        assert_eq!(told(&[0.97, 1.02, 1.01]), None);
        assert_eq!(told(&[0.1]), None);
        // Mean 2, deviation 1, of three: 4.303 / sqrt(3) on either side.
        let (low, high) = interval(&[1.0, 2.0, 3.0]);
        assert!((low + 0.4843).abs() < 1e-3 && (high - 4.4843).abs() < 1e-3, "{low} {high}");
    }
}
