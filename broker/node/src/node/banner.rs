//! What `ringwood start` says when it serves.

use crate::broker::Broker;
use crate::config::NodeConfig;
use crate::node::file_system;
use cluster::config::Durability;
use ids::TopicId;
use runtime::Runtime;
use store::DataDir;

pub(crate) fn print(
    rt: &Runtime,
    config: &NodeConfig,
    broker: &Broker,
    records: u64,
    dir: &DataDir,
) {
    let image = broker.metadata.image();
    let durability = match broker.metadata.layers(&image).topic("").durability {
        Durability::Fsync => "fsync: acknowledged means flushed to the disk",
        Durability::Written => "written: acknowledged means handed to the disk, flushed within 1 s",
    };
    let features = rt.features();
    let why = features.why_not_uring.map_or_else(String::new, |w| format!(" ({w})"));
    runtime::tell!("ringwood {}  node {}", env!("CARGO_PKG_VERSION"), config.node_id);
    runtime::tell!(
        "cores       {}, {}{why}, {} MiB of buffers each",
        config.cores,
        features.backend,
        rt.memory().limit() >> 20
    );
    runtime::tell!(
        "data        {} ({} MiB ring a core, {records} records replayed, directory {})",
        config.data.display(),
        config.ring_bytes >> 20,
        TopicId(dir.uuid())
    );
    let type_of = file_system::of(&config.data).unwrap_or_else(|| "a file system".to_owned());
    let how = match broker.shard.store.is_direct() {
        true => "direct I/O, past the page cache",
        false => {
            "buffered: it refuses direct I/O, so the page cache is used, with the same flushes"
        }
    };
    runtime::tell!("files       {type_of}, {how}");
    runtime::tell!("durability  {durability}");
    if cfg!(feature = "flush-compiled-out") {
        runtime::tell!(
            "durability  NONE: this build flushes nothing; it is for a proof and for no data"
        );
    }
    runtime::tell!("kafka       {} (clients are told {})", config.listen, config.advertise);
    runtime::tell!("admin       http://{}/metrics", config.admin);
    for notice in &config.notices {
        runtime::tell!("note        {notice}");
    }
    runtime::tell!("next        kcat -b {} -L", config.advertise);
}
