//! Reads sealed segments again, slowly, so that damage is known before a reader meets it.
//!
//! A round goes over all sealed segments of the core's partitions whose bytes are all in their files, from a partition that
//! chance names: a process that is restarted often comes to all of them too. Each batch is checked like one that a reader
//! asked for: checksum, offsets that continue, leader epochs. Nothing is changed, and nothing is noted on disk. Behind a batch
//! that is damaged it goes on with the next one that the segment's index knows.
//!
//! It keeps to its rate, and waits while producers or readers are at the device; but not longer than ten seconds for a window
//! of 256 KiB, or a broker that is never idle would never be looked through.

use crate::compact::CompactFailure;
use crate::compact::source::Source;
use crate::partition::Shared;
use crate::store::Store;
use ids::PartitionId;
use log::SegmentName;
use std::time::Duration;

/// How often it looks whether it may go on.
const LOOK: Duration = Duration::from_millis(100);
/// It waits no longer than this for the others.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// After so many bytes it pauses: a pause for each of many small batches would cost more than they do.
const BURST: u64 = 256 * 1024;

/// A segment of which everything is damaged need not be told batch by batch.
const FINDINGS_MAX: u32 = 16;

/// A segment that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrubFinding {
    /// Of which partition.
    pub partition: PartitionId,
    /// Which segment.
    pub segment: SegmentName,
    /// Where in it, and what is wrong.
    pub why: String,
}

impl Store {
    /// Goes once over all sealed segments, `rate` bytes in a second (0 stops it until it is more), and tells what it finds, at
    /// most 16 things of each segment.
    pub async fn scrub(&self, rate: impl Fn() -> f64, mut found: impl FnMut(ScrubFinding)) {
        let mut ids = self.partitions();
        let first = self.inner.rt.random() as usize % ids.len().max(1);
        ids.rotate_left(first);
        for id in ids {
            let Ok(p) = self.partition(id) else { continue };
            for name in settled(&p) {
                let mut tell =
                    |why: String| found(ScrubFinding { partition: id, segment: name, why });
                self.scrub_segment(&p, name, &rate, &mut tell).await;
            }
        }
    }

    /// Tells what is wrong with the segment; nothing also if it has left the log meanwhile.
    async fn scrub_segment(
        &self,
        p: &Shared,
        name: SegmentName,
        rate: &impl Fn() -> f64,
        found: &mut impl FnMut(String),
    ) {
        let Some(mut source) = Source::open(self, p, name, name.base) else { return };
        let (mut burst, mut findings) = (0, 0);
        self.pause(0, rate).await;
        loop {
            if self.inner.stopping.get() {
                return;
            }
            match source.next().await {
                Ok(Some(batch)) => {
                    burst += batch.len() as u64;
                    self.inner.count(|c| c.scrub_bytes += batch.len() as u64);
                    if burst >= BURST {
                        drop(batch);
                        self.pause(std::mem::take(&mut burst), rate).await;
                    }
                }
                Ok(None) => {
                    self.pause(burst, rate).await;
                    return;
                }
                Err(e) => {
                    if source.is_gone() {
                        return;
                    }
                    found(match e {
                        CompactFailure::Damaged { position, why, .. } => {
                            format!("damaged at byte {position}: {why}")
                        }
                        other @ (CompactFailure::Refused(_)
                        | CompactFailure::DiskFull
                        | CompactFailure::Io(_)) => format!("cannot be read: {other}"),
                    });
                    findings += 1;
                    if findings == FINDINGS_MAX || !self.skip(p, name, &mut source).await {
                        return;
                    }
                    self.pause(std::mem::take(&mut burst), rate).await;
                }
            }
        }
    }

    /// Goes on behind a damaged batch, with the next one that the index knows; false if it knows none.
    async fn skip(&self, p: &Shared, name: SegmentName, source: &mut Source<'_>) -> bool {
        let position = source.last_position();
        // An index only saves time: one that cannot be read knows nothing.
        let mut known = self.index_entries(p, name).await.unwrap_or_default();
        if let Some(s) = p.borrow().log.segment(name) {
            known.extend_from_slice(s.index.entries());
        }
        let behind = known.iter().map(|e| e.position).filter(|at| *at > position).min();
        behind.is_some_and(|at| source.go_to(at))
    }

    /// Sleeps as long as `bytes` may take, and then while others are at the device.
    async fn pause(&self, bytes: u64, rate: &impl Fn() -> f64) {
        let rt = &self.inner.rt;
        let began = rt.now();
        loop {
            if self.inner.stopping.get() {
                return;
            }
            let rate = rate();
            let due = Duration::try_from_secs_f64(bytes as f64 / rate).unwrap_or(Duration::MAX);
            let since = rt.now().since(began);
            let late = since > due.saturating_add(WAIT_MAX);
            if rate > 0.0 && since >= due && (late || !self.is_busy()) {
                return;
            }
            let left = due.saturating_sub(since);
            rt.sleep(if left.is_zero() { LOOK } else { left.min(LOOK * 10) }).await;
        }
    }

    /// Producers wait for the device, or readers are at it.
    fn is_busy(&self) -> bool {
        self.queued_bytes() > 0 || self.inner.cold.is_busy()
    }
}

/// The sealed segments whose bytes are all in their files.
fn settled(p: &Shared) -> Vec<SegmentName> {
    let p = p.borrow();
    let of = |s: &log::Segment| p.files.get(&s.name).is_some_and(|f| f.written >= s.len);
    let sealed = p.log.segments().iter().filter(|s| p.log.is_sealed(s.name));
    sealed.filter(|s| s.len > 0 && of(s)).map(|s| s.name).collect()
}
