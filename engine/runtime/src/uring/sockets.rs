//! Sockets through the ring: multishot accept and receive, vectored sends, without a copy where it pays.

use super::receive::{GROUP, RecvBuffer};
use super::sink::{Got, Sink, SinkKind};
use super::{Uring, raw};
use crate::buffer::{Buffer, Slice};
use crate::keep::{Keep, Message};
use crate::net::{Listen, Received};
use crate::runtime::ZeroCopy;
use io_uring::{cqueue, opcode, types};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};

/// Vectors of one sendmsg(2).
const VECTORS_MAX: usize = 1024;
/// From here on, pinning pages and a second completion cost less than the copy.
const ZERO_COPY_MIN: usize = 16 << 10;

fn error(result: i32) -> io::Error {
    io::Error::from_raw_os_error(-result)
}

/// A listening socket of a core with a ring.
pub(crate) struct RingListener {
    uring: Rc<Uring>,
    fd: Rc<OwnedFd>,
    sink: Rc<Sink>,
    local: SocketAddr,
}

impl RingListener {
    pub(crate) fn new(uring: &Rc<Uring>, addr: SocketAddr, how: Listen) -> io::Result<Self> {
        let listener = crate::socket::listen(addr, how)?;
        let local = listener.local_addr()?;
        let fd = Rc::new(OwnedFd::from(listener));
        Ok(Self { uring: Rc::clone(uring), fd, sink: Rc::new(Sink::new(SinkKind::Accept)), local })
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<io::Result<OwnedFd>> {
        loop {
            match self.sink.pop() {
                Some(Got::Raw { result, .. }) if result >= 0 => {
                    // SAFETY: a new descriptor that nobody else has.
                    return Poll::Ready(Ok(unsafe { OwnedFd::from_raw_fd(result) }));
                }
                // Stopped by ourselves, or the peer was gone before it was accepted: on with the next.
                Some(Got::Raw { result, .. })
                    if matches!(-result, libc::ECANCELED | libc::ECONNABORTED | libc::EINTR) => {}
                Some(Got::Raw { result, .. }) => return Poll::Ready(Err(error(result))),
                Some(Got::Bytes(..)) => {}
                None => break,
            }
        }
        if self.sink.armed.get().is_none() {
            let entry =
                opcode::AcceptMulti::new(types::Fd(raw(&self.fd))).flags(libc::SOCK_CLOEXEC);
            self.uring.start_many(entry.build(), &self.fd, &self.sink);
        }
        *self.sink.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) async fn accept(&mut self) -> io::Result<RingStream> {
        let fd = poll_fn(|cx| self.poll(cx)).await?;
        RingStream::new(Rc::clone(&self.uring), Rc::new(fd), None)
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for RingListener {
    fn drop(&mut self) {
        self.sink.abandon(&self.uring);
    }
}

/// A connection of a core with a ring.
pub(crate) struct RingStream {
    uring: Rc<Uring>,
    fd: Rc<OwnedFd>,
    sink: Rc<Sink>,
    /// The peer has closed, and all before that was taken.
    ended: Cell<bool>,
    /// A buffer of which a part was taken.
    rest: RefCell<Option<RecvBuffer>>,
    peer: Option<SocketAddr>,
    local: SocketAddr,
    zero_copy: bool,
}

/// What the sink had.
enum Next {
    Piece(Received),
    End,
    Failed(io::Error),
    /// No buffer was free.
    Dry,
    Nothing,
}

impl RingStream {
    pub(crate) async fn connect(uring: &Rc<Uring>, addr: SocketAddr) -> io::Result<Self> {
        let fd = Rc::new(crate::socket::new(&addr)?);
        let (storage, len) = crate::socket::to_raw(&addr);
        let storage = Box::new(storage);
        let at = (&raw const *storage).cast::<libc::sockaddr>();
        let entry = opcode::Connect::new(types::Fd(raw(&fd)), at, len).build();
        let keep = Keep::Connect(Rc::clone(&fd), storage);
        let (result, ..) = uring.start(entry, keep).await;
        if result < 0 {
            return Err(error(result));
        }
        Self::new(Rc::clone(uring), fd, Some(addr))
    }

    fn new(uring: Rc<Uring>, fd: Rc<OwnedFd>, peer: Option<SocketAddr>) -> io::Result<Self> {
        let std = TcpStream::from(fd.try_clone()?);
        std.set_nodelay(true)?;
        let local = std.local_addr()?;
        // A peer that is gone already has no address; its end is seen when receiving.
        let peer = peer.or_else(|| std.peer_addr().ok());
        let near = peer.is_none_or(|p| p.ip().is_loopback() || p.ip() == local.ip());
        // Over loopback the bytes are copied in any case, and pinning comes on top.
        let zero_copy = match uring.zero_copy {
            ZeroCopy::Auto => !near,
            ZeroCopy::Always => true,
            ZeroCopy::Never => false,
        };
        Ok(Self {
            uring,
            fd,
            sink: Rc::new(Sink::new(SinkKind::Receive)),
            ended: Cell::new(false),
            rest: RefCell::default(),
            peer,
            local,
            zero_copy,
        })
    }

    fn next(&self) -> Next {
        if let Some(rest) = self.rest.borrow_mut().take() {
            return Next::Piece(Received::ring(rest));
        }
        if self.ended.get() {
            return Next::End;
        }
        loop {
            let (result, flags) = match self.sink.pop() {
                None => return Next::Nothing,
                Some(Got::Bytes(bytes, from)) => return Next::Piece(Received::heap(bytes, from)),
                Some(Got::Raw { result, flags }) => (result, flags),
            };
            let buffer = cqueue::buffer_select(flags).map(|id| {
                let len = usize::try_from(result).unwrap_or(0);
                RecvBuffer::new(Rc::clone(&self.uring), id, len)
            });
            match (result, buffer) {
                (1.., Some(buffer)) => return Next::Piece(Received::ring(buffer)),
                (0, _) => {
                    self.ended.set(true);
                    return Next::End;
                }
                (result, _) => match -result {
                    // Stopped by ourselves, or for a reason that has passed: it is armed again.
                    libc::ECANCELED | libc::EINTR | libc::EAGAIN => {}
                    libc::ENOBUFS => return Next::Dry,
                    _ => return Next::Failed(error(result)),
                },
            }
        }
    }

    fn arm(&self) {
        let entry = opcode::RecvMulti::new(types::Fd(raw(&self.fd)), GROUP).build();
        self.uring.start_many(entry, &self.fd, &self.sink);
    }

    /// Resolves when the sink has something or nothing is armed.
    async fn news(&self) {
        poll_fn(|cx| {
            if !self.sink.is_empty() || self.sink.armed.get().is_none() {
                return Poll::Ready(());
            }
            *self.sink.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    pub(crate) async fn recv(&self) -> io::Result<Option<Received>> {
        loop {
            match self.next() {
                Next::Piece(piece) => return Ok(Some(piece)),
                Next::End => return Ok(None),
                Next::Failed(e) => return Err(e),
                Next::Dry => continue,
                Next::Nothing => {}
            }
            if self.sink.armed.get().is_none() {
                // Without a buffer it would only come back empty-handed.
                self.uring.recv.available().await;
                if self.sink.armed.get().is_none() {
                    self.arm();
                }
            }
            self.news().await;
        }
    }

    pub(crate) async fn recv_exact_into(&self, buffer: &mut Buffer, n: usize) -> io::Result<bool> {
        let mut left = n;
        // What the multishot has received, or receives until it has stopped, comes first.
        while left > 0 {
            match self.next() {
                Next::Piece(piece) => {
                    let take = left.min(piece.len());
                    buffer.append(&piece[..take]);
                    left -= take;
                    if take < piece.len() {
                        self.keep_rest(piece, take);
                    }
                }
                Next::End => return Ok(false),
                Next::Failed(e) => return Err(e),
                Next::Dry => {}
                Next::Nothing if self.sink.armed.get().is_none() => break,
                Next::Nothing => {
                    self.sink.stop(&self.uring);
                    self.news().await;
                }
            }
        }
        while left > 0 {
            let wanted = u32::try_from(left).unwrap_or(1 << 30);
            let entry = opcode::Recv::new(types::Fd(raw(&self.fd)), buffer.spare_ptr(), wanted)
                .flags(libc::MSG_WAITALL)
                .build();
            let keep = Keep::Read(Rc::clone(&self.fd), std::mem::replace(buffer, Buffer::empty()));
            let (result, _, keep) = self.uring.start(entry, keep).await;
            if let Some(Keep::Read(_, back)) = keep {
                *buffer = back;
            }
            match usize::try_from(result) {
                Ok(0) => {
                    self.ended.set(true);
                    return Ok(false);
                }
                Ok(got) => {
                    buffer.advance(got);
                    left -= got;
                }
                Err(_) if matches!(-result, libc::EINTR | libc::EAGAIN) => {}
                Err(_) => return Err(error(result)),
            }
        }
        Ok(true)
    }

    /// A piece of which only the beginning was wanted.
    fn keep_rest(&self, piece: Received, taken: usize) {
        match piece.into_rest(taken) {
            Ok(buffer) => *self.rest.borrow_mut() = Some(buffer),
            Err((bytes, from)) => self.sink.put_back(Got::Bytes(bytes, from)),
        }
    }

    pub(crate) async fn send(&self, mut parts: Vec<Slice>) -> io::Result<()> {
        parts.retain(|p| !p.is_empty());
        let mut first = 0;
        let mut copy = false;
        while first < parts.len() {
            let last = parts.len().min(first + VECTORS_MAX);
            let slices: Vec<Slice> = parts[first..last].to_vec();
            let bytes: usize = slices.iter().map(|s| s.len()).sum();
            let zero_copy = self.zero_copy
                && !copy
                && bytes >= ZERO_COPY_MIN
                && self.uring.known_zero_copy.get();
            let result = self.send_once(slices, zero_copy).await;
            let mut sent = match usize::try_from(result) {
                Ok(sent) => {
                    if zero_copy {
                        let sends = &self.uring.zero_copy_sends;
                        sends.set(sends.get() + 1);
                    }
                    sent
                }
                Err(_) if matches!(-result, libc::EINTR | libc::EAGAIN) => continue,
                Err(_)
                    if zero_copy
                        && matches!(-result, libc::ENOMEM | libc::ENOBUFS | libc::EOPNOTSUPP) =>
                {
                    // Too little memory may be locked, or this socket cannot: this message is copied.
                    let refused = &self.uring.zero_copy_refused;
                    refused.set(refused.get() + 1);
                    copy = true;
                    continue;
                }
                Err(_) => return Err(error(result)),
            };
            while first < parts.len() && sent >= parts[first].len() {
                sent -= parts[first].len();
                first += 1;
            }
            if sent > 0 {
                parts[first] = parts[first].slice(sent..);
            }
        }
        Ok(())
    }

    async fn send_once(&self, slices: Vec<Slice>, zero_copy: bool) -> i32 {
        let vectors: Vec<libc::iovec> = slices
            .iter()
            .map(|s| libc::iovec { iov_base: s.as_ptr().cast_mut().cast(), iov_len: s.len() })
            .collect();
        // SAFETY: zeros are a valid message header.
        let header: libc::msghdr = unsafe { std::mem::zeroed() };
        let mut message = Box::new(Message { slices, vectors, header });
        message.header.msg_iov = message.vectors.as_mut_ptr();
        message.header.msg_iovlen = message.vectors.len();
        let at = &raw const message.header;
        let flags = (libc::MSG_NOSIGNAL | libc::MSG_WAITALL).cast_unsigned();
        let fd = types::Fd(raw(&self.fd));
        let entry = if zero_copy {
            opcode::SendMsgZc::new(fd, at).flags(flags).build()
        } else {
            opcode::SendMsg::new(fd, at).flags(flags).build()
        };
        let keep = Keep::Send(Some(Rc::clone(&self.fd)), message);
        let (result, ..) = self.uring.start(entry, keep).await;
        result
    }

    pub(crate) fn shutdown(&self) {
        // SAFETY: an open descriptor. A socket that is not connected any more refuses, and that is what was wanted.
        unsafe { libc::shutdown(raw(&self.fd), libc::SHUT_RDWR) };
    }

    pub(crate) fn abort(&self) {
        // Where it is refused the connection ends all the same, only later.
        let _ = crate::socket::reset_when_closed(&self.fd);
        self.shutdown();
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for RingStream {
    fn drop(&mut self) {
        self.sink.abandon(&self.uring);
        // Operations in flight keep the descriptor; this ends them.
        self.shutdown();
    }
}
