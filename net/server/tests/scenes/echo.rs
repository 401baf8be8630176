//! A handler that does what the request says.

use runtime::{Runtime, Slice};
use server::{CloseReason, Frame, Handler, OnDisconnect, Reply};
use stages::{Laps, Stage};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Places of APIs, where they are told apart.
pub(crate) const API_STUCK: u8 = 0;
pub(crate) const API_STUCK_AFTER: u8 = 1;

/// What a request asks for. On the wire: the number of the request, the kind and a number (all `u32`), then anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request comes back at once.
    Now,
    /// It comes back after so many microseconds.
    After(u32),
    /// No response, after so many microseconds.
    Silent(u32),
    /// So many bytes come back.
    Large(u32),
    /// The connection is closed.
    Close,
    /// It comes back, and then the connection is closed.
    Last,
    /// It never comes back, and waits because it was asked to.
    Never,
    /// It comes back, and the client is muted for so many milliseconds.
    Mute(u32),
    /// The core is busy with it for so many milliseconds; then it comes back.
    Busy(u32),
    /// As [`Kind::After`], and the next request of the connection does not begin before.
    First(u32),
    /// It never comes back, and is dropped with its client though it is worked on.
    Stuck,
    /// The same once it has waited for so many milliseconds because it was asked to.
    StuckAfter(u32),
}

impl Kind {
    pub(crate) fn to_wire(self) -> (u32, u32) {
        match self {
            Self::Now => (0, 0),
            Self::After(us) => (1, us),
            Self::Silent(us) => (2, us),
            Self::Large(n) => (3, n),
            Self::Close => (4, 0),
            Self::Last => (5, 0),
            Self::Never => (6, 0),
            Self::Mute(ms) => (7, ms),
            Self::Busy(ms) => (8, ms),
            Self::First(us) => (9, us),
            Self::Stuck => (10, 0),
            Self::StuckAfter(ms) => (11, ms),
        }
    }

    fn from_wire(kind: u32, n: u32) -> Option<Self> {
        Some(match kind {
            0 => Self::Now,
            1 => Self::After(n),
            2 => Self::Silent(n),
            3 => Self::Large(n),
            4 => Self::Close,
            5 => Self::Last,
            6 => Self::Never,
            7 => Self::Mute(n),
            8 => Self::Busy(n),
            9 => Self::First(n),
            10 => Self::Stuck,
            11 => Self::StuckAfter(n),
            _ => return None,
        })
    }
}

fn parse(frame: &[u8]) -> Option<(u32, Kind)> {
    let number = |i: usize| {
        let bytes = frame.get(4 * i..4 * i + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    Some((number(0)?, Kind::from_wire(number(1)?, number(2)?)?))
}

/// Answers, and remembers what it saw.
pub(crate) struct Echo {
    rt: Runtime,
    /// Peer's port and number of every request, in the order in which they were handled.
    pub(crate) handled: RefCell<Vec<(u16, u32)>>,
    pub(crate) finished: Rc<Cell<usize>>,
    pub(crate) ended: RefCell<Vec<CloseReason>>,
    /// The stopwatches of the requests that are over.
    pub(crate) answered: RefCell<Vec<Laps>>,
    pub(crate) early_limit: Cell<usize>,
}

pub(crate) struct Session {
    peer: SocketAddr,
    next: Cell<u32>,
}

impl Echo {
    pub(crate) fn new(rt: &Runtime) -> Self {
        Self {
            rt: rt.clone(),
            handled: RefCell::default(),
            finished: Rc::default(),
            ended: RefCell::default(),
            answered: RefCell::default(),
            early_limit: Cell::new(usize::MAX),
        }
    }
}

fn response(frame: &Frame) -> Vec<Slice> {
    let prefix = i32::try_from(frame.len()).unwrap().to_be_bytes().to_vec();
    vec![Slice::from(prefix), Slice::from(frame.to_vec())]
}

impl Handler for Echo {
    type Session = Session;

    fn open(&self, peer: SocketAddr, _: SocketAddr) -> Session {
        Session { peer, next: Cell::new(0) }
    }

    fn handle(
        &self,
        session: &Rc<Session>,
        frame: Frame,
        mut laps: Laps,
    ) -> impl Future<Output = (Reply, Laps)> + 'static {
        let request = parse(&frame);
        if let Some((number, _)) = request {
            assert_eq!(number, session.next.get(), "requests are handled in their order");
            session.next.set(number + 1);
            self.handled.borrow_mut().push((session.peer.port(), number));
        }
        let (rt, finished) = (self.rt.clone(), Rc::clone(&self.finished));
        async move {
            let Some((number, kind)) = request else { return (Reply::Close("garbage"), laps) };
            let reply = match kind {
                Kind::Now => Reply::Send(response(&frame)),
                Kind::Busy(ms) => {
                    std::thread::sleep(Duration::from_millis(ms.into()));
                    Reply::Send(response(&frame))
                }
                Kind::After(us) | Kind::First(us) => {
                    // Wakes itself before there is a task to be woken.
                    rt.yield_now().await;
                    rt.sleep(Duration::from_micros(us.into())).await;
                    Reply::Send(response(&frame))
                }
                Kind::Silent(us) => {
                    rt.sleep(Duration::from_micros(us.into())).await;
                    Reply::Nothing
                }
                Kind::Large(n) => {
                    let body = vec![number.to_be_bytes()[3]; n as usize];
                    let prefix = i32::try_from(n).unwrap().to_be_bytes().to_vec();
                    let body = Slice::from(body);
                    let parts = (0..body.len()).step_by(1000);
                    let parts = parts.map(|at| body.slice(at..body.len().min(at + 1000)));
                    Reply::Send([Slice::from(prefix)].into_iter().chain(parts).collect())
                }
                Kind::Close => Reply::Close("asked"),
                Kind::Last => Reply::SendThenClose(response(&frame), "asked"),
                Kind::Never => {
                    laps.is_in(Stage::Park);
                    std::future::pending().await
                }
                Kind::Stuck => {
                    laps.is_for(API_STUCK);
                    std::future::pending().await
                }
                Kind::StuckAfter(ms) => {
                    laps.is_for(API_STUCK_AFTER);
                    laps.is_in(Stage::Park);
                    rt.sleep(Duration::from_millis(ms.into())).await;
                    laps.lap(Stage::Park, || rt.clock());
                    laps.is_in(Stage::Read);
                    std::future::pending().await
                }
                Kind::Mute(ms) => {
                    Reply::SendThenMute(response(&frame), Duration::from_millis(ms.into()))
                }
            };
            finished.set(finished.get() + 1);
            laps.lap(Stage::Handle, || rt.clock());
            (reply, laps)
        }
    }

    fn answered(&self, _: &Session, laps: &Laps) {
        self.answered.borrow_mut().push(laps.clone());
    }

    fn request_bytes_max(&self, session: &Session) -> usize {
        if session.next.get() == 0 { self.early_limit.get() } else { usize::MAX }
    }

    fn on_disconnect(&self, _: &Session, frame: &[u8]) -> OnDisconnect {
        match parse(frame) {
            Some((_, Kind::Never | Kind::Stuck | Kind::StuckAfter(_))) => OnDisconnect::Drop,
            _ => OnDisconnect::Finish,
        }
    }

    fn settles_first(&self, _: &Session, frame: &[u8]) -> bool {
        matches!(parse(frame), Some((_, Kind::First(_))))
    }

    fn closed(&self, _: &Rc<Session>, reason: CloseReason) {
        self.ended.borrow_mut().push(reason);
    }
}
