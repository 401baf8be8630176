//! Reads a partition as consumers would: from its start to its end, and here and there.

use crate::model::Found;
use crate::random::Random;
use ids::{Offset, PartitionId};
use ringwood_store::Store;

/// Everything of one partition, in reads of at most `chunk` bytes.
pub(crate) async fn read_all(store: &Store, id: PartitionId, chunk: usize) -> Found {
    let mut f = Found { incomplete: store.incomplete(id), ..Found::default() };
    match store.with_log(id, |l| (l.start().0, l.end().0)) {
        Ok((start, end)) => (f.start, f.end) = (start, end),
        Err(e) => {
            f.broken = Some(e.to_string());
            return f;
        }
    }
    let mut at = f.start;
    while at < f.end {
        match store.read(id, Offset(at), Offset(f.end), chunk, true).await {
            Ok(read) if read.bytes > 0 => {
                let from = f.bytes.len();
                for s in &read.slices {
                    f.bytes.extend_from_slice(s);
                }
                match crate::batch::cut(&f.bytes[from..]) {
                    Ok(batches) => at = batches.last().map_or(at, |b| b.1),
                    Err(e) => {
                        f.broken = Some(e);
                        break;
                    }
                }
            }
            Ok(_) => {
                f.broken = Some(format!("nothing at {at} of {}", f.end));
                break;
            }
            Err(e) => {
                f.broken = Some(e.to_string());
                break;
            }
        }
    }
    f
}

/// What a reader of committed data is told: how far he may read, and what was aborted.
pub(crate) async fn transactions(store: &Store, id: PartitionId, f: &mut Found) {
    let (start, end) = (Offset(f.start), Offset(f.end));
    f.stable = store.last_stable(id, end).map_or(-1, |stable| stable.0);
    let found = store.aborted_transactions(id, start, end).await;
    f.aborted = found
        .map(|all| all.into_iter().map(|t| (t.producer_id.0, t.first.0, t.last.0)).collect())
        .map_err(|e| e.to_string());
}

/// Some offsets are looked up by themselves: the index must lead to the batches that were read in order.
pub(crate) async fn look_up(store: &Store, id: PartitionId, f: &mut Found, places: u64) {
    let mut random = Random::new(places);
    let Ok(batches) = crate::batch::cut(&f.bytes) else { return };
    for _ in 0..3 {
        let nth = usize::try_from(random.below(batches.len() as u64)).unwrap();
        let Some((base, end, bytes)) = batches.get(nth) else { return };
        let at = (*base).max(f.start) + i64::try_from(random.below(2)).unwrap();
        let at = at.min(end - 1);
        let wrong = match store.read(id, Offset(at), Offset(f.end), 1, true).await {
            Ok(read) => {
                let found: Vec<u8> = read.slices.iter().flat_map(|s| s.iter().copied()).collect();
                (found != *bytes).then(|| format!("offset {at} leads to another batch"))
            }
            Err(e) => Some(format!("offset {at} by itself: {e}")),
        };
        if wrong.is_some() {
            f.broken = wrong;
            return;
        }
    }
}
