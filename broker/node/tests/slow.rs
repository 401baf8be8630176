//! A broker with an artificial delay in one stage says which stage it is: in its worst requests, in its histograms, in its log.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "serving/ports.rs"]
mod ports;
#[path = "serving/requests.rs"]
#[allow(dead_code, reason = "other scenes use the rest")]
mod requests;

use client::Pipeline;
use ids::{Offset, PartitionIndex};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use wire::Records;
use wire::api::fetch::{FetchPartition, FetchRequest, FetchTopic};
use wire::api::produce::PartitionProduceData;

const BINARY: &str = env!("CARGO_BIN_EXE_ringwood");

struct Broker {
    process: Child,
    kafka: String,
    admin: String,
    data: PathBuf,
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(std::fs::remove_dir_all(&self.data));
    }
}

fn free_address() -> String {
    format!("127.0.0.1:{}", ports::free())
}

impl Broker {
    /// A broker of two cores whose operations suffer these faults.
    fn with(name: &str, faults: &str) -> Self {
        let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("slow-{name}"));
        drop(std::fs::remove_dir_all(&data));
        Self::on(data, faults)
    }

    /// The same with data that is there.
    fn on(data: PathBuf, faults: &str) -> Self {
        let (kafka, admin) = (free_address(), free_address());
        let process = Command::new(BINARY)
            .arg("start")
            .arg("--data")
            .arg(&data)
            .args(["--listen", &kafka, "--admin", &admin, "--cores", "2", "--pin", "never"])
            .args(["--ring", "8MiB", "--memory", "64MiB", "--reserve", "1MiB"])
            .env("RINGWOOD_FAULTS", faults)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let broker = Self { process, kafka, admin, data };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(&broker.kafka).is_err() {
            assert!(Instant::now() < deadline, "the broker does not start");
            sleep(Duration::from_millis(20));
        }
        broker
    }

    /// Ends as an operator ends it, and starts anew: what it had written is in files then, and in no memory.
    fn again(mut self, faults: &str) -> Self {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        assert!(self.process.wait().unwrap().success());
        Self::on(std::mem::take(&mut self.data), faults)
    }

    /// A topic of four partitions, some of whose data lies on the disk alone.
    fn with_cold_data(name: &str, faults: &str) -> Self {
        let broker = Self::with(name, "");
        broker.ran(&["topic", "create", "slow", "-p", "4"], b"");
        // What is repeated would be compressed away.
        let line = |n: u64| format!("{}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let lines: String = (1..10_000).map(line).collect();
        for partition in 0..4 {
            let partition = partition.to_string();
            broker.ran(&["produce", "slow", "-p", &partition], lines.as_bytes());
        }
        broker.again(faults)
    }

    fn ran(&self, arguments: &[&str], stdin: &[u8]) -> String {
        let mut child = Command::new(BINARY)
            .args(arguments)
            .env("RINGWOOD_BOOTSTRAP", &self.kafka)
            .env("RINGWOOD_ADMIN", &self.admin)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ran(arguments, b"")).unwrap()
    }

    /// Records to all four partitions of a topic, so that both cores own some, one request after the other; then a second for
    /// the broker to count them.
    fn produce(&self, durability: &str) {
        let durability = format!("ringwood.durability={durability}");
        self.ran(&["topic", "create", "slow", "-p", "4", "--config", &durability], b"");
        for i in 0..24 {
            self.ran(&["produce", "slow", "-p", &(i % 4).to_string()], format!("{i}\n").as_bytes());
        }
        sleep(Duration::from_millis(2_500));
    }

    /// The longest of a stage of an API, in microseconds.
    fn max(&self, api: &str, stage: &str) -> f64 {
        let page = self.json(&["latency", "--json", "--api", api]);
        let rows = page["stages"].as_array().unwrap();
        let row = rows.iter().find(|r| r["stage"] == stage);
        row.map_or(0.0, |r| r["max_us"].as_f64().unwrap())
    }

    /// Microseconds at the middle of a stage of an API; their mean where too few met it.
    fn median(&self, api: &str, stage: &str) -> f64 {
        let page = self.json(&["latency", "--json", "--api", api]);
        let rows = page["stages"].as_array().unwrap();
        let row = rows.iter().find(|r| r["stage"] == stage);
        row.map_or(0.0, |r| r["p50_us"].as_f64().or(r["mean_us"].as_f64()).unwrap())
    }
}

