//! The line between the control thread and core 0.
//!
//! The control thread leaves a Kafka request as bytes and waits for the bytes of the answer. Core 0 looks for requests every
//! few milliseconds while there are some, and twenty times a second while there are none. At most [`OPEN_MAX`] are open, those that
//! nobody waits for any more included; more are refused at once.

use super::answer::Problem;
use crate::api;
use crate::broker::Broker;
use axum::http::StatusCode;
use client::{Pipeline, Reply};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use wire::Request;

/// How many requests may wait for core 0, or be with it.
const OPEN_MAX: usize = 64;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks while nobody asks, and after somebody has asked.
const IDLE: Duration = Duration::from_millis(50);
const BUSY: Duration = Duration::from_millis(2);
/// So many looks in vain after the last request, and it is quiet again.
const BUSY_LOOKS: u32 = 500;
/// How the requests call themselves, and the largest answer.
const CLIENT_ID: &str = "rest";
const ANSWER_BYTES_MAX: usize = 100 << 20;

struct Call {
    frame: Vec<u8>,
    answer: oneshot::Sender<Vec<u8>>,
    place: Place,
}

/// One of the places for open requests. It is free again when the request has been answered, not when its asker has gone.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(taken: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(taken));
        (taken.fetch_add(1, Ordering::AcqRel) < OPEN_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Both threads hold it.
#[derive(Default)]
pub(crate) struct Line {
    open: AtomicBool,
    taken: Arc<AtomicUsize>,
    calls: Mutex<VecDeque<Call>>,
}

impl Line {
    fn calls(&self) -> std::sync::MutexGuard<'_, VecDeque<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets core 0 answer a request. It may have been carried out also where the answer is late.
    pub(super) async fn ask<'a, R: Request<'a>>(
        &self,
        version: i16,
        request: &R,
    ) -> Result<Reply, Problem> {
        if !self.open.load(Ordering::Acquire) {
            return Err(Problem::unavailable("the broker is recovering; try again"));
        }
        let unsaid = |e: &dyn std::fmt::Display| {
            Problem::new(StatusCode::BAD_REQUEST, 400, format!("the request cannot be said: {e}"))
        };
        let mut pipeline = Pipeline::new(CLIENT_ID, ANSWER_BYTES_MAX);
        pipeline.submit(version, request).map_err(|e| unsaid(&e))?;
        // Without the length before it.
        let frame = pipeline.outgoing().get(4..).unwrap_or(&[]).to_vec();
        let place = Place::take(&self.taken)
            .ok_or_else(|| Problem::unavailable("too many requests wait; try again"))?;
        let (answer, answered) = oneshot::channel();
        self.calls().push_back(Call { frame, answer, place });
        let late = || {
            Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                50004,
                format!("no answer within {} s; a change may have been made", PATIENCE.as_secs()),
            )
        };
        let bytes = tokio::time::timeout(PATIENCE, answered).await.map_err(|_| late())?;
        let bytes = bytes.map_err(|_| Problem::unavailable("the broker does not answer this"))?;
        pipeline.on_received(&bytes);
        match pipeline.poll() {
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Err(Problem::unavailable("half an answer")),
            Err(e) => Err(Problem::unavailable(format!("an answer that cannot be read: {e}"))),
        }
    }

    fn next(&self) -> Option<Call> {
        self.calls().pop_front()
    }
}

/// Answers what comes over the line, on core 0, from now on.
pub(crate) fn serve(broker: &Rc<Broker>, line: Arc<Line>) {
    let me = Rc::clone(broker);
    line.open.store(true, Ordering::Release);
    broker.rt.spawn(async move {
        let mut in_vain = BUSY_LOOKS;
        loop {
            while let Some(call) = line.next() {
                in_vain = 0;
                let broker = Rc::clone(&me);
                me.rt.spawn(async move {
                    // Who asked may have gone, and without an answer the line says so.
                    if let Some(bytes) = api::answer_inside(&broker, &call.frame).await {
                        let _ = call.answer.send(bytes);
                    }
                    drop(call.place);
                });
            }
            in_vain = in_vain.saturating_add(1);
            me.rt.sleep(if in_vain > BUSY_LOOKS { IDLE } else { BUSY }).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let taken = Arc::default();
        let mut places: Vec<_> = (0..OPEN_MAX).map(|_| Place::take(&taken)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(Place::take(&taken).is_none());
        assert!(Place::take(&taken).is_none());
        places.pop();
        assert!(Place::take(&taken).is_some());
        drop(places);
        assert_eq!(taken.load(Ordering::Acquire), 0);
    }
}
