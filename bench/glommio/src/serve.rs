//! The server: one executor, a task per connection, one that writes and flushes.
//!
//! What glommio offers is used as it is meant: `DmaFile` with its registered buffers, flushes through the ring, its sockets
//! with their attempt to receive and send at once. A socket is not split in two, because halves would need a lock: one task
//! polls both directions.

use crate::bell::Bell;
use bench_core::{Block, Connection, GROUP_BYTES, Inbox, Log, LogConfig, Part, Refused};
use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::io::{DmaBuffer, DmaFile, OpenOptions};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement, allocate_dma_buffer, spawn_local};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Registered memory for writes: as many groups as the other editions keep at hand, and some.
const IO_MEMORY: usize = 64 << 20;

/// Sends of one connection are gathered up to this size: its sockets have no vectored write.
const GATHER_BYTES: usize = 16 << 10;

type Tail = Rc<[u8]>;

#[derive(Debug)]
struct GroupBuffer {
    /// Until the write takes it.
    buffer: Option<DmaBuffer>,
    len: usize,
}

impl GroupBuffer {
    fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut().map_or(&mut [], DmaBuffer::as_bytes_mut)
    }
}

impl Block for GroupBuffer {
    fn len(&self) -> usize {
        self.len
    }
    fn spare_mut(&mut self) -> &mut [u8] {
        let len = self.len;
        &mut self.bytes_mut()[len..]
    }
    fn advance(&mut self, n: usize) {
        assert!(n <= self.spare_mut().len(), "advance beyond the capacity");
        self.len += n;
    }
    fn patch(&mut self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.len, "a patch beyond the end");
        self.bytes_mut()[at..at + bytes.len()].copy_from_slice(bytes);
    }
    fn again(self) -> Option<Self> {
        // The buffer has gone with its write; glommio allocates from its registered memory.
        None
    }
}

struct Core {
    log: RefCell<Log<GroupBuffer, Tail>>,
    appended: Bell,
    /// By number, whom to wake.
    bells: RefCell<Vec<Rc<Bell>>>,
}

/// Serves for ever. `ready` is told the address and what the file and the ring can do.
///
/// # Errors
/// No executor, no file, or no listener.
pub fn serve(
    file: &Path,
    listen: SocketAddr,
    log: LogConfig,
    ready: impl FnOnce(SocketAddr, &str) -> io::Result<()> + 'static,
) -> io::Result<()> {
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .io_memory(IO_MEMORY)
        .make()
        .map_err(io::Error::from)?;
    let file: PathBuf = file.to_owned();
    executor.run(async move { run(file, listen, log, ready).await })
}

async fn run(
    file: PathBuf,
    listen: SocketAddr,
    log: LogConfig,
    ready: impl FnOnce(SocketAddr, &str) -> io::Result<()>,
) -> io::Result<()> {
    let file = OpenOptions::new().write(true).read(true).dma_open(&file).await?;
    let listener = TcpListener::bind(listen)?;
    ready(listener.local_addr()?, "glommio 0.9, direct I/O")?;
    let core = Rc::new(Core {
        log: RefCell::new(Log::new(log)),
        appended: Bell::default(),
        bells: RefCell::default(),
    });
    spawn_local(flush(Rc::clone(&core), file)).detach();
    loop {
        let stream = listener.accept().await?;
        stream.set_nodelay(true)?;
        let bell = Rc::new(Bell::default());
        let number = {
            let mut bells = core.bells.borrow_mut();
            // A number is used again once its task has ended.
            match bells.iter().position(|bell| Rc::strong_count(bell) == 1) {
                Some(free) => {
                    bells[free] = Rc::clone(&bell);
                    free
                }
                None => {
                    bells.push(Rc::clone(&bell));
                    bells.len() - 1
                }
            }
        };
        let talk = Talk {
            stream,
            bell,
            inbox: Inbox::new(),
            connection: Connection::new(number),
            out: VecDeque::new(),
            sent: 0,
        };
        spawn_local(talk.serve(Rc::clone(&core))).detach();
    }
}

