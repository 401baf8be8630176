//! Batches on their way out: to the leaders of their partitions, as far as these are known and take more.

use super::lane::Batch;
use super::{Key, Node, Producer, SendError, init_producer};
use crate::error::ClientError;
use ids::{BrokerId, Offset};
use std::collections::BTreeMap;
use std::time::Instant;
use wire::ErrorCode;

impl Producer {
    pub(super) fn dispatch(&mut self) -> Result<(), ClientError> {
        let now = Instant::now();
        self.renew_identities(now)?;
        if !self.lanes.values().any(|l| l.can_send(now)) {
            return Ok(());
        }
        let lost: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.can_send(now))
            .filter(|(key, _)| self.client.metadata().leader(&key.0, key.1).is_none())
            .map(|(key, _)| key.clone())
            .collect();
        if !lost.is_empty() {
            self.find_leaders(lost)?;
        }
        let mut by_leader: BTreeMap<i32, Vec<Key>> = BTreeMap::new();
        for (key, lane) in &self.lanes {
            if lane.can_send(now)
                && let Some(leader) = self.client.metadata().leader(&key.0, key.1)
            {
                by_leader.entry(leader.0).or_default().push(key.clone());
            }
        }
        for (leader, keys) in by_leader {
            self.dispatch_to(leader, keys)?;
        }
        Ok(())
    }

    /// Lanes that gave a batch up go on under a producer id of their own.
    fn renew_identities(&mut self, now: Instant) -> Result<(), ClientError> {
        let keys: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.wants_identity(now))
            .map(|(key, _)| key.clone())
            .collect();
        for (i, key) in keys.iter().enumerate() {
            let identity = match self.client.without_retries(init_producer) {
                Ok(identity) => Some(identity),
                Err(e) if e.is_network() || e.is_retriable() => {
                    // The others would fare no better.
                    self.put_off(keys.get(i..).unwrap_or_default(), &e.to_string());
                    return Ok(());
                }
                Err(e) => return Err(e),
            };
            let Some(lane) = self.lanes.get_mut(key) else { continue };
            for batch in lane.start_again(identity, &self.config, &mut self.compressor) {
                let why = "the batch cannot be read back".to_owned();
                self.report(key, &batch, Err(SendError::TimedOut(why)));
            }
        }
        Ok(())
    }

    fn dispatch_to(&mut self, leader: i32, mut keys: Vec<Key>) -> Result<(), ClientError> {
        if let std::collections::btree_map::Entry::Vacant(e) = self.nodes.entry(leader) {
            match self.client.open_connection(BrokerId(leader)) {
                Ok(connection) => {
                    e.insert(Node::new(connection));
                }
                Err(e) if e.is_network() || e.is_retriable() => {
                    let why = e.to_string();
                    self.put_off(&keys, &why);
                    return Ok(());
                }
                Err(e) => return Err(e),
            }
        }
        loop {
            let Some(node) = self.nodes.get_mut(&leader) else { return Ok(()) };
            if node.in_flight() >= self.config.in_flight_max {
                return Ok(());
            }
            // One batch of each partition, so that the order within a request never matters.
            let now = Instant::now();
            let mut batches: Vec<(Key, Batch)> = Vec::new();
            let mut bytes = 0;
            keys.retain(|key| {
                let Some(lane) = self.lanes.get_mut(key) else { return false };
                let fits = |b: &Batch| {
                    bytes == 0 || bytes + b.bytes.len() <= self.config.request_bytes_max
                };
                match lane.next(now, fits) {
                    Some(batch) => {
                        bytes += batch.bytes.len();
                        batches.push((key.clone(), batch));
                        true
                    }
                    None => lane.can_send(now),
                }
            });
            if batches.is_empty() {
                return Ok(());
            }
            let timeout = self.client.config().request_timeout;
            match node.produce(self.config.acks, batches, timeout) {
                Ok(unanswered) => {
                    for (key, batch) in unanswered {
                        self.delivered(&key, batch, Ok(Offset::NONE));
                    }
                }
                Err((e, batches)) => {
                    for (key, batch) in batches {
                        if let Some(lane) = self.lanes.get_mut(&key) {
                            lane.failed(batch);
                        }
                    }
                    if !e.is_network() {
                        return Err(e);
                    }
                    self.lose(leader, &e.to_string());
                    return Ok(());
                }
            }
        }
    }

    fn find_leaders(&mut self, keys: Vec<Key>) -> Result<(), ClientError> {
        let mut names: Vec<_> = keys.iter().map(|(t, _)| t.clone()).collect();
        names.dedup();
        let mut why = "the partition has no leader".to_owned();
        for name in names {
            match self.client.without_retries(|c| c.refresh(&[&name], false).map(drop)) {
                Ok(()) => {}
                Err(e) if e.is_network() || e.is_retriable() => why = e.to_string(),
                Err(e) => return Err(e),
            }
        }
        let mut leaderless = Vec::new();
        for key in keys {
            let view = self.client.metadata().topics.get(&*key.0);
            let hopeless = view.and_then(|t| match t.error {
                ErrorCode::NONE if t.partition(key.1).is_none() => {
                    Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
                }
                ErrorCode::NONE => None,
                e => (!e.is_retriable()).then_some(e),
            });
            if let Some(code) = hopeless {
                self.fail_lane(&key, &SendError::Refused(code, None));
            } else if self.client.metadata().leader(&key.0, key.1).is_none() {
                leaderless.push(key);
            }
        }
        self.put_off(&leaderless, &why);
        Ok(())
    }

    pub(super) fn put_off(&mut self, keys: &[Key], why: &str) {
        let again = Instant::now() + self.client.config().retry_backoff;
        for key in keys {
            if let Some(lane) = self.lanes.get_mut(key) {
                lane.not_before = Some(again);
                why.clone_into(&mut lane.trouble);
            }
            self.client.forget_topics(&[&key.0]);
        }
    }
}
