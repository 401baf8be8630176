//! Decides which segments may go.
//!
//! A segment may go when every record in it is older than `retention_ms`, or when the log without it still holds
//! `retention_bytes`. Oldest first, and it stops at the first that must stay: the log has no holes. The active segment may go
//! too, the next append starts a new one. Nothing at or above the high watermark goes.

use crate::Log;
use ids::{Offset, Timestamp};

/// The two limits, in Kafka's terms (`retention.ms`, `retention.bytes`); `None` is unlimited (-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Retention {
    /// How long a record stays, in milliseconds.
    pub ms: Option<i64>,
    /// How many bytes stay at least.
    pub bytes: Option<u64>,
}

impl Retention {
    /// The log start offset that these limits allow, or `None` if nothing may go.
    #[must_use]
    pub fn new_start(&self, log: &Log, high_watermark: Offset, now: Timestamp) -> Option<Offset> {
        let mut excess = self.bytes.and_then(|keep| log.size().checked_sub(keep)).unwrap_or(0);
        let mut start = log.start();
        for segment in log.segments() {
            let size = u64::from(segment.len);
            let too_old = self.ms.is_some_and(|ms| now - segment.retention_timestamp() > ms);
            let too_much = self.bytes.is_some() && size <= excess && size > 0;
            if segment.end > high_watermark || segment.len == 0 || !(too_old || too_much) {
                break;
            }
            excess = excess.saturating_sub(size);
            start = segment.end;
        }
        (start > log.start()).then_some(start)
    }
}
