//! A cluster: connections by broker, metadata, and calls that go to the right one.

use crate::config::ClientConfig;
use crate::connection::Connection;
use crate::error::ClientError;
use crate::metadata::MetadataView;
use crate::pipeline::Reply;
use ids::BrokerId;
use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};
use wire::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use wire::{ErrorCode, Request, Response};

/// Who shall answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum To {
    /// Any broker.
    Any,
    /// The broker that metadata names as controller, or any if it names none.
    Controller,
    /// This one.
    Broker(BrokerId),
}

/// A client of one cluster. Blocking; one call at a time.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    bootstrap: Vec<String>,
    /// The connection that the first metadata came over; its broker's id is not known for certain behind a proxy.
    entry: Option<Connection>,
    connections: BTreeMap<i32, Connection>,
    metadata: MetadataView,
}

impl Client {
    /// Connects to the first of `bootstrap` (each `host:port`) that answers, and learns who else there is.
    ///
    /// # Errors
    /// The last address's error, when none answers.
    pub fn connect(bootstrap: &[String], config: ClientConfig) -> Result<Self, ClientError> {
        let mut client = Self {
            config,
            bootstrap: bootstrap.to_vec(),
            entry: None,
            connections: BTreeMap::new(),
            metadata: MetadataView::default(),
        };
        // An empty list of topics, not null: only the brokers.
        client.refresh_some(&[], false)?;
        Ok(client)
    }

    /// How it connects.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// The cluster as last seen.
    #[must_use]
    pub fn metadata(&self) -> &MetadataView {
        &self.metadata
    }

    /// What the broker that answered first advertises.
    ///
    /// # Errors
    /// No broker can be reached.
    pub fn versions(&mut self) -> Result<&crate::Versions, ClientError> {
        Ok(self.any()?.versions())
    }

    /// Asks about these topics. Topics that do not exist come back with their error; `create` lets the broker create them if
    /// its configuration allows.
    ///
    /// # Errors
    /// No broker answers.
    pub fn refresh(&mut self, topics: &[&str], create: bool) -> Result<&MetadataView, ClientError> {
        if !topics.is_empty() {
            self.refresh_some(topics, create)?;
        }
        Ok(&self.metadata)
    }

    /// Asks about every topic.
    ///
    /// # Errors
    /// No broker answers.
    pub fn refresh_all(&mut self) -> Result<&MetadataView, ClientError> {
        self.metadata.topics.clear();
        self.ask_metadata(None, false)?;
        Ok(&self.metadata)
    }

    /// Asks who is in the cluster.
    ///
    /// # Errors
    /// No broker answers.
    pub fn refresh_brokers(&mut self) -> Result<(), ClientError> {
        self.refresh_some(&[], false)
    }

    /// Forgets what is known of these topics, so that the next question is put to a broker.
    pub fn forget_topics(&mut self, names: &[&str]) {
        self.metadata.topics.retain(|name, _| !names.contains(&name.as_str()));
    }

    fn refresh_some(&mut self, topics: &[&str], create: bool) -> Result<(), ClientError> {
        let topics = topics
            .iter()
            .map(|name| MetadataRequestTopic { name: Some(*name), ..Default::default() })
            .collect();
        self.ask_metadata(Some(topics), create)
    }

    fn ask_metadata(
        &mut self,
        topics: Option<Vec<MetadataRequestTopic<'_>>>,
        create: bool,
    ) -> Result<(), ClientError> {
        let request =
            MetadataRequest { topics, allow_auto_topic_creation: create, ..Default::default() };
        let deadline = self.deadline();
        let reply = self.retrying(deadline, |client| {
            // Version 0 has no empty list: it would ask for every topic. No broker of this decade is that old.
            client.call(To::Any, i16::MAX, &request)
        })?;
        let response: MetadataResponse<'_> = self.decode(&reply)?;
        if response.error_code != ErrorCode::NONE {
            return Err(ClientError::refused("metadata", response.error_code, None));
        }
        self.metadata.update(&response);
        Ok(())
    }

