//! The cluster that a face talks to.

use super::end::{End, words};
use super::grammar::Words;
use super::properties::Properties;
use crate::connect::address;
use client::{Client, ClientConfig, TopicView};
use wire::ErrorCode;

/// Connects to the brokers of `--bootstrap-server`, as its property file says.
pub(super) fn admin(line: &Words, client_id: &str) -> Result<Client, End> {
    let properties = Properties::of_file(line, "command-config")?;
    properties.check(&[])?;
    connect(line, &properties, client_id)
}

/// Connects to the brokers of `--bootstrap-server`.
pub(super) fn connect(
    line: &Words,
    properties: &Properties,
    client_id: &str,
) -> Result<Client, End> {
    let brokers = brokers(line)?;
    let config = config(properties, client_id)?;
    Client::connect(&brokers, config).map_err(|e| End::Error(words(&e)))
}

/// `--bootstrap-server`, which every tool requires.
pub(super) fn brokers(line: &Words) -> Result<Vec<String>, End> {
    let bad = |why: String| {
        End::Usage(format!("Please provide valid host:port like host1:9091,host2:9092: {why}"))
    };
    let given = line.required("bootstrap-server")?;
    given.split(',').filter(|a| !a.trim().is_empty()).map(|a| address(a).map_err(bad)).collect()
}

/// What the properties say about connecting.
pub(super) fn config(properties: &Properties, client_id: &str) -> Result<ClientConfig, End> {
    let standard = ClientConfig::default();
    let millis = |key, standard| Ok::<_, End>(properties.millis(key)?.unwrap_or(standard));
    Ok(ClientConfig {
        client_id: properties.get("client.id").unwrap_or(client_id).to_owned(),
        connect_timeout: millis("socket.connection.setup.timeout.ms", standard.connect_timeout)?,
        request_timeout: millis("request.timeout.ms", standard.request_timeout)?,
        operation_timeout: millis("default.api.timeout.ms", standard.operation_timeout)?,
        retry_backoff: millis("retry.backoff.ms", standard.retry_backoff)?,
        ..standard
    })
}

/// Every topic of the cluster that has no error, by name.
pub(super) fn topics(client: &mut Client) -> Result<Vec<TopicView>, End> {
    let view = client.refresh_all()?;
    Ok(view.topics.values().filter(|t| t.error == ErrorCode::NONE).cloned().collect())
}
