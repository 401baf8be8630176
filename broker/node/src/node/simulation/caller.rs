//! A connection as a client has it: one request, one answer.

use super::machine::ADDRESS;
use crate::shard::within;
use runtime::{Runtime, Slice, Stream};
use std::time::Duration;
use wire::{Encoder, Reader, Request, ResponseHeader};

/// Longer than this nothing takes, unless the node is gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection. After `None` from [`Caller::call`] it is of no more use.
pub(super) struct Caller {
    rt: Runtime,
    stream: Stream,
    received: Vec<u8>,
    next: i32,
}

impl Caller {
    /// Connects; `None` if nobody answers.
    pub(super) async fn connect(rt: &Runtime) -> Option<Self> {
        let address = ADDRESS.parse().ok()?;
        let stream = within(rt, PATIENCE, rt.net().connect(address)).await?.ok()?;
        Some(Self { rt: rt.clone(), stream, received: Vec::new(), next: 0 })
    }

    /// The answer's body.
    pub(super) async fn call<'a, R: Request<'a>>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Option<Vec<u8>> {
        self.next += 1;
        let mut encoder = Encoder::new();
        encoder.request(self.next, Some("simulated"), version, request).expect("a request");
        let bytes = Slice::from(encoder.into_bytes());
        within(&self.rt, PATIENCE, self.stream.send(vec![bytes])).await?.ok()?;
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
        let header = ResponseHeader::decode(&mut reader, R::KEY.response_header_version(version));
        assert_eq!(header.expect("a header").correlation_id, self.next, "another answer came");
        Some(reader.rest().to_vec())
    }
}
