//! Bytes inside bytes: the records of Kafka's internal topics, and what consumers tell each other through group messages.
//!
//! All of them start with a 16-bit version. In a record *key* of an internal topic that number is also the record's type.

pub mod consumer_group;
pub mod consumer_protocol;
pub mod group_metadata;
pub mod offset_commit;
pub mod transaction_log;

use crate::message::Message;
use crate::reader::{DecodeError, Malformed, Reader};
use crate::writer::EncodeError;

/// A message behind a 16-bit version.
pub trait Prefixed<'a>: Message<'a> {
    /// Reads the version and the message. Bytes after the message are an error.
    ///
    /// # Errors
    /// See [`Malformed`]; [`Malformed::UnsupportedVersion`] where the codec does not know the version.
    fn decode_prefixed(bytes: &'a [u8]) -> Result<(i16, Self), DecodeError> {
        let mut r = Reader::new(bytes);
        let version = r.i16().map_err(|error| error.in_field("version"))?;
        Ok((version, Self::decode_from(&mut r, version)?))
    }

    /// Reads the version and the message as consumers read each other's metadata: a version from the future is read as
    /// the newest one that is known, and what follows is ignored.
    ///
    /// # Errors
    /// See [`Malformed`].
    fn decode_lenient(bytes: &'a [u8]) -> Result<(i16, Self), DecodeError> {
        let mut r = Reader::new(bytes);
        let version = r.i16().map_err(|error| error.in_field("version"))?;
        if version < Self::VERSIONS.min {
            return Err(r.error(Malformed::UnsupportedVersion));
        }
        let form = Self::form(version.min(Self::VERSIONS.max));
        Ok((version, Self::read(&mut r, form)?))
    }

    /// Appends the version and the message to `out`.
    ///
    /// # Errors
    /// See [`Unencodable`](crate::Unencodable); nothing has been appended then.
    fn encode_prefixed(&self, version: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        out.extend_from_slice(&version.to_be_bytes());
        self.encode(version, out).inspect_err(|_| out.truncate(start))
    }
}
