//! What the cluster has agreed on, as one core sees it: the image, and the configuration that follows from it.
//!
//! Every core has its own, fed with the same committed records in the same order, so that a request reads it without asking
//! anyone. Core 0 applies records when the metadata log has committed them, and passes them on to the others.

mod changed;

use crate::groups::{self, Groups};
use crate::shard::Shard;
use changed::Changed;
use cluster::config::{BrokerSettings, Layers, StaticConfig, TopicConfig, TopicDefaults};
use cluster::name::CONSUMER_OFFSETS;
use cluster::{Change, ClusterImage, Delta, Record, Resource};
use coordinator::ConsumerTimes;
use ids::{BrokerId, PartitionId, PartitionIndex, TopicId};
use runtime::Runtime;
use std::cell::{Cell, Ref, RefCell};
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
    /// What topics without overrides have, and the times of the groups that have their own: likewise.
    defaults: RefCell<Option<Rc<TopicDefaults>>>,
    group_times: RefCell<Option<Rc<BTreeMap<String, ConsumerTimes>>>>,
    walks: Cell<Walks>,
}

/// What changes of configurations have cost this core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Walks {
    /// Topics whose partitions were configured anew.
    pub(crate) topics: u64,
    /// Walks over all groups that have overrides.
    pub(crate) groups: u64,
    /// Times that all coordinators were configured anew.
    pub(crate) coordinators: u64,
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
            defaults: RefCell::default(),
            group_times: RefCell::default(),
            walks: Cell::default(),
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
        let overrides = image.overrides(&Resource::topic(name));
        let config = Rc::new(self.topic_defaults().topic(name, overrides));
        self.topic_configs.borrow_mut().insert(id, Rc::clone(&config));
        config
    }

    fn topic_defaults(&self) -> Rc<TopicDefaults> {
        if let Some(known) = &*self.defaults.borrow() {
            return Rc::clone(known);
        }
        let image = self.image();
        let defaults = Rc::new(self.layers(&image).topic_defaults());
        *self.defaults.borrow_mut() = Some(Rc::clone(&defaults));
        defaults
    }

    /// What changes of configurations have cost so far.
    #[cfg(test)]
    pub(crate) fn walks(&self) -> Walks {
        self.walks.get()
    }

    /// Takes committed records into the image and does on this core what follows from them. However many configurations they
    /// change, what reads them is told once, behind the last: nothing between two records of a decision needs those in between.
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
        let changed = Changed::of(&deltas);
        let all_topics = self.forget(&changed);
        for delta in &deltas {
            self.carry_out(delta);
        }
        self.reconfigure(&changed, all_topics);
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
                    self.rt.spawn(async move { shard.delete(&mine).await });
                }
                Change::Formatted
                | Change::Broker(_)
                | Change::TopicCreated(_)
                | Change::Config { .. }
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
        let layers = self.layers(&image);
        let mut config = groups::config_of(&self.settings(), &layers, batch_bytes_max);
        config.consumer_groups = self.group_times(&layers, &config);
        config
    }

    /// The times of groups that have their own: one map for all coordinators of this core.
    fn group_times(
        &self,
        layers: &Layers<'_>,
        config: &coordinator::Config,
    ) -> Rc<BTreeMap<String, ConsumerTimes>> {
        if let Some(known) = &*self.group_times.borrow() {
            return Rc::clone(known);
        }
        let times = Rc::new(groups::own_times(layers, config));
        *self.group_times.borrow_mut() = Some(Rc::clone(&times));
        self.count(|walks| walks.groups += 1);
        times
    }

    fn count(&self, what: impl FnOnce(&mut Walks)) {
        let mut walks = self.walks.get();
        what(&mut walks);
        self.walks.set(walks);
    }

    /// Forgets what was read before the change. Whether every topic may have another configuration now.
    fn forget(&self, changed: &Changed<'_>) -> bool {
        if changed.groups || changed.brokers {
            self.group_times.take();
        }
        {
            let image = self.image();
            let mut known = self.topic_configs.borrow_mut();
            for topic in changed.topics.iter().filter_map(|name| image.topic_named(name)) {
                known.remove(&topic.id);
            }
        }
        if !changed.brokers {
            return false;
        }
        self.settings.take();
        let before = self.defaults.take();
        // Most keys of a broker are no topic's default.
        if before.is_some_and(|before| *before == *self.topic_defaults()) {
            return false;
        }
        self.topic_configs.borrow_mut().clear();
        true
    }

    /// Tells partitions and coordinators what they are configured to be now.
    fn reconfigure(&self, changed: &Changed<'_>, all_topics: bool) {
        let changed_topics: Vec<(TopicId, Box<str>, Vec<PartitionId>)> = {
            let image = self.image();
            let of =
                |t: &cluster::image::Topic| (t.id, t.name.clone(), t.partition_ids().collect());
            if all_topics {
                image.topics().map(of).collect()
            } else {
                changed.topics.iter().filter_map(|name| image.topic_named(name)).map(of).collect()
            }
        };
        self.count(|walks| walks.topics += changed_topics.len() as u64);
        for (id, name, partitions) in changed_topics {
            let config = self.topic_config(id, &name);
            for id in partitions {
                self.shard.configure(id, &config);
            }
        }
        // Their batches are as large as their topic allows.
        if changed.groups || changed.brokers || changed.topics.contains(CONSUMER_OFFSETS) {
            let offsets = self.image().topic_named(CONSUMER_OFFSETS).map(|t| t.id);
            if let Some(id) = offsets {
                let config = self.topic_config(id, CONSUMER_OFFSETS);
                self.groups.configure(&self.groups_config(config.max_message_bytes));
                self.count(|walks| walks.coordinators += 1);
            }
        }
    }
}
