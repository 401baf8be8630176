//! The produce requests that are in flight at one broker.

use super::{Acks, Key, lane::Batch};
use crate::connection::Connection;
use crate::error::{ClientError, ProtocolError};
use crate::pipeline::Reply;
use ids::PartitionIndex;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use wire::Records;
use wire::api::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

/// The last version with topic names instead of ids.
const VERSION_MAX: i16 = 12;

#[derive(Debug)]
struct InFlight {
    correlation_id: i32,
    deadline: Instant,
    batches: Vec<(Key, Batch)>,
}

#[derive(Debug)]
pub(super) struct Node {
    connection: Connection,
    in_flight: VecDeque<InFlight>,
}

/// An answer, and what had been asked.
pub(super) type Answered = (Reply, Vec<(Key, Batch)>);

/// Why a request was not sent, and what would have been in it.
type Unsent = (ClientError, Vec<(Key, Batch)>);

impl Node {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, in_flight: VecDeque::new() }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// When the oldest answer is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.in_flight.front().map(|f| f.deadline)
    }

    pub(super) fn into_batches(self) -> impl Iterator<Item = (Key, Batch)> {
        self.in_flight.into_iter().flat_map(|f| f.batches)
    }

    /// Sends one request. With acks 0 its batches come back at once: no answer will.
    pub(super) fn produce(
        &mut self,
        acks: Acks,
        batches: Vec<(Key, Batch)>,
        timeout: Duration,
    ) -> Result<Vec<(Key, Batch)>, Unsent> {
        let mut topic_data: Vec<TopicProduceData<'_>> = Vec::new();
        for ((topic, partition), batch) in &batches {
            if topic_data.last().is_none_or(|t| t.name != &**topic) {
                topic_data.push(TopicProduceData { name: topic, ..Default::default() });
            }
            if let Some(t) = topic_data.last_mut() {
                t.partition_data.push(PartitionProduceData {
                    index: PartitionIndex(*partition),
                    records: Records::Slice(&batch.bytes),
                });
            }
        }
        let request = ProduceRequest {
            transactional_id: None,
            acks: acks.number(),
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            topic_data,
        };
        // The broker may use all of its time; the network gets some on top.
        let deadline = Instant::now() + timeout + timeout / 4;
        if acks == Acks::None {
            return match self.connection.submit_unanswered(VERSION_MAX, &request, deadline) {
                Ok(()) => Ok(batches),
                Err(e) => Err((e, batches)),
            };
        }
        match self.connection.submit(VERSION_MAX, &request, deadline) {
            Ok(correlation_id) => {
                self.in_flight.push_back(InFlight { correlation_id, deadline, batches });
                Ok(Vec::new())
            }
            Err(e) => Err((e, batches)),
        }
    }

    /// Reads what has arrived. The socket is readable.
    pub(super) fn receive(&mut self) -> Result<Vec<Answered>, ClientError> {
        let deadline = self.deadline().unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
        self.connection.read(deadline, "Produce")?;
        let mut replies = Vec::new();
        while let Some(reply) = self.connection.poll()? {
            let got = reply.correlation_id;
            match self.in_flight.pop_front() {
                Some(f) if f.correlation_id == got => replies.push((reply, f.batches)),
                other => {
                    let expected = other.as_ref().map(|f| f.correlation_id);
                    if let Some(f) = other {
                        self.in_flight.push_front(f);
                    }
                    let error = ProtocolError::Correlation { expected, got };
                    let address = self.connection.address().to_owned();
                    return Err(ClientError::Protocol { address, error });
                }
            }
        }
        Ok(replies)
    }
}