/// Every worst produce is due to `stage`, which took at least `ms`; so says the histogram, and no other stage took half of it.
fn blames(broker: &Broker, durability: &str, stage: &str, ms: f64) {
    broker.produce(durability);
    let page = broker.json(&["latency", "why", "--json", "--of", "produce", "-n", "4"]);
    let worst = page["worst"].as_array().unwrap();
    assert_eq!(worst.len(), 4, "{page}");
    for w in worst {
        assert_eq!(w["slowest"], stage, "{w}");
        assert_eq!((&w["api"], &w["topic"]), (&"Produce".into(), &"slow".into()), "{w}");
        let stages = w["stages_us"].as_object().unwrap();
        assert!(stages[stage].as_f64().unwrap() >= ms * 1000.0, "{w}");
        let sum: f64 = stages.values().map(|us| us.as_f64().unwrap()).sum();
        let total = w["total_us"].as_f64().unwrap();
        assert!((sum - total).abs() < 0.01, "the stages are all of it: {w}");
    }
    let said = broker.ran(&["latency", "why", "--of", "produce"], b"");
    assert!(said.starts_with(&format!("{stage} took ")), "{said}");

    assert!(broker.median("Produce", stage) >= ms * 1000.0);
    for other in stages::Stage::ALL.iter().filter(|s| s.name() != stage && s.name() != "total") {
        let took = broker.median("Produce", other.name());
        assert!(took < ms * 500.0, "{} took {took} us", other.name());
    }
}

#[test]
fn a_slow_flush_is_a_slow_flush() {
    let broker = Broker::with("flush", "sync,path=ring,delay=60ms");
    blames(&broker, "fsync", "flush", 55.0);
}

/// A commit that stands alone and has to be flushed is written and flushed in one pair, of which only the end is told
/// (`docs/decisions/0006`): both are its flush. Where nothing waits for a flush, the write stands for itself.
#[test]
fn a_slow_write_is_a_slow_write() {
    let broker = Broker::with("write", "write,path=ring,delay=60ms");
    blames(&broker, "written", "write", 55.0);
}

#[test]
fn a_slow_send_is_a_slow_send() {
    let broker = Broker::with("send", "send,delay=60ms");
    blames(&broker, "fsync", "send", 55.0);
}

/// The client loses its patience, and the device is no faster for that.
#[test]
fn a_slow_flush_is_told_though_its_client_has_given_up() {
    let broker = Broker::with("gone", "sync,path=ring,delay=1500ms");
    broker.ran(&["topic", "create", "slow", "-p", "1"], b"");
    let mut client = TcpStream::connect(&broker.kafka).unwrap();
    let batch = requests::batch(b"value");
    let mut pipeline = Pipeline::new("impatient", 1 << 20);
    pipeline.submit(requests::PRODUCE, &requests::produce("slow", &batch)).unwrap();
    client.write_all(pipeline.outgoing()).unwrap();
    sleep(Duration::from_millis(300));
    drop(client);
    let deadline = Instant::now() + Duration::from_secs(30);
    let worst = loop {
        let page = broker.json(&["latency", "why", "--json", "--of", "produce"]);
        if let Some(worst) = page["worst"].as_array().unwrap().first() {
            break worst.clone();
        }
        assert!(Instant::now() < deadline, "it is not told");
        sleep(Duration::from_millis(100));
    };
    assert_eq!((&worst["slowest"], &worst["client_gone"]), (&"flush".into(), &true.into()));
    assert!(worst["stages_us"]["flush"].as_f64().unwrap() >= 1_400_000.0, "{worst}");
    let page = broker.json(&["latency", "--json", "--api", "produce"]);
    let rows = page["stages"].as_array().unwrap();
    let total = rows.iter().find(|row| row["stage"] == "total").unwrap();
    assert_eq!(total["count"], 1, "{page}");
}

