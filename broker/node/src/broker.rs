//! What the connections of one core share.

use crate::api::FetchSessions;
use crate::metadata::Metadata;
use crate::shard::Shard;
use record::Decompressor;
use runtime::Runtime;
use server::{Frame, Handler, OnDisconnect, Reply};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use wire::api::ApiKey;

/// Requests by API since the start.
#[derive(Default)]
pub(crate) struct Counters {
    requests: RefCell<BTreeMap<i16, u64>>,
    pub(crate) records_in: Cell<u64>,
    pub(crate) bytes_in: Cell<u64>,
    pub(crate) bytes_out: Cell<u64>,
}

impl Counters {
    pub(crate) fn count(&self, key: ApiKey) {
        *self.requests.borrow_mut().entry(key.code()).or_default() += 1;
    }

    pub(crate) fn requests(&self) -> Vec<(ApiKey, u64)> {
        let all = self.requests.borrow();
        all.iter().filter_map(|(k, n)| ApiKey::from_code(*k).map(|k| (k, *n))).collect()
    }
}

/// One core's broker.
pub(crate) struct Broker {
    pub(crate) rt: Runtime,
    pub(crate) shard: Rc<Shard>,
    pub(crate) metadata: Rc<Metadata>,
    pub(crate) data_dir: String,
    pub(crate) counters: Counters,
    pub(crate) decompressor: RefCell<Decompressor>,
    pub(crate) fetch_sessions: RefCell<FetchSessions>,
}

/// One connection's state.
pub(crate) struct Session {
    /// The client's host, for the log.
    #[expect(dead_code, reason = "read by the group coordinator, which shows it")]
    pub(crate) peer: SocketAddr,
}

/// The handler that the server calls.
#[derive(Clone)]
pub(crate) struct Requests(pub(crate) Rc<Broker>);

impl Handler for Requests {
    type Session = Session;

    fn open(&self, peer: SocketAddr, _local: SocketAddr) -> Session {
        Session { peer }
    }

    fn handle(&self, session: &Rc<Session>, frame: Frame) -> impl Future<Output = Reply> + 'static {
        crate::api::answer(Rc::clone(&self.0), Rc::clone(session), frame)
    }

    fn on_disconnect(&self, _session: &Session, frame: &[u8]) -> OnDisconnect {
        // A parked fetch must not outlive its client; everything else runs to its end.
        let fetch = frame.get(..2) == Some(&ApiKey::Fetch.code().to_be_bytes()[..]);
        if fetch { OnDisconnect::Drop } else { OnDisconnect::Finish }
    }
}