    /// The topic's metadata, asked for if it is not known. A topic that was created a moment ago may not be known everywhere:
    /// retried while the broker's error says so and `patience` lasts.
    ///
    /// # Errors
    /// The broker's refusal, or no broker answers.
    pub fn topic(
        &mut self,
        name: &str,
        create: bool,
        patience: Duration,
    ) -> Result<&crate::TopicView, ClientError> {
        let deadline = Instant::now() + patience;
        loop {
            let known = self
                .metadata
                .topics
                .get(name)
                .is_some_and(|t| t.error == ErrorCode::NONE && !t.partitions.is_empty());
            if known {
                break;
            }
            self.refresh(&[name], create)?;
            let error = self
                .metadata
                .topics
                .get(name)
                .map_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, |t| t.error);
            if error == ErrorCode::NONE {
                break;
            }
            if !error.is_retriable() || Instant::now() >= deadline {
                return Err(ClientError::refused(format!("topic {name}"), error, None));
            }
            sleep(self.config.retry_backoff);
        }
        self.metadata.topics.get(name).ok_or_else(|| {
            ClientError::refused(
                format!("topic {name}"),
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                None,
            )
        })
    }

    /// The leader of a partition, from the metadata at hand.
    ///
    /// # Errors
    /// [`ClientError::NoLeader`].
    pub fn leader(&self, topic: &str, partition: i32) -> Result<BrokerId, ClientError> {
        self.metadata
            .leader(topic, partition)
            .ok_or_else(|| ClientError::NoLeader { topic: topic.to_owned(), partition })
    }

    /// Sends a request, of a version of at most `cap`, and waits for the answer. A connection that breaks is forgotten; the call
    /// is not repeated.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn call<'a, R: Request<'a>>(
        &mut self,
        to: To,
        cap: i16,
        request: &R,
    ) -> Result<Reply, ClientError> {
        let timeout = self.config.request_timeout;
        let result = self.connection(to)?.call(cap, request, timeout);
        if result.as_ref().is_err_and(ClientError::is_network) {
            self.forget(to);
        }
        result
    }

    /// Calls `attempt` until it works, fails for good, or `deadline` has passed.
    pub(crate) fn retrying<T>(
        &mut self,
        deadline: Instant,
        mut attempt: impl FnMut(&mut Self) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        loop {
            match attempt(self) {
                // A timeout has used up its patience already.
                Err(e)
                    if e.is_retriable()
                        && Instant::now() + self.config.retry_backoff < deadline =>
                {
                    // A cluster that was never reached is answered at once: the address is likelier wrong than early.
                    if matches!(e, ClientError::Connect { .. }) && self.metadata.brokers.is_empty()
                    {
                        return Err(e);
                    }
                    sleep(self.config.retry_backoff);
                }
                other => return other,
            }
        }
    }

    /// Makes calls that fail at the first error, for callers that come back by themselves and have more to do meanwhile.
    pub(crate) fn without_retries<T>(&mut self, call: impl FnOnce(&mut Self) -> T) -> T {
        let patience = std::mem::replace(&mut self.config.operation_timeout, Duration::ZERO);
        let result = call(self);
        self.config.operation_timeout = patience;
        result
    }

    pub(crate) fn millis(time: Duration) -> i32 {
        i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.config.operation_timeout
    }

    /// Decodes an answer.
    pub(crate) fn decode<'f, R: Response<'f>>(&self, reply: &'f Reply) -> Result<R, ClientError> {
        reply.decode().map_err(|e| ClientError::Protocol {
            address: R::NAME.to_owned(),
            error: crate::ProtocolError::Decode(e),
        })
    }

    /// The connection to a broker, opened if need be.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn connection(&mut self, to: To) -> Result<&mut Connection, ClientError> {
        let id = match to {
            To::Any => return self.any(),
            To::Controller => match self.metadata.controller {
                Some(id) if self.metadata.brokers.contains_key(&id.0) => id,
                Some(_) | None => return self.any(),
            },
            To::Broker(id) => id,
        };
        let broker = self.metadata.brokers.get(&id.0).ok_or(ClientError::UnknownBroker(id.0))?;
        if !self.connections.contains_key(&id.0) {
            let connection = Connection::open(&broker.address(), &self.config)?;
            self.connections.insert(id.0, connection);
        }
        self.connections.get_mut(&id.0).ok_or(ClientError::UnknownBroker(id.0))
    }

    /// A connection of one's own to a broker, apart from those that calls share.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn open_connection(&self, id: BrokerId) -> Result<Connection, ClientError> {
        let broker = self.metadata.brokers.get(&id.0).ok_or(ClientError::UnknownBroker(id.0))?;
        Connection::open(&broker.address(), &self.config)
    }

    fn any(&mut self) -> Result<&mut Connection, ClientError> {
        if self.entry.is_none() {
            self.entry = Some(self.enter()?);
        }
        self.entry.as_mut().ok_or(ClientError::UnknownBroker(-1))
    }

    /// Connects to some address of the cluster: those of the bootstrap list, then those that metadata told.
    fn enter(&self) -> Result<Connection, ClientError> {
        let learnt = self.metadata.brokers.values().map(crate::BrokerAddress::address);
        let mut last = None;
        for address in self.bootstrap.iter().cloned().chain(learnt) {
            match Connection::open(&address, &self.config) {
                Ok(connection) => return Ok(connection),
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or(ClientError::UnknownBroker(-1)))
    }

    /// Closes a connection; the next call opens another.
    pub fn forget(&mut self, to: To) {
        match to {
            To::Any => self.entry = None,
            To::Broker(id) => {
                self.connections.remove(&id.0);
            }
            To::Controller => {
                match self.metadata.controller.and_then(|id| self.connections.remove(&id.0)) {
                    Some(_) => {}
                    None => self.entry = None,
                }
            }
        }
    }
}
