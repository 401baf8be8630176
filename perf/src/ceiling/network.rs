//! The loopback: one round trip, and one stream as fast as it goes.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::Bound;
use crate::{failure::Failure, latency::Latency, own::keep_to};

/// How many measurements there are.
pub(super) const COUNT: usize = 2;

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

/// `far`: the cores of the other end, where they are not this thread's. A broker and its client on cores of their own wake each other
/// across them, which costs many times what it does on one.
pub(super) fn measure(duration: Duration, far: Option<&[usize]>) -> Result<Vec<Bound>, Failure> {
    Ok(vec![round_trip(duration, far)?, stream(duration, far)?])
}

/// Starts the far end, on its cores.
fn far_end<T: Send + 'static>(
    cores: Option<&[usize]>,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<Result<T, Failure>> {
    let cores = cores.map(<[usize]>::to_vec);
    thread::spawn(move || {
        cores.as_deref().map_or(Ok(()), keep_to)?;
        Ok(work())
    })
}

/// What the far end came to.
fn ended<T>(end: JoinHandle<Result<T, Failure>>) -> Result<T, Failure> {
    end.join().map_err(|_| Failure::Local("loopback: the far end died".into()))?
}

fn round_trip(duration: Duration, far_cores: Option<&[usize]>) -> Result<Bound, Failure> {
    let (mut near, mut far) = pair()?;
    let echo = far_end(far_cores, move || {
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
    ended(echo)?;
    Ok(Bound::latency("loopback: round trip of 64 bytes", &latency, 0.0, seconds))
}

fn stream(duration: Duration, far_cores: Option<&[usize]>) -> Result<Bound, Failure> {
    let (mut near, far) = pair()?;
    let sender = far_end(far_cores, move || {
        let (mut far, chunk) = (far, vec![7; 256 << 10]);
        let start = Instant::now();
        while start.elapsed() < duration && far.write_all(&chunk).is_ok() {}
    });
    let mut buffer = vec![0; 256 << 10];
    let (start, mut bytes) = (Instant::now(), 0_u64);
    loop {
        match near.read(&mut buffer).map_err(wrong)? {
            0 => break,
            count => bytes += count as u64,
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    ended(sender)?;
    Ok(Bound::throughput("loopback: one stream, one thread each side", bytes as f64, seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own::allowed;

    #[test]
    fn the_far_end_is_on_its_own_cores() {
        let cores = allowed();
        let (Some(first), Some(last)) = (cores.first(), cores.last()) else { return };
        for core in [*first, *last] {
            assert_eq!(ended(far_end(Some(&[core]), allowed)), Ok(vec![core]));
        }
        // This thread stays where it was, and without a bound the far end is there too.
        assert_eq!(allowed(), cores);
        assert_eq!(ended(far_end(None, allowed)), Ok(cores));
    }
}
