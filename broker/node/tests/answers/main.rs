//! Answers that clients act on, compared with what Apache Kafka 4.3.0 says.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "../serving/asking.rs"]
mod asking;
#[path = "../serving/broker.rs"]
mod broker;
mod epochs;
#[path = "../serving/line.rs"]
mod line;
mod members;
mod offsets;
mod refusals;
mod resources;
mod starts;
