//! From a configuration to a broker that serves, and to its end.

use crate::admin;
use crate::api::FetchSessions;
use crate::broker::{Broker, Counters, Requests};
use crate::config::NodeConfig;
use crate::metadata::{self, METADATA, METADATA_TOPIC, Metadata};
use crate::metrics;
use crate::say::{self, exit};
use crate::shard::{Shard, store_config};
use cluster::config::{Durability, TopicConfig};
use cluster::{BrokerRegistered, Controller, DirectoryId, Endpoint};
use ids::{BrokerId, CoreId, LeaderEpoch, TopicId};
use record::Decompressor;
use runtime::{Listen, Runtime, RuntimeConfig};
use server::{ConnectionLimits, Server};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use store::{DataDir, OpenError, Store};

/// Why a node does not start.
struct Stopped {
    what: String,
    cause: String,
    remedy: String,
}

fn stopped(what: impl Into<String>, cause: impl ToString, remedy: impl Into<String>) -> Stopped {
    Stopped { what: what.into(), cause: cause.to_string(), remedy: remedy.into() }
}

/// How often the stop flag is looked at.
const WATCH: Duration = Duration::from_millis(100);
/// How long an address in use is tried again.
const LISTEN_RETRY: Duration = Duration::from_secs(3);
/// How long connections may finish what is in progress.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs a broker until it is told to stop.
pub(crate) fn run(config: NodeConfig) -> ExitCode {
    // Half a broker is the worst failure: whatever panics takes the process with it.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        std::process::abort();
    }));
    let runtime = RuntimeConfig { core: CoreId(0), memory_limit: config.memory, pin: None };
    let ran = runtime::run(&runtime, |rt| serve(rt, config));
    match ran {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(e)) => {
            say::error(&e.what, &e.cause, &e.remedy);
            ExitCode::from(exit::FAILED)
        }
        Err(e) => {
            say::error(
                "the reactor cannot start",
                &format!("io_uring is refused: {e}"),
                "run `ringwood doctor`, which explains each prerequisite",
            );
            ExitCode::from(exit::FAILED)
        }
    }
}

async fn serve(rt: Runtime, config: NodeConfig) -> Result<(), Stopped> {
    let shared = Arc::new(admin::Shared::default());
    let admin_at = config.admin.resolve().ok_or_else(|| {
        stopped(format!("cannot resolve {}", config.admin), "unknown host", "check --admin")
    })?;
    admin::start(admin_at, Arc::clone(&shared)).map_err(|e| {
        let what = format!("cannot listen on {}", config.admin);
        stopped(what, e, "choose another with --admin, or stop what listens there")
    })?;
    let (broker, directory, records) = recover(&rt, &config).await?;
    let server = listen(&rt, &config, &broker).await?;
    shared.set_ready();
    banner(&rt, &config, &broker, records, &directory);
    housekeeping(&broker);
    let mut turns = 0u32;
    while !shared.is_stopping() {
        if turns.is_multiple_of(10) {
            shared.set_metrics(metrics::text(&broker, &server));
        }
        turns = turns.wrapping_add(1);
        rt.sleep(WATCH).await;
    }
    eprintln!("stopping: connections finish, then everything is flushed");
    let drained = server.drain(DRAIN).await;
    if drained.cut_off > 0 {
        eprintln!("{} connections were cut off", drained.cut_off);
    }
    broker.shard.store.close().await;
    eprintln!("stopped");
    Ok(())
}

async fn recover(
    rt: &Runtime,
    config: &NodeConfig,
) -> Result<(Rc<Broker>, [u8; 16], u64), Stopped> {
    let at = config.data.display().to_string();
    let opening = |e: OpenError| match e {
        OpenError::Locked => stopped(
            format!("cannot open {at}"),
            "another broker uses it",
            "stop it, or choose another directory with --data",
        ),
        e => stopped(format!("cannot open {at}"), e, "see the cause; nothing has been changed"),
    };
    let data = DataDir::open(rt, &config.data, 1, config.ring_bytes).await.map_err(opening)?;
    let store_settings = store::Config {
        ring_bytes: config.ring_bytes,
        flush_every: Duration::from_secs(1),
        free_bytes_min: config.reserve,
        ..store::Config::default()
    };
    let base = store_config(&TopicConfig::defaults());
    let (store, report) =
        store::open(rt, &data, CoreId(0), store_settings, |_| base).await.map_err(opening)?;
    for (partition, why) in &report.incomplete {
        eprintln!("partition {partition} is incomplete and takes no writes: {why}");
    }
    let me = BrokerId(config.node_id);
    let mut controller = Controller::new(me, config.fixed.clone());
    let records = metadata::replay(&store, &mut controller)
        .await
        .map_err(|e| stopped("the metadata log cannot be read", e, "restore the data directory"))?;
    drop_strays(&store, &controller, report.incomplete.is_empty()).await;
    let shard = Shard::new(rt.clone(), store, me);
    let internal = Rc::new(internal_config());
    shard.lead(METADATA, METADATA_TOPIC, next_epoch(&shard.store), 1, internal);
    let metadata =
        Metadata::new(rt.clone(), Rc::clone(&shard), me, controller, config.fixed.clone());
    register(rt, config, &metadata, data.uuid()).await?;
    metadata.lead_all();
    shard.store.all_named();
    let broker = Rc::new(Broker {
        rt: rt.clone(),
        shard,
        metadata,
        data_dir: at,
        counters: Counters::default(),
        decompressor: RefCell::new(Decompressor::new()),
        fetch_sessions: RefCell::new(FetchSessions::default()),
    });
    Ok((broker, data.uuid(), report.records + records))
}

