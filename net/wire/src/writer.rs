//! Writes Kafka's primitives, and whole frames with gaps for records that live elsewhere.

use crate::error_code::ErrorCode;
use crate::header::{RequestHeader, ResponseHeader};
use crate::message::{Message, Request, Response};
use std::fmt;
use std::ops::Range;

/// What cannot be said in the chosen version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unencodable {
    /// The codec does not know this version of the message.
    UnsupportedVersion,
    /// `None` where this version has no null.
    NullNotAllowed,
    /// A string, an array or a frame that is too long for its length field.
    TooLong,
    /// [`Records::Elsewhere`](crate::Records::Elsewhere) in a message that is to be one piece of memory.
    RecordsElsewhere,
}

/// Why a message could not be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EncodeError {
    /// What cannot be said.
    pub reason: Unencodable,
    /// The innermost field concerned; empty outside any field.
    pub field: &'static str,
}

impl EncodeError {
    /// An error outside any field.
    #[must_use]
    pub fn new(reason: Unencodable) -> Self {
        Self { reason, field: "" }
    }

    /// Names the field, unless a field further in has been named already.
    #[must_use]
    pub fn in_field(self, field: &'static str) -> Self {
        if self.field.is_empty() { Self { field, ..self } } else { self }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.reason {
            Unencodable::UnsupportedVersion => "has a version that is not implemented",
            Unencodable::NullNotAllowed => "is null in a version without null",
            Unencodable::TooLong => "is too long for its length field",
            Unencodable::RecordsElsewhere => "holds records that are not in memory here",
        };
        let field = if self.field.is_empty() { "message" } else { self.field };
        write!(f, "{field} {what}")
    }
}

impl std::error::Error for EncodeError {}

#[derive(Clone, Copy, Debug)]
struct Gap {
    at: usize,
    index: usize,
    len: usize,
}

/// A growing buffer of encoded bytes, and the gaps in it.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    gaps: Vec<Gap>,
    errors: Vec<ErrorCode>,
}

impl Writer {
    /// Notes an error code that is being written, unless it is [`ErrorCode::NONE`]: see [`Encoder::errors`].
    pub fn note(&mut self, code: ErrorCode) {
        if code != ErrorCode::NONE {
            self.errors.push(code);
        }
    }

    /// Bytes raw.
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Marks that `len` bytes which the sender calls `index` come here.
    pub fn gap(&mut self, index: usize, len: usize) {
        if len > 0 {
            self.gaps.push(Gap { at: self.bytes.len(), index, len });
        }
    }

    /// An unsigned variable-length integer (KIP-482).
    pub fn unsigned_varint(&mut self, value: u32) {
        let (bytes, len) = varint(value);
        self.put(bytes.get(..len).unwrap_or_default());
    }

    /// The length of a string: compact, or 16 bits. `None` is null.
    ///
    /// # Errors
    /// [`Unencodable::TooLong`].
    pub fn string_len(&mut self, len: Option<usize>, flexible: bool) -> Result<(), EncodeError> {
        // Kafka keeps strings to 16 bits in both forms.
        let short = len.map_or(Ok(-1), i16::try_from).map_err(|_| too_long())?;
        if flexible {
            self.compact_len(len)
        } else {
            self.put(&short.to_be_bytes());
            Ok(())
        }
    }

    /// The length of bytes or of an array: compact, or 32 bits. `None` is null.
    ///
    /// # Errors
    /// [`Unencodable::TooLong`].
    pub fn long_len(&mut self, len: Option<usize>, flexible: bool) -> Result<(), EncodeError> {
        let long = len.map_or(Ok(-1), i32::try_from).map_err(|_| too_long())?;
        if flexible {
            self.compact_len(len)
        } else {
            self.put(&long.to_be_bytes());
            Ok(())
        }
    }

    fn compact_len(&mut self, len: Option<usize>) -> Result<(), EncodeError> {
        let plus_one = len.map_or(Ok(0), |n| u32::try_from(n + 1)).map_err(|_| too_long())?;
        self.unsigned_varint(plus_one);
        Ok(())
    }

    /// A string, or null.
    ///
    /// # Errors
    /// [`Unencodable::TooLong`].
    pub fn nullable_str(&mut self, text: Option<&str>, flexible: bool) -> Result<(), EncodeError> {
        self.string_len(text.map(str::len), flexible)?;
        self.put(text.unwrap_or_default().as_bytes());
        Ok(())
    }

    /// Bytes, or null.
    ///
    /// # Errors
    /// [`Unencodable::TooLong`].
    pub fn nullable_bytes(
        &mut self,
        bytes: Option<&[u8]>,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        self.long_len(bytes.map(<[u8]>::len), flexible)?;
        self.put(bytes.unwrap_or_default());
        Ok(())
    }

    /// Writes the tag of a tagged field and remembers where the value starts, for [`Writer::close_tag`].
    #[must_use]
    pub fn open_tag(&mut self, tag: u32) -> usize {
        self.unsigned_varint(tag);
        self.bytes.len()
    }

    /// Puts the size before the tagged value that started at `start`. Tagged values are short, moving them is cheaper
    /// than a second pass that measures.
    ///
    /// # Errors
    /// [`Unencodable::TooLong`].
    pub fn close_tag(&mut self, start: usize) -> Result<(), EncodeError> {
        let apart: usize = self.gaps_from(start).map(|gap| gap.len).sum();
        let len = u32::try_from(self.bytes.len() - start + apart).map_err(|_| too_long())?;
        let (size, size_len) = varint(len);
        self.bytes.splice(start..start, size.into_iter().take(size_len));
        for gap in self.gaps.iter_mut().rev().take_while(|gap| gap.at >= start) {
            gap.at += size_len;
        }
        Ok(())
    }

