//! Socket addresses and options as the kernel wants them.

use crate::net::Listen;
use std::io;
use std::mem;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A stream socket of the address's family.
pub(crate) fn new(addr: &SocketAddr) -> io::Result<OwnedFd> {
    let family = if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: plain system call.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A listening socket. The address may be in TIME_WAIT from a broker before.
pub(crate) fn listen(addr: SocketAddr, how: Listen) -> io::Result<TcpListener> {
    let fd = new(&addr)?;
    let on: libc::c_int = 1;
    set(&fd, libc::SO_REUSEADDR, &on)?;
    if how.reuse_port {
        set(&fd, libc::SO_REUSEPORT, &on)?;
    }
    let (storage, len) = to_raw(&addr);
    // SAFETY: the storage holds an address of `len` bytes.
    if unsafe { libc::bind(fd.as_raw_fd(), (&raw const storage).cast(), len) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: an open descriptor.
    if unsafe { libc::listen(fd.as_raw_fd(), how.backlog) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(TcpListener::from(fd))
}

/// When its last descriptor is closed, the connection is reset, and the kernel lets go of what the peer has not taken.
pub(crate) fn reset_when_closed(fd: &OwnedFd) -> io::Result<()> {
    set(fd, libc::SO_LINGER, &libc::linger { l_onoff: 1, l_linger: 0 })
}

/// Sets an option of sockets; `T` is what setsockopt(2) says that it takes.
fn set<T>(fd: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    // SAFETY: an open descriptor, and a value of ours that is `len` bytes long.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            std::ptr::from_ref(value).cast(),
            len,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The kernel's form of an address, and how many bytes of it count.
pub(crate) fn to_raw(addr: &SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: zeros are a valid address of no family.
    let mut storage: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let len = match addr {
        SocketAddr::V4(a) => {
            // SAFETY: the storage is large enough and aligned for every family.
            let raw = unsafe { &mut *(&raw mut storage).cast::<libc::sockaddr_in>() };
            raw.sin_family = libc::sa_family_t::try_from(libc::AF_INET).unwrap_or(2);
            raw.sin_port = a.port().to_be();
            raw.sin_addr.s_addr = u32::from_ne_bytes(a.ip().octets());
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(a) => {
            // SAFETY: as above.
            let raw = unsafe { &mut *(&raw mut storage).cast::<libc::sockaddr_in6>() };
            raw.sin6_family = libc::sa_family_t::try_from(libc::AF_INET6).unwrap_or(10);
            raw.sin6_port = a.port().to_be();
            raw.sin6_addr.s6_addr = a.ip().octets();
            raw.sin6_scope_id = a.scope_id();
            size_of::<libc::sockaddr_in6>()
        }
    };
    (storage, libc::socklen_t::try_from(len).unwrap_or(16))
}
