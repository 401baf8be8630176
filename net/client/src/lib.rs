//! A small Kafka client (produce, fetch, admin) used by the command line, perf, tests and peers.
