//! A broker that idles costs little: memory that its start took it has given back, and nothing turns in it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "serving/broker.rs"]
mod broker;

use broker::{Broker, fresh};
use std::thread::sleep;
use std::time::{Duration, Instant};

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

/// With topics, an idle connection and two cores. Whatever it does from time to time, it is under half a hundredth of one core.
#[test]
fn a_broker_that_idles_takes_no_processor() {
    let options = ["--ring", "1MiB", "--memory", "32MiB", "--cores", "2"];
    let broker = Broker::serving_with(&fresh("idle-busy"), &options);
    for topic in ["a", "b", "c"] {
        broker.command(&["topic", "create", topic, "--partitions", "16"]);
    }
    let connection = broker.connect();
    // What the start and the topics have left to do.
    sleep(Duration::from_secs(2));
    let share = || {
        let (before, began) = (broker.busy(), Instant::now());
        sleep(Duration::from_secs(10));
        let (busy, time) = (broker.busy() - before, began.elapsed());
        println!("an idle broker took {busy:?} of {time:?}");
        busy.as_secs_f64() / time.as_secs_f64()
    };
    // On a busy machine each wake-up costs more, so it may be looked at again; what turns all the time does so then, too.
    assert!((0..3).any(|_| share() < 0.005), "three times");
    drop(connection);
}
