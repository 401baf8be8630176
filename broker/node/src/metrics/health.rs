//! What a broker says of itself before anything else: which it is, since when, and whether it serves.

use super::text::Text;
use std::time::Duration;

/// The process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Health {
    pub(crate) uptime: Duration,
    /// How long the recovery took and how many records it replayed; none while it is under way.
    pub(crate) recovered: Option<(Duration, u64)>,
}

/// Seconds that the hypervisor took from all processors together: the eighth number of the line `cpu`, in hundredths
/// (proc(5)). A kernel without a hypervisor says zero.
fn stolen(stat: &str) -> Option<f64> {
    let line = stat.lines().find(|line| line.starts_with("cpu "))?;
    let hundredths: u64 = line.split_ascii_whitespace().nth(8)?.parse().ok()?;
    Some(hundredths as f64 / 100.0)
}

pub(super) fn write(text: &mut Text, health: &Health) {
    text.family("ringwood_application_build", "gauge", "1, with the version.");
    text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    text.gauge(
        "ringwood_application_uptime_seconds",
        "How long the process runs.",
        health.uptime.as_secs_f64(),
    );
    if let Some(stolen) = std::fs::read_to_string("/proc/stat").ok().as_deref().and_then(stolen) {
        text.family(
            "ringwood_machine_stolen_seconds_total",
            "counter",
            "Time in which the hypervisor ran others on this machine's processors.",
        );
        text.sample(&[], stolen);
    }
    let ready = f64::from(u8::from(health.recovered.is_some()));
    text.gauge("ringwood_application_ready", "1 once recovery is over.", ready);
    if let Some((took, records)) = health.recovered {
        text.gauge(
            "ringwood_recovery_seconds",
            "How long the last recovery took.",
            took.as_secs_f64(),
        );
        text.gauge(
            "ringwood_recovery_records",
            "Records that the last recovery replayed.",
            records as f64,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_hypervisor_took_is_read_of_all_processors_together() {
        let stat = "cpu  10 20 30 40 50 60 70 1234 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\nintr 5\n";
        assert_eq!(stolen(stat), Some(12.34));
        for other in ["", "cpu0 1 2 3 4 5 6 7 8\n", "cpu  1 2 3\n", "cpu  1 2 3 4 5 6 7 x\n"] {
            assert_eq!(stolen(other), None, "{other:?}");
        }
    }
}