async fn flush(core: Rc<Core>, file: DmaFile) {
    loop {
        let next = core.log.borrow_mut().next_group();
        let Some(mut group) = next else {
            core.appended.rung().await;
            continue;
        };
        let position = group.position();
        let len = group.block().len();
        let buffer = group.block_mut().buffer.take();
        let written = async {
            let mut buffer = buffer.ok_or(io::ErrorKind::InvalidInput)?;
            buffer.trim_to_size(len);
            let n = file.write_at(buffer, position).await?;
            if n != len {
                return Err(io::Error::from(io::ErrorKind::WriteZero));
            }
            file.fdatasync().await.map_err(io::Error::from)
        };
        if let Err(e) = written.await {
            // After a failed flush nobody knows what the disk holds.
            eprintln!("the ring file: {e}; the process stops");
            std::process::abort();
        }
        let waiting = group.connections().to_vec();
        core.log.borrow_mut().on_durable(group);
        let bells = core.bells.borrow();
        for bell in waiting.iter().filter_map(|number| bells.get(*number)) {
            bell.ring();
        }
    }
}

struct Talk {
    stream: TcpStream,
    bell: Rc<Bell>,
    inbox: Inbox,
    connection: Connection<Tail>,
    out: VecDeque<Part<Tail>>,
    /// Bytes of the first part that have been sent.
    sent: usize,
}

impl Talk {
    async fn serve(mut self, core: Rc<Core>) {
        let ended = poll_fn(|cx| self.poll(cx, &core)).await;
        if let Err(why) = ended
            && why.get_ref().is_some_and(|e| e.is::<Refused>())
        {
            eprintln!("a connection was closed: {why}");
        }
    }

    /// Goes on in both directions until neither can; ready when the connection has ended.
    fn poll(&mut self, cx: &mut Context<'_>, core: &Core) -> Poll<io::Result<()>> {
        loop {
            let rung = self.bell.poll(cx).is_ready();
            self.poll_send(cx, core)?;
            let received = self.poll_receive(cx, core)?;
            match received {
                Poll::Ready(false) => return Poll::Ready(Ok(())),
                Poll::Ready(true) => self.poll_send(cx, core)?,
                Poll::Pending if rung => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Receives once and executes what is whole; whether the peer is still there.
    fn poll_receive(&mut self, cx: &mut Context<'_>, core: &Core) -> Poll<io::Result<bool>> {
        let stream = Pin::new(&mut self.stream);
        let n = match stream.poll_read(cx, self.inbox.spare_mut()) {
            Poll::Ready(n) => n?,
            Poll::Pending => return Poll::Pending,
        };
        if n == 0 {
            return Poll::Ready(Ok(false));
        }
        self.inbox.received(n);
        let mut log = core.log.borrow_mut();
        while let Some(frame) = self.inbox.next_frame().map_err(refused)? {
            let frame = self.inbox.contents(frame);
            let block = || GroupBuffer { buffer: Some(allocate_dma_buffer(GROUP_BYTES)), len: 0 };
            self.connection.execute(frame, &mut log, block).map_err(refused)?;
        }
        core.appended.ring();
        Poll::Ready(Ok(true))
    }

    /// Sends as much as the socket takes.
    fn poll_send(&mut self, cx: &mut Context<'_>, core: &Core) -> io::Result<()> {
        loop {
            if self.out.is_empty() {
                let mut parts = Vec::new();
                self.connection.release(core.log.borrow().durable(), &mut parts);
                self.out.extend(gather(parts));
            }
            let Some(first) = self.out.front() else { return Ok(()) };
            let bytes: &[u8] = match first {
                Part::Bytes(bytes) => bytes,
                Part::Records(tail) => tail,
            };
            let len = bytes.len();
            match Pin::new(&mut self.stream).poll_write(cx, &bytes[self.sent..]) {
                Poll::Ready(n) => self.sent += n?,
                Poll::Pending => return Ok(()),
            }
            if self.sent == len {
                self.sent = 0;
                self.out.pop_front();
            }
        }
    }
}

/// Small parts become one: a copy is cheaper than a system call.
fn gather(parts: Vec<Part<Tail>>) -> VecDeque<Part<Tail>> {
    let mut out: VecDeque<Part<Tail>> = VecDeque::new();
    for part in parts {
        let bytes: &[u8] = match &part {
            Part::Bytes(bytes) => bytes,
            Part::Records(tail) => tail,
        };
        match out.back_mut() {
            Some(Part::Bytes(last)) if last.len() + bytes.len() <= GATHER_BYTES => {
                last.extend_from_slice(bytes);
            }
            _ => out.push_back(part),
        }
    }
    out
}

fn refused(why: Refused) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
