//! `perf ceiling`: the speed of light on this machine. Nothing that a broker does can be faster than these.

mod client;
mod device;
mod memory;
mod network;

use std::{path::PathBuf, time::Duration};

use crate::{
    failure::Failure,
    interrupt,
    latency::Latency,
    machine::Machine,
    spec::{self, Quantile, format_bytes, format_nanos},
    terminal,
    view::{Align, Cell, Table},
};

/// Options of `perf ceiling`.
#[derive(Clone, Debug, clap::Args)]
pub struct CeilingArgs {
    /// A directory on the device to measure; a file is written there and removed
    #[arg(long, value_name = "DIRECTORY")]
    dir: PathBuf,
    /// How much is written in sequence
    #[arg(long, default_value = "1GiB", value_parser = spec::bytes)]
    bytes: u64,
    /// How long each of the other measurements takes
    #[arg(long, default_value = "2s", value_parser = spec::duration)]
    duration: Duration,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

/// One measured bound.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Bound {
    /// What was measured.
    pub name: String,
    /// Bytes a second, where it is a throughput.
    pub bytes_per_second: Option<f64>,
    /// Operations or records a second, where these are counted.
    pub per_second: Option<f64>,
    /// Nanoseconds at p50, p99 and p99.9, where it is a latency and the sample carries them.
    pub nanos: [Option<u64>; 3],
}

impl Bound {
    fn throughput(name: impl Into<String>, bytes: f64, seconds: f64) -> Self {
        let bytes_per_second = Some(bytes / seconds.max(1e-9));
        Self { name: name.into(), bytes_per_second, per_second: None, nanos: [None; 3] }
    }

    fn latency(name: impl Into<String>, latency: &Latency, bytes_each: f64, seconds: f64) -> Self {
        let at = |percent| Quantile::percent(percent).ok().and_then(|q| latency.at(q));
        let per_second = latency.count() as f64 / seconds.max(1e-9);
        Self {
            name: name.into(),
            bytes_per_second: (bytes_each > 0.0).then_some(per_second * bytes_each),
            per_second: Some(per_second),
            nanos: [at(50.0), at(99.0), at(99.9)],
        }
    }
}

/// What a broker's figures are held against, taken in some seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// p99 of writing 4 KiB in place and flushing them, nanoseconds.
    pub(crate) flush_p99: Option<f64>,
    /// p99 of a round trip over the loopback, nanoseconds.
    pub(crate) round_trip_p99: Option<f64>,
    /// Bytes a second that the device takes in writes of 1 MiB, each of them flushed: a broker flushes each of its commits.
    pub(crate) device: Option<f64>,
    /// Bytes a second over the loopback, one stream.
    pub(crate) loopback: Option<f64>,
}

/// Milliseconds of each measurement of a glance.
const GLANCE_MS: u64 = 250;

impl Bounds {
    /// How long a glance is meant to take. The 128 MiB that it writes in sequence, to have its file, come on top.
    pub(crate) const GLANCE: Duration =
        Duration::from_millis(GLANCE_MS * (device::SIZES.len() + network::COUNT) as u64);

    /// Measures them, the device through a file in this directory, the loopback between this thread's cores and `far`, the broker's.
    pub(crate) fn measure(
        directory: &std::path::Path,
        far: Option<&[usize]>,
    ) -> Result<Self, Failure> {
        const EACH: Duration = Duration::from_secs(1);
        let mut all = device::measure(directory, 512 << 20, EACH, device::FLUSHES_MIN)?;
        all.extend(network::measure(EACH, far)?);
        Ok(Self::of(&all))
    }

    /// The same in a second or two, for the head of a table. A device that flushes slowly has no p99 then.
    pub(crate) fn glance(
        directory: &std::path::Path,
        far: Option<&[usize]>,
    ) -> Result<Self, Failure> {
        const EACH: Duration = Duration::from_millis(GLANCE_MS);
        let mut all = device::measure(directory, 64 << 20, EACH, 0)?;
        all.extend(network::measure(EACH, far)?);
        Ok(Self::of(&all))
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let bytes = |rate: Option<f64>| {
            rate.map_or_else(|| "n/a".into(), |rate| format!("{}/s", format_bytes(rate)))
        };
        let p99 = |nanos: Option<f64>| {
            nanos.map_or_else(|| "n/a".into(), |nanos| format_nanos(nanos as u64))
        };
        format!(
            "speed of light: device {} in flushed writes of 1 MiB, p99 of a flush of 4 KiB {}; loopback {}, p99 of a round trip {}",
            bytes(self.device),
            p99(self.flush_p99),
            bytes(self.loopback),
            p99(self.round_trip_p99)
        )
    }

