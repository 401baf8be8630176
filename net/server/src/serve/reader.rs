//! The task that receives from one connection and starts its requests.

use crate::close::CloseReason;
use crate::connection::Step;
use crate::counters::add;
use crate::handler::Handler;
use crate::serve::live::Live;
use crate::serve::{Inner, request};
use runtime::Stream;
use std::rc::Rc;
use std::time::Duration;

/// Requests, or receives, after which the other connections come first.
const TURN: usize = 32;
/// A turn of the core that has lasted so long is over, too: one request may be as much work as thousands, and what others wait
/// for, a flush among it, is seen only between turns.
const TURN_TIME: Duration = Duration::from_millis(1);

/// Receives until the connection ends; why it does.
pub(crate) async fn read<H: Handler>(
    server: &Rc<Inner<H>>,
    live: &Rc<Live<H>>,
    stream: &Stream,
) -> CloseReason {
    let mut turn = 0;
    loop {
        if let Some(reason) = live.ended() {
            return reason;
        }
        turn += 1;
        if turn >= TURN {
            turn = 0;
            server.rt.yield_now().await;
            continue;
        }
        let bytes_max = server.handler.request_bytes_max(&live.session);
        let step = live.state.borrow_mut().step(server.rt.now(), bytes_max, &server.memory);
        match step {
            Err(reason) => return reason,
            Ok(Step::Request(seq, frame)) => {
                add(&server.counters.requests, 1);
                add(&server.counters.requests_in_place, usize::from(frame.is_in_place()));
                let arrived = live.state.borrow().arrived();
                let settles = server.handler.settles_first(&live.session, &frame);
                request::start(server, live, seq, frame, arrived);
                while settles && live.is_pending(seq) && live.ended().is_none() {
                    live.reader.heard().await;
                }
                if server.rt.clock().since(server.rt.now()) >= TURN_TIME {
                    turn = TURN;
                }
            }
            Ok(Step::Receive) => {
                if let Err(reason) = receive(server, live, stream).await {
                    return reason;
                }
            }
            Ok(Step::Room(bytes)) => {
                if let Some(charge) = live.reader.or(server.memory.room.charge(bytes)).await {
                    live.state.borrow_mut().admit(charge);
                }
            }
            Ok(Step::Wait) => live.reader.heard().await,
            Ok(Step::Mute(until)) => {
                live.reader.or(server.rt.sleep_until(until)).await;
            }
        }
    }
}

async fn receive<H: Handler>(
    server: &Rc<Inner<H>>,
    live: &Rc<Live<H>>,
    stream: &Stream,
) -> Result<(), CloseReason> {
    let direct = live.state.borrow_mut().take_direct();
    if let Some((mut buffer, bytes)) = direct {
        match stream.recv_exact_into(&mut buffer, bytes).await {
            Ok(true) => {}
            Ok(false) => return Err(CloseReason::PeerClosed),
            Err(_) => return Err(CloseReason::PeerLost),
        }
        add(&server.counters.bytes_in, bytes);
        live.state.borrow_mut().return_direct(buffer, bytes, server.rt.now());
        return Ok(());
    }
    match stream.recv().await {
        Ok(Some(received)) => {
            add(&server.counters.bytes_in, received.len());
            let now = server.rt.now();
            live.state.borrow_mut().on_received(received.into(), now, &server.memory);
            Ok(())
        }
        Ok(None) => Err(CloseReason::PeerClosed),
        Err(_) => Err(CloseReason::PeerLost),
    }
}
