//! What measurements of this process have left open: records that nobody had received when they ended.
//!
//! A broker runs a produce to its end though the client that sent it has gone. A record that one repeat gave up may come while the next
//! one reads, and so may one of a search's last try where all tries use one topic. By its stamp it is another run's.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::verify::{Earlier, Stretch};

/// By the names of the topics: another topic's records are strangers. A measurement that was received whole leaves nothing.
static OPEN: Mutex<BTreeMap<Vec<String>, Arc<Earlier>>> = Mutex::new(BTreeMap::new());

/// What is open of these topics.
pub(super) fn of(topics: &[String]) -> Arc<Earlier> {
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.get(topics).cloned().unwrap_or_default()
}

/// This run ends and leaves these records of (producer, which) in this partition.
pub(super) fn leave(topics: &[String], run: u32, partition: u32, records: Vec<(u32, Stretch)>) {
    if records.is_empty() {
        return;
    }
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let earlier = open.entry(topics.to_vec()).or_default();
    Arc::make_mut(earlier).leave(run, partition, records);
}
