//! What the cluster has agreed on, as one core sees it: the image, and the configuration that follows from it.
//!
//! Every core has its own, fed with the same committed records in the same order, so that a request reads it without asking
//! anyone. Core 0 applies records when the metadata log has committed them, and passes them on to the others.

use crate::groups::{self, Groups};
use crate::shard::Shard;
use cluster::config::{BrokerSettings, Layers, StaticConfig, TopicConfig};
use cluster::name::CONSUMER_OFFSETS;
use cluster::{Change, ClusterImage, Delta, Record, ResourceKind};
use ids::{BrokerId, PartitionId, PartitionIndex, TopicId};
use runtime::Runtime;
use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The metadata log's only partition.
pub(crate) const METADATA: PartitionId =
    PartitionId { topic: TopicId::METADATA, index: PartitionIndex(0) };

/// Its topic's name.
pub(crate) const METADATA_TOPIC: &str = "__cluster_metadata";

/// One core's view.
pub(crate) struct Metadata {
    rt: Runtime,
    shard: Rc<Shard>,
    groups: Rc<Groups>,
    pub(crate) me: BrokerId,
    pub(crate) cores: u16,
    image: RefCell<ClusterImage>,
    fixed: StaticConfig,
    /// Effective configurations that were asked for since the last change.
    topic_configs: RefCell<BTreeMap<TopicId, Rc<TopicConfig>>>,
    settings: RefCell<Option<Rc<BrokerSettings>>>,
}

impl Metadata {
    pub(crate) fn new(
        rt: Runtime,
        shard: Rc<Shard>,
        groups: Rc<Groups>,
        me: BrokerId,
        cores: u16,
        image: ClusterImage,
        fixed: StaticConfig,
    ) -> Rc<Self> {
        Rc::new(Self {
            rt,
            shard,
            groups,
            me,
            cores,
            image: RefCell::new(image),
            fixed,
            topic_configs: RefCell::default(),
            settings: RefCell::default(),
        })
    }

