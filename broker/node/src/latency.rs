//! Where the time went: from the cores' stopwatches to the admin address.
//!
//! Once a second every data core hands over what it has counted since ([`pulse`]), core 0 puts it into a box, and the control
//! thread takes it from there into its memory ([`observed`]). What is asked for (`/latency`, `/latency/why`, `/latency.hlog`,
//! `/top`, and the histograms of `/metrics`) is phrased beside the control thread, two pages at a time ([`pages`], [`hlog`]):
//! however long that takes, no data core waits for it, nor does `/healthz`. What is not over yet is in none of that: the cores are
//! asked for it when `/latency/why` is ([`progress`]).

pub(crate) mod hlog;
pub(crate) mod observed;
mod owed;
pub(crate) mod pages;
pub(crate) mod progress;
pub(crate) mod pulse;
pub(crate) mod query;

pub(crate) use observed::Observed;
pub(crate) use pulse::{Beat, Pulse, pulse};
