//! What the node implements: requests in, answers out.

use crate::close::CloseReason;
use crate::connection::{Frame, Reply};
use stages::Laps;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;

/// What becomes of a request whose client has gone before it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisconnect {
    /// It runs to its end, and its answer is dropped. For everything that changes something in several steps.
    Finish,
    /// Its future is dropped at once. For what only waits: a parked Fetch must not outlive its client.
    Drop,
}

/// Answers requests. One per core; called on that core only.
pub trait Handler: 'static {
    /// What is remembered per connection: listener, principal, client software, fetch sessions.
    type Session: 'static;

    /// A connection was accepted. `local` tells the listener.
    fn open(&self, peer: SocketAddr, local: SocketAddr) -> Self::Session;

    /// Answers one request. Its stopwatch runs since its first bytes came; it comes back with the answer.
    ///
    /// Called in the order of the connection's requests; the future is polled once at once, so that what it does before its
    /// first wait happens in order, too. Then the requests of a connection run concurrently, unless
    /// [`Handler::settles_first`] says otherwise, and the server puts the answers back in order. The connection's slot and limits count until all of its futures have ended.
    fn handle(
        &self,
        session: &Rc<Self::Session>,
        frame: Frame,
        laps: Laps,
    ) -> impl Future<Output = (Reply, Laps)> + 'static;

    /// The answer has left, or there is none to send, or the client has gone before ([`Laps::is_unread`]): the last lap is over. Not
    /// called for requests that were dropped ([`OnDisconnect::Drop`]) while they were parked ([`Laps::is_in`]), nor for those behind
    /// one that closes the connection.
    fn answered(&self, session: &Self::Session, laps: &Laps) {
        let _ = (session, laps);
    }

    /// The longest frame that may come next, if less than `socket.request.max.bytes`: little is accepted from a client that
    /// has not authenticated itself.
    fn request_bytes_max(&self, session: &Self::Session) -> usize {
        let _ = session;
        usize::MAX
    }

    /// What becomes of this request if the client goes before it is answered. Asked before [`Handler::handle`].
    fn on_disconnect(&self, session: &Self::Session, frame: &[u8]) -> OnDisconnect {
        let _ = (session, frame);
        OnDisconnect::Finish
    }

    /// Whether this request has to be answered before the next one of its connection begins. For what changes something that
    /// the next may ask for: Kafka begins none before the last is answered, and clients count on it. Asked before
    /// [`Handler::handle`].
    fn settles_first(&self, session: &Self::Session, frame: &[u8]) -> bool {
        let _ = (session, frame);
        false
    }

    /// The connection has ended. Requests of it may still be in progress.
    fn closed(&self, session: &Rc<Self::Session>, reason: CloseReason) {
        let _ = (session, reason);
    }
}
