//! What an operation owns while the kernel may still touch it.

use crate::buffer::{Buffer, Slice};
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Goes with every operation, and is freed only after its last completion.
#[expect(dead_code, reason = "held for the kernel, not read")]
pub(crate) enum Keep {
    Fd(Rc<OwnedFd>),
    Write(Rc<OwnedFd>, Slice),
    Writev(Rc<OwnedFd>, Vec<Slice>, Vec<libc::iovec>),
    Read(Rc<OwnedFd>, Buffer),
    /// The socket goes first: a message may wait for its notification long after the send has ended.
    Send(Option<Rc<OwnedFd>>, Box<Message>),
    Connect(Rc<OwnedFd>, Box<libc::sockaddr_storage>),
}

/// A vectored send.
pub(crate) struct Message {
    #[expect(dead_code, reason = "held for the kernel, not read")]
    pub(crate) slices: Vec<Slice>,
    pub(crate) vectors: Vec<libc::iovec>,
    pub(crate) header: libc::msghdr,
}
