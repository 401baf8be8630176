//! A broker of the built binary for one test: on free ports, with a fresh data directory, gone with its owner.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// One process. Dropping it kills it.
pub(crate) struct Broker {
    process: Child,
    address: String,
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

impl Broker {
    /// Starts one and waits until it takes connections: recovery is over by then.
    #[allow(dead_code, reason = "some start it with options of their own")]
    pub(crate) fn serving(data: &Path) -> Self {
        Self::serving_with(data, &["--ring", "1MiB", "--memory", "32MiB"])
    }

    /// The same with options of its own.
    pub(crate) fn serving_with(data: &Path, options: &[&str]) -> Self {
        let (address, admin) = (free_address(), free_address());
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringwood"));
        command.arg("start").arg("--data").arg(data);
        command.args(["--listen", &address, "--admin", &admin]);
        command.args(options);
        let process = command.stderr(Stdio::null()).spawn().unwrap();
        let broker = Self { process, address };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(&broker.address).is_err() {
            assert!(Instant::now() < deadline, "the broker does not listen");
            sleep(Duration::from_millis(20));
        }
        broker
    }

    /// Bytes of its own in memory, as the kernel counts them.
    #[allow(dead_code, reason = "not every test asks")]
    pub(crate) fn resident(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// A connection to its Kafka port.
    #[allow(dead_code, reason = "not every test talks to it")]
    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).unwrap()
    }
}

/// A place for a data directory that does not exist yet.
pub(crate) fn fresh(name: &str) -> PathBuf {
    let at = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if at.exists() {
        std::fs::remove_dir_all(&at).unwrap();
    }
    at
}
