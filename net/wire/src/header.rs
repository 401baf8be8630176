//! What stands before the body: which API, which version, which request.

use crate::api::ApiKey;
use crate::reader::{DecodeError, Malformed, Reader};
use crate::writer::{EncodeError, Writer};

/// The head of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestHeader<'a> {
    /// The API's number, known or not.
    pub api_key: i16,
    /// The version of the body, known or not.
    pub api_version: i16,
    /// The client's number for this request; the response repeats it.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<&'a str>,
}

impl<'a> RequestHeader<'a> {
    /// Reads the header; `r` then stands at the body. The header of a known API is read whatever its version, so that
    /// an ApiVersions request from the future can be answered (KIP-511).
    ///
    /// # Errors
    /// [`Malformed::UnknownApi`] where the API and so the header's form are unknown; else see [`Malformed`].
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let api_key = r.i16().map_err(|error| error.in_field("api_key"))?;
        let api_version = r.i16().map_err(|error| error.in_field("api_version"))?;
        let correlation_id = r.i32().map_err(|error| error.in_field("correlation_id"))?;
        let api = ApiKey::from_code(api_key).ok_or_else(|| r.error(Malformed::UnknownApi))?;
        // A 16-bit length even in header version 2, so that an old broker can read a new client's first request.
        let client_id = r.nullable_str(false).map_err(|error| error.in_field("client_id"))?;
        if api.request_header_version(api_version) >= 2 {
            r.skip_tags().map_err(|error| error.in_field("header tags"))?;
        }
        Ok(Self { api_key, api_version, correlation_id, client_id })
    }

    /// The API, if this codec knows it.
    #[must_use]
    pub fn api(&self) -> Option<ApiKey> {
        ApiKey::from_code(self.api_key)
    }

    /// Writes the header in header version 1 or 2.
    ///
    /// # Errors
    /// A client id of more than 32767 bytes.
    pub fn encode(&self, w: &mut Writer, header_version: i16) -> Result<(), EncodeError> {
        w.put(&self.api_key.to_be_bytes());
        w.put(&self.api_version.to_be_bytes());
        w.put(&self.correlation_id.to_be_bytes());
        w.nullable_str(self.client_id, false).map_err(|error| error.in_field("client_id"))?;
        if header_version >= 2 {
            w.unsigned_varint(0);
        }
        Ok(())
    }
}

/// The head of a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResponseHeader {
    /// The number that the request carried.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Reads the header in header version 0 or 1; `r` then stands at the body.
    ///
    /// # Errors
    /// See [`Malformed`].
    pub fn decode(r: &mut Reader<'_>, header_version: i16) -> Result<Self, DecodeError> {
        let correlation_id = r.i32().map_err(|error| error.in_field("correlation_id"))?;
        if header_version >= 1 {
            r.skip_tags().map_err(|error| error.in_field("header tags"))?;
        }
        Ok(Self { correlation_id })
    }

    /// Writes the header in header version 0 or 1.
    pub fn encode(&self, w: &mut Writer, header_version: i16) {
        w.put(&self.correlation_id.to_be_bytes());
        if header_version >= 1 {
            w.unsigned_varint(0);
        }
    }
}
