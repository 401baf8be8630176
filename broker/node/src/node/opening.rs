//! One core, from its part of the data directory to a broker that can answer.

use crate::api::{FetchParts, FetchSessions};
use crate::broker::{Broker, Counters};
use crate::cleaner::Cleaner;
use crate::config::NodeConfig;
use crate::groups::Groups;
use crate::latency::progress::Owes;
use crate::metadata::{METADATA, METADATA_TOPIC, Metadata};
use crate::metadata_log::{self, MetadataLog};
use crate::node::{Stopped, stopped};
use crate::post::{Letter, Post};
use crate::scrubber::Scrubber;
use crate::shard::{Shard, store_config};
use cluster::config::{Durability, TopicConfig};
use cluster::{BrokerRegistered, ClusterImage, Controller, DirectoryId, Endpoint};
use ids::{BrokerId, CoreId, LeaderEpoch, TopicId};
use record::{Compressor, Decompressor};
use runtime::sync::Notify;
use runtime::{Mailbox, Runtime};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use store::{DataDir, OpenError, Report, SharedDir, Store};

/// What a core other than 0 opens with.
pub(crate) struct Opening {
    pub(crate) dir: SharedDir,
    pub(crate) image: ClusterImage,
    /// See [`Opened::deleted`].
    pub(crate) deleted: Arc<BTreeSet<TopicId>>,
}

/// A core that is open, and what it found.
pub(crate) struct Opened {
    pub(crate) broker: Rc<Broker>,
    pub(crate) records: u64,
    /// Topics that the metadata log has seen deleted.
    pub(crate) deleted: Arc<BTreeSet<TopicId>>,
    /// Held until the core has ended: a lock that nobody holds is free for another process.
    pub(crate) dir: DataDir,
}

fn refused(config: &NodeConfig) -> impl Fn(OpenError) -> Stopped {
    let at = config.data.display().to_string();
    move |e| match e {
        OpenError::Locked => stopped(
            format!("cannot open {at}"),
            "another broker uses it",
            "stop it, or choose another directory with --data",
        ),
        e @ (OpenError::Missing
        | OpenError::Io { .. }
        | OpenError::Damaged(_)
        | OpenError::NoSuchCore { .. }) => {
            stopped(format!("cannot open {at}"), e, "see the cause; nothing has been changed")
        }
    }
}

async fn open_store(
    rt: &Runtime,
    config: &NodeConfig,
    dir: &DataDir,
) -> Result<(Store, Report), Stopped> {
    let settings = store::Config {
        ring_bytes: config.ring_bytes,
        flush_every: Duration::from_secs(1),
        free_bytes_min: config.reserve_of(rt.disk().space(&config.data).map_or(0, |s| s.total)),
        ..store::Config::default()
    };
    let base = store_config(METADATA, &TopicConfig::defaults());
    let opened = store::open(rt, dir, rt.core(), settings, |_| base).await;
    let (store, report) = opened.map_err(refused(config))?;
    for (partition, why) in &report.incomplete {
        runtime::tell!("partition {partition} is incomplete and takes no writes: {why}");
    }
    Ok((store, report))
}

/// Opens core 0: takes the lock, replays the metadata log, and registers this start, or goes on to try.
pub(crate) async fn open_first(
    rt: &Runtime,
    config: &NodeConfig,
    mail: Mailbox<Letter>,
) -> Result<Opened, Stopped> {
    let dir = DataDir::open(rt, &config.data, config.cores, config.ring_bytes)
        .await
        .map_err(refused(config))?;
    let (store, report) = open_store(rt, config, &dir).await?;
    let me = BrokerId(config.node_id);
    let mut controller = Controller::new(me, config.fixed.clone());
    let replayed = metadata_log::replay(&store, &mut controller)
        .await
        .map_err(|e| stopped("the metadata log cannot be read", e, "restore the data directory"))?;
    let image = controller.image().clone();
    let deleted = Arc::new(replayed.deleted);
    drop_strays(&store, &image, &deleted, report.incomplete.is_empty()).await;
    let shard = Shard::new(rt.clone(), store, me);
    shard.lead(
        METADATA,
        METADATA_TOPIC,
        next_epoch(&shard.store),
        1,
        Rc::new(config_of_the_metadata_log()),
    );
    let groups = Groups::new(rt.clone(), Rc::clone(&shard), config.memory_per_core());
    let metadata = view(rt, config, &shard, &groups, image);
    metadata.tell_all();
    let post = Post::new(rt.clone(), mail);
    let log = MetadataLog::new(
        rt.clone(),
        Rc::clone(&shard),
        Rc::clone(&metadata),
        post.clone(),
        controller,
    );
    let (cluster_id, registration) = registration(rt, config, &metadata, dir.uuid());
    if log.has_room().is_ok() {
        log.register(&cluster_id, registration).await.map_err(|e| {
            stopped("the broker cannot register", format!("{e:?}"), "check node.id and --advertise")
        })?;
    } else {
        // On a full disk with a full journal nothing can be registered before there is room. Readers need none of it: they are
        // served with the epochs of the life before, and all who would write are refused.
        runtime::tell!(
            "the disk and the journal are full: reads are served, and writes when there is room"
        );
        let (rt, log) = (rt.clone(), Rc::clone(&log));
        rt.clone().spawn(async move {
            match log.register_later(&cluster_id, registration).await {
                Ok(()) => runtime::tell!("there is room again: the broker is registered"),
                Err(e) => rt.fault(format!("the broker cannot register: {e:?}")),
            }
        });
    }
    metadata.lead_all();
    shard.store.all_named();
    let broker = assemble(rt, config, (shard, metadata, groups), Some(log), post);
    Ok(Opened { broker, records: report.records + replayed.records, deleted, dir })
}

