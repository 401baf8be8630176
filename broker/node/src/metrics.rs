//! The texts of `/metrics` and `/metrics/compat`, in Prometheus' form.
//!
//! The cores count (`cores`); the control thread writes what they counted, adds what it knows itself (`health`, `stages`) and
//! what was gathered for the scrape (`lag`). The second page says some of the same under the names of others (`compat`).

mod compat;
mod cores;
mod health;
mod lag;
mod stages;
mod text;

pub(crate) use cores::{Counted, count};
pub(crate) use health::Health;

use crate::lag::Gathered;
use ::stages::History;
use std::time::Duration;
use text::Text;

/// What both pages are made of.
pub(crate) struct Facts<'a> {
    pub(crate) health: Health,
    pub(crate) cores: &'a [Counted],
    /// What was gathered, and how long ago; nothing while the broker recovers.
    pub(crate) gathered: Option<(Duration, &'a Gathered)>,
    /// How many partitions are shown one by one.
    pub(crate) partitions_max: usize,
}

/// Shows the history to whoever is given. It is locked meanwhile, and the control thread needs it: a page looks at it for as
/// long as it writes what is of it, and no longer.
pub(crate) type Look<'a> = &'a dyn Fn(&mut dyn FnMut(&History));

/// `/metrics`.
pub(crate) fn own(facts: &Facts<'_>, history: Look<'_>) -> String {
    let mut text = Text::default();
    health::write(&mut text, &facts.health);
    cores::write(&mut text, facts.cores);
    history(&mut |history| stages::write(&mut text, history));
    if let Some((age, gathered)) = facts.gathered {
        lag::write(&mut text, age, gathered, facts.partitions_max);
    }
    text.into_string()
}

/// `/metrics/compat`.
pub(crate) fn compat(facts: &Facts<'_>, history: Look<'_>) -> String {
    let mut text = Text::default();
    if let Some((_, gathered)) = facts.gathered {
        compat::exporter::write(&mut text, gathered, facts.partitions_max);
        compat::jmx::write(&mut text, facts.cores, gathered, facts.partitions_max);
        history(&mut |history| compat::jmx::requests(&mut text, facts.cores, history));
    }
    text.into_string()
}

#[cfg(test)]
mod tests;
