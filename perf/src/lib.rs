//! How fast the system is as its clients see it: load harness, HDR histograms, compare.
//!
//! One command, `ringwood perf`, against any broker that speaks the Kafka protocol:
//!
//! ```text
//!  spec, schedule, random, stamp     what is asked for; when each record is due; what it says about itself   (pure)
//!  latency, hlog, hgrm, verify, run,
//!  chance                            what was measured, and what it is worth                                 (pure)
//!  protocol                          as much of Kafka as a load needs                                        (pure)
//!  load                              producers, consumers, collector: the only part that sends and waits
//!  measure, quick, gauntlet, curve,
//!  peers, host, memory               which loads are run, and against whom
//!  compare, show, view               runs as tables, plots and pages
//!  ceiling, machine                  what the machine could do at most, and what it is
//!  interrupt, early                  a signal ends a command as a failure does, with a report of what was finished
//!  progress                          which step of a command is under way, and what is left
//!  awake                             the client's processors are kept from sleeping, where that is asked for
//! ```
#![forbid(unsafe_code)]

mod awake;
pub mod ceiling;
pub mod chance;
pub mod command;
pub mod compare;
pub mod curve;
mod early;
pub mod failure;
pub mod gauntlet;
pub mod hgrm;
pub mod hlog;
pub mod host;
mod interrupt;
pub mod latency;
pub mod load;
pub mod machine;
pub mod measure;
mod memory;
mod own;
pub mod peers;
mod progress;
pub mod protocol;
pub mod quick;
pub mod random;
pub mod run;
pub mod schedule;
pub mod show;
pub mod spec;
pub mod stamp;
mod terminal;
pub mod verify;
mod view;

pub use command::{Command, run};
