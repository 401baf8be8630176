//! The control thread: HTTP for metrics, health and REST, and the signals that stop the process.
//!
//! It shares nothing with the data core but a text, which the core writes once a second while somebody reads it, two
//! flags, and the line of REST.

use crate::rest;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

/// What the two threads share.
#[derive(Default)]
pub(crate) struct Shared {
    metrics: Mutex<String>,
    ready: AtomicBool,
    stop: AtomicBool,
    /// The way of REST to core 0.
    pub(crate) rest: Arc<rest::Line>,
}

impl Shared {
    pub(crate) fn set_metrics(&self, text: String) {
        *self.metrics.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    pub(crate) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// Binds the address now, so that a refusal is known, and serves it on a thread of its own.
pub(crate) fn start(address: SocketAddr, shared: Arc<Shared>) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let run = move || {
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let rt = match rt {
            Ok(rt) => rt,
            Err(e) => {
                eprintln!("the control thread cannot start: {e}");
                std::process::abort();
            }
        };
        rt.block_on(async move {
            let signals = Arc::clone(&shared);
            tokio::spawn(async move { wait_for_signal(&signals).await });
            let app = Router::new()
                .route("/metrics", get(metrics))
                .route("/healthz", get(|| async { "ok\n" }))
                .route("/readyz", get(ready))
                .with_state(Arc::clone(&shared))
                .merge(rest::routes(Arc::clone(&shared.rest)));
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => {
                    if let Err(e) = axum::serve(listener, app).await {
                        eprintln!("the admin listener ended: {e}");
                    }
                }
                Err(e) => eprintln!("the admin listener cannot be used: {e}"),
            }
            std::future::pending::<()>().await;
        });
    };
    thread::Builder::new().name("control".into()).spawn(run)?;
    Ok(())
}

async fn wait_for_signal(shared: &Shared) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        eprintln!("signals cannot be watched; stop the broker with SIGKILL");
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    shared.stop.store(true, Ordering::Release);
}

async fn metrics(State(shared): State<Arc<Shared>>) -> String {
    shared.metrics.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

async fn ready(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    if shared.ready.load(Ordering::Acquire) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "recovering\n")
    }
}
