//! What the coordinator has to tell: batches to append, and answers that may go.
//!
//! Every operation writes its records here. An answer that depends on them waits until all batches of its operation are
//! committed; if one of them fails, the answer becomes that failure.

use crate::memory::{MemberMemory, UnderWay};
use crate::records::Record;
use crate::response::{Answer, Response, Ticket};
use ids::{Offset, PartitionIndex, ProducerEpoch, ProducerId};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use wire::ErrorCode;

/// Names a batch that the caller shall append. Ids rise; append in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BatchId(pub u64);

/// Records that shall be appended to the coordinator's partition as one batch, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Append {
    /// Its name in [`on_appended`](crate::Coordinator::on_appended) and
    /// [`on_append_failed`](crate::Coordinator::on_append_failed).
    pub batch: BatchId,
    /// At least one.
    pub records: Vec<Record>,
    /// The producer whose transaction the records are part of (KIP-98): the batch is transactional then, without sequence
    /// numbers.
    pub producer: Option<(ProducerId, ProducerEpoch)>,
}

/// Why a batch was not appended. It is not in the log and never will be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppendFailure {
    /// The partition does not take so large a batch.
    TooLarge,
    /// Too few replicas are in sync, or the partition is out of room for a while.
    Unavailable,
    /// This broker does not lead the partition, or cannot write it.
    NotLeader,
}

impl AppendFailure {
    /// What clients are told, except where their own commit was too large.
    pub(crate) fn code(self) -> ErrorCode {
        match self {
            Self::TooLarge => ErrorCode::UNKNOWN_SERVER_ERROR,
            Self::Unavailable => ErrorCode::COORDINATOR_NOT_AVAILABLE,
            Self::NotLeader => ErrorCode::NOT_COORDINATOR,
        }
    }
}

/// Which key a record of a batch is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Key {
    /// The group itself.
    Group,
    /// The group or a member of it, of a consumer group.
    Consumer(crate::consumer::ConsumerKey),
    /// An offset of the group.
    Offset { topic: String, partition: PartitionIndex },
    /// An offset of the group that is part of a transaction.
    TxnOffset { producer: ProducerId, topic: String, partition: PartitionIndex },
}

/// What else happens when a batch is settled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// The assignment of a generation is in the log.
    Assignment { group: String, generation: i32 },
    /// A static member has another member id (KIP-345).
    StaticReplaced { group: String, replaced: Box<crate::classic::StaticReplaced> },
}

/// A batch on its way.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) batch: BatchId,
    /// The offset after the batch, once it is appended.
    pub(crate) end: Option<Offset>,
    /// What it writes, record by record: group by group.
    pub(crate) keys: Vec<(String, Vec<Key>)>,
    pub(crate) actions: Vec<Action>,
    tickets: Vec<Ticket>,
    /// Of its records.
    bytes: usize,
}

/// An answer that waits for batches.
#[derive(Debug)]
struct Parked {
    batches: usize,
    failure: Option<AppendFailure>,
    response: Response,
}

/// The outputs of one coordinator. What must hold: every ticket that was given out is answered exactly once.
#[derive(Debug)]
pub(crate) struct Outbox {
    bytes_max: usize,
    next_batch: u64,
    next_ticket: u64,
    /// Records of the batch under construction, and their bytes.
    open: Vec<Record>,
    open_bytes: usize,
    /// Whose transaction the operation is part of.
    producer: Option<(ProducerId, ProducerEpoch)>,
    /// To be appended, in order.
    appends: VecDeque<Append>,
    /// In order: all that are not settled.
    in_flight: VecDeque<InFlight>,
    /// The batches of the current operation are those from here on.
    operation: u64,
    /// Answers of the current operation that wait for its batches.
    waiting: Vec<(Ticket, Response)>,
    /// Those of them that also wait for earlier batches of this group.
    waiting_for_all_of: Option<String>,
    parked: BTreeMap<Ticket, Parked>,
    answers: VecDeque<Answer>,
    /// What the batches take that are not settled.
    under_way: UnderWay,
}

