//! Answers that are made and not sent yet: so many bytes of them are kept, and no more.
//!
//! A page of metrics may be megabytes, and it is in memory until its client has read the last of it, which the client may take
//! its time for. Whoever asks while too much is kept is told to come again.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// While so much is kept, nothing is added.
pub(super) const UNSENT_BYTES_MAX: usize = 64 << 20;
/// What is not counted: every connection may have one of these.
const SMALL: usize = 64 << 10;

/// What is kept.
#[derive(Debug)]
pub(super) struct Unsent {
    bytes: AtomicUsize,
    most: usize,
}

/// An answer that is kept until it is sent, or its connection has ended.
struct Held {
    answer: Bytes,
    unsent: Arc<Unsent>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.unsent.bytes.fetch_sub(self.answer.len(), Ordering::AcqRel);
    }
}

impl Unsent {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), most })
    }

    /// Keeps an answer, unless there is too much already.
    fn keep(self: &Arc<Self>, answer: Bytes) -> Option<Bytes> {
        if answer.len() <= SMALL {
            return Some(answer);
        }
        // One answer alone may be larger than all that is kept: a page of very many series is.
        if self.bytes.fetch_add(answer.len(), Ordering::AcqRel) >= self.most {
            self.bytes.fetch_sub(answer.len(), Ordering::AcqRel);
            return None;
        }
        Some(Bytes::from_owner(Held { answer, unsent: Arc::clone(self) }))
    }
}

/// Lets an answer go that there is room for.
pub(super) async fn bounded(
    State(unsent): State<Arc<Unsent>>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = next.run(request).await.into_parts();
    // All bodies here are whole, in one piece: nothing is copied.
    let answer = match to_bytes(body, usize::MAX).await {
        Ok(answer) => answer,
        Err(e) => return (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    };
    match unsent.keep(answer) {
        Some(answer) => Response::from_parts(head, Body::from(answer)),
        None => {
            let why = "too many answers wait for clients that do not read them: ask again later\n";
            (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::connections::Bounded;
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::time::{Duration, Instant};

    /// More than a socket takes that nobody reads.
    const LARGE: usize = 32 << 20;

    fn serve(unsent: Arc<Unsent>) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            rt.block_on(async move {
                let app = Router::new()
                    .route("/large", get(|| async { "x".repeat(LARGE) }))
                    .route("/small", get(|| async { "here" }))
                    .layer(from_fn_with_state(unsent, bounded));
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(Bounded::new(listener), app).await.unwrap();
            });
        });
        address
    }

    fn ask(address: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn rest(mut stream: TcpStream) -> Vec<u8> {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    fn until(unsent: &Unsent, bytes: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while unsent.bytes.load(Ordering::Acquire) != bytes {
            assert!(Instant::now() < deadline, "{unsent:?}, and not {bytes}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn answers_that_nobody_reads_are_kept_up_to_a_bound() {
        let unsent = Unsent::new(LARGE + 1);
        let address = serve(Arc::clone(&unsent));
        let first = ask(address, "/large");
        until(&unsent, LARGE);
        let second = ask(address, "/large");
        until(&unsent, 2 * LARGE);
        for _ in 0..3 {
            let refused = String::from_utf8(rest(ask(address, "/large"))).unwrap();
            assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
            assert!(refused.contains("ask again later"), "{refused}");
            assert!(rest(ask(address, "/small")).ends_with(b"here"), "small ones go on");
        }
        until(&unsent, 2 * LARGE);
        // One is read to its end, the other's client goes: both make room.
        let all = rest(first);
        assert!(all.starts_with(b"HTTP/1.1 200 ") && all.len() > LARGE, "{}", all.len());
        until(&unsent, LARGE);
        drop(second);
        until(&unsent, 0);
        assert!(rest(ask(address, "/large")).len() > LARGE);
    }
}
