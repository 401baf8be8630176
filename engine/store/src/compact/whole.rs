//! Sealed segments whose last block no file holds yet.
//!
//! A checkpoint would write it; compaction does so itself, because a checkpoint is not wanted for its sake. It only has to be
//! readable from the file: that it is durable there is seen to by the next checkpoint, which syncs the file, or the segment
//! has been replaced by then.

use crate::partition::Shared;
use crate::store::Inner;
use crate::writer;
use ids::Offset;
use log::SegmentName;
use std::io;
use std::rc::Rc;

/// Brings every segment that ends at or below `end` wholly into its file; false if that cannot be, or not now.
pub(super) async fn bring_to_files(inner: &Rc<Inner>, p: &Shared, end: Offset) -> io::Result<bool> {
    loop {
        if p.borrow().deleted || inner.stopping.get() {
            return Ok(false);
        }
        let Some((name, len)) = first_in_part(p, end) else { return Ok(true) };
        if p.borrow().durable_bytes(name) < len {
            return Ok(false);
        }
        if p.borrow().writing {
            inner.writing_done.notified().await;
            continue;
        }
        let held = writer::is_held(inner, &p.borrow());
        if held {
            inner.checkpoint_done.notified().await;
            continue;
        }
        p.borrow_mut().writing = true;
        let result = writer::write_segment(inner, p, name, len, true).await;
        p.borrow_mut().writing = false;
        inner.writing_done.notify_all();
        result?;
        if first_in_part(p, end).is_some_and(|(again, _)| again == name) {
            return Ok(false);
        }
    }
}

/// The first segment of which the file does not hold everything, and its length.
fn first_in_part(p: &Shared, end: Offset) -> Option<(SegmentName, u32)> {
    let p = p.borrow();
    let written = |name| p.files.get(&name).map_or(0, |f| f.written);
    let mut sealed = p.log.segments().iter().filter(|s| s.end <= end);
    sealed.find(|s| written(s.name) < s.len).map(|s| (s.name, s.len))
}
