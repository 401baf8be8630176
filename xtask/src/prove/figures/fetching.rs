//! What reading alone costs: of a log that is there already, so that no produce is in the figure.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Broker, Options, binary, sum};
use crate::{Fault, program};

/// What reading alone gives and costs: MB/s, and seconds of the broker's processors for a GB.
pub(super) fn alone(options: &Options, folder: &Path, cores: u32) -> Result<(f64, f64), Fault> {
    const TOPIC: &str = "fetched";
    let broker = Broker::start(folder, cores, None, options)?;
    let mut fill = Command::new(binary());
    fill.args(["perf", "run", "-b", &broker.listen, "--rate", "max", "--partitions", "16"]);
    fill.args(["--producers", "2", "--warmup", "0s", "--size", "1KiB", "--topic", TOPIC]);
    fill.args(["--duration", &format!("{}s", options.seconds), "--json", "-"]);
    let limit = Duration::from_secs(options.seconds * 10 + 120);
    let filled = program::run(&mut fill, None, limit)?;
    if !filled.status.success() {
        return Err(format!("{}: {}", program::line(&fill), filled.last_words()).into());
    }
    // The admin port's text is a second old at most.
    let settle = || sleep(Duration::from_millis(1_200));
    settle();
    let bytes = || -> Result<f64, Fault> {
        let metrics = broker.metrics().ok_or("no metrics")?;
        Ok(sum(&metrics, "ringwood_kafka_fetch_bytes_total"))
    };
    let (before, cpu, began) = (bytes()?, broker.times()?, Instant::now());
    let read = Command::new(binary())
        .args(["consume", TOPIC, "--bootstrap", &broker.listen])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), broker.times()?.all() - cpu.all());
    settle();
    let read_bytes = bytes()? - before;
    if !read.success() || read_bytes < 1e6 {
        return Err(format!("the consumer ended with {read} after {read_bytes} bytes").into());
    }
    Ok((read_bytes / seconds / 1e6, cpu / (read_bytes / 1e9)))
}