/// From the beginning, with a client that waits for long if there is nothing.
fn fetch(topic: &str, partition: i32) -> FetchRequest<'_> {
    let partition = FetchPartition {
        partition: PartitionIndex(partition),
        fetch_offset: Offset(0),
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let topic = FetchTopic { topic, partitions: vec![partition], ..FetchTopic::default() };
    FetchRequest {
        max_wait_ms: 60_000,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![topic],
        ..FetchRequest::default()
    }
}

/// Sends one.
fn fetches(broker: &Broker, topic: &str, partition: i32) -> TcpStream {
    let mut client = TcpStream::connect(&broker.kafka).unwrap();
    let mut pipeline = Pipeline::new("reader", 1 << 20);
    pipeline.submit(12, &fetch(topic, partition)).unwrap();
    client.write_all(pipeline.outgoing()).unwrap();
    client
}

#[test]
fn a_slow_read_is_a_slow_read() {
    let broker = Broker::with_cold_data("read", "read,path=.log,delay=60ms");
    for partition in 0..4 {
        let partition = partition.to_string();
        broker.ran(&["consume", "slow", "-p", &partition, "-n", "100"], b"");
    }
    sleep(Duration::from_millis(2_500));
    let page = broker.json(&["latency", "why", "--json", "--of", "fetch", "-n", "1"]);
    let worst = &page["worst"][0];
    assert_eq!((&worst["slowest"], &worst["topic"]), (&"read".into(), &"slow".into()), "{page}");
    assert!(worst["stages_us"]["read"].as_f64().unwrap() >= 55_000.0, "{page}");
    assert!(broker.max("fetch", "read") >= 55_000.0);
}

/// Waits until so many requests are in progress in two of the broker's seconds: what went from one core to another in the first has
/// come there in the second.
fn are_in_flight(broker: &Broker, count: u64) {
    let mut seconds = BTreeSet::new();
    let deadline = Instant::now() + Duration::from_secs(30);
    while seconds.len() < 2 {
        let page = broker.json(&["top", "--once", "--json"]);
        let cores = page["cores"].as_array().unwrap();
        let going: u64 = cores.iter().map(|c| c["requests_in_flight"].as_u64().unwrap()).sum();
        if going == count && !cores.is_empty() {
            seconds.insert(page["ended_ms"].as_u64());
        }
        assert!(Instant::now() < deadline, "{count} are not in flight: {page}");
        sleep(Duration::from_millis(100));
    }
}

/// Connections and partitions are of both cores. A fetch that is parked waits because it was asked to, and is not told.
#[test]
fn a_slow_read_is_told_though_its_client_has_given_up() {
    let broker = Broker::with_cold_data("gone-read", "read,path=.log,delay=10s");
    broker.ran(&["topic", "create", "quiet", "-p", "4"], b"");
    let all = |topic| (0..4).map(|p| fetches(&broker, topic, p)).collect::<Vec<_>>();
    let parked = all("quiet");
    are_in_flight(&broker, 4);
    drop(parked);
    let reading = all("slow");
    for partition in 0..4 {
        hanging(&broker, "fetch", partition, "read");
    }
    drop(reading);
    let deadline = Instant::now() + Duration::from_secs(30);
    let worst = loop {
        let page = broker.json(&["latency", "why", "--json", "--of", "fetch"]);
        let worst = page["worst"].as_array().unwrap();
        if worst.len() >= 4 {
            break worst.clone();
        }
        assert!(Instant::now() < deadline, "they are not told: {page}");
        sleep(Duration::from_millis(100));
    };
    for w in &worst {
        assert_eq!((&w["slowest"], &w["client_gone"]), (&"read".into(), &true.into()), "{w}");
        assert_eq!(w["topic"], "slow", "{w}");
        assert!(w["stages_us"]["read"].as_f64().unwrap() >= 1e6, "{w}");
    }
    let page = broker.json(&["latency", "--json", "--api", "fetch"]);
    let rows = page["stages"].as_array().unwrap();
    let total = rows.iter().find(|row| row["stage"] == "total").unwrap();
    assert_eq!(total["count"], 4, "{page}");
}

