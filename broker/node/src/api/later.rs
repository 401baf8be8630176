//! Answers that wait for other clients: what they keep of their requests.

use super::Asked;
use crate::broker::Broker;
use server::Reply;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use wire::Response;

/// What an answer needs of its request when the request itself is gone.
pub(super) struct Later {
    broker: Rc<Broker>,
    version: i16,
    correlation_id: i32,
    connection: SocketAddr,
}

impl Later {
    pub(super) fn of(broker: &Rc<Broker>, asked: &Asked<'_>) -> Self {
        let Asked { version, correlation_id, connection, .. } = *asked;
        Self { broker: Rc::clone(broker), version, correlation_id, connection }
    }

    /// Phrases an answer that holds no records.
    pub(super) fn reply<'a, R: Response<'a>>(&self, body: &R) -> Reply {
        let asked = Asked {
            counters: &self.broker.counters,
            version: self.version,
            correlation_id: self.correlation_id,
            client_id: None,
            connection: self.connection,
            peer: Some(self.connection.ip()),
        };
        super::reply(&asked, body)
    }
}

/// An answer that comes when others have spoken, which may take days. Nothing of the request is kept for it.
pub(super) type Waiting = Pin<Box<dyn Future<Output = Reply>>>;
