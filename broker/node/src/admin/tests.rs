use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;

/// Pages that take a thread of their own.
const LONG: [&str; 4] = ["/metrics", "/metrics/compat", "/latency?last=10", "/latency.hlog"];
const PATIENCE: Duration = Duration::from_millis(300);

fn impatient() -> Arc<Shared> {
    Arc::new(Shared { patience: PATIENCE, ..Shared::new(100) })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Serves as the control thread does, to the end of the process.
fn serve(shared: Arc<Shared>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let hosts = Arc::new(Hosts::new(address, &[]));
    thread::spawn(move || {
        runtime().block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, routes(shared, hosts)).await.unwrap();
        });
    });
    address
}

fn get(address: SocketAddr, path: &str) -> String {
    get_as(address, "localhost", path)
}

fn get_as(address: SocketAddr, host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn who_asks_for_a_long_page_too_many_waits_for_a_while_and_is_told_to_come_again() {
    let shared = impatient();
    let address = serve(Arc::clone(&shared));
    let turn = || Arc::clone(&shared.writing).try_acquire_owned().unwrap();
    let writing: Vec<_> = (0..PAGES_MAX).map(|_| turn()).collect();
    for page in LONG {
        let begun = Instant::now();
        let answer = get(address, page);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{page}: {answer}");
        assert!(answer.contains("ask again later"), "{page}: {answer}");
        assert!(begun.elapsed() >= PATIENCE, "{page} had a chance of {:?}", begun.elapsed());
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 "), "short pages do not wait");
    }
    drop(writing);
    for page in LONG {
        let answer = get(address, page);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{page}: {answer}");
    }
}

#[test]
fn a_page_has_its_turn_until_it_is_written_also_when_nobody_waits_for_it_any_more() {
    let shared = impatient();
    let (finish, finished) = mpsc::channel::<()>();
    let scene = async {
        let writes = Arc::clone(&shared);
        let asker = tokio::spawn(async move {
            // The channel closes: the page is written.
            in_turn(&writes, move || finished.recv().is_err()).await
        });
        while shared.writing.available_permits() == PAGES_MAX {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        asker.abort();
        assert!(asker.await.is_err(), "the asker is gone");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(shared.writing.available_permits(), PAGES_MAX - 1);
        drop(finish);
        while shared.writing.available_permits() < PAGES_MAX {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(in_turn(&shared, || 7).await.is_ok_and(|n| n == 7));
    };
    runtime().block_on(async {
        let done = tokio::time::timeout(Duration::from_secs(20), scene).await;
        assert!(done.is_ok(), "the turn was not taken, or is not given back");
    });
}

#[test]
fn a_page_that_has_made_its_name_lead_here_is_told_nothing_but_health() {
    let address = serve(impatient());
    let evil = format!("evil.example:{}", address.port());
    for page in LONG.iter().chain(&["/top", "/latency/why", "/v3/clusters", "/v3/openapi.json"]) {
        let answer = get_as(address, &evil, page);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{page}: {answer}");
        assert!(answer.contains("evil.example"), "{page}: {answer}");
        let answer = get_as(address, &address.to_string(), page);
        assert!(!answer.starts_with("HTTP/1.1 403 "), "{page}: {answer}");
    }
    for page in ["/healthz", "/readyz"] {
        assert!(!get_as(address, &evil, page).starts_with("HTTP/1.1 403 "), "{page}");
    }
}

#[test]
fn nothing_is_said_of_what_stands_still_before_the_broker_serves() {
    let shared = impatient();
    let address = serve(Arc::clone(&shared));
    let answer = get(address, "/latency/why");
    assert!(answer.contains("\"in_progress\":null"), "{answer}");
    shared.set_recovered(0);
    // It serves, and nobody looks at the board.
    let answer = get(address, "/latency/why");
    assert!(answer.contains("\"silent_cores\":[0]"), "{answer}");
}
