//! Sockets through the ring.

use super::{Keep, Message, RecvBuffer, Uring, raw};
use crate::buffer::{Buffer, Slice};
use crate::net::{Listen, Received};
use io_uring::{opcode, types};
use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd};
use std::rc::Rc;
use std::task::Poll;

/// A listening socket of a core with a ring.
pub(crate) struct RingListener {
    uring: Rc<Uring>,
    fd: Rc<OwnedFd>,
    local: SocketAddr,
}

impl RingListener {
    pub(crate) fn new(uring: &Rc<Uring>, addr: SocketAddr, how: Listen) -> io::Result<Self> {
        let listener = crate::socket::listen(addr, how)?;
        let local = listener.local_addr()?;
        Ok(Self { uring: Rc::clone(uring), fd: Rc::new(OwnedFd::from(listener)), local })
    }

    pub(crate) async fn accept(&mut self) -> io::Result<RingStream> {
        // SAFETY: zeros are a valid address.
        let storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        let len = size_of::<libc::sockaddr_storage>();
        let mut address = Box::new((storage, libc::socklen_t::try_from(len).unwrap_or(128)));
        let at = (&raw mut address.0).cast::<libc::sockaddr>();
        let entry = opcode::Accept::new(types::Fd(raw(&self.fd)), at, &raw mut address.1)
            .flags(libc::SOCK_CLOEXEC)
            .build();
        let keep = Keep::Accept(Rc::clone(&self.fd), address);
        let (result, _, keep) = self.uring.start(entry, keep).await;
        if result < 0 {
            return Err(io::Error::from_raw_os_error(-result));
        }
        // SAFETY: a new descriptor that nobody else has.
        let fd = Rc::new(unsafe { OwnedFd::from_raw_fd(result) });
        let peer = match &keep {
            Keep::Accept(_, address) => crate::socket::from_raw(&address.0),
            _ => None,
        };
        RingStream::new(Rc::clone(&self.uring), fd, peer)
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

/// A connection of a core with a ring.
pub(crate) struct RingStream {
    uring: Rc<Uring>,
    fd: Rc<OwnedFd>,
    peer: Option<SocketAddr>,
    local: SocketAddr,
}

/// Vectors of one sendmsg(2).
const VECTORS_MAX: usize = 1024;

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
            return Err(io::Error::from_raw_os_error(-result));
        }
        Self::new(Rc::clone(uring), fd, Some(addr))
    }

    fn new(uring: Rc<Uring>, fd: Rc<OwnedFd>, peer: Option<SocketAddr>) -> io::Result<Self> {
        let std = TcpStream::from(fd.try_clone()?);
        std.set_nodelay(true)?;
        let local = std.local_addr()?;
        Ok(Self { uring, fd, peer, local })
    }

    pub(crate) async fn recv(&self) -> io::Result<Option<Received>> {
        loop {
            let entry = Uring::recv_entry(raw(&self.fd));
            let op = self.uring.start(entry, Keep::Fd(Rc::clone(&self.fd)));
            let (result, flags, _) = op.await;
            if result == -libc::ENOBUFS {
                // All receive buffers are in use: wait until one comes back.
                let mut waited = false;
                poll_fn(|cx| {
                    if std::mem::replace(&mut waited, true) {
                        return Poll::Ready(());
                    }
                    self.uring.wait_for_buffer(cx.waker());
                    Poll::Pending
                })
                .await;
                continue;
            }
            if result < 0 {
                return Err(io::Error::from_raw_os_error(-result));
            }
            let len = usize::try_from(result).unwrap_or(0);
            let buffer = self.uring.recv_buffer(flags, len);
            return Ok(buffer.filter(|_| len > 0).map(Received::ring));
        }
    }

    pub(crate) async fn recv_exact_into(&self, buffer: &mut Buffer, n: usize) -> io::Result<bool> {
        assert!(n <= buffer.remaining(), "the buffer has no room for {n} bytes");
        let mut left = n;
        while left > 0 {
            let wanted = u32::try_from(left).unwrap_or(u32::MAX);
            let entry = opcode::Recv::new(types::Fd(raw(&self.fd)), buffer.spare_ptr(), wanted)
                .flags(libc::MSG_WAITALL)
                .build();
            let lent = std::mem::replace(buffer, crate::buffer::Memory::new(0).alloc_beyond(1));
            let keep = Keep::Read(Rc::clone(&self.fd), lent);
            let (result, _, keep) = self.uring.start(entry, keep).await;
            if let Keep::Read(_, back) = keep {
                *buffer = back;
            }
            match usize::try_from(result) {
                Ok(0) => return Ok(false),
                Ok(got) => {
                    buffer.advance(got);
                    left -= got;
                }
                Err(_) => return Err(io::Error::from_raw_os_error(-result)),
            }
        }
        Ok(true)
    }

    pub(crate) async fn send(&self, mut parts: Vec<Slice>) -> io::Result<()> {
        parts.retain(|p| !p.is_empty());
        let mut first = 0;
        while first < parts.len() {
            let last = parts.len().min(first + VECTORS_MAX);
            let slices: Vec<Slice> = parts[first..last].to_vec();
            let vectors: Vec<libc::iovec> = slices
                .iter()
                .map(|s| libc::iovec { iov_base: s.as_ptr().cast_mut().cast(), iov_len: s.len() })
                .collect();
            // SAFETY: zeros are a valid message header.
            let header: libc::msghdr = unsafe { std::mem::zeroed() };
            let mut message = Box::new(Message { slices, vectors, header });
            message.header.msg_iov = message.vectors.as_mut_ptr();
            message.header.msg_iovlen = message.vectors.len();
            let entry = opcode::SendMsg::new(types::Fd(raw(&self.fd)), &raw const message.header)
                .flags((libc::MSG_NOSIGNAL | libc::MSG_WAITALL).cast_unsigned())
                .build();
            let keep = Keep::Send(Rc::clone(&self.fd), message);
            let (result, ..) = self.uring.start(entry, keep).await;
            let Ok(mut sent) = usize::try_from(result) else {
                return Err(io::Error::from_raw_os_error(-result));
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

    pub(crate) fn shutdown(&self) {
        // SAFETY: an open descriptor. A socket that is not connected any more refuses, and that is what was wanted.
        unsafe { libc::shutdown(raw(&self.fd), libc::SHUT_RDWR) };
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
        // Operations in flight keep the descriptor; this ends them.
        self.shutdown();
    }
}

