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

pub(super) fn write(text: &mut Text, health: &Health) {
    text.family("ringwood_application_build", "gauge", "1, with the version.");
    text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    text.gauge(
        "ringwood_application_uptime_seconds",
        "How long the process runs.",
        health.uptime.as_secs_f64(),
    );
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
