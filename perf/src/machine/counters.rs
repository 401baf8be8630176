//! The broker's own counters, where it serves them as Prometheus does: flushes, bytes written, messages between cores.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use crate::failure::Failure;

/// What is read of an answer at most.
const BYTES_MAX: u64 = 64 << 20;

/// How long the broker may take for the next bytes.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same for its interval log, which it writes when it is asked: a long run's takes a while.
const LOG_PATIENCE: Duration = Duration::from_secs(60);

/// The broker writes the text anew once a second while somebody reads it: what a second reading finds is fresh.
const REFRESH: Duration = Duration::from_millis(1_200);

/// Samples by name, those of one name (cores, APIs) added up.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Counters(BTreeMap<String, f64>);

impl Counters {
    /// How long a reading takes at least.
    pub(crate) const READING: Duration = REFRESH;

    /// Asks `http://ADDRESS/metrics`, twice, so that the values are of now.
    ///
    /// # Errors
    /// Nobody answers there, or not with metrics.
    pub fn read(address: &str) -> Result<Self, Failure> {
        once(address)?;
        std::thread::sleep(REFRESH);
        once(address)
    }

    /// The value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Whether nothing was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How much a counter rose since `before`; of several names, the sum. `None`: no such name.
    #[must_use]
    pub fn rise(&self, before: &Self, names: &[&str]) -> Option<f64> {
        let rises: Vec<f64> =
            names.iter().filter_map(|name| Some(self.get(name)? - before.get(name)?)).collect();
        (!rises.is_empty()).then(|| rises.iter().sum())
    }
}

/// The broker's own interval log of the last seconds, by API and stage: `http://ADDRESS/latency.hlog`.
///
/// # Errors
/// Nobody answers there, or not with such a log.
pub(crate) fn interval_log(address: &str, seconds: u64) -> Result<Vec<u8>, Failure> {
    get(address, &format!("/latency.hlog?last={}", seconds.max(1)), LOG_PATIENCE)
}

fn once(address: &str) -> Result<Counters, Failure> {
    let text = get(address, "/metrics", PATIENCE)?;
    Ok(parse(&String::from_utf8_lossy(&text)))
}

/// The body of the answer to `GET path`.
fn get(address: &str, path: &str, patience: Duration) -> Result<Vec<u8>, Failure> {
    let wrong = |why: String| Failure::Unreachable(format!("no {path} at {address}: {why}"));
    let told = address.to_socket_addrs().map_err(|e| wrong(e.to_string()))?.next();
    let told = told.ok_or_else(|| wrong("the name stands for no address".into()))?;
    let mut stream =
        TcpStream::connect_timeout(&told, PATIENCE).map_err(|e| wrong(e.to_string()))?;
    stream.set_read_timeout(Some(patience)).map_err(|e| wrong(e.to_string()))?;
    let ask = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).map_err(|e| wrong(e.to_string()))?;
    let mut answer = Vec::new();
    stream.take(BYTES_MAX).read_to_end(&mut answer).map_err(|e| wrong(e.to_string()))?;
    if answer.len() as u64 == BYTES_MAX {
        return Err(wrong(format!("its answer is longer than {BYTES_MAX} bytes")));
    }
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    if !head.starts_with("HTTP/1.") || head.split(' ').nth(1) != Some("200") {
        return Err(wrong(head.lines().next().unwrap_or("an empty answer").to_owned()));
    }
    let body = answer.split_off((end + 4).min(answer.len()));
    let named = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    };
    match head.lines().find_map(named) {
        Some(told) if body.len() < told => {
            Err(wrong(format!("its answer is cut: {} of {told} bytes", body.len())))
        }
        Some(_) | None => Ok(body),
    }
}

/// `name{labels} value`, one a line; whatever else there is (comments, chunk sizes) is no sample.
fn parse(text: &str) -> Counters {
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.trim().rsplit_once(' ') else { continue };
        let name = name.split('{').next().unwrap_or_default().trim();
        let named = name.starts_with(|c: char| c.is_ascii_alphabetic());
        if let (true, Ok(value)) = (named, value.parse::<f64>()) {
            *samples.entry(name.to_owned()).or_default() += value;
        }
    }
    Counters(samples)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    #[test]
    fn samples_of_one_name_are_added() {
        let text = "# HELP a_total b\n# TYPE a_total counter\na_total{core=\"0\"} 3\na_total{core=\"1\"} 4\nb 0.5\n1f\nnot a sample\n";
        let counters = parse(text);
        assert_eq!((counters.get("a_total"), counters.get("b")), (Some(7.0), Some(0.5)));
        assert_eq!(counters.0.len(), 2);
        let before = parse("a_total 2\n");
        assert_eq!(counters.rise(&before, &["a_total", "none"]), Some(5.0));
        assert_eq!(counters.rise(&before, &["b"]), None);
    }

    /// Answers one question with these bytes.
    fn server(answer: &'static [u8]) -> (String, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // The whole question is read: a connection closed before that loses the answer.
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                asked.push(byte[0]);
            }
            stream.write_all(answer).unwrap();
        });
        (address, server)
    }

    #[test]
    fn whoever_serves_no_metrics_is_named() {
        let (address, server) = server(b"HTTP/1.1 404 Not Found\r\n\r\n");
        let failure = once(&address).unwrap_err().to_string();
        assert!(failure.contains(&address) && failure.contains("404"), "{failure}");
        server.join().unwrap();
    }

    #[test]
    fn a_log_that_was_cut_is_none() {
        let (address, whole) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nlog");
        assert_eq!(interval_log(&address, 1).unwrap(), b"log");
        whole.join().unwrap();
        let (address, cut) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nlog");
        let failure = interval_log(&address, 1).unwrap_err().to_string();
        assert!(failure.contains("cut: 3 of 9"), "{failure}");
        cut.join().unwrap();
    }
}
