//! One connection as a pure machine: several requests may be open, and answers come in the order of their requests.

use crate::error::ProtocolError;
use std::collections::VecDeque;
use wire::frame::{Frame, scan};
use wire::{ApiKey, DecodeError, EncodeError, Encoder, Reader, Request, Response, ResponseHeader};

/// Requests out, answers in. Who drives it sends [`Pipeline::outgoing`] and hands over what arrives.
#[derive(Debug)]
pub struct Pipeline {
    client_id: String,
    frame_bytes_max: usize,
    next_correlation_id: i32,
    out: Encoder,
    sent: usize,
    received: Vec<u8>,
    read: usize,
    open: VecDeque<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    correlation_id: i32,
    api: ApiKey,
    version: i16,
}

/// An answer, undecoded.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The number of the request that it answers.
    pub correlation_id: i32,
    /// The API of the request.
    pub api: ApiKey,
    /// The version of the request.
    pub version: i16,
    frame: Vec<u8>,
    body_at: usize,
}

impl Reply {
    /// What stands behind the header.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.frame.get(self.body_at..).unwrap_or(&[])
    }

    /// The answer; strings and records are slices of the reply.
    ///
    /// # Errors
    /// The bytes are not such a response.
    pub fn decode<'f, R: Response<'f>>(&'f self) -> Result<R, DecodeError> {
        R::decode(self.body(), self.version)
    }
}

impl Pipeline {
    /// A fresh connection.
    #[must_use]
    pub fn new(client_id: &str, frame_bytes_max: usize) -> Self {
        Self {
            client_id: client_id.to_owned(),
            frame_bytes_max,
            next_correlation_id: 0,
            out: Encoder::new(),
            sent: 0,
            received: Vec::new(),
            read: 0,
            open: VecDeque::new(),
        }
    }

    /// Appends a request to what must be sent, and expects an answer. Returns the number that the answer will carry.
    ///
    /// # Errors
    /// The request has no form in this version; nothing is sent then.
    pub fn submit<'a, R: Request<'a>>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<i32, EncodeError> {
        let correlation_id = self.submit_unanswered(version, request)?;
        self.open.push_back(Open { correlation_id, api: R::KEY, version });
        Ok(correlation_id)
    }

    /// Appends a request that gets no answer: Produce with acks 0.
    ///
    /// # Errors
    /// See [`Pipeline::submit`].
    pub fn submit_unanswered<'a, R: Request<'a>>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<i32, EncodeError> {
        if self.sent > 0 && self.outgoing().is_empty() {
            self.out.clear();
            self.sent = 0;
        }
        let correlation_id = self.next_correlation_id;
        self.out.request(correlation_id, Some(&self.client_id), version, request)?;
        self.next_correlation_id = correlation_id.wrapping_add(1) & i32::MAX;
        Ok(correlation_id)
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn outgoing(&self) -> &[u8] {
        self.out.bytes().get(self.sent..).unwrap_or(&[])
    }

    /// The first `n` bytes of [`Pipeline::outgoing`] have been sent.
    pub fn on_sent(&mut self, n: usize) {
        self.sent = (self.sent + n).min(self.out.bytes().len());
    }

    /// These bytes have arrived.
    pub fn on_received(&mut self, bytes: &[u8]) {
        if self.read > 0 {
            // At most one partial frame is moved, and only once the frames before it have been taken.
            self.received.drain(..self.read);
            self.read = 0;
        }
        self.received.extend_from_slice(bytes);
    }

    /// The next whole answer, if it is here.
    ///
    /// # Errors
    /// The stream cannot be followed any further: close the connection.
    pub fn poll(&mut self) -> Result<Option<Reply>, ProtocolError> {
        let unread = self.received.get(self.read..).unwrap_or(&[]);
        let contents = match scan(unread, self.frame_bytes_max)? {
            Frame::Partial { .. } => return Ok(None),
            Frame::Whole { contents } => contents,
        };
        let end = contents.end;
        let frame = unread.get(contents).unwrap_or(&[]).to_vec();
        let mut r = Reader::new(&frame);
        // The number comes first in every header version.
        let got = ResponseHeader::decode(&mut r, 0)?.correlation_id;
        let open = self.open.front().copied();
        let Some(open) = open.filter(|o| o.correlation_id == got) else {
            let expected = open.map(|o| o.correlation_id);
            return Err(ProtocolError::Correlation { expected, got });
        };
        if open.api.response_header_version(open.version) >= 1 {
            r.skip_tags()?;
        }
        let body_at = r.position();
        self.open.pop_front();
        self.read += end;
        Ok(Some(Reply {
            correlation_id: got,
            api: open.api,
            version: open.version,
            frame,
            body_at,
        }))
    }

    /// Requests that wait for their answer.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }
}
