//! The client-side commands of the one binary.
#![forbid(unsafe_code)]
