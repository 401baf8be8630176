//! The servers that are compared, behind one command line.
//!
//! `serve EDITION --file F` makes the ring file, listens, prints one line `ready ADDRESS FACTS`, and serves until its standard
//! input ends: whoever started it has it for as long as it lives, and no longer.

mod epoll;
mod reactor;

use bench_core::{LogConfig, create_ring_file};
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// A way to build the same server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edition {
    /// Our own reactor (`engine/runtime`), with registered write buffers.
    Reactor,
    /// Our own reactor with ordinary write buffers.
    ReactorPlain,
    /// A plain epoll loop and one thread that flushes.
    Epoll,
    /// glommio 0.9.
    Glommio,
    /// The real broker's binary, for context: it does more.
    Broker,
}

impl Edition {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 5] =
        [Self::Reactor, Self::Glommio, Self::Epoll, Self::ReactorPlain, Self::Broker];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reactor => "reactor",
            Self::ReactorPlain => "reactor-plain",
            Self::Epoll => "epoll",
            Self::Glommio => "glommio",
            Self::Broker => "broker",
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Edition {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|e| e.name() == s);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|e| e.name()).collect();
            format!("no edition {s:?}; there are {}", names.join(", "))
        })
    }
}

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// The ring file: made anew.
    pub file: PathBuf,
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Partitions, ring and tail.
    pub log: LogConfig,
}

/// Serves until the standard input ends.
///
/// # Errors
/// The file cannot be made, the address cannot be listened on, or the runtime cannot be started.
pub fn serve(edition: Edition, config: &ServeConfig) -> io::Result<()> {
    create_ring_file(&config.file, config.log.ring_bytes)?;
    std::thread::Builder::new().name("end".into()).spawn(|| {
        // Whatever comes, the end of it counts.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(0);
    })?;
    match edition {
        Edition::Reactor => reactor::serve(config, true),
        Edition::ReactorPlain => reactor::serve(config, false),
        Edition::Epoll => epoll::serve(config),
        Edition::Glommio => glommio(config),
        Edition::Broker => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the broker is a binary of its own: ringwood start",
        )),
    }
}

#[cfg(feature = "glommio")]
fn glommio(config: &ServeConfig) -> io::Result<()> {
    bench_glommio::serve(&config.file, config.listen, config.log, |address, facts| {
        ready(address, facts)
    })
}

#[cfg(not(feature = "glommio"))]
fn glommio(_: &ServeConfig) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, NO_GLOMMIO))
}

/// Why there is no glommio here.
pub const NO_GLOMMIO: &str = "built without glommio; build with --features glommio";

/// Whether this build has the edition.
#[must_use]
pub fn is_built(edition: Edition) -> bool {
    edition != Edition::Glommio || cfg!(feature = "glommio")
}

/// Says that requests are taken.
fn ready(address: SocketAddr, facts: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "ready {address} {facts}")?;
    out.flush()
}

/// Reads what [`ready`] wrote.
///
/// # Errors
/// The line is another one; says which.
pub fn parse_ready(line: &str) -> Result<(SocketAddr, String), String> {
    let mut words = line.trim().splitn(3, ' ');
    match (words.next(), words.next().map(str::parse), words.next()) {
        (Some("ready"), Some(Ok(address)), facts) => {
            Ok((address, facts.unwrap_or_default().to_owned()))
        }
        _ => Err(format!("the server said {line:?} instead of being ready")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for edition in Edition::ALL {
            assert_eq!(edition.to_string().parse(), Ok(edition));
        }
        assert!("tokio".parse::<Edition>().is_err());
    }

    #[test]
    fn the_ready_line_is_read_back() {
        let line = "ready 127.0.0.1:9092 uring, direct I/O\n";
        let (address, facts) = parse_ready(line).unwrap();
        assert_eq!((address.port(), &facts[..]), (9092, "uring, direct I/O"));
        assert!(parse_ready("error: no").is_err());
        assert!(parse_ready("").is_err());
    }
}
