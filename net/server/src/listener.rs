//! Accepts connections until it is told to stop.

use crate::counters::add;
use crate::handler::Handler;
use crate::serve::{Bell, Inner};
use runtime::Listener;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// Connections after which everybody else comes first.
const TURN: usize = 16;

/// Out of descriptors or memory: somebody has to close first.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);
/// Errors in a row without a connection between them, after which accepting pauses, too: a listener that only fails must not
/// take the core's time.
const ERRORS_MAX: u32 = 64;

/// Accepts until `stop` rings.
pub(crate) async fn accept<H: Handler>(
    server: Rc<Inner<H>>,
    mut listener: Listener,
    stop: Rc<Bell>,
) {
    let mut turn = 0;
    let mut errors = 0;
    while let Some(result) = stop.or(listener.accept()).await {
        match result {
            Ok(stream) => {
                errors = 0;
                server.admit(stream);
            }
            Err(e) => {
                add(&server.counters.accept_errors, 1);
                errors += 1;
                if (is_exhausted(&e) || errors >= ERRORS_MAX)
                    && stop.or(server.rt.sleep(EXHAUSTED_PAUSE)).await.is_none()
                {
                    break;
                }
            }
        }
        turn += 1;
        if turn % TURN == 0 {
            server.rt.yield_now().await;
        }
    }
    drop(listener);
    server.listener_stopped();
}

/// Whether accepting failed for want of descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM). Everything else concerns
/// the one connection, which was gone before it was accepted.
fn is_exhausted(e: &io::Error) -> bool {
    const ENOMEM: i32 = 12;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = 105;
    matches!(e.raw_os_error(), Some(ENOMEM | ENFILE | EMFILE | ENOBUFS))
}
