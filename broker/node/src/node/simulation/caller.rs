//! A connection as a client has it: one request, one answer.

use super::machine::ADDRESS;
use crate::shard::within;
use runtime::{Runtime, Slice, Stream};
use std::slice::from_ref;
use std::time::Duration;
use wire::api::ApiKey;
use wire::{Encoder, Reader, Request, ResponseHeader};

/// Longer than this nothing takes, unless the node is gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection. After `None` from [`Caller::call`] it is of no more use.
pub(super) struct Caller {
    rt: Runtime,
    stream: Stream,
    received: Vec<u8>,
    /// How many requests were sent, and how many answers have come.
    sent: i32,
    answered: i32,
}

impl Caller {
    /// Connects; `None` if nobody answers.
    pub(super) async fn connect(rt: &Runtime) -> Option<Self> {
        let address = ADDRESS.parse().ok()?;
        let stream = within(rt, PATIENCE, rt.net().connect(address)).await?.ok()?;
        Some(Self { rt: rt.clone(), stream, received: Vec::new(), sent: 0, answered: 0 })
    }

    /// The answer's body.
    pub(super) async fn call<'a, R: Request<'a>>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Option<Vec<u8>> {
        self.send(version, from_ref(request)).await?;
        self.answer(R::KEY, version).await
    }

    /// Sends requests in one piece; [`Caller::answer`] takes their answers, in this order.
    pub(super) async fn send<'a, R: Request<'a>>(
        &mut self,
        version: i16,
        requests: &[R],
    ) -> Option<()> {
        let mut encoder = Encoder::new();
        for request in requests {
            self.sent += 1;
            encoder.request(self.sent, Some("simulated"), version, request).expect("a request");
        }
        let bytes = Slice::from(encoder.into_bytes());
        within(&self.rt, PATIENCE, self.stream.send(vec![bytes])).await?.ok()?;
        Some(())
    }

    /// The body of the next answer.
    pub(super) async fn answer(&mut self, key: ApiKey, version: i16) -> Option<Vec<u8>> {
        self.answered += 1;
        let frame = loop {
            if let Some(length) = self.received.first_chunk::<4>() {
                let end = 4 + usize::try_from(i32::from_be_bytes(*length)).expect("a length");
                if self.received.len() >= end {
                    let frame = self.received[4..end].to_vec();
                    self.received.drain(..end);
                    break frame;
                }
            }
            let more = within(&self.rt, PATIENCE, self.stream.recv()).await?.ok()??;
            self.received.extend_from_slice(&more);
        };
        let mut reader = Reader::new(&frame);
        let header = ResponseHeader::decode(&mut reader, key.response_header_version(version));
        assert_eq!(header.expect("a header").correlation_id, self.answered, "another answer came");
        Some(reader.rest().to_vec())
    }
}
