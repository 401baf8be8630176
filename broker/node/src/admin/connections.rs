//! The connections of the control thread: a bounded number, and none for longer than it is used.
//!
//! Each takes a descriptor, which the store needs more than somebody who has connected and says nothing, and a place, which
//! whoever asks whether the broker is well needs more than somebody who says a byte a minute.

use super::patience::{Patience, Terms, Way};
use axum::serve::Listener;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Connections at the same time. Whoever comes then waits in the listener's backlog.
const MOST: usize = 256;
/// How long a connection may be without progress: longer than the slowest page is written. And how long a request may take to
/// come, or an answer to go.
const TERMS: Terms = Terms { idle: Duration::from_secs(60), whole: Duration::from_secs(300) };
/// How long accept(2) rests after it was refused, for want of descriptors most of all.
const PAUSE: Duration = Duration::from_millis(200);

/// A listener that accepts a bounded number.
pub(super) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    terms: Terms,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self::with(listener, MOST, TERMS)
    }

    fn with(listener: TcpListener, most: usize, terms: Terms) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(most)), terms }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let patience = Patience::new(self.terms, Instant::now());
                    let end = Box::pin(sleep_until(patience.until()));
                    return (Connection { stream, patience, end, _place: place }, peer);
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when nothing has moved on it for a while, or too little.
pub(super) struct Connection {
    stream: TcpStream,
    patience: Patience,
    end: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// What the stream says, unless it has said too little for too long. `bytes` are those that have moved.
    fn patiently<T>(
        &mut self,
        cx: &mut Context<'_>,
        way: Way,
        said: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match said {
            Poll::Ready(said) => {
                let before = self.patience.until();
                self.patience.on_bytes(way, said.as_ref().map_or(0, bytes), Instant::now());
                if self.patience.until() != before {
                    self.end.as_mut().reset(self.patience.until());
                }
                Poll::Ready(said)
            }
            Poll::Pending => {
                self.end.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = to.filled().len();
        let said = Pin::new(&mut self.stream).poll_read(cx, to);
        self.patiently(cx, Way::In, said, |()| to.filled().len() - before)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.patiently(cx, Way::Out, said, |sent| *sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.patiently(cx, Way::Out, said, |sent| *sent)
    }

    /// An answer then goes from where it is; otherwise it is copied behind its head first, and two of it are kept.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    const IDLE: Duration = Duration::from_millis(300);

    /// Two places.
    fn serve() -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            rt.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let terms = Terms { idle: IDLE, whole: Duration::from_secs(60) };
                let bounded = Bounded::with(listener, 2, terms);
                let app = axum::Router::new().route("/", axum::routing::get(|| async { "here" }));
                axum::serve(bounded, app).await.unwrap();
            });
        });
        address
    }

    fn connect(address: SocketAddr) -> std::net::TcpStream {
        let stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    fn asks(address: SocketAddr) -> String {
        let mut stream = connect(address);
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Two that say nothing have both places. They are closed, and then the third is served.
    #[test]
    fn those_that_say_nothing_are_closed_and_make_place() {
        let address = serve();
        let begun = std::time::Instant::now();
        let mut silent = [connect(address), connect(address)];
        std::thread::sleep(Duration::from_millis(50));
        let answer = asks(address);
        assert!(answer.ends_with("here"), "{answer}");
        assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
        for silent in &mut silent {
            assert_eq!(silent.read(&mut [0; 1]).unwrap_or(0), 0, "it was closed");
        }
    }

    /// Two that say a byte now and then, for as long as somebody listens, have both places: the third is served all the same.
    #[test]
    fn those_that_drip_are_closed_and_make_place() {
        let address = serve();
        let drips: Vec<_> = (0..2)
            .map(|_| {
                let mut stream = connect(address);
                stream.write_all(b"G").unwrap();
                std::thread::spawn(move || {
                    let head = b"ET / HTTP/1.1\r\nHost: localhost\r\nX: ".iter();
                    for byte in head.chain(std::iter::repeat(&b'x')) {
                        std::thread::sleep(IDLE / 10);
                        if stream.write_all(&[*byte]).is_err() {
                            return;
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(50));
        let answer = asks(address);
        assert!(answer.ends_with("here"), "{answer}");
        for drip in drips {
            drip.join().unwrap();
        }
    }
}
