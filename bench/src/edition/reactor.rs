//! The core on our own reactor: `engine/runtime` and nothing between.
//!
//! A task per connection receives, one sends, and one for the whole core writes and flushes groups. Frames that lie whole in a
//! receive buffer are executed there; larger ones are received straight into a buffer of their own.

use super::{ServeConfig, ready};
use bench_core::{Block, Connection, FRAME_MAX, GROUP_BYTES, Inbox, Log, Part, Refused};
use ids::CoreId;
use runtime::sync::Notify;
use runtime::{Buffer, Listen, Memory, Open, Runtime, RuntimeConfig, Slice, Stream, Tuning};
use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Deref;
use std::rc::Rc;
use wire::frame::{self, Frame};

/// Budget for buffers: groups, and frames that are being received.
const MEMORY_BYTES: usize = 256 << 20;

/// From this many missing bytes on, a frame is received into a buffer of its own.
const DIRECT_BYTES_MIN: usize = 32 << 10;

/// Sizes of such buffers.
const BUFFERS: [usize; 2] = [256 << 10, 1 << 20];

#[derive(Debug)]
struct GroupBuffer(Buffer);

impl Block for GroupBuffer {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn spare_mut(&mut self) -> &mut [u8] {
        self.0.spare_mut()
    }
    fn advance(&mut self, n: usize) {
        self.0.advance(n);
    }
    fn patch(&mut self, at: usize, bytes: &[u8]) {
        self.0.patch(at, bytes);
    }
    fn again(self) -> Option<Self> {
        // The core's memory keeps the block, and its registration.
        None
    }
}

#[derive(Clone, Debug)]
struct Tail(Slice);

