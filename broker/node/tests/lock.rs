//! A data directory belongs to one broker at a time: as long as it serves, nobody else gets the lock.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::fs::{File, TryLockError};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A broker that does not outlive its test.
struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Starts a broker and waits until it takes connections: recovery is over by then.
fn serving(data: &Path) -> Broker {
    let (listen, admin) = (free_address(), free_address());
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwood"));
    command.arg("start").arg("--data").arg(data);
    command.args(["--listen", &listen, "--admin", &admin, "--ring", "1MiB", "--memory", "32MiB"]);
    let broker = Broker(command.stderr(Stdio::null()).spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect(&listen).is_err() {
        assert!(Instant::now() < deadline, "the broker does not listen");
        sleep(Duration::from_millis(20));
    }
    broker
}

fn fresh(name: &str) -> PathBuf {
    let at = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if at.exists() {
        std::fs::remove_dir_all(&at).unwrap();
    }
    at
}

#[test]
fn a_serving_broker_holds_the_lock_of_its_data_directory() {
    let data = fresh("lock");
    let broker = serving(&data);
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
