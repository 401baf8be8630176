//! Topics, configurations, and the cluster itself.

mod cluster;
mod configs;
mod topics;

pub use cluster::ClusterDescription;
pub use configs::{
    ConfigChange, ConfigEntry, ConfigOperation, ConfigResource, ConfigSource, ResourceKind,
};
pub use topics::{NewPartitions, NewTopic, TopicCreated};

use crate::client::{Client, To};
use crate::error::{ClientError, Refusal};
use crate::pipeline::Reply;
use wire::{ErrorCode, Request};

/// What came of one of several things that one request asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<T> {
    /// Its name: the topic's, or the resource's.
    pub name: String,
    /// What came of it.
    pub result: Result<T, Refusal>,
}

impl<T> Outcome<T> {
    fn of(what: &str, name: &str, code: ErrorCode, message: Option<&str>, value: T) -> Self {
        let result = if code == ErrorCode::NONE {
            Ok(value)
        } else {
            let what = format!("{what} {name}");
            Err(Refusal { what, code, message: message.map(str::to_owned) })
        };
        Self { name: name.to_owned(), result }
    }
}

impl Client {
    /// Sends a request that changes something to the controller. It is not repeated once it has been sent, because it may
    /// have worked; except that a broker which is not the controller has done nothing.
    fn change<'a, R: Request<'a>, T>(
        &mut self,
        cap: i16,
        request: &R,
        read: impl Fn(&Self, &Reply) -> Result<Vec<Outcome<T>>, ClientError>,
    ) -> Result<Vec<Outcome<T>>, ClientError> {
        let deadline = self.deadline();
        self.retrying(deadline, |client| {
            // Only what was sent may have worked: a connection that breaks now says nothing about it.
            client.connection(To::Controller)?;
            let reply = match client.call(To::Controller, cap, request) {
                Err(ClientError::Socket { address, .. } | ClientError::Closed { address }) => {
                    let what =
                        "the connection broke before the answer; the change may have been made";
                    return Err(ClientError::TimedOut { address, what });
                }
                reply => reply?,
            };
            let outcomes = read(client, &reply)?;
            let elsewhere = outcomes.iter().find_map(|o| match &o.result {
                Err(r) if r.code == ErrorCode::NOT_CONTROLLER => Some(r.clone()),
                Ok(_) | Err(_) => None,
            });
            match elsewhere {
                None => Ok(outcomes),
                Some(refusal) => {
                    client.refresh_brokers()?;
                    Err(ClientError::Refused(refusal))
                }
            }
        })
    }
}
