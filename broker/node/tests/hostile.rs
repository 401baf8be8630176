//! Bytes that no client sends: every truncation and many corruptions of real requests. The broker lives, its memory stays in bounds, and it serves
//! afterwards as before.
//!
//! The requests are recorded: `ringwood topic`, `produce` and `consume` talk to the broker through a proxy that keeps what they send.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "serving/ports.rs"]
mod ports;

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
        Self::at("hostile", Some(proxy))
    }

    /// Ports that were free may be taken before it listens: the other tests open thousands of connections.
    fn at(name: &str, proxy: Option<&str>) -> Broker {
        let started = (0..10).find_map(|_| Self::try_at(name, proxy));
        started.expect("the broker ended ten times before it listened")
    }

    fn try_at(name: &str, proxy: Option<&str>) -> Option<Broker> {
        let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if data.exists() {
            std::fs::remove_dir_all(&data).unwrap();
        }
        let free = || format!("127.0.0.1:{}", ports::free());
        let (direct, admin) = (free(), free());
        let mut command = Command::new(BINARY);
        command.arg("start").arg("--data").arg(data).args(["--listen", &direct]);
        command.args(["--admin", &admin, "--cores", "1"]);
        command.args(["--advertise", proxy.unwrap_or(&direct)]);
        command.args(["--ring", "1MiB", "--memory", "32MiB", "--reserve", "16MiB"]);
        let process = command.stderr(Stdio::null()).spawn().unwrap();
        let mut broker = Broker { process, direct };
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            // A port that nobody listens on may connect to itself.
            let stream = TcpStream::connect(&broker.direct).ok();
            if stream.is_some_and(|s| s.local_addr().ok() != s.peer_addr().ok()) {
                return Some(broker);
            }
            if broker.process.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "the broker does not listen");
            sleep(Duration::from_millis(20));
        }
    }

    /// Resident bytes.
    fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most resident bytes since [`Broker::forget_peak`].
    fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// From here on the peak counts anew (proc(5), `clear_refs`).
    fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5").unwrap();
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
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

    broker.forget_peak();
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
    let grown = broker.peak().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{grown} bytes more for {sent} hostile frames");
    command(&proxy, &["topic", "create", "after"], b"");
    command(&proxy, &["produce", "after"], b"four\n");
    assert_eq!(command(&proxy, &["consume", "after"], b""), "four\n");
}

/// Each says that four megabytes follow, and sends one byte more: together they say more than there is for buffers. Produce goes on.
#[test]
fn half_sent_requests_do_not_stop_produce() {
    let mut broker = Broker::at("half-sent", None);
    let at = broker.direct.clone();
    command(&at, &["topic", "create", "t"], b"");
    let half: Vec<TcpStream> = (0..12)
        .map(|_| {
            let mut stream = TcpStream::connect(&at).unwrap();
            stream.write_all(&[0, 0x40, 0, 0, 0]).unwrap();
            stream
        })
        .collect();
    sleep(Duration::from_millis(300));
    // In a thread: a broker that does not answer must fail the test, not hang it.
    let (said, heard) = std::sync::mpsc::channel();
    spawn(move || {
        command(&at, &["produce", "t"], b"one\n");
        let consumed = command(&at, &["consume", "t"], b"");
        said.send(consumed).unwrap();
    });
    assert_eq!(heard.recv_timeout(Duration::from_secs(60)).unwrap(), "one\n");
    broker.must_live("half-sent requests");
    drop(half);
}

/// A few kilobytes that decompress to 60 MiB, six times in one request: two do not fit a request's budget. Alone, each is served.
#[test]
fn a_request_of_bombs_is_less_work_than_it_asks_for() {
    let mut broker = Broker::at("bombs", None);
    command(&broker.direct, &["topic", "create", "t"], b"");
    let zeros = vec![0; 60 << 20];
    let mut bomb = record::BatchBuilder::new().codec(record::Codec::Zstd);
    bomb.push(ids::Timestamp(-1), None, Some(&zeros), &[]);
    let bomb = bomb.build().unwrap();
    assert!(bomb.len() < 64 << 10, "{} bytes", bomb.len());
    let mut stream = TcpStream::connect(&broker.direct).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
    assert_eq!(produce(&mut stream, &bomb, 6), [0, 10, 10, 10, 10, 10]);
    assert_eq!(produce(&mut stream, &bomb, 1), [0]);
    broker.must_live("bombs");
}

