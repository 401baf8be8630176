//! Every edition keeps what it acknowledges: read back over the wire, and from the file after a kill. No timing verdicts.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "../../engine/runtime/tests/refusal/skip.rs"]
mod skip;

use bench_core::{TOPIC, read_back};
use ringwood_bench::comparison::{Plan, compare};
use ringwood_bench::cross;
use ringwood_bench::edition::{Edition, is_built};
use ringwood_bench::load::{Shape, batch_of, fetch_frame, produce_frame};
use ringwood_bench::server::{Server, Setup};
use runtime::{WhyNot, probe};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wire::api::fetch::FetchResponse;
use wire::api::produce::ProduceResponse;
use wire::{ErrorCode, Message, Reader, ResponseHeader};

const PARTITIONS: usize = 4;
const PRODUCE_VERSION: i16 = 11;
const FETCH_VERSION: i16 = 12;

fn setup(name: &str) -> Setup {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).unwrap();
    Setup {
        program: PathBuf::from(env!("CARGO_BIN_EXE_ringwood-bench")),
        broker: PathBuf::from("not used"),
        directory,
        partitions: PARTITIONS,
        processor: None,
        own_processor: None,
    }
}

/// A blocking client that knows one answer after the other.
struct Client(TcpStream);

impl Client {
    fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(stream)
    }

    fn send(&mut self, mut frame: Vec<u8>, correlation: i32) {
        frame[8..12].copy_from_slice(&correlation.to_be_bytes());
        self.0.write_all(&frame).unwrap();
    }

    /// The next answer's bytes, if the server does not close.
    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut len = [0; 4];
        self.0.read_exact(&mut len).ok()?;
        let mut answer = vec![0; u32::from_be_bytes(len) as usize];
        self.0.read_exact(&mut answer).unwrap();
        Some(answer)
    }

    /// Error and base offset of the answer to request `correlation`.
    fn produced(&mut self, correlation: i32) -> (ErrorCode, i64) {
        let answer = self.receive().expect("an answer");
        let mut r = Reader::new(&answer);
        let header = ResponseHeader::decode(&mut r, 1).unwrap();
        assert_eq!(header.correlation_id, correlation, "answers keep the order");
        let response = ProduceResponse::decode_from(&mut r, PRODUCE_VERSION).unwrap();
        let partition = &response.responses[0].partition_responses[0];
        (partition.error_code, partition.base_offset.0)
    }

    fn fetched(&mut self, partition: i32, offset: i64) -> Vec<u8> {
        self.send(fetch_frame(TOPIC, partition, offset).unwrap(), 77);
        let answer = self.receive().expect("an answer");
        let mut r = Reader::new(&answer);
        assert_eq!(ResponseHeader::decode(&mut r, 1).unwrap().correlation_id, 77);
        let response = FetchResponse::decode_from(&mut r, FETCH_VERSION).unwrap();
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.error_code, ErrorCode::NONE);
        assert!(partition.high_watermark.0 > offset, "what was acknowledged is visible");
        partition.records.bytes().unwrap().to_vec()
    }
}

/// The batch as the log keeps it: base offset and leader epoch 0 are placed.
fn placed(mut batch: Vec<u8>, offset: i64) -> Vec<u8> {
    batch[..8].copy_from_slice(&offset.to_be_bytes());
    batch[12..16].fill(0);
    batch
}

