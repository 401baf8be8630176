//! Whose configuration the records of one decision have changed: many keys of many resources, each of which is looked at once.

use cluster::{Change, Delta, ResourceKind};
use std::collections::BTreeSet;

/// What must be read anew.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changed<'a> {
    /// The topics that have other overrides.
    pub(super) topics: BTreeSet<&'a str>,
    /// Whether a broker, or all of them, have.
    pub(super) brokers: bool,
    /// Whether any group has.
    pub(super) groups: bool,
}

impl<'a> Changed<'a> {
    pub(super) fn of(deltas: &'a [Delta]) -> Self {
        let mut all = Self::default();
        for change in deltas.iter().flat_map(|delta| &delta.changes) {
            let Change::Config { resource, .. } = change else { continue };
            match resource.kind {
                ResourceKind::Topic => {
                    all.topics.insert(&resource.name);
                }
                ResourceKind::Broker => all.brokers = true,
                ResourceKind::Group => all.groups = true,
                ResourceKind::BrokerLogger | ResourceKind::ClientMetrics => {}
            }
        }
        all
    }
}
