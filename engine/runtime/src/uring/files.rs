//! Files through the ring.

use super::{LEADER, Uring};
use crate::driver::{FileOp, FileRequest};
use crate::keep::Keep;
use io_uring::{opcode, squeue, types};
use std::rc::Rc;

/// The submission entry of a request.
fn entry(request: &FileRequest) -> squeue::Entry {
    let fd = types::Fd(request.fd);
    match request.op {
        FileOp::Read { to, len, pos, fixed: Some(slot) } => {
            opcode::ReadFixed::new(fd, to, len, slot).offset(pos).build()
        }
        FileOp::Read { to, len, pos, fixed: None } => {
            opcode::Read::new(fd, to, len).offset(pos).build()
        }
        FileOp::Write { from, len, pos, fixed: Some(slot) } => {
            opcode::WriteFixed::new(fd, from, len, slot).offset(pos).build()
        }
        FileOp::Write { from, len, pos, fixed: None } => {
            opcode::Write::new(fd, from, len).offset(pos).build()
        }
        FileOp::Writev { vectors, count, pos } => {
            opcode::Writev::new(fd, vectors, count).offset(pos).build()
        }
        FileOp::Sync { data: true } if cfg!(feature = "flush-compiled-out") => {
            opcode::Nop::new().build()
        }
        FileOp::Sync { data: true } => {
            opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build()
        }
        FileOp::Sync { data: false } => opcode::Fsync::new(fd).build(),
        FileOp::Allocate { pos, len } => opcode::Fallocate::new(fd, len).offset(pos).build(),
    }
}

impl Uring {
    /// See [`crate::driver::Driver::submit`].
    pub(crate) async fn submit_file(
        self: &Rc<Self>,
        request: &FileRequest,
        keep: Keep,
    ) -> (i32, Option<Keep>) {
        let (FileOp::Write { len, .. }, true) = (request.op, request.then_sync) else {
            let (result, _, keep) = self.start(entry(request), keep).await;
            return (result, keep);
        };
        let sync = FileRequest { op: FileOp::Sync { data: true }, ..*request };
        match self.start_linked([entry(request), entry(&sync)], keep).await {
            // The write has failed or was short, and the kernel has not begun the sync.
            (result, flags, keep) if flags & LEADER != 0 => (result, keep),
            (0.., _, keep) => (i32::try_from(len).unwrap_or(i32::MAX), keep),
            (error, _, keep) => (error, keep),
        }
    }
}