    fn of(all: &[Bound]) -> Self {
        let found = |start: &str| all.iter().find(|bound| bound.name.starts_with(start));
        let p99 = |start: &str| found(start)?.nanos[1].map(|nanos| nanos as f64);
        let bytes = |start: &str| found(start)?.bytes_per_second;
        Self {
            flush_p99: p99("device: write 4 KiB and fdatasync"),
            round_trip_p99: p99("loopback: round trip"),
            device: bytes("device: write 1024 KiB and fdatasync"),
            loopback: bytes("loopback: one stream"),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// The directory cannot be written to, or the loopback refuses.
pub fn run(args: &CeilingArgs) -> Result<(), Failure> {
    let machine = Machine::look(Some(&args.dir));
    let mut bounds = device::measure(&args.dir, args.bytes, args.duration, device::FLUSHES_MIN)?;
    bounds.extend(network::measure(args.duration, None)?);
    interrupt::check()?;
    bounds.extend(memory::measure(args.duration));
    interrupt::check()?;
    bounds.extend(client::measure(args.duration)?);
    if args.json {
        let value = serde_json::json!({ "machine": machine, "bounds": bounds });
        terminal::print(&format!("{value:#}\n"));
        return Ok(());
    }
    let storage = machine.storage.clone().unwrap_or_default();
    let mut text = format!(
        "{} ({} cores), {}, {} on {} {}\n\n",
        machine.cpu,
        machine.cores,
        machine.kernel,
        storage.file_system,
        storage.device,
        storage.facts
    );
    let mut table = Table::new(
        ["the speed of light", "bytes/s", "a second", "p50", "p99", "p99.9"],
        Align::Right,
    );
    for bound in &bounds {
        let nanos = |at: usize| bound.nanos[at].map_or_else(String::new, format_nanos);
        table.row(
            [
                bound.name.clone(),
                bound
                    .bytes_per_second
                    .map(|b| format!("{}/s", format_bytes(b)))
                    .unwrap_or_default(),
                bound.per_second.map(|n| format!("{n:.0}")).unwrap_or_default(),
                nanos(0),
                nanos(1),
                nanos(2),
            ]
            .map(Cell::plain)
            .into(),
        );
    }
    text.push_str(&table.render(terminal::colour()));
    terminal::print(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_table_has_the_bounds_and_says_which_are_not_known() {
        let bounds = Bounds {
            flush_p99: Some(252_000.0),
            device: Some(2.5 * f64::from(1 << 30)),
            ..Bounds::default()
        };
        let line = bounds.line();
        let start = "speed of light: device 2.5 GiB/s in flushed writes of 1 MiB, p99 of a flush of 4 KiB 252 us;";
        assert!(line.starts_with(start), "{line}");
        assert!(line.ends_with("loopback n/a, p99 of a round trip n/a"), "{line}");
        let parent = std::env::temp_dir().join(format!("ringwood-glance-{}", std::process::id()));
        std::fs::create_dir_all(&parent).unwrap();
        let glance = Bounds::glance(&parent, None).unwrap();
        std::fs::remove_dir_all(&parent).unwrap();
        assert!(glance.device.is_some() && glance.loopback.is_some(), "{glance:?}");
    }

    #[test]
    fn every_bound_is_found_among_what_is_measured() {
        let parent = std::env::temp_dir().join(format!("ringwood-bounds-{}", std::process::id()));
        std::fs::create_dir_all(&parent).unwrap();
        let each = Duration::from_millis(300);
        let mut all = device::measure(&parent, 16 << 20, each, device::FLUSHES_MIN).unwrap();
        all.extend(network::measure(each, None).unwrap());
        std::fs::remove_dir_all(&parent).unwrap();
        // Two passes in sequence, and those that a glance gives a time of their own.
        assert_eq!(all.len(), 2 + device::SIZES.len() + network::COUNT);
        let bounds = Bounds::of(&all);
        assert!(bounds.device.is_some() && bounds.loopback.is_some(), "{bounds:?}");
        // A short measurement may not carry a p99; that the names are there does not hang on that.
        for start in ["device: write 4 KiB and fdatasync", "loopback: round trip"] {
            assert!(all.iter().any(|bound| bound.name.starts_with(start)), "{start}");
        }
    }
}