    /// The state that everyone may see.
    pub(crate) fn image(&self) -> Ref<'_, ClusterImage> {
        self.image.borrow()
    }

    /// Which value counts for each configuration key.
    pub(crate) fn layers<'a>(&'a self, image: &'a ClusterImage) -> Layers<'a> {
        Layers { image, broker: self.me, fixed: &self.fixed }
    }

    /// The broker's settings as they are now.
    pub(crate) fn settings(&self) -> Rc<BrokerSettings> {
        if let Some(known) = &*self.settings.borrow() {
            return Rc::clone(known);
        }
        let image = self.image();
        let settings = Rc::new(BrokerSettings::read(&self.layers(&image)));
        *self.settings.borrow_mut() = Some(Rc::clone(&settings));
        settings
    }

    /// A topic's effective configuration.
    pub(crate) fn topic_config(&self, id: TopicId, name: &str) -> Rc<TopicConfig> {
        if let Some(known) = self.topic_configs.borrow().get(&id) {
            return Rc::clone(known);
        }
        let image = self.image();
        let config = Rc::new(self.layers(&image).topic(name));
        self.topic_configs.borrow_mut().insert(id, Rc::clone(&config));
        config
    }

    /// Takes committed records into the image and does on this core what follows from them.
    pub(crate) fn apply(&self, records: &[Record]) {
        let mut deltas = Vec::with_capacity(records.len());
        {
            let mut image = self.image.borrow_mut();
            for r in records {
                match image.apply(r) {
                    Ok(delta) => deltas.push(delta),
                    Err(e) => self.rt.fault(format!("a committed record does not apply: {e:?}")),
                }
            }
        }
        for delta in &deltas {
            self.carry_out(delta);
        }
    }

    /// Consumer groups follow the topics that they read.
    fn tell_groups(&self, id: TopicId) {
        let image = self.image();
        let Some(topic) = image.topic(id) else { return };
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        self.groups.on_topic(&topic.name, Some((id, count)));
    }

    fn is_mine(&self, id: PartitionId) -> bool {
        id.owner(self.cores) == self.rt.core()
    }

    fn carry_out(&self, delta: &Delta) {
        for change in &delta.changes {
            match change {
                Change::PartitionCreated(id) => {
                    self.tell_groups(id.topic);
                    self.lead(*id);
                }
                Change::PartitionChanged(id) => self.lead(*id),
                Change::TopicDeleted { id, name, partitions } => {
                    self.groups.on_topic(name, None);
                    self.groups.forget(*id);
                    self.groups.on_topics_deleted(&[name]);
                    self.topic_configs.borrow_mut().remove(id);
                    let (topic, count) = (*id, i32::try_from(*partitions).unwrap_or(0));
                    let mine: Vec<PartitionId> = (0..count)
                        .map(|i| PartitionId { topic, index: PartitionIndex(i) })
                        .filter(|id| self.is_mine(*id))
                        .collect();
                    let shard = Rc::clone(&self.shard);
                    self.rt.spawn(async move {
                        for id in mine {
                            shard.delete(id).await;
                        }
                    });
                }
                Change::Config { resource, .. } => match resource.kind {
                    ResourceKind::Topic => self.reconfigure(Some(&resource.name)),
                    ResourceKind::Broker => self.reconfigure(None),
                    ResourceKind::Group => self.reconfigure(Some(CONSUMER_OFFSETS)),
                    ResourceKind::BrokerLogger | ResourceKind::ClientMetrics => {}
                },
                Change::Formatted
                | Change::Broker(_)
                | Change::TopicCreated(_)
                | Change::ProducerIds => {}
            }
        }
    }

    /// Tells the groups of all topics. Before anything is led: offsets in topics that a coordinator does not know when its log
    /// is read go.
    pub(crate) fn tell_all(&self) {
        let topics: Vec<TopicId> = self.image().topics().map(|t| t.id).collect();
        for topic in topics {
            self.tell_groups(topic);
        }
    }

    /// Opens everything that this core leads.
    pub(crate) fn lead_all(&self) {
        self.tell_all();
        let ids: Vec<PartitionId> =
            self.image().topics().flat_map(|t| t.partition_ids().collect::<Vec<_>>()).collect();
        for id in ids {
            self.lead(id);
        }
    }

    fn lead(&self, id: PartitionId) {
        if !self.is_mine(id) {
            return;
        }
        let (name, epoch, factor) = {
            let image = self.image();
            let Some(topic) = image.topic(id.topic) else { return };
            let Some(state) = image.partition(id) else { return };
            if state.leader != self.me {
                return;
            }
            (topic.name.clone(), state.leader_epoch, state.replication_factor())
        };
        let config = self.topic_config(id.topic, &name);
        let batch_bytes_max = config.max_message_bytes;
        self.shard.lead(id, &name, epoch, factor, config);
        if *name == *CONSUMER_OFFSETS {
            // Groups go on while the disk is full: their records are small, and reading is what empties it.
            self.shard.store.exempt(id);
            self.groups.lead(id, self.groups_config(batch_bytes_max));
        }
    }

    fn groups_config(&self, batch_bytes_max: u32) -> coordinator::Config {
        let image = self.image();
        groups::config_of(&self.settings(), &self.layers(&image), batch_bytes_max)
    }

    fn reconfigure(&self, topic: Option<&str>) {
        *self.settings.borrow_mut() = None;
        let changed: Vec<(TopicId, Box<str>, Vec<PartitionId>)> = self
            .image()
            .topics()
            .filter(|t| topic.is_none_or(|name| *t.name == *name))
            .map(|t| (t.id, t.name.clone(), t.partition_ids().collect()))
            .collect();
        for (id, name, partitions) in changed {
            self.topic_configs.borrow_mut().remove(&id);
            let config = self.topic_config(id, &name);
            if *name == *CONSUMER_OFFSETS {
                self.groups.configure(&self.groups_config(config.max_message_bytes));
            }
            for id in partitions {
                self.shard.configure(id, &config);
            }
        }
    }
}
