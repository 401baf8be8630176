//! How far a request is that another core works on, for the core of its connection, which must not ask to know it.

use crate::laps::Times;
use crate::{Stage, TICK_NANOS};
use ids::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bits of a stage, and the bit behind them: it has been parked before.
const STAGE: u64 = 0x1f;
const PARKED: u64 = STAGE + 1;
const SINCE: u32 = PARKED.ilog2() + 1;

/// The stage of a request that another core works on, and since when. Written there and read here; one that is not the latest does
/// no harm.
#[derive(Clone, Debug, Default)]
pub struct Away(Arc<AtomicU64>);

impl Away {
    /// Nobody else has a hand on it.
    pub(crate) fn is_free(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// The request is in `stage` since its last lap.
    pub(crate) fn say(&self, times: &Times, stage: Stage) {
        let parked = if times.ticks(Stage::Park) > 0 { PARKED } else { 0 };
        // A clock of 9 years of nanoseconds in ticks has 52 bits.
        let said = (times.moved() << SINCE) | parked | u64::from(stage as u8);
        self.0.store(said, Ordering::Relaxed);
    }

    pub(crate) fn stage(&self) -> Stage {
        let place = self.0.load(Ordering::Relaxed) & STAGE;
        u8::try_from(place).ok().and_then(Stage::at).unwrap_or(Stage::Queue)
    }

    pub(crate) fn was_parked(&self) -> bool {
        self.0.load(Ordering::Relaxed) & PARKED != 0
    }

    pub(crate) fn since(&self) -> Instant {
        Instant((self.0.load(Ordering::Relaxed) >> SINCE).saturating_mul(TICK_NANOS))
    }
}
