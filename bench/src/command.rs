//! The command line.

use crate::comparison::{Plan, compare};
use crate::cross::{self, Trips};
use crate::edition::{Edition, NO_GLOMMIO, ServeConfig, is_built, serve};
use crate::load::{Shape, latency_histogram};
use crate::server::Setup;
use crate::table::{self, number, quantile_us, with_spread};
use crate::{instructions, machine, micro, writes};
use bench_core::LogConfig;
use clap::{Args, Parser, Subcommand};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How fast one function or one core is
#[derive(Debug, Parser)]
#[command(name = "ringwood-bench")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare the same produce/fetch core on our reactor, glommio and epoll, and the broker beside them
    Runtime(RuntimeArgs),
    /// CPU per write from registered and from ordinary buffers
    Writes(WritesArgs),
    /// Instructions per call of single functions, by callgrind (time per call: cargo bench)
    Instructions {
        /// Only cases whose name contains this
        filter: Option<String>,
        /// Calls of each
        #[arg(long, default_value_t = 1000)]
        calls: u64,
    },
    /// Serve until the standard input ends
    Serve(ServeArgs),
    /// Round trips between two cores; prints JSON
    #[command(hide = true)]
    Cross {
        edition: Edition,
        #[arg(long)]
        trips: u64,
        #[arg(long)]
        depth: u64,
    },
    /// Call one function many times
    #[command(hide = true)]
    Case {
        name: String,
        #[arg(long)]
        calls: u64,
    },
}

#[derive(Debug, Args)]
struct RuntimeArgs {
    /// How often each server meets each load
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds that each load is measured
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Seconds of each load before that
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    /// Servers, in the order of a round
    #[arg(long, value_delimiter = ',', default_value = "reactor,glommio,epoll,broker")]
    editions: Vec<Edition>,
    /// Loads: connections x in flight x bytes
    #[arg(long, value_delimiter = ',', default_value = "1x1x1KiB,32x1x1KiB,8x8x1KiB,2x5x128KiB")]
    shapes: Vec<Shape>,
    /// Requests during which system calls are counted; 0 leaves that out
    #[arg(long, default_value_t = 1000)]
    counted: u64,
    /// Round trips between cores, of each measurement; 0 leaves them out
    #[arg(long, default_value_t = 100_000)]
    trips: u64,
    /// The broker's binary [default: ringwood beside this program]
    #[arg(long)]
    broker: Option<PathBuf>,
    /// Where the servers' files go
    #[arg(long, default_value = "target")]
    directory: PathBuf,
}

#[derive(Debug, Args)]
struct WritesArgs {
    /// How often each size is measured with each kind of buffer
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// MiB written in each measurement
    #[arg(long, default_value_t = 64)]
    mib: u32,
    /// Where the file goes
    #[arg(long, default_value = "target")]
    directory: PathBuf,
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Which server
    edition: Edition,
    /// The ring file: made anew
    #[arg(long)]
    file: PathBuf,
    /// Where to listen; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Partitions of the topic
    #[arg(long, default_value_t = 64)]
    partitions: usize,
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// Said in words.
    pub fn run(self) -> io::Result<()> {
        match self.command {
            Command::Runtime(args) => runtime(args),
            Command::Writes(args) => write_costs(&args),
            Command::Instructions { filter, calls } => count_instructions(filter.as_deref(), calls),
            Command::Serve(args) => {
                let log = LogConfig { partitions: args.partitions, ..LogConfig::default() };
                serve(args.edition, &ServeConfig { file: args.file, listen: args.listen, log })
            }
            Command::Cross { edition, trips, depth } => {
                let json = serde_json::to_string(&cross::trips(edition, trips, depth)?)?;
                say(&format!("{json}\n"))
            }
            Command::Case { name, calls } => {
                let mut cases = micro::cases()?;
                let case = cases
                    .iter_mut()
                    .find(|case| case.name == name)
                    .ok_or_else(|| io::Error::other(format!("no case {name:?}")))?;
                for _ in 0..calls {
                    (case.run)();
                }
                Ok(())
            }
        }
    }
}

fn say(text: &str) -> io::Result<()> {
    io::stdout().lock().write_all(text.as_bytes())
}

/// What is being done, for people who wait.
fn tell(text: &str) {
    eprintln!("{text}");
}

fn seconds(name: &str, value: f64) -> io::Result<Duration> {
    Duration::try_from_secs_f64(value).map_err(|e| io::Error::other(format!("--{name}: {e}")))
}

fn runtime(args: RuntimeArgs) -> io::Result<()> {
    let mut shapes: Vec<Shape> = Vec::new();
    for shape in args.shapes {
        if !shapes.contains(&shape) {
            shapes.push(shape);
        }
    }
    let mut plan = Plan {
        editions: args.editions,
        shapes,
        rounds: args.rounds,
        warm_up: seconds("warm-up", args.warm_up)?,
        measured: seconds("seconds", args.seconds)?,
        counted: args.counted,
    };
    let mut setup = Setup::new(args.directory, plan.partitions())?;
    if let Some(broker) = args.broker {
        setup.broker = broker;
    }
    std::fs::create_dir_all(&setup.directory)?;
    let mut left_out = Vec::new();
    plan.editions.retain(|edition| {
        let why = if !is_built(*edition) {
            NO_GLOMMIO.to_owned()
        } else if *edition == Edition::Broker && !setup.broker.exists() {
            format!("no {}; cargo build --release makes it", setup.broker.display())
        } else {
            return true;
        };
        left_out.push(format!("{edition} is left out: {why}"));
        false
    });
    let mut head = machine::facts(&setup.directory);
    head.extend(left_out);
    for fact in &head {
        say(&format!("- {fact}\n"))?;
    }
    let comparison = compare(&plan, &setup, &tell)?;
    for (edition, facts) in &comparison.facts {
        say(&format!("- {edition}: {facts}\n"))?;
    }
    for why in table::uncounted(&comparison) {
        say(&format!("- system calls n/a: {why}\n"))?;
    }
    say(&format!("\n{}", table::comparison(&comparison)))?;
    if args.trips > 0 {
        say(&format!("\n{}", crossings(&plan, &setup, args.trips)?))?;
    }
    Ok(())
}

