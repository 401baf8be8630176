//! The aborted transactions that each segment knows: those of its transaction index, and those in the manifest or the ring.

use super::Inspector;
use crate::txn_index;
use ids::PartitionId;
use log::{AbortedTxn, SegmentName};

/// An aborted transaction, as the segment knows it that holds its marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbortedLine {
    /// The partition.
    pub partition: PartitionId,
    /// The segment with the marker.
    pub segment: SegmentName,
    /// The segment's transaction index has it; otherwise the manifest or the ring.
    pub in_file: bool,
    /// The transaction, or why the rest of the index cannot be read.
    pub txn: Result<AbortedTxn, String>,
}

impl Inspector {
    /// Goes through the aborted transactions of the partitions that `only` names, in the order of their markers.
    pub async fn dump_aborted(
        &self,
        only: impl Fn(PartitionId) -> bool,
        mut tell: impl FnMut(AbortedLine),
    ) {
        for c in self.looked() {
            for partition in c.store.partitions().into_iter().filter(|id| only(*id)) {
                let Ok(p) = c.store.partition(partition) else { continue };
                let names: Vec<_> = p.borrow().log.segments().iter().map(|s| s.name).collect();
                for segment in names {
                    let mut line =
                        |in_file, txn| tell(AbortedLine { partition, segment, in_file, txn });
                    let take = |txn| {
                        line(true, Ok(txn));
                        true
                    };
                    if let Err(e) = txn_index::each(&c.store, &p, segment, take).await {
                        line(true, Err(e.to_string()));
                    }
                    let p = p.borrow();
                    let tail = p.log.segment(segment).map_or(&[][..], |s| s.aborted.tail());
                    tail.iter().for_each(|txn| line(false, Ok(*txn)));
                }
            }
        }
    }
}
