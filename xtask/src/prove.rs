//! Proofs by repetition: what a test shows once, a thousand times.

mod compaction;
mod compare;
mod counts;
mod crash;
pub(crate) mod ecosystem;
mod figures;
mod kill;
mod loopback;
mod options;
mod partitions;
mod powercut;
mod processors;
mod programs;
mod random;
mod round;
mod stages;
mod storms;
mod text;
mod throttled;

pub(crate) use compaction::run as compaction;
pub(crate) use compare::run as compare;
pub(crate) use crash::run as crash;
pub(crate) use figures::run as figures;
pub(crate) use kill::run as kill;
pub(crate) use kill::smoke as kill_smoke;
pub(crate) use partitions::run as partitions;
pub(crate) use powercut::run as powercut;
pub(crate) use powercut::smoke as powercut_smoke;
pub(crate) use stages::run as stages;
pub(crate) use storms::run as storms;
pub(crate) use text::run as text;
