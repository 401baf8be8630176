//! The loopback: one round trip, and one stream as fast as it goes.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use super::Bound;
use crate::{failure::Failure, latency::Latency};

fn wrong(e: std::io::Error) -> Failure {
    Failure::Local(format!("loopback: {e}"))
}

fn pair() -> Result<(TcpStream, TcpStream), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(wrong)?;
    let near = TcpStream::connect(listener.local_addr().map_err(wrong)?).map_err(wrong)?;
    let (far, _) = listener.accept().map_err(wrong)?;
    near.set_nodelay(true).and_then(|()| far.set_nodelay(true)).map_err(wrong)?;
    Ok((near, far))
}

pub(super) fn measure(duration: Duration) -> Result<Vec<Bound>, Failure> {
    Ok(vec![round_trip(duration)?, stream(duration)?])
}

fn round_trip(duration: Duration) -> Result<Bound, Failure> {
    let (mut near, mut far) = pair()?;
    let echo = thread::spawn(move || {
        let mut message = [0; 64];
        while far.read_exact(&mut message).is_ok() && far.write_all(&message).is_ok() {}
    });
    let mut latency = Latency::new();
    let mut message = [7; 64];
    let start = Instant::now();
    while start.elapsed() < duration {
        let before = Instant::now();
        near.write_all(&message).and_then(|()| near.read_exact(&mut message)).map_err(wrong)?;
        latency.record(before.elapsed().as_nanos() as u64);
    }
    let seconds = start.elapsed().as_secs_f64();
    drop(near);
    let _ = echo.join();
    Ok(Bound::latency("loopback: round trip of 64 bytes", &latency, 0.0, seconds))
}

fn stream(duration: Duration) -> Result<Bound, Failure> {
    let (near, mut far) = pair()?;
    let sender = thread::spawn(move || {
        let (mut near, chunk) = (near, vec![7; 256 << 10]);
        let start = Instant::now();
        while start.elapsed() < duration && near.write_all(&chunk).is_ok() {}
    });
    let mut buffer = vec![0; 256 << 10];
    let (start, mut bytes) = (Instant::now(), 0_u64);
    loop {
        match far.read(&mut buffer).map_err(wrong)? {
            0 => break,
            count => bytes += count as u64,
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let _ = sender.join();
    Ok(Bound::throughput("loopback: one stream, one thread each side", bytes as f64, seconds))
}
