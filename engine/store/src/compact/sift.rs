//! What stays of one batch.

use super::Pass;
use super::keys::{Mapped, end_of_transaction};
use crate::planted::{self, Planted};
use ids::{Offset, ProducerEpoch, ProducerId};
use record::{
    BatchHeader, BatchView, CompactError, CompactOutcome, CompactRules, DECOMPRESSED_BYTES_MAX,
};
use std::collections::BTreeSet;

/// What the log's memory of its producers rests upon: these batches stay, if only as empty ones.
pub(super) struct LastBatches {
    /// Their last offsets.
    last: BTreeSet<Offset>,
    /// Producers of which no batch is remembered, only the epoch that a marker has given them.
    bare: BTreeSet<(ProducerId, ProducerEpoch)>,
}

/// Why a batch stays though none of its records does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// A producer's sequence rests upon it.
    pub(super) sequence: bool,
    /// It is the last of its segment: needed if nothing comes behind it in the new one.
    pub(super) end: bool,
}

impl LastBatches {
    pub(super) fn holds(&self, h: &BatchHeader) -> bool {
        self.last.contains(&h.last_offset())
            || h.attributes.is_control() && self.bare.contains(&(h.producer_id, h.producer_epoch))
    }
}

impl Pass<'_> {
    /// What stays of one batch. `held` is whose transaction an empty batch belongs to that is kept only if nothing comes behind
    /// it.
    pub(super) fn sift(
        &mut self,
        batch: &BatchView<'_>,
        map: &Mapped,
        needs: Needs,
        held: Option<ProducerId>,
        new: &mut Vec<u8>,
    ) -> Result<CompactOutcome, CompactError> {
        let h = *batch.header();
        if h.base_offset >= map.end {
            return Ok(CompactOutcome::Whole);
        }
        let rules = CompactRules {
            now: self.now,
            delete_retention_ms: match planted::is(Planted::TombstonesGoAtOnce) {
                true => 0,
                false => self.how.delete_retention_ms,
            },
            below: map.end,
            keep_empty: needs.sequence || needs.end,
            bytes_max: DECOMPRESSED_BYTES_MAX,
        };
        let (d, c) = (&mut self.decompressor, &mut self.compressor);
        if h.attributes.is_control() {
            let is_over = match end_of_transaction(batch).map_err(CompactError::Records)? {
                Some(_) => {
                    // With its marker gone, what is held might stay: when the marker stays once more, that goes.
                    let last = held == Some(h.producer_id) && h.attributes.has_delete_horizon();
                    self.left.is_over(h.producer_id, h.producer_epoch) && !last
                }
                // An empty batch, or a control record that is no marker: it ends nothing.
                None => h.count == 0,
            };
            return record::compact_control(batch, &rules, is_over, d, c, new);
        }
        let counts = map.counts(&h);
        let lost = |o: Offset| planted::is(Planted::NewestOfAKeyDropped) && o.0 % 32 == 7;
        let latest = |o, key: &[u8]| counts && map.keys.is_latest(key, o) && !lost(o);
        let outcome = record::compact(batch, &rules, latest, d, c, new)?;
        let stays = match outcome {
            CompactOutcome::Whole => h.count > 0 || needs.sequence,
            CompactOutcome::Rewritten { records, .. } => records > 0 || needs.sequence,
            CompactOutcome::Dropped => false,
        };
        // An empty batch too: one that no marker ends would be a transaction that is open for ever.
        if stays && h.attributes.is_transactional() {
            self.left.note(h.producer_id, h.producer_epoch);
        }
        Ok(outcome)
    }

    pub(super) fn last_batches(&self) -> LastBatches {
        let p = self.p.borrow();
        let mut found = LastBatches { last: BTreeSet::new(), bare: BTreeSet::new() };
        for (id, producer) in p.log.producers().sorted() {
            match producer.batches().next_back() {
                Some(b) => found.last.insert(b.last_offset),
                None => found.bare.insert((id, producer.epoch)),
            };
        }
        found
    }
}
