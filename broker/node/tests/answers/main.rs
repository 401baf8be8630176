//! Answers that clients act on, compared byte by byte with what Apache Kafka 4.3.0 says.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "../serving/asking.rs"]
mod asking;
#[path = "../serving/broker.rs"]
mod broker;
mod epochs;
mod offsets;
mod refusals;
mod starts;
