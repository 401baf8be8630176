//! What answers, lost connections and deadlines make of batches: delivered, tried again, or given up.

use super::lane::{Batch, Lane};
use super::{Delivery, Key, Producer, SendError};
use crate::client::To;
use ids::{BrokerId, Offset};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use wire::ErrorCode;
use wire::api::produce::ProduceResponse;

impl Producer {
    pub(super) fn report(&mut self, key: &Key, batch: &Batch, result: Result<Offset, SendError>) {
        self.deliveries.push(Delivery {
            topic: key.0.clone(),
            partition: key.1,
            first: batch.first,
            records: batch.records,
            bytes: batch.bytes.len(),
            result,
        });
    }

    /// A connection is gone: what was in flight on it is unknown, and is sent again.
    pub(super) fn lose(&mut self, id: i32, why: &str) {
        let Some(node) = self.nodes.remove(&id) else { return };
        let mut keys = Vec::new();
        for (key, batch) in node.into_batches() {
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.failed(batch);
            }
            keys.push(key);
        }
        // Lanes that had just been put back for this node wait as well.
        for (key, lane) in &self.lanes {
            if lane.is_retrying()
                && self.client.metadata().leader(&key.0, key.1) == Some(BrokerId(id))
            {
                keys.push(key.clone());
            }
        }
        self.client.forget(To::Broker(BrokerId(id)));
        self.put_off(&keys, why);
    }

    pub(super) fn receive(&mut self, id: i32) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let replies = match node.receive() {
            Ok(replies) => replies,
            Err(e) => return self.lose(id, &e.to_string()),
        };
        for (reply, batches) in replies {
            let response: ProduceResponse<'_> = match self.client.decode(&reply) {
                Ok(response) => response,
                Err(e) => {
                    for (key, batch) in batches {
                        self.retry(&key, batch, &e.to_string());
                    }
                    return self.lose(id, &e.to_string());
                }
            };
            let mut answers: BTreeMap<Key, _> = BTreeMap::new();
            for topic in &response.responses {
                for p in &topic.partition_responses {
                    answers.insert((Arc::from(topic.name), p.index.0), p);
                }
            }
            for (key, batch) in batches {
                match answers.get(&key) {
                    Some(p) => {
                        let detail = p.record_errors.first().and_then(|e| {
                            Some(format!(
                                "record {}: {}",
                                e.batch_index, e.batch_index_error_message?
                            ))
                        });
                        let message = detail.or_else(|| p.error_message.map(str::to_owned));
                        self.judge(&key, batch, p.error_code, p.base_offset, message);
                    }
                    None => self.retry(&key, batch, "the answer left the partition out"),
                }
            }
        }
    }

    fn judge(
        &mut self,
        key: &Key,
        batch: Batch,
        code: ErrorCode,
        base_offset: Offset,
        message: Option<String>,
    ) {
        let (retrying, has_gap) =
            self.lanes.get(key).map_or((false, false), |l| (l.is_retrying(), l.has_gap()));
        match code {
            ErrorCode::NONE => self.delivered(key, batch, Ok(base_offset)),
            // It is there already; only its place is not known any more.
            ErrorCode::DUPLICATE_SEQUENCE_NUMBER => self.delivered(key, batch, Ok(Offset::NONE)),
            ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE
                if batch.records > 1 =>
            {
                let identity = self.lanes.get(key).and_then(Lane::identity);
                let split = batch.split(&self.config, identity, &mut self.compressor);
                let Some(lane) = self.lanes.get_mut(key) else { return };
                match split {
                    Ok((one, two)) => {
                        lane.failed(one);
                        lane.failed_too(two);
                    }
                    Err(batch) => {
                        self.delivered(key, batch, Err(SendError::Refused(code, message)))
                    }
                }
            }
            // It follows a batch that was given up.
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER if has_gap => {
                if let Some(lane) = self.lanes.get_mut(key) {
                    lane.after_gap(batch);
                }
            }
            // It follows a batch that is being retried.
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER if retrying => {
                self.retry(key, batch, "out of order")
            }
            code if code.is_retriable() => self.retry(key, batch, &code.to_string()),
            code => self.delivered(key, batch, Err(SendError::Refused(code, message))),
        }
    }

    fn retry(&mut self, key: &Key, batch: Batch, why: &str) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.failed(batch);
        }
        self.put_off(std::slice::from_ref(key), why);
    }

    pub(super) fn delivered(&mut self, key: &Key, batch: Batch, result: Result<Offset, SendError>) {
        let failed = result.is_err();
        self.report(key, &batch, result);
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.on_answered();
            if failed {
                lane.gave_up();
            }
        }
    }

    /// Gives up what waits in a lane; what is in flight is still answered.
    pub(super) fn fail_lane(&mut self, key: &Key, error: &SendError) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let batches = lane.drain();
        lane.gave_up();
        for batch in batches {
            self.report(key, &batch, Err(error.clone()));
        }
    }

    pub(super) fn give_up_late(&mut self) {
        let Some(before) = Instant::now().checked_sub(self.config.delivery_timeout) else { return };
        let late: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, l)| l.oldest_waiting().is_some_and(|t| t <= before))
            .map(|(k, l)| (k.clone(), SendError::TimedOut(l.trouble.clone())))
            .collect();
        for (key, error) in late {
            self.fail_lane(&key, &error);
        }
    }
}
