//! What an operation works with besides the group.

use crate::config::Config;
use crate::now::Now;
use crate::outbox::Outbox;
use crate::topics::Topics;

/// One operation: its moment, the settings, and where its outputs go.
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) config: &'a Config,
    pub(crate) topics: &'a Topics,
    pub(crate) out: &'a mut Outbox,
}
