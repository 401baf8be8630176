//! The control thread: HTTP for metrics, health and REST, and the signals that stop the process.
//!
//! It shares nothing with the data cores but what they have counted, which core 0 leaves once a second, a box into which core 0
//! puts where the time of their requests went, two flags, the board of scrapes, and the line of REST.

mod connections;
mod hosts;
mod patience;
#[cfg(test)]
mod tests;
mod unsent;

pub(crate) use hosts::Hosts;

use crate::lag::{Board, Gathered};
use crate::latency::progress::InProgress;
use crate::latency::query::Query;
use crate::latency::{Beat, Observed, hlog, pages};
use crate::metrics::{Counted, Facts, Health};
use crate::{metrics, rest};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};
use tokio::sync::Semaphore;

/// What the two threads share.
pub(crate) struct Shared {
    born: Instant,
    /// What each core counted, as of the last second.
    counted: Mutex<Arc<Vec<Counted>>>,
    /// How long the recovery took and how many records it replayed; set when the broker serves.
    recovered: OnceLock<(Duration, u64)>,
    /// The most partitions, and the most offsets of groups, that are shown one by one.
    series_max: usize,
    ready: AtomicU8,
    stop: AtomicBool,
    /// What the cores have counted and the control thread has not taken yet. Core 0 holds the lock for a push only.
    beats: Mutex<Vec<Beat>>,
    /// Locked by the control thread, and by the threads that write its pages: never by a core.
    observed: Mutex<Observed>,
    backend: OnceLock<&'static str>,
    /// Long pages are written two at a time; the others wait in line, for a while.
    writing: Arc<Semaphore>,
    /// How long that is.
    patience: Duration,
    /// The way of REST to core 0.
    pub(crate) rest: Arc<rest::Line>,
    /// The way of scrapes to core 0.
    pub(crate) lag: Arc<Board<Gathered>>,
    /// The way of who asks what is in progress.
    pub(crate) progress: Arc<Board<InProgress>>,
}

/// Whether the node takes what clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ready {
    /// It serves, but has found no room to write that it does: what a new [`Shared`] says is neither.
    DiskFull = 1,
    /// It does.
    Yes = 2,
}

/// Beats that wait at most: the control thread takes them every second.
const BEATS_MAX: usize = 120;
/// Seconds of an interval log, if nobody says how many.
const HLOG_SECONDS: usize = 300;
/// Requests that are told, if nobody says how many.
const WORST: usize = 10;
/// Long pages that are written at the same time: they take memory, and time of cores that have other things to do.
const PAGES_MAX: usize = 2;
/// How long a page waits for its turn.
const PAGE_PATIENCE: Duration = Duration::from_secs(10);
/// What is older says nothing of what is in progress now: core 0 has not answered since.
const PROGRESS_MAX: Duration = Duration::from_secs(4);
/// How Prometheus' text format is called.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Shared {
    pub(crate) fn new(series_max: usize) -> Self {
        Self {
            born: Instant::now(),
            counted: Mutex::default(),
            recovered: OnceLock::new(),
            series_max,
            ready: AtomicU8::new(0),
            stop: AtomicBool::new(false),
            beats: Mutex::default(),
            observed: Mutex::default(),
            backend: OnceLock::new(),
            writing: Arc::new(Semaphore::new(PAGES_MAX)),
            patience: PAGE_PATIENCE,
            rest: Arc::default(),
            lag: Arc::default(),
            progress: Arc::default(),
        }
    }

    pub(crate) fn set_counted(&self, counted: Vec<Counted>) {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(counted);
    }

    /// Takes a second of the cores.
    pub(crate) fn put(&self, beat: Beat) {
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        if beats.len() < BEATS_MAX {
            beats.push(beat);
        }
    }

    pub(crate) fn set_backend(&self, backend: &'static str) {
        // Set once: a node starts once.
        let _ = self.backend.set(backend);
    }

    /// What the cores have counted up to now.
    fn observed(&self) -> MutexGuard<'_, Observed> {
        let beats = std::mem::take(&mut *self.beats.lock().unwrap_or_else(PoisonError::into_inner));
        let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        beats.into_iter().for_each(|beat| observed.take(beat));
        observed
    }

    /// The broker serves; its recovery replayed so many records.
    pub(crate) fn set_recovered(&self, records: u64) {
        // Set once: a node starts once.
        let _ = self.recovered.set((self.born.elapsed(), records));
    }

    pub(crate) fn set_ready(&self, ready: Ready) {
        self.ready.store(ready as u8, Ordering::Release);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// Binds the address now, so that a refusal is known, and serves it on a thread of its own. `names` are those that the machine
/// is configured to have.
pub(crate) fn start(address: SocketAddr, names: &[&str], shared: Arc<Shared>) -> io::Result<()> {
    let hosts = Arc::new(Hosts::new(address, names));
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let run = move || {
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let rt = match rt {
            Ok(rt) => rt,
            Err(e) => {
                runtime::tell!("the control thread cannot start: {e}");
                std::process::abort();
            }
        };
        rt.block_on(async move {
            let signals = Arc::clone(&shared);
            tokio::spawn(async move { wait_for_signal(&signals).await });
            let listens = Arc::clone(&shared);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    drop(listens.observed());
                }
            });
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => {
                    let bounded = connections::Bounded::new(listener);
                    if let Err(e) = axum::serve(bounded, routes(shared, hosts)).await {
                        runtime::tell!("the admin listener ended: {e}");
                    }
                }
                Err(e) => runtime::tell!("the admin listener cannot be used: {e}"),
            }
            std::future::pending::<()>().await;
        });
    };
    thread::Builder::new().name("control".into()).spawn(run)?;
    Ok(())
}

