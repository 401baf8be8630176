//! Sockets: what a core can do with them, whichever backend it runs on.

use crate::buffer::{Buffer, Slice};
use crate::driver::Driver;
#[cfg(feature = "faults")]
use crate::faults::Point;
use crate::portable::{PollListener, PollStream};
use crate::runtime::{Backend, Inner};
use crate::sim::{SimListener, SimStream};
use crate::uring::{RecvBuffer, RingListener, RingStream};
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::Rc;

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    /// Connections that the kernel holds until they are accepted.
    pub backlog: i32,
    /// Several cores listen on the same address.
    pub reuse_port: bool,
}

impl Default for Listen {
    fn default() -> Self {
        Self { backlog: 1024, reuse_port: false }
    }
}

/// The sockets that a core can make.
#[derive(Clone)]
pub struct Net {
    inner: Rc<Inner>,
}

impl Net {
    pub(crate) fn new(inner: Rc<Inner>) -> Self {
        Self { inner }
    }

    /// Listens on `addr`; port 0 picks a free one.
    ///
    /// # Errors
    /// As bind(2) and listen(2).
    pub async fn listen(&self, addr: SocketAddr, how: Listen) -> io::Result<Listener> {
        let kind = match &self.inner.backend {
            Backend::Real(Driver::Uring(uring)) => {
                Accepting::Ring(RingListener::new(uring, addr, how)?)
            }
            Backend::Real(Driver::Portable(portable)) => {
                Accepting::Poll(PollListener::new(portable, addr, how)?)
            }
            Backend::Sim(core) => Accepting::Sim(core.listen(addr, how)?),
        };
        Ok(Listener { kind, inner: Rc::clone(&self.inner) })
    }

    /// Connects to `addr`.
    ///
    /// # Errors
    /// As connect(2).
    pub async fn connect(&self, addr: SocketAddr) -> io::Result<Stream> {
        #[cfg(feature = "faults")]
        crate::faults::pass(&self.inner, Point::Connect, &addr).await?;
        let kind = match &self.inner.backend {
            Backend::Real(Driver::Uring(uring)) => {
                Talking::Ring(RingStream::connect(uring, addr).await?)
            }
            Backend::Real(Driver::Portable(portable)) => {
                Talking::Poll(PollStream::connect(portable, addr).await?)
            }
            Backend::Sim(core) => Talking::Sim(core.connect(addr).await?),
        };
        Ok(Stream { kind, inner: Rc::clone(&self.inner) })
    }
}

/// A socket that accepts.
pub struct Listener {
    kind: Accepting,
    inner: Rc<Inner>,
}

enum Accepting {
    Ring(RingListener),
    Poll(PollListener),
    Sim(SimListener),
}

impl Listener {
    /// The next connection. Dropping the future loses none.
    ///
    /// # Errors
    /// As accept(2); with EMFILE or ENFILE the caller waits a little and tries again.
    pub async fn accept(&mut self) -> io::Result<Stream> {
        #[cfg(feature = "faults")]
        crate::faults::pass(&self.inner, Point::Accept, &self.local_addr()).await?;
        let kind = match &mut self.kind {
            Accepting::Ring(listener) => Talking::Ring(listener.accept().await?),
            Accepting::Poll(listener) => Talking::Poll(listener.accept().await?),
            Accepting::Sim(listener) => Talking::Sim(listener.accept().await?),
        };
        Ok(Stream { kind, inner: Rc::clone(&self.inner) })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        match &self.kind {
            Accepting::Ring(listener) => listener.local_addr(),
            Accepting::Poll(listener) => listener.local_addr(),
            Accepting::Sim(listener) => listener.local_addr(),
        }
    }
}

/// A connection. One task may receive while another sends; two may not do the same at once.
pub struct Stream {
    kind: Talking,
    inner: Rc<Inner>,
}

enum Talking {
    Ring(RingStream),
    Poll(PollStream),
    Sim(SimStream),
}

/// Bytes that were received, at least one. Their buffer is one of few that the core's connections share: who keeps bytes for
/// longer than it takes to parse them copies them out.
pub struct Received {
    bytes: Bytes,
}

enum Bytes {
    Ring(RecvBuffer),
    /// Bytes of our own, of which the first are consumed.
    Heap(Vec<u8>, usize),
}

impl Received {
    pub(crate) fn ring(buffer: RecvBuffer) -> Self {
        Self { bytes: Bytes::Ring(buffer) }
    }

    pub(crate) fn heap(bytes: Vec<u8>, from: usize) -> Self {
        Self { bytes: Bytes::Heap(bytes, from) }
    }

