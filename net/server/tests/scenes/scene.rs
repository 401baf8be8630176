//! A core with a server, for as long as a scene lasts.

use crate::echo::{Echo, Session};
use ids::CoreId;
use runtime::{Listen, Runtime, RuntimeConfig};
use server::{Config, ConnectionLimits, Drained, Server, Snapshot, Stuck};
use stages::Kind;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Longer than anything here takes: a scene that hangs fails rather than hang the tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `main` on a core of its own.
pub(crate) fn on_core<T, F>(main: impl FnOnce(Runtime) -> F) -> T
where
    T: 'static,
    F: Future<Output = T> + 'static,
{
    let config = RuntimeConfig { core: CoreId(0), memory_limit: 256 << 20, pin: None };
    runtime::run(&config, main).unwrap()
}

/// A server of echoes, the address that it listens on, and its handler.
pub(crate) async fn start(
    rt: &Runtime,
    config: Config,
    limits: ConnectionLimits,
) -> (Server<Echo>, SocketAddr, Rc<Echo>) {
    let echo = Rc::new(Echo::new(rt));
    let server = Server::new(rt, Rc::clone(&echo), config, limits);
    let any = "127.0.0.1:0".parse().unwrap();
    let listen = Listen { backlog: 4096, reuse_port: false };
    let address = server.listen(any, listen).await.unwrap();
    (server, address, echo)
}

/// Ten of the requests that are not over, and how many there are.
pub(crate) fn in_progress(server: &Server<Echo>) -> Stuck<Session> {
    server.in_progress(Duration::ZERO, 10, |_| Kind::Other)
}

/// The thread's result, without stopping the core.
pub(crate) async fn join<T>(rt: &Runtime, thread: JoinHandle<T>) -> T {
    until(rt, || thread.is_finished()).await;
    match thread.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Waits until it holds.
pub(crate) async fn until(rt: &Runtime, mut holds: impl FnMut() -> bool) {
    let deadline = rt.now() + PATIENCE;
    while !holds() {
        assert!(rt.now() < deadline, "it never came");
        rt.sleep(Duration::from_millis(2)).await;
    }
}

/// Serves while `clients` run on a thread of their own; then drains. What the clients returned, and the counters at the end.
pub(crate) fn serve<T: Send + 'static>(
    config: Config,
    clients: impl FnOnce(SocketAddr) -> T + Send + 'static,
) -> (T, Snapshot) {
    on_core(|rt| async move {
        let limits = ConnectionLimits::new(usize::MAX, usize::MAX);
        let (server, address, _) = start(&rt, config, limits).await;
        let thread = std::thread::spawn(move || clients(address));
        let value = join(&rt, thread).await;
        let drained = server.drain(Duration::from_secs(20)).await;
        assert_eq!(drained, Drained { cut_off: 0, unfinished: 0 });
        let counters = server.counters();
        assert_nothing_is_held(&counters);
        (value, counters)
    })
}

/// Every buffer is back where it came from.
pub(crate) fn assert_nothing_is_held(counters: &Snapshot) {
    let held = (counters.open, counters.in_flight, counters.frame_bytes, counters.send_bytes);
    assert_eq!(held, (0, 0, 0, 0), "{counters:?}");
    assert_eq!(counters.receive_buffers, 0, "{counters:?}");
    assert_eq!(counters.accepted, counters.closed.values().sum::<u64>(), "{counters:?}");
}
