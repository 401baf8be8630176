//! A data directory belongs to one broker at a time: as long as it serves, nobody else gets the lock.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "serving/broker.rs"]
mod broker;

use broker::{Broker, fresh};
use std::fs::{File, TryLockError};
use std::thread::sleep;
use std::time::{Duration, Instant};

#[test]
fn a_serving_broker_holds_the_lock_of_its_data_directory() {
    let data = fresh("lock");
    let broker = Broker::serving(&data);
    let lock = File::options().read(true).write(true).open(data.join("lock")).unwrap();
    for _ in 0..5 {
        assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)), "the lock is free");
        sleep(Duration::from_millis(100));
    }
    drop(broker);
    // The kernel lets go of it when the last request of the dead process has ended.
    let deadline = Instant::now() + Duration::from_secs(30);
    while lock.try_lock().is_err() {
        assert!(Instant::now() < deadline, "a dead broker still holds the lock");
        sleep(Duration::from_millis(20));
    }
}
