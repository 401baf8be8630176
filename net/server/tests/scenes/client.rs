//! A client that blocks, on a thread of its own.

use crate::echo::Kind;
use rustix::net::sockopt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    next: u32,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        // A server that forgets an answer fails the test rather than hang it.
        stream.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(100))).unwrap();
        Self { stream, next: 0 }
    }

    /// The same connection, for reading while another thread writes.
    pub(crate) fn reader(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), next: 0 }
    }

    /// The next request as bytes, with its prefix.
    pub(crate) fn request(&mut self, kind: Kind, rest: &[u8]) -> Vec<u8> {
        let (code, n) = kind.to_wire();
        let len = i32::try_from(12 + rest.len()).unwrap();
        let mut bytes = len.to_be_bytes().to_vec();
        bytes.extend([self.next, code, n].into_iter().flat_map(u32::to_be_bytes));
        bytes.extend_from_slice(rest);
        self.next += 1;
        bytes
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends a request, and returns it.
    pub(crate) fn ask(&mut self, kind: Kind, rest: &[u8]) -> Vec<u8> {
        let request = self.request(kind, rest);
        self.send(&request);
        request
    }

    /// The next response with its prefix; `None` when the server has closed or reset.
    pub(crate) fn response(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 4];
        match self.stream.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("no response came"),
            Err(_) => return None,
        }
        let prefix: [u8; 4] = bytes[..4].try_into().unwrap();
        let len = usize::try_from(i32::from_be_bytes(prefix)).unwrap();
        bytes.resize(4 + len, 0);
        self.stream.read_exact(&mut bytes[4..]).unwrap();
        Some(bytes)
    }

    pub(crate) fn ping(&mut self) {
        let request = self.ask(Kind::Now, b"ping");
        assert_eq!(self.response(), Some(request));
    }

    /// Closes with a reset instead of a farewell.
    pub(crate) fn reset(self) {
        sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }
}

/// Random numbers of a seed (splitmix64; Steele, Lea, Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub(crate) fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(n).collect()
    }
}
