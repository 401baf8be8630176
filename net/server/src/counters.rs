//! What a server counts.

use crate::admission::Refused;
use crate::close::CloseReason;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// A server's counters at one moment. All but the first group only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Connections that are open.
    pub open: usize,
    /// Requests in progress, those of clients that have gone included.
    pub in_flight: usize,
    /// Bytes of the core's room for frames that are in use.
    pub frame_bytes: usize,
    /// The most that were ever in use.
    pub frame_bytes_highest: usize,
    /// Receive buffers that frames keep in use.
    pub receive_buffers: usize,
    /// Bytes of answers that wait to be sent, or are being sent.
    pub send_bytes: usize,

    /// Connections that were accepted and admitted.
    pub accepted: u64,
    /// Connections refused because `max.connections` were open.
    pub refused_total: u64,
    /// Connections refused because too many were open from their address.
    pub refused_per_address: u64,
    /// Failed accepts.
    pub accept_errors: u64,
    /// Connections that have ended, by [`CloseReason::label`].
    pub closed: BTreeMap<&'static str, u64>,
    /// Bytes received.
    pub bytes_in: u64,
    /// Received bytes that were copied before a request was made of them: short ones, those that came in pieces, and those
    /// that had to leave scarce receive buffers.
    pub copied: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Requests that were started.
    pub requests: u64,
    /// Requests whose bytes stayed in the receive buffer.
    pub requests_in_place: u64,
    /// Requests that were answered without waiting for anything.
    pub requests_at_once: u64,
    /// Requests that were dropped with their connection.
    pub requests_dropped: u64,
    /// Sends; `requests` over this is how many answers share one.
    pub sends: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) in_flight: Cell<usize>,
    pub(crate) accepted: Cell<u64>,
    pub(crate) refused_total: Cell<u64>,
    pub(crate) refused_per_address: Cell<u64>,
    pub(crate) accept_errors: Cell<u64>,
    pub(crate) closed: RefCell<BTreeMap<&'static str, u64>>,
    pub(crate) bytes_in: Cell<u64>,
    pub(crate) bytes_out: Cell<u64>,
    pub(crate) requests: Cell<u64>,
    pub(crate) requests_in_place: Cell<u64>,
    pub(crate) requests_at_once: Cell<u64>,
    pub(crate) requests_dropped: Cell<u64>,
    pub(crate) sends: Cell<u64>,
}

impl Counters {
    pub(crate) fn refused(&self, why: Refused) {
        add(
            match why {
                Refused::Total => &self.refused_total,
                Refused::PerAddress => &self.refused_per_address,
            },
            1,
        );
    }

    pub(crate) fn closed(&self, reason: CloseReason) {
        *self.closed.borrow_mut().entry(reason.label()).or_default() += 1;
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            in_flight: self.in_flight.get(),
            accepted: self.accepted.get(),
            refused_total: self.refused_total.get(),
            refused_per_address: self.refused_per_address.get(),
            accept_errors: self.accept_errors.get(),
            closed: self.closed.borrow().clone(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            requests: self.requests.get(),
            requests_in_place: self.requests_in_place.get(),
            requests_at_once: self.requests_at_once.get(),
            requests_dropped: self.requests_dropped.get(),
            sends: self.sends.get(),
            ..Snapshot::default()
        }
    }
}

pub(crate) fn add(counter: &Cell<u64>, n: usize) {
    counter.set(counter.get().saturating_add(n as u64));
}
