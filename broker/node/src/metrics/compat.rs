//! The names under which other programs tell the same, so that dashboards and alerts that exist go on.

pub(super) mod exporter;
pub(super) mod jmx;
