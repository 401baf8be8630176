//! Flushes that topics of durability `written` ask for: `flush.ms` and `flush.messages`.
//!
//! A flush of the ring covers every partition of the core, so the core flushes as often as the most demanding of its topics
//! asks. A topic that is `fsync` is flushed before it is acknowledged and asks for nothing here.

use super::Shard;
use cluster::config::{Durability, TopicConfig};
use log::BatchMeta;
use std::cell::Cell;
use std::time::Duration;

/// The longest that topics may stay unflushed; none if they ask for nothing.
pub(super) type Demand = Option<Duration>;

/// What a topic asks for.
pub(super) fn within(config: &TopicConfig) -> Demand {
    let ms = u64::try_from(config.written_flush_ms()).unwrap_or(0);
    (config.durability == Durability::Written).then_some(Duration::from_millis(ms))
}

/// What satisfies both.
fn both(a: Demand, b: Demand) -> Demand {
    a.into_iter().chain(b).min()
}

/// Records of one partition since the last flush that `flush.messages` has forced.
#[derive(Debug, Default)]
pub(super) struct Unflushed(Cell<i64>);

impl Unflushed {
    /// Whether a flush is due with this batch.
    pub(super) fn add(&self, batch: &BatchMeta, config: &TopicConfig) -> bool {
        if config.durability != Durability::Written || config.flush_messages == i64::MAX {
            return false;
        }
        let records = self.0.get() + i64::from(batch.offsets);
        let due = records >= config.flush_messages;
        self.0.set(if due { 0 } else { records });
        due
    }
}

impl Shard {
    /// A topic is led with this configuration from now on: the core flushes at least as often.
    pub(super) fn flush_within(&self, config: &TopicConfig) {
        let asked = within(config);
        self.flush_news.set(both(self.flush_news.get(), asked));
        if let Some(within) = asked
            && self.flush_every.get().is_none_or(|every| within < every)
        {
            self.flush_every.set(Some(within));
            self.store.flush_every(within);
        }
    }

    /// Flushes as seldom as all topics allow: the demanding ones may be gone.
    pub(super) async fn relax_flushing(&self) {
        self.flush_news.set(None);
        let (mut every, mut walk) = (None, self.walk());
        while let Some(replica) = walk.next().await {
            every = both(every, within(&replica.config.borrow()));
        }
        // The walk may have been past the place of a topic that came, or changed, meanwhile.
        let every = both(every, self.flush_news.get());
        if let Some(every) = every.filter(|every| Some(*every) != self.flush_every.get()) {
            self.store.flush_every(every);
        }
        self.flush_every.set(every);
    }

    /// Begins a flush that nobody waits for.
    pub(super) fn flush_soon(&self) {
        let store = self.store.clone();
        self.rt.spawn(async move { store.flush().await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{ProducerEpoch, ProducerId, Timestamp};

    fn config(durability: Durability, flush_messages: i64, flush_ms: i64) -> TopicConfig {
        TopicConfig { durability, flush_messages, flush_ms, ..TopicConfig::defaults() }
    }

    #[test]
    fn only_written_topics_ask() {
        assert_eq!(within(&config(Durability::Fsync, i64::MAX, 5)), None);
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(within(&config(Durability::Written, i64::MAX, 5)), ms(5));
        assert_eq!(within(&config(Durability::Written, i64::MAX, i64::MAX)), ms(1_000));
    }

    #[test]
    fn the_more_demanding_counts() {
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!((both(None, None), both(ms(5), None), both(None, ms(7))), (None, ms(5), ms(7)));
        assert_eq!((both(ms(5), ms(7)), both(ms(7), ms(5))), (ms(5), ms(5)));
    }

    #[test]
    fn messages_are_counted_from_flush_to_flush() {
        let batch = |offsets| BatchMeta {
            len: 100,
            offsets,
            max_timestamp: Timestamp(1),
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: -1,
            transactional: false,
            control: false,
        };
        let unflushed = Unflushed::default();
        let ten = config(Durability::Written, 10, i64::MAX);
        let due: Vec<bool> = [4, 5, 1, 9, 30, 9].map(|n| unflushed.add(&batch(n), &ten)).into();
        assert_eq!(due, [false, false, true, false, true, false]);
        assert!(!unflushed.add(&batch(100), &config(Durability::Fsync, 10, i64::MAX)));
        assert!(!unflushed.add(&batch(100), &config(Durability::Written, i64::MAX, i64::MAX)));
    }
}
