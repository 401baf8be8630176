//! How long an acknowledgement takes at a fixed rate, on each disk that was asked for and can be had.

use std::path::Path;

use super::disks::Place;
use super::gaps::Gaps;
use super::{Figure, Load, Options, measure, median, remark};
use crate::Fault;
use crate::tally::say;

/// What the latency is measured with: batches as small as they come, and enough of them that flushes are shared.
const CALM: [Load; 2] = [
    Load {
        rate: "2k/s",
        name: "2,000 records/s of 1 KiB",
        words: &["--size", "1KiB", "--linger", "0ms", "--consumers", "0"],
    },
    Load {
        rate: "50k/s",
        name: "50,000 records/s of 1 KiB",
        words: &["--size", "1KiB", "--batch", "16KiB", "--consumers", "0"],
    },
];

/// The rows of durable latency, a table with its heading.
pub(super) fn rows(
    options: &Options,
    folder: &Path,
    gaps: &mut Gaps,
) -> Result<Vec<String>, Fault> {
    let mut rows = vec![
        "Latency of an acknowledgement at a fixed rate, from the moment at which a record was due; ext4 has its journal; ext4 and xfs are on loop devices with direct I/O. Where a processor is left, the client has it to itself and keeps it awake. The percentiles are of the seconds that were measured; flushes/s and written/byte of all the time under load, the warm-up included.".to_owned(),
        String::new(),
        "| file system | load | cores | p50 ms | p99 ms | flushes/s | written/byte, own | |".to_owned(),
        "|---|---|---:|---:|---:|---:|---:|---|".to_owned(),
    ];
    for disk in &options.disks {
        if let Some(reason) = disk.missing() {
            say(&format!("SKIPPED figures on {}: {reason}", disk.name()))?;
            gaps.add(&format!("latency on {}", disk.name()), &reason, options.named);
            continue;
        }
        let place = Place::new(*disk, folder)?;
        let mut all = vec![vec![Vec::new(); CALM.len()]; options.cores.len()];
        for round in 1..=options.rounds {
            for (cores, figures) in options.cores.iter().zip(&mut all) {
                for (load, figures) in CALM.iter().zip(figures) {
                    let (name, rounds) = (disk.name(), options.rounds);
                    say(&format!(
                        "round {round} of {rounds}: {name}, {cores} cores, {}",
                        load.name
                    ))?;
                    figures.push(measure(options, &place.folder, *cores, load)?);
                }
            }
        }
        for (cores, figures) in options.cores.iter().zip(&all) {
            for (load, figures) in CALM.iter().zip(figures) {
                let of = |f: fn(&Figure) -> f64| median(figures.iter().map(f).collect());
                rows.push(format!(
                    "| {} | {} | {cores} | {} | {} | {:.0} | {:.2} | {} |",
                    disk.name(),
                    load.name,
                    milliseconds(of(|f| f.p50)),
                    milliseconds(of(|f| f.p99)),
                    of(|f| f.flushes),
                    of(|f| f.own),
                    remark(figures)
                ));
            }
        }
    }
    Ok(rows)
}

/// Nothing where the client gives no percentiles, because it was late itself.
fn milliseconds(value: f64) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{value:.2}") }
}
