//! A broker's admin address: what it answers to a GET.

use crate::exit;
use crate::failure::{Failure, Stop};
use clap::Args;
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// What is read of an answer at most.
const BYTES_MAX: u64 = 1 << 30;
/// How long the broker may take for the next bytes: an hour of seconds takes a while to write.
const PATIENCE: Duration = Duration::from_secs(120);
const CONNECT: Duration = Duration::from_secs(5);

/// Which broker is asked.
#[derive(Clone, Debug, Args)]
pub(crate) struct AdminArgs {
    /// The broker's admin address
    #[arg(
        long,
        global = true,
        env = "RINGWOOD_ADMIN",
        hide_env_values = true,
        default_value = "127.0.0.1:9644",
        value_name = "HOST:PORT"
    )]
    pub(crate) admin: String,
    /// Print JSON, whose fields stay as they are
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The body of the answer to `GET path`.
pub(crate) fn get(address: &str, path: &str) -> Result<Vec<u8>, Failure> {
    let unreachable = |e: io::Error| {
        Failure {
        area: "admin",
        what: format!("cannot reach a broker's admin address at {address}"),
        cause: e.to_string(),
        remedy: "name another with --admin HOST:PORT or RINGWOOD_ADMIN; a broker prints its own when it starts".into(),
        code: exit::UNREACHABLE,
    }
    };
    let answer = ask(address, path).map_err(unreachable)?;
    body(&answer).map_err(|cause| Failure {
        area: "admin",
        what: format!("{address} does not answer {path}"),
        cause,
        remedy: "check that this is the admin address of a Ringwood broker of this version".into(),
        code: exit::FAILED,
    })
}

/// The same as a JSON document.
pub(crate) fn document<T: DeserializeOwned>(address: &str, path: &str) -> Result<T, Stop> {
    let bytes = get(address, path)?;
    serde_json::from_slice(&bytes).map_err(|e| {
        Stop::from(Failure {
            area: "admin",
            what: format!("{address} does not answer {path} as it should"),
            cause: e.to_string(),
            remedy: "use the command of the broker's own version".into(),
            code: exit::FAILED,
        })
    })
}

fn ask(address: &str, path: &str) -> io::Result<Vec<u8>> {
    let nowhere = || io::Error::new(io::ErrorKind::NotFound, "the name stands for no address");
    let to = address.to_socket_addrs()?.next().ok_or_else(nowhere)?;
    let mut stream = TcpStream::connect_timeout(&to, CONNECT)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

fn body(answer: &[u8]) -> Result<Vec<u8>, String> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or("it is not HTTP")?;
    let (head, body) = (&answer[..end], &answer[end + 4..]);
    let head = String::from_utf8_lossy(head);
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        let said = String::from_utf8_lossy(&body[..body.len().min(200)]);
        return Err(format!("{status} {}", said.trim()));
    }
    let length = head.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) if length == body.len() => Ok(body.to_vec()),
        Some(length) => Err(format!("{} of {length} bytes came", body.len())),
        None => Err("it does not say how long its answer is".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_answer_is_taken() {
        let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(body(ok), Ok(b"hi".to_vec()));
        let refused = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 5\r\n\r\nno x\n";
        assert_eq!(body(refused), Err("HTTP/1.1 400 Bad Request no x".into()));
        assert!(body(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi").is_err());
        assert!(body(b"HTTP/1.1 200 OK\r\n\r\nhi").is_err());
        assert!(body(b"+OK\n").is_err());
    }
}