/// Always flushed before it is acknowledged, and never cleaned.
fn internal_config() -> TopicConfig {
    TopicConfig {
        durability: Durability::Fsync,
        max_message_bytes: u32::MAX,
        ..TopicConfig::defaults()
    }
}

/// The metadata log's own epoch rises with every start.
fn next_epoch(store: &Store) -> LeaderEpoch {
    let latest = store.with_log(METADATA, |l| l.epochs().latest());
    LeaderEpoch(latest.map_or(0, |e| e.0.saturating_add(1)))
}

async fn register(
    rt: &Runtime,
    config: &NodeConfig,
    metadata: &Metadata,
    directory: [u8; 16],
) -> Result<(), Stopped> {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&rt.random().to_be_bytes());
    id[8..].copy_from_slice(&rt.random().to_be_bytes());
    let cluster_id = TopicId(id).to_string();
    let known = metadata.image().broker(metadata.me).map_or(0, |b| b.incarnation);
    let wall = u64::try_from(rt.wall().0).unwrap_or(0);
    let registration = BrokerRegistered {
        broker: metadata.me,
        incarnation: wall.max(known + 1),
        endpoints: vec![Endpoint {
            listener: "PLAINTEXT".into(),
            host: config.advertise.host.clone(),
            port: config.advertise.port,
        }],
        rack: metadata.settings().rack,
        cores: 1,
        directory: DirectoryId(directory),
    };
    metadata.register(&cluster_id, registration).await.map_err(|e| {
        stopped("the broker cannot register", format!("{e:?}"), "check node.id and --advertise")
    })
}

/// Deletes what no topic owns: a crash came between a topic's deletion and that of its files. Only if everything was read
/// whole.
async fn drop_strays(store: &Store, controller: &Controller, whole: bool) {
    if !whole {
        return;
    }
    let mut known: BTreeSet<_> =
        controller.image().topics().flat_map(|t| t.partition_ids().collect::<Vec<_>>()).collect();
    known.insert(METADATA);
    for id in store.partitions() {
        if !known.contains(&id)
            && let Err(e) = store.delete(id).await
        {
            eprintln!("stray partition {id} is not deleted: {e}");
        }
    }
}

async fn listen(
    rt: &Runtime,
    config: &NodeConfig,
    broker: &Rc<Broker>,
) -> Result<Server<Requests>, Stopped> {
    let settings = broker.metadata.settings();
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let limits = ConnectionLimits::new(
        size(settings.max_connections),
        size(settings.max_connections_per_ip),
    );
    let idle = u64::try_from(settings.connections_max_idle_ms).ok().map(Duration::from_millis);
    let request_bytes_max = size(settings.socket_request_max_bytes);
    let server_config = server::Config {
        request_bytes_max,
        idle_max: idle,
        frame_bytes_max: (config.memory / 2).max(request_bytes_max / 3 * 4 + (4 << 20)),
        ..server::Config::default()
    };
    let handler = Rc::new(Requests(Rc::clone(broker)));
    let server = Server::new(rt, handler, server_config, limits);
    let address = config.listen.resolve().ok_or_else(|| {
        stopped(format!("cannot resolve {}", config.listen), "unknown host", "check --listen")
    })?;
    // The kernel may hold the socket of a process that was killed a little longer: until its last request has ended.
    let deadline = rt.now() + LISTEN_RETRY;
    loop {
        match server.listen(address, Listen::default()).await {
            Ok(_) => return Ok(server),
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse && rt.now() < deadline => {
                rt.sleep(Duration::from_millis(20)).await;
            }
            Err(e) => {
                let what = format!("cannot listen on {}", config.listen);
                let remedy = "choose another with --listen, or stop what listens there";
                return Err(stopped(what, e, remedy));
            }
        }
    }
}

fn banner(rt: &Runtime, config: &NodeConfig, broker: &Broker, records: u64, directory: &[u8; 16]) {
    let image = broker.metadata.image();
    let durability = broker.metadata.layers(&image).topic("").durability;
    let durability = match durability {
        Durability::Fsync => "fsync: acknowledged means flushed to the disk",
        Durability::Written => "written: acknowledged means handed to the disk, flushed within 1 s",
    };
    let mib = |n: usize| n >> 20;
    eprintln!("ringwood {}  node {}", env!("CARGO_PKG_VERSION"), config.node_id);
    eprintln!("cores       1, io_uring, {} MiB of buffers", mib(rt.memory().limit()));
    eprintln!(
        "data        {} ({} MiB ring, {} records replayed, directory {})",
        config.data.display(),
        config.ring_bytes >> 20,
        records,
        TopicId(*directory)
    );
    eprintln!("durability  {durability}");
    eprintln!("kafka       {} (clients are told {})", config.listen, config.advertise);
    eprintln!("admin       http://{}/metrics", config.admin);
    for notice in &config.notices {
        eprintln!("note        {notice}");
    }
    eprintln!("next        kcat -b {} -L", config.advertise);
}

/// Retention and the expiry of silent producers.
fn housekeeping(broker: &Rc<Broker>) {
    let me = Rc::clone(broker);
    broker.rt.spawn(async move {
        loop {
            let settings = me.metadata.settings();
            let every = u64::try_from(settings.retention_check_interval_ms).unwrap_or(300_000);
            me.rt.sleep(Duration::from_millis(every.max(1))).await;
            let now = me.rt.wall();
            me.shard.retain(now).await;
            me.shard.store.expire_producers(now, settings.producer_id_expiration_ms);
        }
    });
}
