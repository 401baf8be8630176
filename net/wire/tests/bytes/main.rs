//! Are the bytes Kafka's? Compared with an independent codec over every (api, version), and with bytes taken from the
//! protocol guide.

extern crate ringwood_wire as wire;

mod differential;
mod every;
mod golden;
mod internal;
mod random;
