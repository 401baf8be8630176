//! An open connection: its state, and whom to tell when something about it changes.

use crate::admission::Admission;
use crate::close::CloseReason;
use crate::connection::{Connection, Reply, Seq};
use crate::handler::{Handler, OnDisconnect};
use crate::serve::bell::Bell;
use crate::serve::request::RequestWaker;
use ids::Instant;
use runtime::Stream;
use stages::Laps;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// A request that was started and is not over.
pub(crate) struct Pending {
    pub(crate) on_disconnect: OnDisconnect,
    pub(crate) waker: Arc<RequestWaker>,
    /// A second hand on its stopwatch.
    pub(crate) laps: Laps,
}

/// One connection of a core. Born when it is accepted; ends when reader, writer and all requests have ended. The socket is
/// closed earlier: only reader and writer hold it.
pub(crate) struct Live<H: Handler> {
    pub(crate) id: u64,
    pub(crate) session: Rc<H::Session>,
    pub(crate) state: RefCell<Connection>,
    /// Heard by the reader: an answer was completed or sent, or the connection has ended.
    pub(crate) reader: Bell,
    /// Heard by the writer: an answer was completed, or the connection has ended.
    pub(crate) writer: Bell,
    pub(crate) pending: RefCell<BTreeMap<Seq, Pending>>,
    /// The waker of a request that did not need it, for the next one.
    pub(crate) spare: Cell<Option<Arc<RequestWaker>>>,
    /// The stopwatch of a request that is over, for the next one.
    pub(crate) spare_laps: Cell<Laps>,
    stream: RefCell<Option<Rc<Stream>>>,
    ended: Cell<Option<CloseReason>>,
    _admission: Admission,
}

impl<H: Handler> Live<H> {
    pub(crate) fn new(
        id: u64,
        session: H::Session,
        state: Connection,
        stream: Rc<Stream>,
        admission: Admission,
    ) -> Self {
        Self {
            id,
            session: Rc::new(session),
            state: RefCell::new(state),
            reader: Bell::default(),
            writer: Bell::default(),
            pending: RefCell::default(),
            spare: Cell::new(None),
            spare_laps: Cell::default(),
            stream: RefCell::new(Some(stream)),
            ended: Cell::new(None),
            _admission: admission,
        }
    }

    /// Why the connection has ended, if it has.
    pub(crate) fn ended(&self) -> Option<CloseReason> {
        self.ended.get()
    }

    /// Whether a request that was started is still in progress.
    pub(crate) fn is_pending(&self, seq: Seq) -> bool {
        self.pending.borrow().contains_key(&seq)
    }

    /// Whether any is.
    pub(crate) fn is_busy(&self) -> bool {
        !self.pending.borrow().is_empty()
    }

    /// Takes the answer of a request; where the connection has ended there is nobody to read it.
    pub(crate) fn answer(&self, seq: Seq, reply: Reply, laps: Laps, now: Instant) {
        if self.ended.get().is_some() {
            return;
        }
        self.state.borrow_mut().on_reply(seq, reply, laps, now);
        self.writer.ring();
        self.reader.ring();
    }

    /// Ends the connection: memory goes back, reader and writer stop, requests that only wait are dropped. The stopwatches of the
    /// answers that waited to be sent; none if it had ended before.
    pub(crate) fn end(&self, reason: CloseReason) -> Option<Vec<Laps>> {
        if self.ended.get().is_some() {
            return None;
        }
        self.ended.set(Some(reason));
        let is_unread = self.state.borrow().is_unread();
        let unread = self.state.borrow_mut().abandon(reason);
        let stream = self.stream.borrow_mut().take();
        if let Some(stream) = stream {
            if reason.throws_out(is_unread) {
                // What the kernel has taken, often memory of the log, comes back: others wait for it.
                stream.abort();
            } else {
                // What the kernel has taken is still delivered; operations in flight end.
                stream.shutdown();
            }
        }
        self.reader.ring();
        self.writer.ring();
        for pending in self.pending.borrow().values() {
            if pending.on_disconnect == OnDisconnect::Drop {
                pending.waker.wake_up();
            }
        }
        Some(unread)
    }
}
