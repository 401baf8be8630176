//! When the broker hangs up: on what it does not serve, and on an error of a produce that wants no answer. A client that asks
//! for its versions is never hung up on.

use crate::asking::{ask, i16_at};
use crate::broker::{Broker, fresh};
use crate::requests::{PRODUCE, batch, produce};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use wire::Encoder;
use wire::api::produce::ProduceRequest;

const API_VERSIONS: i16 = 18;
const UNSUPPORTED_VERSION: i16 = 35;

/// A request's frame with correlation id 9 and client id `x`; `rest` is what stands behind.
fn frame(key: i16, version: i16, rest: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    request.extend(key.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend([0, 0, 0, 9, 0, 1, b'x']);
    request.extend(rest);
    [&u32::try_from(request.len()).unwrap().to_be_bytes()[..], &request].concat()
}

fn patient(broker: &Broker) -> TcpStream {
    let stream = broker.connect();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Sends this, and gives what comes until the broker hangs up.
fn last_words(broker: &Broker, frame: &[u8]) -> Vec<u8> {
    let mut to = patient(broker);
    to.write_all(frame).unwrap();
    let mut all = Vec::new();
    match to.read_to_end(&mut all) {
        Ok(_) => all,
        Err(e) if e.kind() == ErrorKind::ConnectionReset => all,
        Err(e) => panic!("the connection stays: {e}"),
    }
}

/// ApiVersions 3 of a client with a name: the error.
fn api_versions(to: &mut TcpStream) -> i16 {
    // Its answer's header has no tags in any version, so that it can be read by everybody.
    to.write_all(&frame(API_VERSIONS, 3, &[0, 2, b'c', 2, b'1', 0])).unwrap();
    let mut head = [0; 10];
    to.read_exact(&mut head).unwrap();
    assert_eq!(head[4..8], [0, 0, 0, 9]);
    let mut rest = vec![0; u32::from_be_bytes(head[..4].try_into().unwrap()) as usize - 6];
    to.read_exact(&mut rest).unwrap();
    i16_at(&head, 8)
}

#[test]
fn what_is_not_served_closes_the_connection_without_a_word() {
    let broker = Broker::serving(&fresh("answers-closing"));
    // Produce 0 to 2, well formed and of no topic: they are advertised for librdkafka and not taken.
    let nothing = [0xff, 0xff, 0, 0, 0x27, 0x10, 0, 0, 0, 0];
    for version in 0..=2 {
        assert_eq!(last_words(&broker, &frame(0, version, &nothing)), b"", "Produce {version}");
    }
    // One below and one above what is served, an API that is not, one that nobody knows, and none at all.
    for (key, version) in
        [(0, 12), (0, -1), (1, 3), (1, 18), (2, 0), (3, 14), (24, 0), (999, 0), (-1, 0)]
    {
        assert_eq!(last_words(&broker, &frame(key, version, &[0; 40])), b"", "{key}, {version}");
    }
    assert_eq!(api_versions(&mut patient(&broker)), 0, "it serves");
}

#[test]
fn versions_of_api_versions_that_nobody_knows_are_answered_in_the_oldest_form() {
    let broker = Broker::serving(&fresh("answers-fallback"));
    let mut to = patient(&broker);
    for version in [5, 99, i16::MAX] {
        to.write_all(&frame(API_VERSIONS, version, &[0, 2, b'c', 2, b'1', 0])).unwrap();
        let mut answer = vec![0; 4 + 4 + 2 + 4 + 6];
        to.read_exact(&mut answer).unwrap();
        // Its length, the correlation id, the error, and one entry: that of ApiVersions, 0 to 4.
        let entry = [0, 0, 0, 1, 0, 18, 0, 0, 0, 4];
        assert_eq!(answer[..8], [0, 0, 0, 16, 0, 0, 0, 9], "version {version}");
        assert_eq!(i16_at(&answer, 8), UNSUPPORTED_VERSION);
        assert_eq!(answer[10..], entry);
    }
    assert_eq!(api_versions(&mut to), 0, "the same connection");
}

#[test]
fn an_error_without_an_answer_closes_the_connection_and_a_success_does_not() {
    let broker = Broker::serving(&fresh("answers-acks-0"));
    broker.command(&["topic", "create", "t"]);
    let record = batch(b"value");
    let unanswered = |topic: &str| {
        let mut frame = Encoder::new();
        let request = ProduceRequest { acks: 0, ..produce(topic, &record) };
        frame.request(9, Some("x"), PRODUCE, &request).unwrap();
        frame.bytes().to_vec()
    };
    assert_eq!(last_words(&broker, &unanswered("nowhere")), b"");
    let mut to = patient(&broker);
    to.write_all(&unanswered("t")).unwrap();
    assert_eq!(api_versions(&mut to), 0, "the next answer is the next request's");
    // It was not only swallowed: ListOffsets 6 of the end of partition 0, once the write is there.
    let end = |to: &mut TcpStream| {
        let mut body = vec![0xff, 0xff, 0xff, 0xff, 0, 2, 2, b't', 2, 0, 0, 0, 0];
        body.extend([0xff; 4]);
        body.extend((-1_i64).to_be_bytes());
        body.extend([0, 0, 0]);
        let answer = ask(to, 2, 6, &body);
        let at = 4 + 1 + 2 + 1 + 4 + 2 + 8;
        i64::from_be_bytes(answer[at..at + 8].try_into().unwrap())
    };
    for _ in 0..300 {
        if end(&mut to) == 1 {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the record is not there: the log ends at {}", end(&mut to));
}
