//! Which batches belong to aborted transactions (KIP-98): the broker names producer and first offset, the abort marker ends it.

use ids::{Offset, ProducerId};
use record::{BatchView, ControlRecord, EndTxn};
use std::collections::BTreeSet;
use wire::api::fetch::AbortedTransaction;

/// The aborted transactions of one partition's answer, followed through its batches in order.
#[derive(Debug)]
pub(super) struct Aborted {
    /// By first offset, the last one first.
    to_come: Vec<(Offset, ProducerId)>,
    open: BTreeSet<ProducerId>,
}

impl Aborted {
    pub(super) fn new(list: &[AbortedTransaction]) -> Self {
        let mut to_come: Vec<_> = list.iter().map(|a| (a.first_offset, a.producer_id)).collect();
        to_come.sort_unstable_by(|a, b| b.cmp(a));
        Self { to_come, open: BTreeSet::new() }
    }

    fn advance(&mut self, to: Offset) {
        while let Some((_, producer)) = self.to_come.pop_if(|(first, _)| *first <= to) {
            self.open.insert(producer);
        }
    }

    /// Whether the batch is part of an aborted transaction.
    pub(super) fn covers(&mut self, batch: &BatchView<'_>) -> bool {
        let header = batch.header();
        self.advance(header.last_offset());
        header.attributes.is_transactional() && self.open.contains(&header.producer_id)
    }

    /// A control batch: an abort marker ends its producer's transaction.
    pub(super) fn on_control(&mut self, batch: &BatchView<'_>) {
        let header = batch.header();
        self.advance(header.last_offset());
        let marker = batch.records().ok().and_then(|mut r| r.next()).and_then(Result::ok);
        if let Some(ControlRecord::EndTxn { end: EndTxn::Abort, .. }) =
            marker.as_ref().and_then(ControlRecord::read)
        {
            self.open.remove(&header.producer_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{LeaderEpoch, ProducerEpoch, Timestamp};
    use record::{BatchBuilder, end_txn_marker, patch_base_offset};

    fn data(producer: i64, at: i64) -> Vec<u8> {
        let mut b = BatchBuilder::new()
            .transactional(true)
            .placed(Offset(at), LeaderEpoch(0))
            .producer(ProducerId(producer), ProducerEpoch(0), 0);
        b.push(Timestamp(1), None, Some(b"v"), &[]);
        b.build().unwrap()
    }

    fn marker(producer: i64, at: i64, end: EndTxn) -> Vec<u8> {
        let (id, epoch) = (ProducerId(producer), ProducerEpoch(0));
        let mut bytes = end_txn_marker(id, epoch, end, 0, Timestamp(1)).unwrap();
        patch_base_offset(&mut bytes, Offset(at));
        bytes
    }

    /// Producer 1 aborts 0..2 and commits 4..5; producer 2 commits in between.
    #[test]
    fn a_producer_that_aborted_once_may_commit_later() {
        let log = [
            data(1, 0),
            data(2, 1),
            marker(1, 2, EndTxn::Abort),
            marker(2, 3, EndTxn::Commit),
            data(1, 4),
            marker(1, 5, EndTxn::Commit),
        ];
        let list = [AbortedTransaction { producer_id: ProducerId(1), first_offset: Offset(0) }];
        let mut aborted = Aborted::new(&list);
        let mut kept = Vec::new();
        for bytes in &log {
            let batch = BatchView::first(bytes).unwrap();
            if batch.header().attributes.is_control() {
                aborted.on_control(&batch);
            } else if !aborted.covers(&batch) {
                kept.push(batch.header().base_offset.0);
            }
        }
        assert_eq!(kept, [1, 4]);
    }
}
