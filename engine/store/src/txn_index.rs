//! The transaction index: which transactions were aborted, so that a reader of committed data can leave their records out
//! (KIP-98).
//!
//! Each segment knows the aborted transactions whose markers it holds. The log notes them when it takes an abort marker, in
//! memory; a replay of the ring does the same. A checkpoint brings whole blocks of them to the segment's `.txnindex`, all of
//! them when the segment is sealed, and the manifest holds the rest: so a start reads no index.
//!
//! A search reads blocks of the file, and checks every entry. A file that is missing or not as it was written is made good
//! from the log: it is followed from where the oldest transaction begins that was open at the segment's first offset, which
//! the segment knows, and the next checkpoint writes the file anew.
//!
//! | file | what |
//! |---|---|
//! | `txn_index/search.rs` | what was aborted among these offsets |
//! | `txn_index/file.rs` | the file: written by checkpoints, read by searches |
//! | `txn_index/follow.rs` | transactions as the log has them, batch by batch |

mod file;
mod follow;
mod search;

pub(crate) use self::file::{each, write};
pub(crate) use self::follow::follow;
pub(crate) use self::search::kept;

use crate::compact::end_of_transaction;
use record::{BatchView, EndTxn};

/// Whether a control batch aborts its producer's transaction.
pub(crate) fn aborts(batch: &[u8]) -> bool {
    let view = BatchView::first(batch).ok();
    view.and_then(|b| end_of_transaction(&b).ok()).flatten() == Some(EndTxn::Abort)
}