/// Opens another core.
pub(crate) async fn open_another(
    rt: &Runtime,
    config: &NodeConfig,
    mail: Mailbox<Letter>,
    opening: Opening,
) -> Result<Opened, Stopped> {
    let dir = DataDir::join(rt, &opening.dir).map_err(refused(config))?;
    let (store, report) = open_store(rt, config, &dir).await?;
    let whole = report.incomplete.is_empty();
    drop_strays(&store, &opening.image, &opening.deleted, whole).await;
    let shard = Shard::new(rt.clone(), store, BrokerId(config.node_id));
    let groups = Groups::new(rt.clone(), Rc::clone(&shard), config.memory_per_core());
    let metadata = view(rt, config, &shard, &groups, opening.image);
    metadata.lead_all();
    shard.store.all_named();
    let post = Post::new(rt.clone(), mail);
    let broker = assemble(rt, config, (shard, metadata, groups), None, post);
    Ok(Opened { broker, records: report.records, deleted: opening.deleted, dir })
}

fn view(
    rt: &Runtime,
    config: &NodeConfig,
    shard: &Rc<Shard>,
    groups: &Rc<Groups>,
    image: ClusterImage,
) -> Rc<Metadata> {
    let me = BrokerId(config.node_id);
    let (shard, groups) = (Rc::clone(shard), Rc::clone(groups));
    Metadata::new(rt.clone(), shard, groups, me, config.cores, image, config.fixed.clone())
}

fn assemble(
    rt: &Runtime,
    config: &NodeConfig,
    (shard, metadata, groups): (Rc<Shard>, Rc<Metadata>, Rc<Groups>),
    controller: Option<Rc<MetadataLog>>,
    post: Post,
) -> Rc<Broker> {
    // Each core has its share of the sessions.
    let slots = usize::try_from(metadata.settings().fetch_session_slots).unwrap_or(usize::MAX);
    let slots = slots.div_ceil(usize::from(config.cores));
    let broker = Rc::new(Broker {
        rt: rt.clone(),
        shard,
        metadata,
        groups,
        controller,
        post,
        data_dir: config.data.display().to_string(),
        counters: Counters::default(),
        recorder: RefCell::new(stages::Recorder::new(crate::api::kinds())),
        cleaner: Cleaner::default(),
        scrubber: Scrubber::default(),
        decompressor: RefCell::new(Decompressor::new()),
        compressor: RefCell::new(Compressor::new()),
        fetch_sessions: RefCell::new(FetchSessions::new(slots)),
        fetch_parts: FetchParts::default(),
        owes: Owes::default(),
        server: RefCell::new(None),
        ended: Notify::new(),
    });
    broker.post.serve(&broker);
    broker
}

/// Always flushed before it is acknowledged, and never cleaned.
fn config_of_the_metadata_log() -> TopicConfig {
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

/// What this start tells the cluster, and the cluster's id should there be none yet.
fn registration(
    rt: &Runtime,
    config: &NodeConfig,
    metadata: &Metadata,
    directory: [u8; 16],
) -> (String, BrokerRegistered) {
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
        rack: metadata.settings().rack.clone(),
        cores: config.cores,
        directory: DirectoryId(directory),
    };
    (cluster_id, registration)
}

/// Deletes what a deleted topic has left: a crash came between its deletion and that of its partitions. Only if everything was
/// read whole. Files go while the broker serves already: a large topic has very many.
///
/// What has no topic at all stays: the metadata log has lost the topic, and the data may be all that is left of it.
async fn drop_strays(
    store: &Store,
    image: &ClusterImage,
    deleted: &BTreeSet<TopicId>,
    whole: bool,
) {
    // A deletion is journalled: on a full disk with a full journal it would wait.
    if !whole || store.lacks_room(METADATA, 0).is_some() {
        return;
    }
    let mut known: BTreeSet<_> =
        image.topics().flat_map(|t| t.partition_ids().collect::<Vec<_>>()).collect();
    known.insert(METADATA);
    let mut strays = Vec::new();
    for id in store.partitions() {
        if known.contains(&id) {
            continue;
        }
        if deleted.contains(&id.topic) {
            strays.push(id);
        } else {
            runtime::tell!(
                "partition {id} belongs to no topic that the metadata log knows: it stays on disk and is not served"
            );
        }
    }
    store.delete_all(&strays).await;
}

