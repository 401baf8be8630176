//! A client's connections to the leaders of its partitions, and how they are made anew when one breaks.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use super::{
    socket::Socket,
    target::{Leaders, Target, connect},
};
use crate::failure::Failure;

/// Fresh connections, one to each leader.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) sockets: Vec<Socket>,
    /// For each partition over all topics, the place of its leader's socket.
    pub(super) of_partition: Vec<usize>,
    /// Producer id and epoch where the client is idempotent.
    pub(super) identity: Option<(i64, i16)>,
}

impl Links {
    /// Connects to these leaders.
    pub(super) fn connect(
        target: &Target,
        leaders: &Leaders,
        idempotent: bool,
    ) -> Result<Self, Failure> {
        let sockets = leaders
            .addresses
            .iter()
            .map(|address| {
                Socket::new(connect(address)?)
                    .map_err(|e| Failure::Unreachable(format!("{address}: {e}")))
            })
            .collect::<Result<_, _>>()?;
        let identity = if idempotent { Some(target.producer_id()?) } else { None };
        Ok(Self { sockets, of_partition: leaders.of_partition.clone(), identity })
    }
}

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections that are being made on a thread of their own, so that the worker's other clients keep their schedule.
#[derive(Debug)]
pub(super) struct Repair {
    links: mpsc::Receiver<Links>,
}

impl Repair {
    /// Begins; it is tried until it works or nobody waits for it.
    pub(super) fn begin(target: &Arc<Target>, idempotent: bool) -> Self {
        let (sender, links) = mpsc::sync_channel(1);
        let target = Arc::clone(target);
        std::thread::spawn(move || {
            // A worker that has ended has dropped its end: the next finished attempt finds that out. Attempts are bounded in
            // time by the connection's own patience, and in number so that a thread never outlives its use by long.
            for _ in 0..600 {
                std::thread::sleep(PAUSE);
                let links = target.leaders().and_then(|l| Links::connect(&target, &l, idempotent));
                if let Ok(links) = links {
                    let _ = sender.send(links);
                    return;
                }
            }
        });
        Self { links }
    }

    /// The connections, once they are there.
    pub(super) fn finished(&self) -> Option<Links> {
        self.links.try_recv().ok()
    }
}
