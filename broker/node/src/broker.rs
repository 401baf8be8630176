//! What the connections of one core share.

use crate::api::{FetchParts, FetchSessions, ProduceLine};
use crate::cleaner::Cleaner;
use crate::groups::Groups;
use crate::latency::progress::Owes;
use crate::metadata::Metadata;
use crate::metadata_log::{MetadataLog, ProposeError};
use crate::post::Post;
use crate::scrubber::Scrubber;
use crate::shard::{PartitionError, Shard};
use cluster::{Controller, Decision};
use ids::{CoreId, PartitionId};
use record::{Compressor, Decompressor};
use runtime::Runtime;
use runtime::sync::Notify;
use server::{Frame, Handler, OnDisconnect, Reply, Server};
use stages::{Laps, Recorder};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use wire::ErrorCode;
use wire::api::ApiKey;

/// Requests by API since the start, and the errors that answers said.
#[derive(Default)]
pub(crate) struct Counters {
    requests: RefCell<BTreeMap<i16, u64>>,
    errors: RefCell<BTreeMap<(i16, i16), u64>>,
    pub(crate) records_in: Cell<u64>,
    pub(crate) bytes_in: Cell<u64>,
    pub(crate) bytes_out: Cell<u64>,
}

impl Counters {
    pub(crate) fn count(&self, key: ApiKey) {
        *self.requests.borrow_mut().entry(key.code()).or_default() += 1;
    }

    /// An answer said these errors.
    pub(crate) fn count_errors(&self, key: ApiKey, codes: &[ErrorCode]) {
        for code in codes {
            *self.errors.borrow_mut().entry((key.code(), code.0)).or_default() += 1;
        }
    }

    /// How often an answer of an API said an error.
    pub(crate) fn errors(&self) -> Vec<(ApiKey, ErrorCode, u64)> {
        let all = self.errors.borrow();
        let known = |((k, e), n): (&(i16, i16), &u64)| {
            ApiKey::from_code(*k).map(|key| (key, ErrorCode(*e), *n))
        };
        all.iter().filter_map(known).collect()
    }

    pub(crate) fn requests(&self) -> Vec<(ApiKey, u64)> {
        let all = self.requests.borrow();
        all.iter().filter_map(|(k, n)| ApiKey::from_code(*k).map(|k| (k, *n))).collect()
    }
}

/// The core of the controller and of the metadata log.
pub(crate) const CONTROLLER: CoreId = CoreId(0);

/// One core's broker. Lives on its core from the end of recovery to the end of the process.
pub(crate) struct Broker {
    pub(crate) rt: Runtime,
    pub(crate) shard: Rc<Shard>,
    pub(crate) metadata: Rc<Metadata>,
    pub(crate) groups: Rc<Groups>,
    /// On core 0.
    pub(crate) controller: Option<Rc<MetadataLog>>,
    pub(crate) post: Post,
    pub(crate) data_dir: String,
    pub(crate) counters: Counters,
    /// Where the time of this core's requests went, since the control thread last asked.
    pub(crate) recorder: RefCell<Recorder>,
    pub(crate) cleaner: Cleaner,
    pub(crate) scrubber: Scrubber,
    pub(crate) decompressor: RefCell<Decompressor>,
    pub(crate) compressor: RefCell<Compressor>,
    pub(crate) fetch_sessions: RefCell<FetchSessions>,
    /// What readers, of this core and of others, have here.
    pub(crate) fetch_parts: FetchParts,
    /// What other cores have not said of requests that stand still.
    pub(crate) owes: Owes,
    /// Once it listens. It holds its broker, as its broker holds it, to the end of the process.
    pub(crate) server: RefCell<Option<Server<Requests>>>,
    /// Rung when this core is to end.
    pub(crate) ended: Notify,
}

impl Broker {
    /// The core that owns a partition.
    pub(crate) fn owner(&self, id: PartitionId) -> CoreId {
        id.owner(self.metadata.cores)
    }

    /// Whether this is that core.
    pub(crate) fn is_here(&self, core: CoreId) -> bool {
        self.rt.core() == core
    }

    /// Decides with the controller; on its core only.
    pub(crate) async fn propose<R>(
        &self,
        decide: impl FnOnce(&mut Controller) -> Decision<R>,
    ) -> Result<R, ProposeError> {
        match &self.controller {
            Some(log) => log.propose(decide).await,
            None => Err(ProposeError::Log(PartitionError::NotLeader)),
        }
    }
}

/// Whether what follows on the same connection may ask for what this changes: `commitAsync` and `committed`, a new topic and its
/// metadata. Produce is not among them: its batches are in order, and a Fetch sees them when they are acknowledged.
fn changes(key: ApiKey) -> bool {
    matches!(
        key,
        ApiKey::OffsetCommit
            | ApiKey::LeaveGroup
            | ApiKey::CreateTopics
            | ApiKey::DeleteTopics
            | ApiKey::DeleteRecords
            | ApiKey::AlterConfigs
            | ApiKey::IncrementalAlterConfigs
            | ApiKey::CreatePartitions
            | ApiKey::DeleteGroups
            | ApiKey::OffsetDelete
    )
}

/// One connection's state.
pub(crate) struct Session {
    /// The client's address, which groups show.
    pub(crate) peer: SocketAddr,
    pub(crate) produces: ProduceLine,
}

/// The handler that the server calls.
#[derive(Clone)]
pub(crate) struct Requests(pub(crate) Rc<Broker>);

impl Handler for Requests {
    type Session = Session;

    fn open(&self, peer: SocketAddr, _local: SocketAddr) -> Session {
        Session { peer, produces: ProduceLine::default() }
    }

    fn handle(
        &self,
        session: &Rc<Session>,
        frame: Frame,
        laps: Laps,
    ) -> impl Future<Output = (Reply, Laps)> + 'static {
        crate::api::answer(Rc::clone(&self.0), Rc::clone(session), frame, laps)
    }

    fn answered(&self, session: &Session, laps: &Laps) {
        self.0.recorder.borrow_mut().record(laps, &session.peer, self.0.rt.now());
    }

    fn on_disconnect(&self, _session: &Session, frame: &[u8]) -> OnDisconnect {
        // A parked fetch must not outlive its client; everything else runs to its end. One that reads goes too: its time is told.
        let fetch = frame.get(..2) == Some(&ApiKey::Fetch.code().to_be_bytes()[..]);
        if fetch { OnDisconnect::Drop } else { OnDisconnect::Finish }
    }

    fn settles_first(&self, _session: &Session, frame: &[u8]) -> bool {
        let key = frame.first_chunk().map(|key| i16::from_be_bytes(*key));
        key.and_then(ApiKey::from_code).is_some_and(changes)
    }
}
