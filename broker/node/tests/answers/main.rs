//! Answers that clients act on, compared with what Apache Kafka 4.3.0 says.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "../serving/asking.rs"]
mod asking;
#[path = "../serving/broker.rs"]
mod broker;
mod closing;
mod epochs;
mod fetching;
#[path = "../serving/line.rs"]
mod line;
mod members;
mod offsets;
mod produce;
mod producers;
mod refusals;
#[path = "../serving/requests.rs"]
#[expect(dead_code, reason = "other scenes use the rest")]
mod requests;
mod resources;
mod starts;