fn keeps_what_it_acknowledges(edition: Edition) {
    const SIZES: [usize; 6] = [10, 1 << 10, 40_000, 100, 131_072, 1_000_000];
    const IN_FLIGHT: usize = 5;
    const REQUESTS: usize = 24;
    let server = Server::start(edition, &setup("editions")).unwrap();
    let mut acknowledged: BTreeMap<i32, BTreeMap<i64, Vec<u8>>> = BTreeMap::new();
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(&server)).collect();

    let batch = |client: usize, n: usize| {
        batch_of(SIZES[(n + client) % SIZES.len()], (client * 1000 + n) as u64).unwrap()
    };
    let correlation = |n: usize| i32::try_from(n).unwrap();
    for n in 0..REQUESTS + IN_FLIGHT {
        for (c, client) in clients.iter_mut().enumerate() {
            let partition = correlation(c);
            if n < REQUESTS {
                let frame = produce_frame(TOPIC, partition, &batch(c, n)).unwrap();
                client.send(frame, correlation(n));
            }
            if let Some(due) = n.checked_sub(IN_FLIGHT) {
                let (error, offset) = client.produced(correlation(due));
                assert_eq!(error, ErrorCode::NONE);
                let kept = placed(batch(c, due), offset);
                let before = acknowledged.entry(partition).or_default().insert(offset, kept);
                assert!(before.is_none(), "offset {offset} was given twice");
            }
        }
    }
    for (partition, batches) in &acknowledged {
        let offsets: Vec<i64> = batches.keys().copied().collect();
        let dense: Vec<i64> = (0..).take(REQUESTS).collect();
        assert_eq!(offsets, dense, "offsets are dense");
        for (offset, batch) in batches {
            let found = clients[0].fetched(*partition, *offset);
            assert!(found == *batch, "partition {partition} offset {offset} differs");
        }
    }

    // A damaged batch is refused and leaves no trace; the connection goes on.
    let mut damaged = batch(0, 0);
    *damaged.last_mut().unwrap() ^= 1;
    clients[0].send(produce_frame(TOPIC, 3, &damaged).unwrap(), 1);
    assert_eq!(clients[0].produced(1).0, ErrorCode::CORRUPT_MESSAGE);
    clients[0].send(produce_frame("another", 3, &batch(0, 0)).unwrap(), 2);
    assert_eq!(clients[0].produced(2).0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    // A request that is not served ends its connection, and no other one.
    let mut strange = produce_frame(TOPIC, 3, &batch(0, 0)).unwrap();
    strange[4..6].copy_from_slice(&3i16.to_be_bytes());
    clients[1].send(strange, 3);
    assert_eq!(clients[1].receive(), None);
    clients[2].0.write_all(&[0xff; 64]).unwrap();
    assert_eq!(clients[2].receive(), None);
    let mut late = Client::connect(&server);
    late.send(produce_frame(TOPIC, 3, &batch(9, 9)).unwrap(), 4);
    let (error, offset) = late.produced(4);
    assert_eq!((error, offset), (ErrorCode::NONE, 0));
    acknowledged.entry(3).or_default().insert(0, placed(batch(9, 9), 0));

    let file = server.kill().unwrap();
    let written = read_back(&file).unwrap();
    for (partition, batches) in &acknowledged {
        for (offset, batch) in batches {
            let found = written.get(&partition.cast_unsigned()).and_then(|p| p.get(offset));
            assert!(found == Some(batch), "{partition} at {offset} is not in the file");
        }
    }
}

#[test]
fn the_reactor_keeps_what_it_acknowledges() {
    keeps_what_it_acknowledges(Edition::Reactor);
}

#[test]
fn the_reactor_with_ordinary_buffers_keeps_what_it_acknowledges() {
    keeps_what_it_acknowledges(Edition::ReactorPlain);
}

#[test]
fn epoll_keeps_what_it_acknowledges() {
    keeps_what_it_acknowledges(Edition::Epoll);
}

#[test]
#[cfg(feature = "glommio")]
fn glommio_keeps_what_it_acknowledges() {
    if every_edition_can_run() {
        keeps_what_it_acknowledges(Edition::Glommio);
    }
}

/// The reactor has another backend where io_uring is refused, glommio has none.
fn every_edition_can_run() -> bool {
    !is_built(Edition::Glommio) || skip::has_io_uring()
}

#[test]
fn a_comparison_has_a_line_for_every_server_shape_and_request() {
    if !every_edition_can_run() {
        return;
    }
    let plan = Plan {
        editions: Edition::ALL
            .into_iter()
            .filter(|e| *e != Edition::Broker && is_built(*e))
            .collect(),
        shapes: vec![
            Shape { connections: 2, in_flight: 3, bytes: 1 << 10 },
            Shape { connections: 1, in_flight: 2, bytes: 128 << 10 },
        ],
        rounds: 2,
        warm_up: Duration::from_millis(20),
        measured: Duration::from_millis(100),
        counted: 20,
    };
    let setup = Setup { partitions: plan.partitions(), ..setup("comparison") };
    let compared = compare(&plan, &setup, &|_| {}).unwrap();
    assert_eq!(compared.lines.len(), plan.editions.len() * 2 * 2);
    assert_eq!(compared.facts.len(), plan.editions.len());
    for line in &compared.lines {
        assert_eq!(line.rounds.len(), 2);
        assert!(line.rounds.iter().all(|r| r.per_second > 0.0 && r.cpu_us > 0.0), "{line:?}");
        assert!(!line.latency.is_empty());
        // Tracing may be forbidden here, but a count that there is must be believable.
        if let Ok(calls) = line.syscalls {
            assert!((0.01..100.0).contains(&calls), "{} {calls}", line.edition);
        }
    }
    let table = ringwood_bench::table::comparison(&compared);
    assert_eq!(table.lines().count(), 2 + compared.lines.len());
}

#[test]
fn messages_cross_between_cores_and_come_back() {
    if !every_edition_can_run() {
        return;
    }
    for edition in [Edition::Reactor, Edition::Glommio].into_iter().filter(|e| is_built(*e)) {
        for depth in [1, 64] {
            let program = Path::new(env!("CARGO_BIN_EXE_ringwood-bench"));
            let trips = cross::in_a_process(program, edition, 2_000, depth).unwrap();
            // All but the first, which starts the clock; the clocks are looked at every 256 trips.
            assert_eq!((trips.trips, trips.latency().unwrap().len()), (1_792, 1_999));
            assert!(trips.seconds > 0.0 && trips.cpu_seconds > 0.0);
        }
    }
}