/// A few megabytes that name half a million partitions: a Fetch and a Produce of them would take hundreds of megabytes to answer. They
/// are not answered, and others are.
#[test]
fn a_request_that_names_half_a_million_partitions_takes_no_memory_for_each() {
    const PARTITIONS: u32 = 500_000;
    // No transactional id, acks=all, 30 s; one topic; of each partition its index and a batch of no bytes.
    let mut produced = vec![0, 0, 0, 3, 0, 0, 0, 9, 0, 1, b'x'];
    produced.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0x75, 0x30, 0, 0, 0, 1, 0, 1, b't']);
    produced.extend(PARTITIONS.to_be_bytes());
    // No replica, no wait, 1 byte at least and 1 MiB at most, uncommitted; of each its index, offset 0 and 1 MiB.
    let mut fetched = vec![0, 1, 0, 4, 0, 0, 0, 9, 0, 1, b'x'];
    fetched.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x10, 0, 0, 0]);
    fetched.extend([0, 0, 0, 1, 0, 1, b't']);
    fetched.extend(PARTITIONS.to_be_bytes());
    for index in 0..PARTITIONS {
        produced.extend(index.to_be_bytes());
        produced.extend([0; 4]);
        fetched.extend(index.to_be_bytes());
        fetched.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0]);
    }

    let mut broker = Broker::at("many-partitions", None);
    command(&broker.direct, &["topic", "create", "t"], b"");
    let mut builder = record::BatchBuilder::new();
    builder.push(ids::Timestamp(-1), None, Some(b"one"), &[]);
    let batch = builder.build().unwrap();
    let mut other = TcpStream::connect(&broker.direct).unwrap();
    other.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(produce(&mut other, &batch, 1), [0]);
    for (name, request) in [("Fetch", fetched), ("Produce", produced)] {
        broker.forget_peak();
        let before = broker.resident();
        let mut stream = TcpStream::connect(&broker.direct).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let prefix = u32::try_from(request.len()).unwrap().to_be_bytes();
        stream.write_all(&[&prefix[..], &request].concat()).unwrap();
        assert_eq!(produce(&mut other, &batch, 1), [0], "beside such a {name}");
        let said = stream.read(&mut [0; 16]);
        let ended = match &said {
            Ok(bytes) => *bytes == 0,
            Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(ended, "{name} was answered: {said:?}");
        let grown = broker.peak().saturating_sub(before);
        assert!(grown < GROWTH_MAX, "{grown} bytes more for a {name} of {} bytes", request.len());
        broker.must_live(name);
    }
}

/// Produce 7, acks=all: the same batch so many times to partition 0 of topic t; the errors.
fn produce(to: &mut TcpStream, batch: &[u8], times: u32) -> Vec<i16> {
    let mut request = vec![0, 0, 0, 7, 0, 0, 0, 9, 0, 1, b'x'];
    request.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0x75, 0x30, 0, 0, 0, 1, 0, 1, b't']);
    request.extend(times.to_be_bytes());
    for _ in 0..times {
        request.extend([0; 4]);
        request.extend(u32::try_from(batch.len()).unwrap().to_be_bytes());
        request.extend(batch);
    }
    let prefix = u32::try_from(request.len()).unwrap().to_be_bytes();
    to.write_all(&[&prefix[..], &request].concat()).unwrap();
    let mut prefix = [0; 4];
    to.read_exact(&mut prefix).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(prefix) as usize];
    to.read_exact(&mut answer).unwrap();
    // Correlation id, one topic, its name, the partitions: index, error, offset, time, start.
    assert_eq!(answer[..8], [0, 0, 0, 9, 0, 0, 0, 1]);
    let partitions = answer[15..].chunks_exact(30).take(times as usize);
    partitions.map(|p| i16::from_be_bytes([p[4], p[5]])).collect()
}
