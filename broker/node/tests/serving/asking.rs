//! Requests of a test, written byte by byte so that they do not lean on the code that answers them.

use record::BatchBuilder;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

/// A string in the compact form.
pub(crate) fn name(topic: &str) -> Vec<u8> {
    [&[u8::try_from(topic.len() + 1).unwrap()], topic.as_bytes()].concat()
}

/// Two bytes of an answer.
#[allow(dead_code, reason = "not every test reads codes")]
pub(crate) fn i16_at(answer: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([answer[at], answer[at + 1]])
}

/// Sends a flexible request and gives back the body of its answer.
pub(crate) fn ask(to: &mut TcpStream, key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut answer = exchange(to, key, version, &[&[0], body].concat());
    assert_eq!(answer[..5], [0, 0, 0, 9, 0]);
    answer.split_off(5)
}

/// The same for a version that has no tags.
#[allow(dead_code, reason = "most are flexible")]
pub(crate) fn ask_plainly(to: &mut TcpStream, key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut answer = exchange(to, key, version, body);
    assert_eq!(answer[..4], [0, 0, 0, 9]);
    answer.split_off(4)
}

/// Sends a request of correlation id 9: what stands behind the client id. The answer begins with that id.
fn exchange(to: &mut TcpStream, key: i16, version: i16, rest: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    request.extend(key.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend([0, 0, 0, 9, 0, 1, b'x']);
    request.extend(rest);
    // In one write: two would wait for each other's acknowledgement.
    let frame = [&u32::try_from(request.len()).unwrap().to_be_bytes()[..], &request].concat();
    to.write_all(&frame).unwrap();
    let mut len = [0; 4];
    to.read_exact(&mut len).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(len) as usize];
    to.read_exact(&mut answer).unwrap();
    answer
}

/// Produce 9, acks=all, partition 0: one batch of records with these timestamps. Its first offset, and the start of the log as
/// the answer has it.
pub(crate) fn produce(to: &mut TcpStream, topic: &str, timestamps: &[i64]) -> (i64, i64) {
    let mut batch = BatchBuilder::new();
    for t in timestamps {
        batch.push(ids::Timestamp(*t), None, Some(b"abc"), &[]);
    }
    let batch = batch.build().unwrap();
    let mut body = vec![0, 0xff, 0xff, 0, 0, 0x27, 0x10, 2];
    body.extend(name(topic));
    body.extend([2, 0, 0, 0, 0]);
    // The length plus one in 7-bit groups, lowest first: two of them.
    let len = batch.len() + 1;
    assert!(len < 1 << 14);
    body.extend([(len & 0x7f) as u8 | 0x80, (len >> 7) as u8]);
    body.extend(batch);
    body.extend([0, 0, 0]);
    let answer = ask(to, 0, 9, &body);
    let at = 1 + name(topic).len() + 1 + 4;
    assert_eq!(answer[at..at + 2], [0, 0], "produce to {topic}");
    let i64_at = |at: usize| i64::from_be_bytes(answer[at..at + 8].try_into().unwrap());
    // Between them stands the time of the append.
    (i64_at(at + 2), i64_at(at + 2 + 16))
}

/// A command of the binary, which has to succeed.
#[allow(dead_code, reason = "some ask the broker that they started")]
pub(crate) fn ringwood(broker: &str, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringwood"));
    command.args(arguments).args(["--bootstrap", broker]).stdout(Stdio::null());
    assert!(command.status().unwrap().success(), "{arguments:?}");
}
