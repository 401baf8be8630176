//! A broker on ports of its own, and commands against it.

#[path = "../serving/ports.rs"]
mod ports;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_ringwood");

/// A broker that is killed when the test ends.
pub(super) struct Broker {
    process: Child,
    pub(super) port: u16,
    admin: u16,
    data: PathBuf,
    /// What a broker with a file says goes there.
    log: Option<PathBuf>,
}

/// What a command did.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Ran {
    /// It worked; what it printed.
    #[track_caller]
    pub(super) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// It ended with this code and an error in three parts, whose words these are.
    #[track_caller]
    pub(super) fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        for word in ["error[", "  cause: ", "  try:   "].iter().chain(words) {
            assert!(self.err.contains(word), "no `{word}` in {self:?}");
        }
        self
    }
}

pub(super) use ports::free as free_port;

/// Runs the binary without a broker of its own.
pub(super) fn ringwood(arguments: &[&str], stdin: &[u8]) -> Ran {
    run(Command::new(BINARY).args(arguments).env_remove("RINGWOOD_BOOTSTRAP"), stdin)
}

pub(super) fn run(command: &mut Command, stdin: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let input = stdin.to_vec();
    // A command that reads nothing closes its end.
    let writer = std::thread::spawn(move || drop(to.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Broker {
    pub(super) fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // A port that was free may be somebody else's a moment later: then the process ends, and others are tried.
        for _ in 0..5 {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let data = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
                .join(format!("cli-{}-{n}", std::process::id()));
            let (port, admin) = (free_port(), free_port());
            let process = launch(port, admin, &data);
            let mut broker = Self { process, port, admin, data, log: None };
            if broker.serves() {
                return broker;
            }
        }
        panic!("no broker starts");
    }

    /// One that a file configures, which names its place and this port.
    pub(super) fn with_file(file: &Path, port: u16) -> Self {
        let admin = free_port();
        let log = file.with_extension("log");
        let process = Command::new(BINARY)
            .args(["start", "--admin", &format!("127.0.0.1:{admin}"), "--config"])
            .arg(file)
            .args(["--ring", "8MiB", "--memory", "64MiB", "--reserve", "1MiB"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let data = file.with_file_name("data");
        let mut broker = Self { process, port, admin, data, log: Some(log) };
        broker.wait();
        broker
    }

    /// What it has said on standard error.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(self.log.as_ref().unwrap()).unwrap()
    }

    /// Ends it without a word, as a crash does.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again on the same ports and data.
    pub(super) fn restart(&mut self) {
        self.process = launch(self.port, self.admin, &self.data);
        self.wait();
    }

    fn wait(&mut self) {
        assert!(self.serves(), "the broker has ended");
    }

    /// Waits until it says that it serves; false if it has ended before. That something takes connections says less: the kernel may
    /// hold the listener of a process that was killed until its last request has ended.
    fn serves(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            // Whether it lives comes first: on its ports somebody else may answer.
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            if self.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                return true;
            }
            assert!(Instant::now() < deadline, "the broker does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.admin)).ok()?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// What `storage dump` says of a topic, while no broker runs.
    pub(super) fn dump(&self, topic: &str) -> String {
        let data = self.data.to_str().unwrap();
        ringwood(&["storage", "dump", "--data", data, "--topic", topic], b"").ok()
    }

    pub(super) fn admin(&self) -> String {
        format!("127.0.0.1:{}", self.admin)
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn admin_address(&self) -> String {
        format!("127.0.0.1:{}", self.admin)
    }

    /// A connection to its Kafka port.
    pub(super) fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }

    /// Its data directory.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// What `/metrics` says.
    pub(super) fn metrics(&self) -> String {
        self.get("/metrics").unwrap()
    }

    /// What another page of the admin address says.
    pub(super) fn page(&self, path: &str) -> String {
        self.get(path).unwrap()
    }

    /// Bytes of memory that its process has in use.
    pub(super) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// A command that talks to this broker.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(arguments).env("RINGWOOD_BOOTSTRAP", self.address());
        command
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Ran {
        self.feed(arguments, b"")
    }

    pub(super) fn feed(&self, arguments: &[&str], stdin: &[u8]) -> Ran {
        run(&mut self.command(arguments), stdin)
    }
}

fn launch(port: u16, admin: u16, data: &Path) -> Child {
    Command::new(BINARY)
        .arg("start")
        .arg("--data")
        .arg(data)
        .args(["--listen", &format!("127.0.0.1:{port}"), "--admin", &format!("127.0.0.1:{admin}")])
        .args(["--ring", "8MiB", "--memory", "64MiB", "--reserve", "1MiB"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.data);
    }
}
