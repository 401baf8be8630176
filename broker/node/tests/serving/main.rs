//! Scenes with a broker of the built binary: what it answers, in which order, and what it goes on with when something is
//! short or lost.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod asking;
mod broker;
mod duplicates;
mod flushing;
mod line;
mod list_offsets;
mod lost_commit;
mod order;
mod requests;
mod sharing;
mod stopping;
mod unheard;