fn routes(shared: Arc<Shared>, hosts: Arc<Hosts>) -> Router {
    let rest = rest::routes(Arc::clone(&shared.rest), Arc::clone(&hosts));
    let mut pages = Router::new()
        .route("/metrics", get(own_metrics))
        .route("/metrics/compat", get(compat_metrics))
        .route("/latency", get(latency))
        .route("/latency/why", get(why))
        .route("/latency.hlog", get(log))
        .route("/top", get(top));
    // They change nothing, and where other machines reach them, those may have other names for this one.
    if hosts.are_local() {
        pages = pages.layer(from_fn_with_state(hosts, called_by_name));
    }
    let unsent = unsent::Unsent::new(unsent::UNSENT_BYTES_MAX);
    let large = pages
        .with_state(Arc::clone(&shared))
        .merge(rest)
        .layer(from_fn_with_state(unsent, unsent::bounded));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(shared)
        .merge(large)
}

/// Serves who calls this address by a name that it has.
async fn called_by_name(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    match hosts.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(why) => (StatusCode::FORBIDDEN, format!("{why}\n")).into_response(),
    }
}

async fn wait_for_signal(shared: &Shared) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        runtime::tell!("signals cannot be watched; stop the broker with SIGKILL");
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    shared.stop.store(true, Ordering::Release);
}