/// A request of an API about a partition that has been in this stage for long and is not over, once there is one.
fn hanging(broker: &Broker, api: &str, partition: i32, stage: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let page = broker.json(&["latency", "why", "--json", "--of", api]);
        let longest = page["in_progress"]["longest"].as_array().unwrap();
        let is_it = |g: &&Value| g["stage"] == stage && g["partition"] == partition;
        if let Some(going) = longest.iter().find(is_it) {
            let (still, age) = (going["still_us"].as_f64(), going["age_us"].as_f64());
            assert!(still.unwrap() >= 1e6 && age >= still, "{going}");
            return going.clone();
        }
        assert!(Instant::now() < deadline, "it is not told: {page}");
        sleep(Duration::from_millis(50));
    }
}

/// Nothing is over while the device stands still, so that nothing else is told. Connections and partitions are of both cores.
#[test]
fn what_hangs_in_a_flush_is_told_while_it_hangs() {
    let broker = Broker::with("hangs", "sync,path=ring,delay=4s");
    broker.ran(&["topic", "create", "slow", "-p", "4"], b"");
    let batch = requests::batch(b"value");
    for partition in 0..4 {
        let mut client = TcpStream::connect(&broker.kafka).unwrap();
        let mut request = requests::produce("slow", &batch);
        request.topic_data[0].partition_data[0].index = PartitionIndex(partition);
        let mut pipeline = Pipeline::new("patient", 1 << 20);
        pipeline.submit(requests::PRODUCE, &request).unwrap();
        client.write_all(pipeline.outgoing()).unwrap();
        let going = hanging(&broker, "produce", partition, "flush");
        assert_eq!(going["topic"], "slow", "{going}");
        assert_eq!(going["peer"], client.local_addr().unwrap().to_string());
        assert_eq!(going["client_gone"], false, "{going}");
        client.read_exact(&mut [0; 4]).unwrap();
    }
}

/// One of its partitions is acknowledged, and the other hangs: that is the one to be named. Neighbours are of different cores.
#[test]
fn of_several_partitions_one_that_hangs_is_told() {
    let broker = Broker::with("hangs-one", "sync,path=/1/ring,delay=4s");
    broker.ran(&["topic", "create", "slow", "-p", "2"], b"");
    let batch = requests::batch(b"value");
    for first in [0, 1] {
        let mut client = TcpStream::connect(&broker.kafka).unwrap();
        let data = |index| PartitionProduceData {
            index: PartitionIndex(index),
            records: Records::Slice(&batch),
        };
        let mut request = requests::produce("slow", &batch);
        request.topic_data[0].partition_data = vec![data(first), data(1 - first)];
        let mut pipeline = Pipeline::new("patient", 1 << 20);
        pipeline.submit(requests::PRODUCE, &request).unwrap();
        client.write_all(pipeline.outgoing()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let page = broker.json(&["latency", "why", "--json", "--of", "produce"]);
            let longest = page["in_progress"]["longest"].as_array().unwrap();
            if longest.iter().any(|g| g["stage"] == "flush" && g["partition_core"] == 1) {
                break;
            }
            assert!(Instant::now() < deadline, "{page}");
            sleep(Duration::from_millis(50));
        }
        client.read_exact(&mut [0; 4]).unwrap();
    }
}

/// A member waits for the others of its group because it asked to, and for the disk because that hangs.
#[test]
fn a_member_that_waits_for_the_log_is_told() {
    let broker = Broker::with("hangs-group", "sync,path=ring,delay=4s");
    broker.ran(&["topic", "create", "slow", "-p", "1"], b"");
    let mut member = Command::new(BINARY)
        .args(["consume", "slow", "--group", "g", "--follow"])
        .env("RINGWOOD_BOOTSTRAP", &broker.kafka)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let told = loop {
        let page = broker.json(&["latency", "why", "--json", "--of", "SyncGroup"]);
        let longest = page["in_progress"]["longest"].as_array().unwrap();
        let told = longest.iter().find(|g| g["stage"] == "flush").cloned();
        if told.is_some() || Instant::now() > deadline {
            break told;
        }
        sleep(Duration::from_millis(50));
    };
    drop(member.kill());
    drop(member.wait());
    let told = told.unwrap();
    assert_eq!(told["topic"], "__consumer_offsets", "{told}");
    assert_eq!(told["request_bytes"], Value::Null, "{told}");
}

