//! A core that serves: its listener, its housekeeping, and its end.

use crate::broker::{Broker, Requests};
use crate::config::NodeConfig;
use crate::node::{Stopped, descriptors, stopped};
use crate::shard::within;
use runtime::Listen;
use server::{ConnectionLimits, Server};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// How long an address in use is tried again.
const LISTEN_RETRY: Duration = Duration::from_secs(3);
/// How long connections may finish what is in progress.
const DRAIN: Duration = Duration::from_secs(5);
/// Retention is applied at least so often while the disk is full, whatever `log.retention.check.interval.ms` says.
const RETENTION_WHILE_FULL: Duration = Duration::from_secs(10);

/// What a core needs to listen.
#[derive(Clone)]
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    pub(crate) limits: ConnectionLimits,
    pub(crate) memory: usize,
    pub(crate) cores: u16,
    /// The most connections that there are descriptors for.
    connections_max: usize,
}

impl Listening {
    pub(crate) fn new(config: &NodeConfig, broker: &Broker) -> Result<Self, Stopped> {
        let settings = broker.metadata.settings();
        // The limit was raised at the start; it only says here what it is.
        let connections_max = descriptors::connections_max(descriptors::raise(), config.cores);
        let limits = ConnectionLimits::new(
            size(settings.max_connections).min(connections_max),
            size(settings.max_connections_per_ip),
        );
        let address = config.listen.resolve().ok_or_else(|| {
            stopped(format!("cannot resolve {}", config.listen), "unknown host", "check --listen")
        })?;
        let (memory, cores) = (config.memory_per_core(), config.cores);
        Ok(Self { address, limits, memory, cores, connections_max })
    }
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// Begins to serve connections on this core.
pub(crate) async fn listen(broker: &Rc<Broker>, how: Listening) -> std::io::Result<()> {
    let settings = broker.metadata.settings();
    let idle = u64::try_from(settings.connections_max_idle_ms).ok().map(Duration::from_millis);
    let request_bytes_max = size(settings.socket_request_max_bytes);
    let config = server::Config {
        request_bytes_max,
        idle_max: idle,
        // Fetch answers hold what the log has in memory, and other answers as much again.
        send_bytes_total_max: (how.memory / 2).max(32 << 20),
        frame_bytes_max: (how.memory / 2).max(request_bytes_max / 3 * 4 + (4 << 20)),
        ..server::Config::default()
    };
    let handler = Rc::new(Requests(Rc::clone(broker)));
    let limits = how.limits.clone();
    let server = Server::new(&broker.rt, handler, config, how.limits);
    let listen = Listen { reuse_port: how.cores > 1, ..Listen::default() };
    // The kernel may hold the socket of a process that was killed a little longer: until its last request has ended.
    let deadline = broker.rt.now() + LISTEN_RETRY;
    loop {
        match server.listen(how.address, listen).await {
            Ok(_) => break,
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse && broker.rt.now() < deadline => {
                broker.rt.sleep(Duration::from_millis(20)).await;
            }
            Err(e) => return Err(e),
        }
    }
    *broker.server.borrow_mut() = Some(server);
    housekeeping(broker);
    if broker.is_here(crate::broker::CONTROLLER) {
        follow_limits(broker, limits, how.connections_max);
    }
    crate::cleaner::start(broker);
    crate::scrubber::start(broker);
    Ok(())
}

/// Takes no more connections, and lets those that are there finish; how many were cut off.
pub(crate) async fn drain(broker: &Rc<Broker>) -> usize {
    let server = broker.server.borrow().clone();
    match server {
        Some(server) => server.drain(DRAIN).await.cut_off,
        None => 0,
    }
}

/// Takes over `max.connections`, as far as there are descriptors, and `max.connections.per.ip` when they change. All cores
/// share the limits: one looks after them. Connections that are open stay.
fn follow_limits(broker: &Rc<Broker>, limits: ConnectionLimits, connections_max: usize) {
    let me = Rc::clone(broker);
    broker.rt.spawn(async move {
        let mut before = None;
        loop {
            let settings = me.metadata.settings();
            let now = (settings.max_connections, settings.max_connections_per_ip);
            if before != Some(now) {
                limits.set(size(now.0).min(connections_max), size(now.1));
                before = Some(now);
            }
            me.rt.sleep(Duration::from_secs(1)).await;
        }
    });
}

/// Retention and the expiry of silent producers. A disk that fills up does not wait for the next look: what retention may take
/// goes at once, and again and again while there is no room.
fn housekeeping(broker: &Rc<Broker>) {
    let me = Rc::clone(broker);
    broker.rt.spawn(async move {
        loop {
            let every = me.metadata.settings().retention_check_interval_ms;
            let every = Duration::from_millis(u64::try_from(every).unwrap_or(300_000).max(1));
            let store = &me.shard.store;
            let full = store.disk_full().is_some();
            let pause = if full { every.min(RETENTION_WHILE_FULL) } else { every };
            // Both ways it is time.
            let _ = within(&me.rt, pause, store.filled_up()).await;
            let now = me.rt.wall();
            me.shard.retain(now).await;
            let expiration_ms = me.metadata.settings().producer_id_expiration_ms;
            me.shard.store.expire_producers(now, expiration_ms).await;
        }
    });
}
