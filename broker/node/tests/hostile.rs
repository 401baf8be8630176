//! Bytes that no client sends: every truncation and many corruptions of real requests. The broker lives, its memory stays in bounds, and it serves
//! afterwards as before.
//!
//! The requests are recorded: `ringwood topic`, `produce` and `consume` talk to the broker through a proxy that keeps what they send.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_ringwood");
/// Resident bytes more than before the hostile frames: the budget of the broker below and as much again for what the allocator keeps.
const GROWTH_MAX: u64 = 64 << 20;

struct Broker {
    process: Child,
    direct: String,
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Broker {
    /// A broker that tells clients to come by way of `proxy`.
    fn start(proxy: &str) -> Broker {
        let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile");
        if data.exists() {
            std::fs::remove_dir_all(&data).unwrap();
        }
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (direct, admin) = (free(), free());
        let mut command = Command::new(BINARY);
        command.arg("start").arg("--data").arg(data).args(["--listen", &direct]);
        command.args(["--admin", &admin, "--advertise", proxy, "--cores", "1"]);
        command.args(["--ring", "1MiB", "--memory", "32MiB"]);
        let process = command.stderr(Stdio::null()).spawn().unwrap();
        let broker = Broker { process, direct };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(&broker.direct).is_err() {
            assert!(Instant::now() < deadline, "the broker does not listen");
            sleep(Duration::from_millis(20));
        }
        broker
    }

    /// Resident bytes.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
    }

    fn must_live(&mut self, after: &str) {
        assert!(self.process.try_wait().unwrap().is_none(), "the broker ended after {after}");
    }
}

/// Passes connections on and keeps what the clients say, in one piece for each connection.
fn record(listener: TcpListener, to: String) -> Arc<Mutex<Vec<Vec<u8>>>> {
    let kept: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let all = Arc::clone(&kept);
    spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let Ok(mut broker) = TcpStream::connect(&to) else { continue };
            let (mut back, mut there) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
            spawn(move || {
                drop(std::io::copy(&mut there, &mut back));
                drop(back.shutdown(Shutdown::Both));
            });
            let all = Arc::clone(&all);
            spawn(move || {
                let at = {
                    let mut all = all.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                let mut buffer = vec![0; 1 << 16];
                while let Ok(n @ 1..) = client.read(&mut buffer) {
                    all.lock().unwrap()[at].extend_from_slice(&buffer[..n]);
                    if broker.write_all(&buffer[..n]).is_err() {
                        break;
                    }
                }
                drop(broker.shutdown(Shutdown::Both));
            });
        }
    });
    kept
}

/// The frames of a connection, each with its length.
fn frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while bytes.len() >= 4 {
        let len = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize + 4;
        assert!(len <= bytes.len(), "a request was recorded in part");
        found.push(bytes[..len].to_vec());
        bytes = &bytes[len..];
    }
    found
}

fn command(bootstrap: &str, words: &[&str], input: &[u8]) -> String {
    let mut child = Command::new(BINARY)
        .args(words)
        .env("RINGWOOD_BOOTSTRAP", bootstrap)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let ran = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{words:?}: {err}");
    String::from_utf8(ran.stdout).unwrap()
}

/// Sends these bytes and hangs up. What the broker says to that is its own affair, so long as it lives.
fn send(to: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(to).unwrap();
    // It may hang up before it has read all.
    drop(stream.write_all(bytes));
    drop(stream.shutdown(Shutdown::Write));
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut answer = [0; 256];
    while let Ok(1..) = stream.read(&mut answer) {}
}

/// The frame with another four bytes at this place.
fn with_word(frame: &[u8], at: usize, word: [u8; 4]) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    bytes[at..at + 4].copy_from_slice(&word);
    bytes
}

#[test]
fn no_truncation_and_no_corrupt_length_of_a_real_request_harms_the_broker() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = listener.local_addr().unwrap().to_string();
    let mut broker = Broker::start(&proxy);
    let kept = record(listener, broker.direct.clone());
    command(&proxy, &["topic", "create", "t", "--partitions", "2"], b"");
    command(&proxy, &["produce", "t"], b"one\ntwo\nthree\n");
    let mut lines: Vec<String> =
        command(&proxy, &["consume", "t"], b"").lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["one", "three", "two"]);
    command(&proxy, &["topic", "list"], b"");
    command(&proxy, &["topic", "describe", "t"], b"");

    // One request of each kind.
    let mut kinds: BTreeMap<[u8; 4], Vec<u8>> = BTreeMap::new();
    for connection in kept.lock().unwrap().iter() {
        for frame in frames(connection) {
            kinds.entry(frame[4..8].try_into().unwrap()).or_insert(frame);
        }
    }
    let keys: Vec<u8> = kinds.keys().map(|kind| kind[1]).collect();
    for key in [0, 1, 3, 18, 19] {
        assert!(keys.contains(&key), "no request of API {key} among {keys:?}");
    }

    let before = broker.resident();
    let mut sent = 0;
    for (kind, frame) in &kinds {
        for len in 0..frame.len() {
            // The connection ends in the middle of the frame; the frame says that it is complete and is not.
            send(&broker.direct, &frame[..len]);
            if len >= 4 {
                let short = u32::try_from(len - 4).unwrap().to_be_bytes();
                send(&broker.direct, &with_word(&frame[..len], 0, short));
            }
            sent += 2;
        }
        broker.must_live(&format!("truncations of {kind:?}"));
        for at in 0..frame.len() - 3 {
            for word in [[0x7f, 0xff, 0xff, 0xff], [0xff; 4], [0x80, 0, 0, 0]] {
                send(&broker.direct, &with_word(frame, at, word));
                sent += 1;
            }
        }
        broker.must_live(&format!("corrupt lengths of {kind:?}"));
    }
    assert!(sent > 1000, "{sent}");
    let grown = broker.resident().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{grown} bytes more after {sent} hostile frames");
    command(&proxy, &["topic", "create", "after"], b"");
    command(&proxy, &["produce", "after"], b"four\n");
    assert_eq!(command(&proxy, &["consume", "after"], b""), "four\n");
}
