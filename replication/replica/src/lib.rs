//! Leader and follower of one partition: in-sync set, high watermark, fetch as acknowledgement.
//!
//! The leader's part is here: three ends of its log (appended, written, durable), the ends that followers report, and the
//! high watermark that follows from them. The in-sync set is what the controller's records
//! say; with one broker it is that broker, and the high watermark follows its own disk. Decisions to grow or shrink the
//! set, and the follower's part, come with the second node.
//!
//! Pure: no I/O, no clock.
#![forbid(unsafe_code)]

mod ends;
mod leader;

pub use ends::{AckedAt, Ends};
pub use leader::{Event, Leader, LeaderStart, NotEnoughReplicas};
