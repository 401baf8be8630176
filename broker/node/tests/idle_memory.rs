//! A broker that idles holds little memory: what its start took, it has given back.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "serving/broker.rs"]
mod broker;

use broker::{Broker, fresh};

/// The ring is read at start, all of it; it must not stay.
#[test]
fn a_broker_that_idles_does_not_hold_its_ring_in_memory() {
    let data = fresh("idle-memory");
    let options = ["--ring", "256MiB", "--cores", "1"];
    // The second start reads a ring that the first has made.
    drop(Broker::serving_with(&data, &options));
    let broker = Broker::serving_with(&data, &options);
    let resident = broker.resident();
    assert!(resident < 48 << 20, "an idle broker holds {resident} bytes");
}
