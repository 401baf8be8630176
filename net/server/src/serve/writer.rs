//! The task that sends a connection's answers.

use crate::close::CloseReason;
use crate::counters::add;
use crate::handler::Handler;
use crate::serve::Inner;
use crate::serve::live::Live;
use runtime::Stream;
use stages::Stage;
use std::rc::Rc;

/// Sends until the connection ends; why it does. Answers that became ready since the last send leave together.
pub(crate) async fn write<H: Handler>(
    server: &Rc<Inner<H>>,
    live: &Rc<Live<H>>,
    stream: &Stream,
) -> CloseReason {
    loop {
        if let Some(reason) = live.ended() {
            return reason;
        }
        let batch = live.state.borrow_mut().next_batch(server.rt.now(), || server.rt.clock());
        let Some(batch) = batch else {
            let finished = live.state.borrow().finished();
            if let Some(reason) = finished {
                return reason;
            }
            live.writer.heard().await;
            continue;
        };
        add(&server.counters.sends, 1);
        let began = server.rt.now();
        if stream.send(batch.parts).await.is_err() {
            while let Some(laps) = live.state.borrow_mut().pop_leaving() {
                server.on_unread(live, laps, Stage::Send);
            }
            return CloseReason::PeerLost;
        }
        add(&server.counters.bytes_out, batch.bytes);
        live.state.borrow_mut().on_sent(batch.bytes, server.rt.now());
        if stages::ON {
            // What ended in the kernel ended when this turn began; what did not even go there, now.
            let turn = server.rt.now();
            let sent = if turn > began { turn } else { server.rt.clock() };
            while let Some(mut laps) = live.state.borrow_mut().pop_sent() {
                laps.lap_at(Stage::Send, sent);
                server.handler.answered(&live.session, &laps);
                live.spare_laps.set(laps);
            }
        }
        live.reader.ring();
    }
}
