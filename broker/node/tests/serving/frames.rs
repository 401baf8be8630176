//! Requests byte by byte.

use std::io::{Read, Write};
use std::net::TcpStream;

/// Sends a flexible request and gives back the body of its answer.
pub(crate) fn ask(to: &mut TcpStream, key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    request.extend(key.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend([0, 0, 0, 9, 0, 1, b'x', 0]);
    request.extend(body);
    // In one write: two would wait for each other's acknowledgement.
    let frame = [&u32::try_from(request.len()).unwrap().to_be_bytes()[..], &request].concat();
    to.write_all(&frame).unwrap();
    let mut len = [0; 4];
    to.read_exact(&mut len).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(len) as usize];
    to.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..5], [0, 0, 0, 9, 0]);
    answer.split_off(5)
}