    fn gaps_from(&self, start: usize) -> impl Iterator<Item = &Gap> {
        self.gaps.iter().rev().take_while(move |gap| gap.at >= start)
    }
}

fn too_long() -> EncodeError {
    EncodeError::new(Unencodable::TooLong)
}

fn varint(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut len = 0;
    for byte in &mut bytes {
        len += 1;
        *byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            break;
        }
        *byte |= 0x80;
    }
    (bytes, len)
}

/// Writes one message into `out` as plain memory, without frame or header.
pub(crate) fn encode_plain<'a, M: Message<'a>>(
    message: &M,
    version: i16,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let mut w = Writer { bytes: std::mem::take(out), ..Writer::default() };
    let mut result = message.encode_to(&mut w, version);
    if result.is_ok() && !w.gaps.is_empty() {
        result = Err(EncodeError::new(Unencodable::RecordsElsewhere));
    }
    *out = w.bytes;
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// A part of what an [`Encoder`] holds, in the order in which it must be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// This range of [`Encoder::bytes`].
    Bytes(Range<usize>),
    /// Record bytes that the sender holds.
    Records {
        /// The sender's own number for them.
        index: usize,
        /// How many they are.
        len: usize,
    },
}

/// Frames ready to leave: one buffer with everything but the records that live elsewhere.
///
/// It is reused: several frames may be appended, then sent, then [`Encoder::clear`]ed. A frame that cannot be encoded
/// leaves no trace.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    w: Writer,
}

impl Encoder {
    /// An empty encoder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the frame of a response: length, response header, body.
    ///
    /// # Errors
    /// See [`Unencodable`]; nothing has been appended then.
    pub fn response<'a, R: Response<'a>>(
        &mut self,
        correlation_id: i32,
        version: i16,
        body: &R,
    ) -> Result<(), EncodeError> {
        self.frame(|w| {
            ResponseHeader { correlation_id }.encode(w, R::KEY.response_header_version(version));
            body.encode_to(w, version)
        })
    }

    /// Appends the frame of a request: length, request header, body.
    ///
    /// # Errors
    /// See [`Unencodable`]; nothing has been appended then.
    pub fn request<'a, R: Request<'a>>(
        &mut self,
        correlation_id: i32,
        client_id: Option<&str>,
        version: i16,
        body: &R,
    ) -> Result<(), EncodeError> {
        self.frame(|w| {
            let api_key = R::KEY.code();
            RequestHeader { api_key, api_version: version, correlation_id, client_id }
                .encode(w, R::KEY.request_header_version(version))?;
            body.encode_to(w, version)
        })
    }

    /// Appends one frame whose contents `fill` writes.
    fn frame(
        &mut self,
        fill: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let (start, gaps, errors) = (self.w.bytes.len(), self.w.gaps.len(), self.w.errors.len());
        self.w.put(&[0; 4]);
        let result = fill(&mut self.w).and_then(|()| {
            let apart: usize = self.w.gaps.iter().skip(gaps).map(|gap| gap.len).sum();
            let len = (self.w.bytes.len() - start - 4).saturating_add(apart);
            i32::try_from(len).map_err(|_| too_long())
        });
        match result {
            Ok(len) => {
                if let Some(prefix) = self.w.bytes.get_mut(start..start + 4) {
                    prefix.copy_from_slice(&len.to_be_bytes());
                }
                Ok(())
            }
            Err(error) => {
                self.w.bytes.truncate(start);
                self.w.gaps.truncate(gaps);
                self.w.errors.truncate(errors);
                Err(error)
            }
        }
    }

    /// The error codes that the frames say, once for each time that one is said; no error is none of them.
    #[must_use]
    pub fn errors(&self) -> &[ErrorCode] {
        &self.w.errors
    }

    /// Everything but the records that live elsewhere. [`Piece::Bytes`] are ranges of it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.w.bytes
    }

    /// The buffer itself and what to send in which order, for a sender that keeps both until the bytes are gone.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<Piece>) {
        let pieces = self.pieces().collect();
        (self.w.bytes, pieces)
    }

    /// The buffer itself, where no records live elsewhere.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.w.bytes
    }

    /// Whether nothing waits to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.w.bytes.is_empty()
    }

    /// Bytes that will leave, records elsewhere included.
    #[must_use]
    pub fn total_len(&self) -> usize {
        self.w.bytes.len() + self.w.gaps.iter().map(|gap| gap.len).sum::<usize>()
    }

    /// What to send, in order. Empty pieces do not occur.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> {
        let last = self.w.bytes.len();
        let starts = std::iter::once(0).chain(self.w.gaps.iter().map(|gap| gap.at));
        let ends = self.w.gaps.iter().map(|gap| (gap.at, Some(*gap))).chain([(last, None)]);
        starts.zip(ends).flat_map(|(start, (end, gap))| {
            let bytes = (start < end).then_some(Piece::Bytes(start..end));
            let records = gap.map(|gap| Piece::Records { index: gap.index, len: gap.len });
            bytes.into_iter().chain(records)
        })
    }

    /// Forgets what was sent and keeps the memory.
    pub fn clear(&mut self) {
        self.w.bytes.clear();
        self.w.gaps.clear();
        self.w.errors.clear();
    }
}
