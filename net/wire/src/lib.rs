//! Kafka protocol bytes: frame, header, primitives, one file per API, the API table, error codes.
