//! Ports for the brokers of tests. They lie below those that the kernel gives to connections: of these, one that was free may be
//! taken before the broker listens, for the tests open thousands of connections.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 12_000;
/// Each process has so many of its own, in turn; so many processes have different ones.
const EACH: u16 = 64;
const PROCESSES: u32 = 300;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of 127.0.0.1 on which nobody listens.
pub(crate) fn free() -> u16 {
    let block = u16::try_from(std::process::id() % PROCESSES).unwrap();
    let mut own = (0..EACH).map(|_| {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed) % EACH;
        FIRST + block * EACH + turn
    });
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    own.find(is_free).expect("a port of this process is free")
}
