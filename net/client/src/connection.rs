//! One connection on a blocking socket, with a deadline on every operation.

use crate::config::ClientConfig;
use crate::error::{ClientError, ProtocolError};
use crate::pipeline::{Pipeline, Reply};
use crate::versions::{Negotiation, Versions};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use wire::api::api_versions::ApiVersionsRequest;
use wire::{DecodeError, Request};

/// What the client says it is (KIP-511).
const SOFTWARE_NAME: &str = "ringwood";
const READ_BYTES: usize = 64 << 10;

/// A connection whose versions have been agreed. After any error but an encoding one it is of no more use.
#[derive(Debug)]
pub struct Connection {
    address: String,
    stream: TcpStream,
    pipeline: Pipeline,
    versions: Versions,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects to `host:port` and agrees on versions.
    ///
    /// # Errors
    /// The network, the protocol, or the broker's refusal.
    pub fn open(address: &str, config: &ClientConfig) -> Result<Self, ClientError> {
        let stream = connect(address, config.connect_timeout)?;
        let mut connection = Self {
            address: address.to_owned(),
            stream,
            pipeline: Pipeline::new(&config.client_id, config.frame_bytes_max),
            versions: Versions::default(),
            buffer: vec![0; READ_BYTES],
        };
        connection.negotiate(config.request_timeout)?;
        Ok(connection)
    }

    fn negotiate(&mut self, timeout: Duration) -> Result<(), ClientError> {
        let deadline = Instant::now() + timeout;
        let request = ApiVersionsRequest {
            client_software_name: SOFTWARE_NAME,
            client_software_version: env!("CARGO_PKG_VERSION"),
        };
        let mut version = <ApiVersionsRequest<'_> as wire::Message<'_>>::VERSIONS.max;
        loop {
            self.pipeline.submit(version, &request)?;
            let reply = self.wait(deadline, "ApiVersions")?;
            match Versions::negotiate(reply.body(), version).map_err(|e| self.malformed(e))? {
                Negotiation::Agreed(versions) => {
                    self.versions = versions;
                    return Ok(());
                }
                Negotiation::AskAgain(lower) => version = lower,
                Negotiation::Refused(code) => {
                    return Err(ClientError::refused("agree on versions", code, None));
                }
            }
        }
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the broker advertises.
    #[must_use]
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Requests that wait for their answer.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        self.pipeline.open()
    }

    /// The version that a request of this kind would have, at most `cap`.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`].
    pub fn version_of<'a, R: Request<'a>>(&self, cap: i16) -> Result<i16, ClientError> {
        self.versions.choose(R::KEY, R::VERSIONS, cap).ok_or_else(|| ClientError::Unsupported {
            address: self.address.clone(),
            api: R::NAME.trim_end_matches("Request").to_owned(),
        })
    }

    /// Sends a request and waits for its answer. No other request may be open.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn call<'a, R: Request<'a>>(
        &mut self,
        cap: i16,
        request: &R,
        timeout: Duration,
    ) -> Result<Reply, ClientError> {
        let deadline = Instant::now() + timeout;
        let correlation_id = self.submit(cap, request, deadline)?;
        loop {
            let reply = self.wait(deadline, R::NAME)?;
            if reply.correlation_id == correlation_id {
                return Ok(reply);
            }
        }
    }

    /// Sends a request and does not wait; answers come from [`Connection::wait`] in the order of their requests.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn submit<'a, R: Request<'a>>(
        &mut self,
        cap: i16,
        request: &R,
        deadline: Instant,
    ) -> Result<i32, ClientError> {
        let version = self.version_of::<R>(cap)?;
        let correlation_id = self.pipeline.submit(version, request)?;
        self.flush(deadline, R::NAME)?;
        Ok(correlation_id)
    }

    /// Sends a request that gets no answer (Produce with acks 0).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn submit_unanswered<'a, R: Request<'a>>(
        &mut self,
        cap: i16,
        request: &R,
        deadline: Instant,
    ) -> Result<(), ClientError> {
        let version = self.version_of::<R>(cap)?;
        self.pipeline.submit_unanswered(version, request)?;
        self.flush(deadline, R::NAME)
    }

    /// The next answer, waited for until `deadline`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn wait(&mut self, deadline: Instant, what: &'static str) -> Result<Reply, ClientError> {
        self.flush(deadline, what)?;
        loop {
            if let Some(reply) = self.poll()? {
                return Ok(reply);
            }
            self.read(deadline, what)?;
        }
    }

    /// The next answer, if it has arrived whole. Reads from the socket only when it is [readable](Connection::as_fd).
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn poll(&mut self) -> Result<Option<Reply>, ClientError> {
        self.pipeline.poll().map_err(|e| self.protocol(e))
    }

    /// Reads what there is, waiting for the first byte until `deadline`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn read(&mut self, deadline: Instant, what: &'static str) -> Result<(), ClientError> {
        loop {
            let left = self.left(deadline, what)?;
            self.stream.set_read_timeout(Some(left)).map_err(|e| self.socket(e))?;
            match self.stream.read(&mut self.buffer) {
                Ok(0) => return Err(ClientError::Closed { address: self.address.clone() }),
                Ok(n) => {
                    self.pipeline.on_received(self.buffer.get(..n).unwrap_or(&[]));
                    return Ok(());
                }
                Err(e) if is_wait(&e) => {}
                Err(e) => return Err(self.socket(e)),
            }
        }
    }

    fn flush(&mut self, deadline: Instant, what: &'static str) -> Result<(), ClientError> {
        while !self.pipeline.outgoing().is_empty() {
            let left = self.left(deadline, what)?;
            self.stream.set_write_timeout(Some(left)).map_err(|e| self.socket(e))?;
            match self.stream.write(self.pipeline.outgoing()) {
                Ok(0) => return Err(ClientError::Closed { address: self.address.clone() }),
                Ok(n) => self.pipeline.on_sent(n),
                Err(e) if is_wait(&e) => {}
                Err(e) => return Err(self.socket(e)),
            }
        }
        Ok(())
    }

    fn left(&self, deadline: Instant, what: &'static str) -> Result<Duration, ClientError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(ClientError::TimedOut { address: self.address.clone(), what })
        } else {
            Ok(left)
        }
    }

    fn socket(&self, error: io::Error) -> ClientError {
        ClientError::Socket { address: self.address.clone(), error }
    }

    fn protocol(&self, error: ProtocolError) -> ClientError {
        ClientError::Protocol { address: self.address.clone(), error }
    }

    /// A decoding error of an answer that came on this connection.
    #[must_use]
    pub fn malformed(&self, error: DecodeError) -> ClientError {
        self.protocol(ProtocolError::Decode(error))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn is_wait(e: &io::Error) -> bool {
    // The deadline is looked at again by who asked; EAGAIN is how Linux reports a socket timeout.
    matches!(
        e.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

fn connect(address: &str, timeout: Duration) -> Result<TcpStream, ClientError> {
    let failed = |error| ClientError::Connect { address: address.to_owned(), error };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in address.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&candidate, timeout) {
            Ok(stream) => {
                // Requests are written whole; waiting for more only delays them.
                stream.set_nodelay(true).map_err(failed)?;
                return Ok(stream);
            }
            Err(e) => last = e,
        }
    }
    Err(failed(last))
}