/// Writes a page on a thread of its own, when it is its turn.
async fn in_turn<T: Send + 'static>(
    shared: &Shared,
    write: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Response> {
    let turn = Arc::clone(&shared.writing).acquire_owned();
    let Ok(Ok(turn)) = tokio::time::timeout(shared.patience, turn).await else {
        let why = "too many pages are being written: ask again later\n";
        return Err((StatusCode::SERVICE_UNAVAILABLE, why).into_response());
    };
    // The page is written to its end, and its turn lasts as long, also when nobody waits for it any more.
    let write = move || {
        let written = write();
        drop(turn);
        written
    };
    tokio::task::spawn_blocking(write)
        .await
        .map_err(|e| (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response())
}

/// A page of metrics. Ten thousands of series take a while to write: not on this thread.
async fn page(shared: Arc<Shared>, write: fn(&Facts<'_>, metrics::Look<'_>) -> String) -> Response {
    let gathered = shared.lag.fresh().await;
    let mine = Arc::clone(&shared);
    let write = move || {
        let shared = mine;
        let cores = Arc::clone(&shared.counted.lock().unwrap_or_else(PoisonError::into_inner));
        let facts = Facts {
            health: Health {
                uptime: shared.born.elapsed(),
                recovered: shared.recovered.get().copied(),
            },
            cores: &cores,
            gathered: gathered.as_ref().map(|(age, gathered)| (*age, &**gathered)),
            partitions_max: shared.series_max,
        };
        write(&facts, &|look| look(&shared.observed().history))
    };
    match in_turn(&shared, write).await {
        Ok(text) => ([(header::CONTENT_TYPE, PROMETHEUS)], text).into_response(),
        Err(refused) => refused,
    }
}

async fn own_metrics(State(shared): State<Arc<Shared>>) -> Response {
    page(shared, metrics::own).await
}

async fn compat_metrics(State(shared): State<Arc<Shared>>) -> Response {
    page(shared, metrics::compat).await
}

/// A page of JSON, phrased and written in its turn.
async fn json(
    shared: &Arc<Shared>,
    phrase: impl FnOnce(&Shared) -> serde_json::Value + Send + 'static,
) -> Response {
    let mine = Arc::clone(shared);
    match in_turn(shared, move || phrase(&mine).to_string()).await {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(refused) => refused,
    }
}

fn refuse(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response()
}

async fn latency(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    let read = || {
        let query = Query::read(uri.query(), &["last", "core"])?;
        Ok::<_, String>((query.number::<usize>("last")?, query.number::<u16>("core")?))
    };
    match read() {
        Err(why) => refuse(&why),
        Ok((Some(_), Some(_))) => {
            refuse("`last` and `core`: seconds are kept of all cores together")
        }
        Ok((Some(last), None)) => {
            json(&shared, move |shared| {
                // An hour is 32 MiB to add up: not while the memory is locked.
                let seconds = shared.observed().history.last(last);
                let length: u64 = seconds.iter().map(|s| s.length_ms).sum();
                pages::latency(&stages::sum(&seconds), Some(length.div_ceil(1000)))
            })
            .await
        }
        Ok((None, core)) => {
            json(&shared, move |shared| {
                let sums = shared.observed().history.since_start(core);
                pages::latency(&sums, None)
            })
            .await
        }
    }
}

async fn why(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    let query = match Query::read(uri.query(), &["api", "most"]) {
        Ok(query) => query,
        Err(why) => return refuse(&why),
    };
    match query.number("most") {
        Err(why) => refuse(&why),
        Ok(most) => {
            let api = query.text("api").map(str::to_owned);
            let most = most.unwrap_or(WORST);
            let going = in_progress(&shared).await;
            let phrase = move |shared: &Shared| {
                let worst = shared.observed().worst(api.as_deref(), most);
                pages::why(&worst, going.as_deref(), api.as_deref(), most)
            };
            json(&shared, phrase).await
        }
    }
}

/// What stands still. Nothing is known before the broker serves; afterwards core 0 is named if it does not say.
async fn in_progress(shared: &Shared) -> Option<Arc<InProgress>> {
    shared.recovered.get()?;
    let going = shared.progress.fresh().await;
    let going = going.filter(|(age, _)| *age < PROGRESS_MAX).map(|(_, going)| going);
    let silent = || Arc::new(InProgress { silent: vec![0], ..InProgress::default() });
    Some(going.unwrap_or_else(silent))
}

/// An hour takes seconds to write: not on this thread.
async fn log(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    let last = Query::read(uri.query(), &["last"]).and_then(|q| q.number::<usize>("last"));
    let last = match last {
        Err(why) => return refuse(&why),
        Ok(last) => last.unwrap_or(HLOG_SECONDS),
    };
    let seconds = shared.observed().history.last(last);
    match in_turn(&shared, move || hlog::text(&seconds)).await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, "text/plain")], text).into_response(),
        Ok(Err(why)) => (StatusCode::INTERNAL_SERVER_ERROR, why).into_response(),
        Err(refused) => refused,
    }
}

async fn top(State(shared): State<Arc<Shared>>) -> Response {
    let phrase = |shared: &Shared| {
        let backend = shared.backend.get().copied().unwrap_or("starting");
        pages::top(&shared.observed(), env!("CARGO_PKG_VERSION"), backend)
    };
    json(&shared, phrase).await
}

async fn ready(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    let ready = shared.ready.load(Ordering::Acquire);
    if ready == Ready::Yes as u8 {
        (StatusCode::OK, "ready\n")
    } else if ready == Ready::DiskFull as u8 {
        let why =
            "the disk and the journal are full: reads are served, and writes when there is room\n";
        (StatusCode::SERVICE_UNAVAILABLE, why)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "recovering\n")
    }
}