    /// What is left behind the first `n` bytes, in the form it has.
    pub(crate) fn into_rest(self, n: usize) -> Result<RecvBuffer, (Vec<u8>, usize)> {
        match self.bytes {
            Bytes::Ring(mut buffer) => {
                buffer.skip(n);
                Ok(buffer)
            }
            Bytes::Heap(bytes, from) => Err((bytes, from + n)),
        }
    }
}

impl Deref for Received {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Ring(buffer) => buffer.bytes(),
            Bytes::Heap(bytes, from) => &bytes[*from..],
        }
    }
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Received({} bytes)", self.len())
    }
}

impl Stream {
    /// A fault on order may strike here; connections go by their peer's address, or ours if that is gone.
    #[cfg(feature = "faults")]
    async fn pass(&self, point: Point) -> io::Result<()> {
        let addr = self.peer_addr().unwrap_or_else(|| self.local_addr());
        crate::faults::pass(&self.inner, point, &addr).await
    }

    /// The next bytes; `None` when the peer has closed. Dropping the future loses none.
    ///
    /// # Errors
    /// As recv(2).
    pub async fn recv(&self) -> io::Result<Option<Received>> {
        #[cfg(feature = "faults")]
        self.pass(Point::Receive).await?;
        let received = match &self.kind {
            Talking::Ring(stream) => stream.recv().await?,
            Talking::Poll(stream) => stream.recv().await?,
            Talking::Sim(stream) => stream.recv().await?.map(|bytes| Received::heap(bytes, 0)),
        };
        if let Some(bytes) = &received {
            self.inner.meters.receives.count(bytes.len());
        }
        Ok(received)
    }

    /// Receives exactly `n` bytes straight into `buffer`, which has room for them; `false` if the peer closes before.
    ///
    /// # Errors
    /// As recv(2). Dropping the future loses the buffer's content, and the place in the stream.
    pub async fn recv_exact_into(&self, buffer: &mut Buffer, n: usize) -> io::Result<bool> {
        assert!(n <= buffer.remaining(), "the buffer has no room for {n} bytes");
        #[cfg(feature = "faults")]
        self.pass(Point::Receive).await?;
        let whole = match &self.kind {
            Talking::Ring(stream) => stream.recv_exact_into(buffer, n).await,
            Talking::Poll(stream) => stream.recv_exact_into(buffer, n).await,
            Talking::Sim(stream) => stream.recv_exact_into(buffer, n).await,
        }?;
        if whole {
            self.inner.meters.receives.count(n);
        }
        Ok(whole)
    }

    /// Sends all of `parts`, in order.
    ///
    /// # Errors
    /// As sendmsg(2). After one, or after dropping the future, some of the bytes may have gone: the connection is of no use.
    pub async fn send(&self, parts: Vec<Slice>) -> io::Result<()> {
        #[cfg(feature = "faults")]
        self.pass(Point::Send).await?;
        let bytes = parts.iter().map(|p| p.len()).sum();
        match &self.kind {
            Talking::Ring(stream) => stream.send(parts).await,
            Talking::Poll(stream) => stream.send(parts).await,
            Talking::Sim(stream) => stream.send(&parts).await,
        }?;
        self.inner.meters.sends.count(bytes);
        Ok(())
    }

    /// Ends both directions: whoever receives sees the end, whoever sends an error.
    pub fn shutdown(&self) {
        match &self.kind {
            Talking::Ring(stream) => stream.shutdown(),
            Talking::Poll(stream) => stream.shutdown(),
            Talking::Sim(stream) => stream.shutdown(),
        }
    }

    /// As [`Stream::shutdown`], but the peer is given up: when the last operation has ended and the stream is dropped, the
    /// connection is reset, and memory that the kernel holds for bytes which the peer has not taken comes back. After a plain
    /// shutdown the kernel goes on offering them, to a peer that is gone or does not read for minutes.
    pub fn abort(&self) {
        match &self.kind {
            Talking::Ring(stream) => stream.abort(),
            Talking::Poll(stream) => stream.abort(),
            Talking::Sim(stream) => stream.abort(),
        }
    }

    /// The peer's address, if it could still be asked.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match &self.kind {
            Talking::Ring(stream) => stream.peer_addr(),
            Talking::Poll(stream) => stream.peer_addr(),
            Talking::Sim(stream) => Some(stream.peer_addr()),
        }
    }

    /// Our address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        match &self.kind {
            Talking::Ring(stream) => stream.local_addr(),
            Talking::Poll(stream) => stream.local_addr(),
            Talking::Sim(stream) => stream.local_addr(),
        }
    }
}