impl Deref for Tail {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Tail {
    fn from(bytes: &[u8]) -> Self {
        Self(Slice::from(bytes.to_vec()))
    }
}

struct Core {
    rt: Runtime,
    log: RefCell<Log<GroupBuffer, Tail>>,
    /// Something was appended.
    appended: Notify,
    connections: RefCell<Vec<Rc<Talk>>>,
}

struct Talk {
    stream: Stream,
    connection: RefCell<Connection<Tail>>,
    /// Answers may leave, or the end has come.
    bell: Notify,
    ended: Cell<bool>,
}

pub(super) fn serve(config: &ServeConfig, fixed_buffers: bool) -> io::Result<()> {
    let one = RuntimeConfig { core: CoreId(0), memory_limit: MEMORY_BYTES, pin: None };
    let tuning = Tuning { fixed_buffers, ..Tuning::default() };
    let config = config.clone();
    runtime::run_with(&one, &tuning, move |rt| async move { run(rt, config).await })?
}

async fn run(rt: Runtime, config: ServeConfig) -> io::Result<()> {
    let how = Open { write: true, direct: true, ..Open::default() };
    let file = rt.disk().open(&config.file, how).await?;
    let mut listener = rt.net().listen(config.listen, Listen::default()).await?;
    let direct = if file.is_direct() { "direct I/O" } else { "page cache" };
    ready(listener.local_addr(), &format!("{}, {direct}", rt.features()))?;
    let core = Rc::new(Core {
        rt: rt.clone(),
        log: RefCell::new(Log::new(config.log)),
        appended: Notify::new(),
        connections: RefCell::default(),
    });
    rt.spawn(flush(Rc::clone(&core), file));
    loop {
        let stream = listener.accept().await?;
        let talk = {
            let mut connections = core.connections.borrow_mut();
            // A number is used again once its connection has ended.
            let free = connections.iter().position(|talk| talk.ended.get());
            let number = free.unwrap_or(connections.len());
            let talk = Rc::new(Talk {
                stream,
                connection: RefCell::new(Connection::new(number)),
                bell: Notify::new(),
                ended: Cell::new(false),
            });
            if free.is_some() {
                connections[number] = Rc::clone(&talk);
            } else {
                connections.push(Rc::clone(&talk));
            }
            talk
        };
        rt.spawn(receive(Rc::clone(&core), Rc::clone(&talk)));
        rt.spawn(send(Rc::clone(&core), talk));
    }
}

/// Writes and flushes one group after the other.
async fn flush(core: Rc<Core>, file: runtime::File) {
    loop {
        let next = core.log.borrow_mut().next_group();
        let Some(group) = next else {
            core.appended.notified().await;
            continue;
        };
        let bytes = group.block().0.slice(..);
        let written = async {
            file.write_at(group.position(), bytes).await?;
            file.sync_data().await
        };
        if let Err(e) = written.await {
            core.rt.fault(format!("the ring file: {e}"));
        }
        let waiting = group.connections().to_vec();
        core.log.borrow_mut().on_durable(group);
        let connections = core.connections.borrow();
        for talk in waiting.iter().filter_map(|number| connections.get(*number)) {
            talk.bell.notify();
        }
    }
}

async fn send(core: Rc<Core>, talk: Rc<Talk>) {
    while !talk.ended.get() {
        let mut parts = Vec::new();
        talk.connection.borrow_mut().release(core.log.borrow().durable(), &mut parts);
        if parts.is_empty() {
            talk.bell.notified().await;
            continue;
        }
        let slices = parts.into_iter().map(|part| match part {
            Part::Bytes(bytes) => Slice::from(bytes),
            Part::Records(tail) => tail.0,
        });
        if talk.stream.send(slices.collect()).await.is_err() {
            break;
        }
    }
    talk.stream.shutdown();
}

async fn receive(core: Rc<Core>, talk: Rc<Talk>) {
    let ended = take_requests(&core, &talk).await;
    if let Err(why) = ended
        && why.get_ref().is_some_and(|e| e.is::<Refused>())
    {
        eprintln!("a connection was closed: {why}");
    }
    talk.ended.set(true);
    talk.bell.notify();
    talk.stream.shutdown();
}

async fn take_requests(core: &Core, talk: &Talk) -> io::Result<()> {
    let mut inbox = Inbox::new();
    while let Some(received) = talk.stream.recv().await? {
        let mut bytes: &[u8] = &received;
        // Straight from the receive buffer, as long as nothing older waits.
        while inbox.is_empty() && !bytes.is_empty() {
            match frame::scan(bytes, FRAME_MAX).map_err(|e| refused(Refused::Frame(e)))? {
                Frame::Whole { contents } => {
                    execute(core, talk, &bytes[contents.clone()])?;
                    bytes = &bytes[contents.end..];
                }
                Frame::Partial { .. } => inbox.append(std::mem::take(&mut bytes)),
            }
        }
        inbox.append(bytes);
        drop(received);
        while let Some(frame) = inbox.next_frame().map_err(refused)? {
            execute(core, talk, inbox.contents(frame))?;
        }
        core.appended.notify();
        if let Some((need, there)) = inbox.begun()
            && need - there.len() >= DIRECT_BYTES_MIN
        {
            // Of a size that is kept for its next use.
            let capacity = BUFFERS.into_iter().find(|size| *size >= need).unwrap_or(need);
            let mut whole = core.rt.memory().alloc_beyond(capacity);
            whole.append(there);
            inbox.clear();
            let missing = need - whole.len();
            if !talk.stream.recv_exact_into(&mut whole, missing).await? {
                return Ok(());
            }
            execute(core, talk, &whole.filled()[frame::PREFIX_LEN..])?;
            core.appended.notify();
        }
        if talk.connection.borrow().is_releasable(core.log.borrow().durable()) {
            talk.bell.notify();
        }
    }
    Ok(())
}

fn execute(core: &Core, talk: &Talk, frame: &[u8]) -> io::Result<()> {
    let memory: &Memory = core.rt.memory();
    let block = || GroupBuffer(memory.alloc_beyond(GROUP_BYTES));
    let mut log = core.log.borrow_mut();
    talk.connection.borrow_mut().execute(frame, &mut log, block).map_err(refused)
}

fn refused(why: Refused) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