/// The table of round trips between cores.
fn crossings(plan: &Plan, setup: &Setup, trips: u64) -> io::Result<String> {
    let mut out = String::from(
        "| between two cores | on their way | CPU µs/round trip | round trips/s | p50 µs | p99 µs |\n\
         |---|---:|---:|---:|---:|---:|\n",
    );
    for depth in [1, 64] {
        let mut lines: Vec<(Edition, Vec<Trips>)> = plan
            .editions
            .iter()
            .filter(|e| matches!(e, Edition::Reactor | Edition::Glommio))
            .map(|edition| (*edition, Vec::new()))
            .collect();
        for round in 1..=plan.rounds {
            for (edition, measured) in &mut lines {
                tell(&format!("cores, {depth} on their way, round {round}: {edition}"));
                measured.push(cross::in_a_process(&setup.program, *edition, trips, depth)?);
            }
        }
        for (edition, measured) in &lines {
            let cpu: Vec<f64> =
                measured.iter().map(|t| t.cpu_seconds * 1e6 / t.trips.max(1) as f64).collect();
            let rate: Vec<f64> =
                measured.iter().map(|t| t.trips as f64 / t.seconds.max(1e-9)).collect();
            let mut latency = latency_histogram()?;
            for trips in measured {
                latency.add(trips.latency()?).map_err(io::Error::other)?;
            }
            let rate = table::spread(&rate).map_or_else(|| "n/a".to_owned(), |r| number(r.0));
            out.push_str(&format!(
                "| {edition} | {depth} | {} | {rate} | {} | {} |\n",
                with_spread(&cpu),
                quantile_us(&latency, 0.5),
                quantile_us(&latency, 0.99),
            ));
        }
    }
    Ok(out)
}

fn write_costs(args: &WritesArgs) -> io::Result<()> {
    std::fs::create_dir_all(&args.directory)?;
    for fact in machine::facts(&args.directory) {
        say(&format!("- {fact}\n"))?;
    }
    let mut rows = String::new();
    for bytes in writes::SIZES {
        let count = (args.mib * 1024 / u32::try_from(bytes >> 10).unwrap_or(u32::MAX)).max(10);
        let mut measured = [Vec::new(), Vec::new()];
        for round in 1..=args.rounds {
            for (i, fixed) in [true, false].into_iter().enumerate() {
                tell(&format!("{} KiB, round {round}, registered: {fixed}", bytes >> 10));
                measured[i].push(writes::measure(&args.directory, bytes, fixed, count)?);
            }
        }
        for (costs, wanted) in measured.iter().zip(["registered", "ordinary"]) {
            let registered = costs.iter().all(|c| c.registered_bytes > 0);
            let direct = costs.iter().all(|c| c.direct);
            // Locked memory may be too little: then the figure is of another kind than was asked for.
            let kind = match (wanted, registered) {
                ("registered", false) => "registered was refused",
                (wanted, _) => wanted,
            };
            let cpu: Vec<f64> = costs.iter().map(|c| c.cpu_us).collect();
            let elapsed: Vec<f64> = costs.iter().map(|c| c.elapsed_us).collect();
            rows.push_str(&format!(
                "| {} KiB | {kind} | {} | {} | {} |\n",
                bytes >> 10,
                if direct { "direct" } else { "page cache" },
                with_spread(&cpu),
                with_spread(&elapsed),
            ));
        }
    }
    say(&format!(
        "\n| write | buffer | I/O | CPU µs/write | µs/write |\n|---:|---|---|---:|---:|\n{rows}"
    ))
}

fn count_instructions(filter: Option<&str>, calls: u64) -> io::Result<()> {
    let program = std::env::current_exe()?;
    for fact in machine::facts(&PathBuf::from(".")) {
        say(&format!("- {fact}\n"))?;
    }
    say("\n| function | instructions/call | instructions/byte |\n|---|---:|---:|\n")?;
    for case in micro::cases()? {
        if filter.is_some_and(|filter| !case.name.contains(filter)) {
            continue;
        }
        let per_call = instructions::count(&program, &case.name, calls)?;
        let per_byte = match case.bytes {
            0 => String::new(),
            bytes => number(per_call / bytes as f64),
        };
        say(&format!("| {} | {} | {per_byte} |\n", case.name, number(per_call)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
        let args = Cli::try_parse_from(["ringwood-bench", "runtime", "--rounds", "2"]).unwrap();
        let Command::Runtime(args) = args.command else { panic!("another command") };
        assert_eq!(args.shapes, Shape::ALL);
        assert!(args.editions.contains(&Edition::Glommio));
        assert!(Cli::try_parse_from(["ringwood-bench", "runtime", "--shapes", "1x1"]).is_err());
    }
}