/// A core that does not come to its letters is named, and keeps no other from being asked; nor does a scrape that waits for it.
#[test]
fn a_core_that_hangs_is_named() {
    // Some letters are needed to start.
    let broker = Broker::with("hung", "mailbox,path=core-1,after=40,delay=60s");
    let why = || broker.json(&["latency", "why", "--json"]);
    let silent = || why()["in_progress"]["silent_cores"].clone();
    let deadline = Instant::now() + Duration::from_secs(120);
    while silent() != json!([1]) {
        assert!(Instant::now() < deadline, "it is not named: {}", why());
        sleep(Duration::from_millis(50));
    }
    let mut scrape = TcpStream::connect(&broker.admin).unwrap();
    let asked = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    scrape.write_all(asked.as_bytes()).unwrap();
    let mut metrics = String::new();
    scrape.read_to_string(&mut metrics).unwrap();
    assert!(metrics.starts_with("HTTP/1.1 200 "), "{metrics}");
    for _ in 0..3 {
        assert_eq!(silent(), json!([1]));
    }
}

#[test]
fn what_hangs_in_a_read_is_told_while_it_hangs_and_what_is_parked_is_not() {
    let broker = Broker::with_cold_data("hangs-read", "read,path=.log,delay=4s");
    broker.ran(&["topic", "create", "quiet", "-p", "4"], b"");
    let parked: Vec<_> = (0..4).map(|p| fetches(&broker, "quiet", p)).collect();
    for partition in 0..4 {
        let client = fetches(&broker, "slow", partition);
        let going = hanging(&broker, "fetch", partition, "read");
        assert_eq!(going["topic"], "slow", "{going}");
        let page = broker.json(&["latency", "why", "--json"]);
        let longest = page["in_progress"]["longest"].as_array().unwrap();
        assert!(longest.iter().all(|g| g["topic"] != "quiet"), "{page}");
        // It goes, and so does what is read for it.
        drop(client);
        let gone = || broker.json(&["latency", "why", "--json"])["in_progress"]["count"] == 0;
        let deadline = Instant::now() + Duration::from_secs(30);
        while !gone() {
            assert!(Instant::now() < deadline, "it stays");
            sleep(Duration::from_millis(50));
        }
    }
    drop(parked);
}

/// What is slow is the way to core 1: a request's to its partition there, and an answer's to its connection there.
#[test]
fn a_slow_way_between_cores_is_a_queue_there_and_a_crossing_back() {
    let broker = Broker::with("mailbox", "mailbox,path=core-1,delay=60ms");
    broker.ran(&["topic", "create", "slow", "-p", "4"], b"");
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut seen = [false; 2];
    // Which core has a connection is chance.
    while seen != [true; 2] {
        assert!(Instant::now() < deadline, "queue, crossing: {seen:?}");
        for partition in 0..4 {
            broker.ran(&["produce", "slow", "-p", &partition.to_string()], b"value\n");
        }
        let page = broker.json(&["latency", "why", "--json", "--of", "produce", "-n", "100"]);
        for w in page["worst"].as_array().unwrap() {
            let way = match (w["core"].as_u64(), w["partition_core"].as_u64()) {
                (Some(0), Some(1)) => "queue",
                (Some(1), Some(0)) => "crossing",
                _ => continue,
            };
            assert!(w["stages_us"][way].as_f64().unwrap() >= 55_000.0, "{way}: {w}");
            seen[usize::from(way == "crossing")] = true;
        }
    }
    assert!(broker.max("produce", "queue") >= 55_000.0);
    assert!(broker.max("produce", "crossing") >= 55_000.0);
}

