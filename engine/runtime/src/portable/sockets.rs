//! Sockets by readiness: a call is tried, and tried again when the kernel says that it may succeed.

use super::Portable;
use super::watched::{Watched, Way};
use crate::buffer::{Buffer, Slice};
use crate::net::{Listen, Received};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketFlags, sockopt};
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Vectors of one sendmsg(2).
const VECTORS_MAX: usize = 1024;

/// A listening socket of a core with a poller.
pub(crate) struct PollListener {
    socket: Watched,
    local: SocketAddr,
}

impl PollListener {
    pub(crate) fn new(portable: &Rc<Portable>, addr: SocketAddr, how: Listen) -> io::Result<Self> {
        let listener = crate::socket::listen(addr, how)?;
        listener.set_nonblocking(true)?;
        let local = listener.local_addr()?;
        Ok(Self { socket: Watched::new(portable, listener.into()), local })
    }

    pub(crate) async fn accept(&mut self) -> io::Result<PollStream> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        loop {
            let accepted = self
                .socket
                .until(Way::In, |fd| rustix::net::accept_with(fd, flags).map_err(io::Error::from));
            match accepted.await {
                Ok(fd) => return PollStream::new(self.socket.portable(), fd, None),
                // The peer was gone before it was accepted: on with the next.
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(e) => return Err(e),
            }
        }
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

/// A connection of a core with a poller.
pub(crate) struct PollStream {
    socket: Watched,
    /// The peer has closed, and all before that was taken.
    ended: Cell<bool>,
    peer: Option<SocketAddr>,
    local: SocketAddr,
}

impl PollStream {
    pub(crate) async fn connect(portable: &Rc<Portable>, addr: SocketAddr) -> io::Result<Self> {
        let fd = crate::socket::new(&addr)?;
        rustix::io::ioctl_fionbio(&fd, true)?;
        let socket = Watched::new(portable, fd);
        match rustix::net::connect(socket.fd(), &addr) {
            Ok(()) => {}
            // Both mean that it goes on; the attempt has ended when the socket becomes writable.
            Err(rustix::io::Errno::INPROGRESS | rustix::io::Errno::INTR) => {
                socket.reported(Way::Out).await?;
                sockopt::socket_error(socket.fd())??;
            }
            Err(e) => return Err(e.into()),
        }
        Self::with(socket, Some(addr))
    }

    fn new(portable: &Rc<Portable>, fd: OwnedFd, peer: Option<SocketAddr>) -> io::Result<Self> {
        Self::with(Watched::new(portable, fd), peer)
    }

    fn with(socket: Watched, peer: Option<SocketAddr>) -> io::Result<Self> {
        let std = TcpStream::from(socket.fd().try_clone()?);
        std.set_nodelay(true)?;
        let local = std.local_addr()?;
        // A peer that is gone already has no address; its end is seen when receiving.
        let peer = peer.or_else(|| std.peer_addr().ok());
        Ok(Self { socket, ended: Cell::new(false), peer, local })
    }

    pub(crate) async fn recv(&self) -> io::Result<Option<Received>> {
        if self.ended.get() {
            return Ok(None);
        }
        let scratch = &self.socket.portable().scratch;
        let received = self.socket.until(Way::In, |fd| {
            let mut scratch = scratch.borrow_mut();
            let (n, _) = rustix::net::recv(fd, &mut scratch[..], RecvFlags::DONTWAIT)?;
            Ok(scratch[..n].to_vec())
        });
        let bytes = received.await?;
        if bytes.is_empty() {
            self.ended.set(true);
            return Ok(None);
        }
        Ok(Some(Received::heap(bytes, 0)))
    }

    pub(crate) async fn recv_exact_into(&self, buffer: &mut Buffer, n: usize) -> io::Result<bool> {
        let mut left = n;
        while left > 0 {
            if self.ended.get() {
                return Ok(false);
            }
            let spare = buffer.spare_mut();
            let into = spare.get_mut(..left).ok_or(io::ErrorKind::InvalidInput)?;
            let received = self.socket.until(Way::In, |fd| {
                let (n, _) = rustix::net::recv(fd, &mut *into, RecvFlags::DONTWAIT)?;
                Ok(n)
            });
            let got = received.await?;
            if got == 0 {
                self.ended.set(true);
            }
            buffer.advance(got);
            left -= got;
        }
        Ok(true)
    }

    pub(crate) async fn send(&self, mut parts: Vec<Slice>) -> io::Result<()> {
        parts.retain(|p| !p.is_empty());
        let mut first = 0;
        while first < parts.len() {
            let last = parts.len().min(first + VECTORS_MAX);
            let vectors: Vec<IoSlice<'_>> =
                parts[first..last].iter().map(|p| IoSlice::new(p)).collect();
            let sending = self.socket.until(Way::Out, |fd| {
                let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
                let mut nothing = SendAncillaryBuffer::default();
                rustix::net::sendmsg(fd, &vectors, &mut nothing, flags).map_err(io::Error::from)
            });
            let mut sent = sending.await?;
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
        // A socket that is not connected any more refuses, and that is what was wanted.
        let _ = rustix::net::shutdown(self.socket.fd(), Shutdown::Both);
    }

    pub(crate) fn abort(&self) {
        // Where it is refused the connection ends all the same, only later.
        let _ = crate::socket::reset_when_closed(self.socket.fd());
        self.shutdown();
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for PollStream {
    fn drop(&mut self) {
        // Whoever else has the descriptor, the connection ends now.
        self.shutdown();
    }
}
