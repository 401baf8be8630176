//! Looks at all connections from time to time: one timer per server, none per connection.

use crate::close::CloseReason;
use crate::connection::Shortage;
use crate::handler::Handler;
use crate::serve::Inner;
use crate::serve::live::Live;
use runtime::Runtime;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// How often.
pub(crate) fn interval(idle_max: Option<Duration>, slow_grace: Duration) -> Duration {
    let shortest = idle_max.unwrap_or(Duration::MAX).min(slow_grace);
    (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1))
}

/// Ends connections that are idle or, while memory is short, slow. Stops with the server.
pub(crate) async fn sweep<H: Handler>(rt: Runtime, server: Weak<Inner<H>>, every: Duration) {
    loop {
        rt.sleep(every).await;
        let Some(server) = server.upgrade() else { return };
        let now = rt.now();
        let due: Vec<(Rc<Live<H>>, CloseReason)> = {
            let open = server.connections.borrow();
            let waiting: usize = open.values().map(|c| c.state.borrow().send_bytes()).sum();
            // Answers hold what the log has in memory. Above seven eighths the log gives back all that it can: what is still
            // taken then, readers hold, or writes that wait for the disk. Readers must not stop those who write.
            let memory = rt.memory();
            let held = waiting > 0 && memory.used() > memory.limit() / 8 * 7;
            let short = Shortage {
                frames: server.memory.room.is_short(),
                answers: held || waiting > server.config.send_bytes_total_max,
            };
            let due = |live: &Rc<Live<H>>| {
                live.state.borrow().on_tick(now, short).map(|reason| (Rc::clone(live), reason))
            };
            open.values().filter_map(due).collect()
        };
        for (live, reason) in due {
            server.end(&live, reason);
        }
        if server.is_over() {
            return;
        }
    }
}