/// What waits in the kernel has not come yet as far as a broker knows: nothing of that is told of a request in one piece. From its
/// first bytes on the rest of it is waited for.
#[test]
fn a_slow_receive_is_told_of_requests_that_come_in_pieces() {
    let broker = Broker::with("receive", "receive,delay=60ms");
    broker.ran(&["topic", "create", "slow", "-p", "1"], b"");
    let mut client = TcpStream::connect(&broker.kafka).unwrap();
    let mut pipeline = Pipeline::new("large", 1 << 20);
    // More than one receive takes.
    let batches = [requests::batch(b"value"), requests::batch(&[7; 600_000])];
    for batch in &batches {
        pipeline.submit(requests::PRODUCE, &requests::produce("slow", batch)).unwrap();
        let sent = pipeline.outgoing().len();
        client.write_all(pipeline.outgoing()).unwrap();
        pipeline.on_sent(sent);
        let mut length = [0; 4];
        client.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        client.read_exact(&mut answer).unwrap();
    }
    sleep(Duration::from_millis(2_500));
    let page = broker.json(&["latency", "why", "--json", "--of", "produce"]);
    let worst = page["worst"].as_array().unwrap();
    let of = |large: bool| {
        let is_it = |w: &&Value| (w["request_bytes"].as_f64().unwrap() > 500_000.0) == large;
        worst.iter().find(is_it).unwrap()
    };
    assert_eq!(of(true)["slowest"], "receive", "{page}");
    assert!(of(true)["stages_us"]["receive"].as_f64().unwrap() >= 55_000.0, "{page}");
    assert_ne!(of(false)["slowest"], "receive", "{page}");
    assert!(broker.max("produce", "receive") >= 55_000.0);
}

#[test]
fn a_log_of_it_is_told_from_that_of_a_sound_one() {
    let (slow, sound) =
        (Broker::with("log-slow", "sync,path=ring,delay=60ms"), Broker::with("log", ""));
    let file = |broker: &Broker| {
        broker.produce("fsync");
        let file = broker.data.join("x.hlog").to_str().unwrap().to_owned();
        broker.ran(&["latency", "export", &file, "--last", "1m"], b"");
        file
    };
    let (a, b) = (file(&sound), file(&slow));
    let text = std::fs::read_to_string(&b).unwrap();
    assert!(text.contains("Tag=Produce.flush,"), "{text}");
    let rows = sound.json(&["latency", "--json", "--api", "produce", "--diff", &a, &b]);
    let of = |stage: &str, side: &str| -> f64 {
        let row = rows.as_array().unwrap().iter().find(|r| r["stage"] == stage).unwrap();
        assert!(row[side]["count"].as_u64().unwrap() >= 12, "{row}");
        row[side]["max_us"].as_f64().unwrap()
    };
    assert!(of("flush", "b") >= 55_000.0);
    assert!(of("append", "b") < 30_000.0);
    // A broker itself may stand for its log.
    let live = sound.json(&["latency", "--json", "--diff", &a, &slow.admin]);
    assert!(live.as_array().unwrap().iter().any(|r| r["stage"] == "flush"), "{live}");
}

#[test]
fn top_shows_every_core_and_the_busy_partitions() {
    let broker = Broker::with("top", "");
    // The first second has to be over.
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut quiet = broker.json(&["top", "--once", "--json"]);
    while quiet["cores"].as_array().is_none_or(Vec::is_empty) && Instant::now() < deadline {
        sleep(Duration::from_millis(100));
        quiet = broker.json(&["top", "--once", "--json"]);
    }
    assert_eq!(quiet["cores"].as_array().map(Vec::len), Some(2), "{quiet}");
    broker.ran(&["topic", "create", "busy", "-p", "4"], b"");
    // Partitions are the busiest in the second in which they are; a look may come between two.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        for p in 0..4 {
            broker.ran(&["produce", "busy", "-p", &p.to_string()], &b"0123456789\n".repeat(2000));
        }
        let page = broker.json(&["top", "--once", "--json"]);
        let hottest = page["hottest"].as_array().unwrap();
        let produced: u64 = page["cores"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["produce"]["count"].as_u64().unwrap())
            .sum();
        if produced >= 4 && hottest.first().is_some_and(|h| h["topic"] == "busy") {
            assert!(hottest[0]["bytes_in_s"].as_f64().unwrap() > 10_000.0, "{page}");
            break;
        }
        assert!(Instant::now() < deadline, "{page}");
    }
    let drawn = broker.ran(&["top", "--once"], b"");
    assert!(drawn.contains("CORE") && drawn.contains("Produce"), "{drawn}");
}
