//! A client's connections to the leaders of its partitions, and how they are made anew when one breaks.

use std::{
    sync::{Arc, mpsc},
    thread,
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
    /// Where the log of each partition begins, where that was asked.
    pub(super) starts: Vec<i64>,
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
        let of_partition = leaders.of_partition.clone();
        Ok(Self { sockets, of_partition, identity, starts: Vec::new() })
    }
}

/// Connections that are being made on a thread of their own, so that the worker's other clients keep their schedule.
#[derive(Debug)]
pub(super) struct Repair {
    links: mpsc::Receiver<Links>,
    /// Somebody waits for them, as long as this is there.
    _wanted: Arc<()>,
}

impl Repair {
    /// Begins those of a producer. `pause`: between two attempts.
    pub(super) fn of_producer(target: &Arc<Target>, idempotent: bool, pause: Duration) -> Self {
        let target = Arc::clone(target);
        Self::trying(pause, move || {
            let leaders = target.leaders().ok()?;
            Links::connect(&target, &leaders, idempotent).ok()
        })
    }

    /// Begins those of a consumer. `is_astray`: it has asked for an offset that is not there, and is to know where the logs begin.
    pub(super) fn of_consumer(target: &Arc<Target>, is_astray: bool, pause: Duration) -> Self {
        let target = Arc::clone(target);
        Self::trying(pause, move || {
            let starts = if is_astray { target.offsets(-2).ok()? } else { Vec::new() };
            let leaders = target.leaders().ok()?;
            let links = Links::connect(&target, &leaders, false).ok()?;
            Some(Links { starts, ..links })
        })
    }

    /// Tries until it works or nobody waits for it: a broker may be away for as long as it replays its log.
    fn trying(
        pause: Duration,
        mut attempt: impl FnMut() -> Option<Links> + Send + 'static,
    ) -> Self {
        let (sender, links) = mpsc::sync_channel(1);
        let wanted = Arc::new(());
        let waiting = Arc::downgrade(&wanted);
        thread::spawn(move || {
            // An attempt is bounded in time by the connection's own patience: the thread outlives its use by no more than that.
            while waiting.strong_count() > 0 {
                thread::sleep(pause);
                if let Some(links) = attempt() {
                    // Nobody may be there any more who wants them.
                    let _ = sender.send(links);
                    return;
                }
            }
        });
        Self { links, _wanted: wanted }
    }

    /// The connections, once they are there.
    pub(super) fn finished(&self) -> Option<Links> {
        self.links.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Far more than the machine needs; what takes as long has hung.
    const FOREVER: Duration = Duration::from_secs(60);

    #[test]
    fn a_broker_is_found_again_however_long_it_was_away() {
        let attempts = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&attempts);
        let repair = Repair::trying(Duration::ZERO, move || {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            (number == 100_000).then(|| Links {
                sockets: Vec::new(),
                of_partition: vec![7],
                identity: None,
                starts: Vec::new(),
            })
        });
        let links = repair.links.recv_timeout(FOREVER).expect("it is tried until it works");
        assert_eq!((links.of_partition, attempts.load(Ordering::Relaxed)), (vec![7], 100_001));
    }

    #[test]
    fn nobody_waits_any_more() {
        // The attempt's end is dropped with the thread: the channel tells.
        let (lives, ended) = mpsc::channel::<()>();
        let repair = Repair::trying(Duration::ZERO, move || {
            let _ = &lives;
            None
        });
        assert_eq!(
            ended.try_recv(),
            Err(mpsc::TryRecvError::Empty),
            "it goes on while it is wanted"
        );
        drop(repair);
        assert_eq!(ended.recv_timeout(FOREVER), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
