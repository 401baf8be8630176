//! Whole messages: requests, responses, and the records and metadata that Kafka encodes the same way.

use crate::api::{ApiKey, VersionRange};
use crate::field::{Field, Form};
use crate::reader::{DecodeError, Malformed, Reader};
use crate::writer::{EncodeError, Unencodable, Writer, encode_plain};

/// A message with versions. `'a` is the lifetime of the frame that it borrows from.
pub trait Message<'a>: Field<'a> {
    /// The message's name, as in Kafka's protocol guide.
    const NAME: &'static str;
    /// The versions that this codec reads and writes.
    const VERSIONS: VersionRange;
    /// The first version with compact lengths and tagged fields (KIP-482); `None`: never.
    const FLEXIBLE_FROM: Option<i16>;

    /// How a field of this version travels.
    #[must_use]
    fn form(version: i16) -> Form {
        let flexible = Self::FLEXIBLE_FROM.is_some_and(|from| version >= from);
        Form { version, flexible, nullable: false, tagged: false }
    }

    /// Reads the message from where `r` stands to the end of the frame.
    ///
    /// # Errors
    /// See [`Malformed`]; bytes after the message are an error too.
    fn decode_from(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(r.error(Malformed::UnsupportedVersion));
        }
        let message = Self::read(r, Self::form(version))?;
        r.finish()?;
        Ok(message)
    }

    /// Reads a request's body, and lets what follows it be: brokers ignore it. librdkafka 2.12 relies on that, which leaves three
    /// bytes too many in the empty list of a Metadata request for all topics.
    ///
    /// # Errors
    /// See [`Malformed`].
    fn decode_leading(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(r.error(Malformed::UnsupportedVersion));
        }
        Self::read(r, Self::form(version))
    }

    /// Reads the message from a slice that holds nothing else.
    ///
    /// # Errors
    /// See [`Message::decode_from`].
    fn decode(body: &'a [u8], version: i16) -> Result<Self, DecodeError> {
        Self::decode_from(&mut Reader::new(body), version)
    }

    /// Writes the message behind what `w` holds.
    ///
    /// # Errors
    /// See [`Unencodable`]; `w` may then hold a part of it.
    fn encode_to(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::new(Unencodable::UnsupportedVersion));
        }
        self.write(w, Self::form(version))
    }

    /// Appends the message to `out`, without frame or header.
    ///
    /// # Errors
    /// See [`Unencodable`]; nothing has been appended then. Records must be in memory.
    fn encode(&self, version: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        encode_plain(self, version, out)
    }
}

/// A request of the API `KEY`.
pub trait Request<'a>: Message<'a> {
    /// The API that it calls.
    const KEY: ApiKey;
}

/// A response of the API `KEY`.
pub trait Response<'a>: Message<'a> {
    /// The API that it answers.
    const KEY: ApiKey;
}