/// The numbers of all cores but the first.
pub(crate) fn others(cores: u16) -> impl Iterator<Item = CoreId> {
    (1..cores).map(CoreId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{PartitionId, PartitionIndex, ProducerEpoch, ProducerId, Timestamp};
    use log::BatchMeta;
    use record::BatchBuilder;
    use runtime::sim::{Outcome, SimConfig, World};
    use std::path::Path;
    use store::{Config, PartitionConfig, Thresholds};

    #[test]
    fn only_what_was_deleted_goes_and_what_nobody_knows_stays() {
        let world = World::new(1, SimConfig::default());
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        let ended = world.run(&rt, async move {
            let ring = 1 << 20;
            let dir = DataDir::open(&it, Path::new("/data"), 1, ring).await.unwrap();
            let config = Config { ring_bytes: ring, free_bytes_min: 0, ..Config::default() };
            let usual = |_| PartitionConfig::default();
            let (store, _) = store::open(&it, &dir, CoreId(0), config, usual).await.unwrap();
            let of = |n| PartitionId { topic: TopicId([n; 16]), index: PartitionIndex(0) };
            for id in [of(5), of(6), METADATA] {
                store.create(id, PartitionConfig::default());
            }
            let deleted = BTreeSet::from([TopicId([5; 16])]);
            drop_strays(&store, &ClusterImage::default(), &deleted, false).await;
            assert_eq!(store.partitions().len(), 3, "something could not be read: all stays");
            drop_strays(&store, &ClusterImage::default(), &deleted, true).await;
            let mut left = store.partitions();
            left.sort_unstable();
            let mut expected = vec![of(6), METADATA];
            expected.sort_unstable();
            assert_eq!(left, expected);
        });
        assert!(matches!(ended, Outcome::Done(())));
    }

    fn batch() -> (Vec<u8>, BatchMeta) {
        let mut builder = BatchBuilder::new();
        builder.push(Timestamp(1), None, Some(&[7; 6_000]), &[]);
        let bytes = builder.build().unwrap();
        let meta = BatchMeta {
            len: u32::try_from(bytes.len()).unwrap(),
            offsets: 1,
            max_timestamp: Timestamp(1),
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: -1,
            transactional: false,
            control: false,
        };
        (bytes, meta)
    }

    /// A process was killed when it had deleted a large topic, and none of the topic's partitions yet: what a start does about
    /// them does not grow with their number, nor with their files.
    #[test]
    fn a_large_deleted_topic_costs_a_start_a_few_flushes_and_its_files_go_behind_it() {
        const PARTITIONS: i32 = 1_000;
        const RING: u64 = 32 << 20;
        async fn open(rt: Runtime) -> Store {
            let dir = DataDir::open(&rt, Path::new("/data"), 1, RING).await.unwrap();
            // A checkpoint brings every whole block to its segment.
            let thresholds = Thresholds { blocks_due: 4096, ..Thresholds::default() };
            let config =
                Config { ring_bytes: RING, free_bytes_min: 0, thresholds, ..Config::default() };
            let usual = |_| PartitionConfig::default();
            store::open(&rt, &dir, CoreId(0), config, usual).await.unwrap().0
        }
        let topic = TopicId([5; 16]);
        let world = World::new(2, SimConfig::default());
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        let filled = world.run(&rt, async move {
            let store = open(it).await;
            let (bytes, meta) = batch();
            for index in (0..PARTITIONS).map(PartitionIndex) {
                let id = PartitionId { topic, index };
                store.create(id, PartitionConfig::default());
                store.admit(bytes.len()).await;
                store.append(id, &bytes, &meta, LeaderEpoch(0), Timestamp(1)).unwrap();
            }
            store.checkpoint().await;
        });
        filled.expect_done();
        world.kill(node);

        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        let opened = world.run(&rt, async move {
            let store = open(it).await;
            assert_eq!(store.partitions().len(), 1_000);
            let before = store.counters().1.flushes;
            let deleted = BTreeSet::from([topic]);
            drop_strays(&store, &ClusterImage::default(), &deleted, true).await;
            let flushes = store.counters().1.flushes - before;
            assert!(flushes <= 8, "{flushes} flushes for {PARTITIONS} partitions");
            assert!(store.partitions().is_empty());
            store
        });
        let store = opened.expect_done();
        let left = || {
            let files = world.disk_image(node);
            files.keys().filter(|path| path.starts_with("/data/topics")).count()
        };
        assert!(left() > 500, "the start has waited for its files, {} are left", left());
        world.run(&rt, async move { store.removed().await }).expect_done();
        assert_eq!(left(), 0);
        world.kill(node);
    }
}