/// A batch's own header and room for its record count (record batch v2).
const BATCH_OVERHEAD: usize = 64;
/// Lengths, deltas and attributes around a key and a value.
const RECORD_OVERHEAD: usize = 32;

impl InFlight {
    /// The answers that wait for it, but for those that its actions give.
    pub(crate) fn tickets(&self) -> impl Iterator<Item = Ticket> {
        self.tickets.iter().copied()
    }
}

impl Outbox {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            next_batch: 0,
            next_ticket: 0,
            open: Vec::new(),
            open_bytes: 0,
            producer: None,
            appends: VecDeque::new(),
            in_flight: VecDeque::new(),
            operation: 0,
            waiting: Vec::new(),
            waiting_for_all_of: None,
            parked: BTreeMap::new(),
            answers: VecDeque::new(),
            under_way: UnderWay::default(),
        }
    }

    /// Its records share this memory with those of others. Before there are any.
    pub(crate) fn within(&mut self, memory: Rc<MemberMemory>) {
        self.under_way = UnderWay::of(memory);
    }

    /// Whether there is room for records of so many bytes. What the coordinator writes on its own does not ask.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.under_way.has_room(bytes)
    }

    pub(crate) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// A ticket for a request that is about to be worked on.
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// All records of the operation are part of a transaction of this producer.
    pub(crate) fn in_transaction_of(&mut self, producer: (ProducerId, ProducerEpoch)) {
        debug_assert!(self.open.is_empty(), "an operation is in a transaction or is not");
        self.producer = Some(producer);
    }

    /// Adds a record to the operation.
    ///
    /// # Errors
    /// [`AppendFailure::TooLarge`] if no batch has room for it.
    pub(crate) fn push(
        &mut self,
        group: &str,
        key: Key,
        record: Record,
    ) -> Result<BatchId, AppendFailure> {
        let bytes = record.bytes() + RECORD_OVERHEAD;
        if BATCH_OVERHEAD + bytes > self.bytes_max {
            return Err(AppendFailure::TooLarge);
        }
        if self.open_bytes + bytes > self.bytes_max {
            self.seal();
        }
        if self.open.is_empty() {
            self.open_bytes = BATCH_OVERHEAD;
            self.in_flight.push_back(InFlight {
                batch: BatchId(self.next_batch),
                end: None,
                keys: Vec::new(),
                actions: Vec::new(),
                tickets: Vec::new(),
                bytes: 0,
            });
        }
        self.open.push(record);
        self.open_bytes += bytes;
        let batch = BatchId(self.next_batch);
        self.under_way.add(bytes);
        if let Some(last) = self.in_flight.back_mut() {
            last.bytes += bytes;
            match last.keys.last_mut() {
                Some((name, keys)) if name == group => keys.push(key),
                _ => last.keys.push((group.to_owned(), vec![key])),
            }
        }
        Ok(batch)
    }

    /// What happens when the batch of the last record is settled.
    pub(crate) fn when_settled(&mut self, action: Action) {
        if let Some(last) = self.in_flight.back_mut() {
            last.actions.push(action);
        }
    }

    /// Answers at once.
    pub(crate) fn answer(&mut self, ticket: Ticket, response: impl Into<Response>) {
        self.answers.push_back(Answer { ticket, response: response.into() });
    }

    /// Answers when all batches of the operation are committed: at once if it has none.
    pub(crate) fn answer_when_committed(&mut self, ticket: Ticket, response: impl Into<Response>) {
        self.waiting.push((ticket, response.into()));
    }

    /// Answers when all batches of the operation and all earlier ones of `group` are committed.
    pub(crate) fn answer_when_all_committed(
        &mut self,
        ticket: Ticket,
        group: &str,
        response: impl Into<Response>,
    ) {
        self.answer_when_committed(ticket, response);
        self.waiting_for_all_of = Some(group.to_owned());
    }

    /// The operation is over: its batches and answers are final.
    pub(crate) fn finish(&mut self) {
        self.seal();
        let operation = self.operation;
        let mut waiting = std::mem::take(&mut self.waiting);
        let group = self.waiting_for_all_of.take();
        if !waiting.is_empty() {
            let mut batches = 0;
            let counts = |b: &&mut InFlight| {
                b.batch.0 >= operation
                    || b.keys.iter().any(|(id, _)| Some(id.as_str()) == group.as_deref())
            };
            for batch in self.in_flight.iter_mut().filter(counts) {
                batch.tickets.extend(waiting.iter().map(|(ticket, _)| *ticket));
                batches += 1;
            }
            for (ticket, response) in waiting.drain(..) {
                if batches == 0 {
                    self.answers.push_back(Answer { ticket, response });
                } else {
                    self.parked.insert(ticket, Parked { batches, failure: None, response });
                }
            }
        }
        self.operation = self.next_batch;
        self.producer = None;
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            let records = std::mem::take(&mut self.open);
            let (batch, producer) = (BatchId(self.next_batch), self.producer);
            self.appends.push_back(Append { batch, records, producer });
            self.next_batch += 1;
            self.open_bytes = 0;
        }
    }

    pub(crate) fn poll_append(&mut self) -> Option<Append> {
        self.appends.pop_front()
    }

    pub(crate) fn poll_answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    /// Takes the answer to `ticket` if there is one already.
    pub(crate) fn take_answer(&mut self, ticket: Ticket) -> Option<Response> {
        let at = self.answers.iter().rposition(|a| a.ticket == ticket)?;
        self.answers.remove(at).map(|a| a.response)
    }

    pub(crate) fn on_appended(&mut self, batch: BatchId, end: Offset) {
        let at = self.place(batch);
        if let Some(b) = at.and_then(|at| self.in_flight.get_mut(at)) {
            b.end = Some(end);
        }
    }

    /// The next batch that lies below the high watermark; it is no longer in flight.
    pub(crate) fn pop_committed(&mut self, high_watermark: Offset) -> Option<InFlight> {
        let end = self.in_flight.front()?.end?;
        if end > high_watermark {
            return None;
        }
        let batch = self.in_flight.pop_front()?;
        self.under_way.remove(batch.bytes);
        Some(batch)
    }

    /// A batch that failed; it is no longer in flight.
    pub(crate) fn pop_failed(&mut self, batch: BatchId) -> Option<InFlight> {
        let at = self.place(batch)?;
        let batch = self.in_flight.remove(at)?;
        self.under_way.remove(batch.bytes);
        Some(batch)
    }

    /// Where a batch stands among those in flight. Their ids rise.
    fn place(&self, batch: BatchId) -> Option<usize> {
        self.in_flight.binary_search_by_key(&batch, |b| b.batch).ok()
    }

    /// Lets those go that waited for `batch` alone.
    pub(crate) fn settle(&mut self, batch: &InFlight, failure: Option<AppendFailure>) {
        for ticket in &batch.tickets {
            let Some(parked) = self.parked.get_mut(ticket) else { continue };
            parked.batches -= 1;
            parked.failure = parked.failure.or(failure);
            if parked.batches == 0
                && let Some(Parked { failure, response, .. }) = self.parked.remove(ticket)
            {
                let response = match failure {
                    Some(failure) => response.failed(failure),
                    None => response,
                };
                self.answers.push_back(Answer { ticket: *ticket, response });
            }
        }
    }

    /// Answers everything that waits for batches with `code` and forgets the batches.
    pub(crate) fn abandon(&mut self, code: ErrorCode) {
        self.open.clear();
        self.appends.clear();
        self.in_flight.clear();
        self.under_way.clear();
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let parked = std::mem::take(&mut self.parked).into_iter();
        for (ticket, response) in waiting.chain(parked.map(|(t, p)| (t, p.response))) {
            self.answers.push_back(Answer { ticket, response: response.with_error(code) });
        }
    }

    /// Batches that are not settled.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The same, in order.
    pub(crate) fn batches(&self) -> impl Iterator<Item = &InFlight> {
        self.in_flight.iter()
    }
}
