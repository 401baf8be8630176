//! Kafka protocol bytes: frame, header, primitives, one file per API, the API table, error codes.
//!
//! A frame arrives as one slice. [`frame::scan`] finds its end, [`RequestHeader::decode`] reads its head, and
//! [`Message::decode`] the body; strings, bytes and records stay slices of the frame. Every length is checked against
//! the bytes that remain before anything is allocated, so a frame costs memory in proportion to its own size.
//!
//! The way out is an [`Encoder`]: it appends whole frames to one buffer and leaves gaps where record bytes live
//! elsewhere; [`Encoder::pieces`] then tells the sender in which order buffer and records leave.
//!
//! [`ApiKey`] and [`Api`] are the table of what this codec knows. What a broker *advertises* is a list of its own: an API
//! is advertised only by a node that serves it.
#![forbid(unsafe_code)]

#[macro_use]
mod schema_macro;

pub mod api;
pub mod error_code;
pub mod field;
pub mod frame;
pub mod header;
pub mod internal;
pub mod message;
pub mod reader;
pub mod records;
pub mod schema;
pub mod writer;

pub use api::{API_TABLE, Api, ApiKey, VersionRange};
pub use error_code::ErrorCode;
pub use field::{Field, Form};
pub use frame::Frame;
pub use header::{RequestHeader, ResponseHeader};
pub use message::{Message, Request, Response};
pub use reader::{DecodeError, Malformed, Reader};
pub use records::Records;
pub use writer::{EncodeError, Encoder, Piece, Unencodable, Writer};
