//! The client-side commands of the one binary.
