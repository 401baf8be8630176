//! Ports for a broker of our own. They lie below those that the kernel gives to connections: of these, one that was free may be a client's
//! before the broker listens.

use std::{
    fs,
    net::TcpListener,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::failure::Failure;

/// The first and the last port of connections, as the kernel says it.
const CONNECTIONS: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// The first where nobody has changed it.
const FIRST: u16 = 32_768;

/// So many below it are candidates, but none of those that only root may have.
const CANDIDATES: u16 = 1_500;
const LEAST: u16 = 1_024;

/// So many pairs of ports are tried before it is believed that none can be had.
const TRIES: usize = 5;

/// None, where connections may have all.
fn candidates(connections: &str) -> Range<u16> {
    let first = connections.split_whitespace().next().and_then(|word| word.parse().ok());
    let end: u16 = first.unwrap_or(FIRST);
    end.saturating_sub(CANDIDATES).max(LEAST)..end
}

/// An address on the loopback where nobody listens now. Each call has another one.
pub(crate) fn free_address() -> Result<String, Failure> {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let ports: Vec<u16> =
        candidates(&fs::read_to_string(CONNECTIONS).unwrap_or_default()).collect();
    // Processes that run side by side begin at different ones.
    let begin = std::process::id() as usize * 64;
    for _ in 0..ports.len() {
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let port = ports[begin.wrapping_add(turn) % ports.len()];
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(format!("127.0.0.1:{port}"));
        }
    }
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map(|a| a.to_string()).map_err(|e| Failure::Local(format!("no free port: {e}")))
}

/// Starts what is to listen on two addresses. If it says that somebody has taken one meanwhile, it is started on others.
pub(super) fn with_addresses<T>(
    mut start: impl FnMut(String, String) -> Result<T, Failure>,
) -> Result<T, Failure> {
    for _ in 1..TRIES {
        match start(free_address()?, free_address()?) {
            Err(failure) if is_taken(&failure) => {}
            started => return started,
        }
    }
    start(free_address()?, free_address()?)
}

/// The failure has the last words of the broker, which are the system's.
fn is_taken(failure: &Failure) -> bool {
    matches!(failure, Failure::Unreachable(said) if said.contains("Address already in use"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn candidates_are_no_ports_of_connections() {
        assert_eq!(candidates("32768\t60999\n"), 31_268..32_768);
        assert_eq!(candidates("15000 61000"), 13_500..15_000);
        assert_eq!(candidates("1500\t65535"), 1_024..1_500);
        assert!(candidates("1024\t65535").is_empty() && candidates("1 65535").is_empty());
        assert_eq!(candidates("").end, FIRST);
    }

    #[test]
    fn a_port_is_below_those_of_connections_and_given_once() {
        let ports = candidates(&fs::read_to_string(CONNECTIONS).unwrap_or_default());
        let given: BTreeSet<u16> = (0..10)
            .map(|_| free_address().unwrap().rsplit_once(':').unwrap().1.parse().unwrap())
            .collect();
        // Where there are too few, the kernel has chosen.
        if ports.len() > 1_000 {
            assert_eq!(given.len(), 10, "{given:?}");
            assert!(given.iter().all(|port| ports.contains(port)), "{given:?}");
        }
    }

    fn taken() -> Failure {
        let said = "cannot listen on 127.0.0.1:1\n  cause: Address already in use (os error 98)";
        Failure::Unreachable(said.to_owned())
    }

    #[test]
    fn a_port_that_was_taken_meanwhile_is_replaced_by_another() {
        let mut tried = Vec::new();
        let started = with_addresses(|listen, admin| {
            tried.extend([listen, admin]);
            if tried.len() < 6 { Err(taken()) } else { Ok("started") }
        });
        assert_eq!(started, Ok("started"));
        assert_eq!(tried.iter().collect::<BTreeSet<_>>().len(), 6, "{tried:?}");
    }

    #[test]
    fn not_for_ever_and_not_for_another_reason() {
        let mut tries = 0;
        let failed = with_addresses::<()>(|_, _| {
            tries += 1;
            Err(taken())
        });
        assert_eq!((failed, tries), (Err(taken()), TRIES));
        let ended = Failure::Unreachable("the broker did not start (exit status: 1)\n".to_owned());
        let mut tries = 0;
        let failed = with_addresses::<()>(|_, _| {
            tries += 1;
            Err(ended.clone())
        });
        assert_eq!((failed, tries), (Err(ended), 1));
    }
}
