//! Which cluster a command talks to, and for how long it tries.

use crate::failure::{Failure, Stop};
use crate::output::Output;
use crate::time;
use clap::Args;
use client::{Client, ClientConfig, TopicView};
use std::time::Duration;
use wire::ErrorCode;

/// What every command of the client side takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClusterArgs {
    /// Brokers to ask first, separated by commas
    #[arg(
        short,
        long,
        global = true,
        env = "RINGWOOD_BOOTSTRAP",
        hide_env_values = true,
        default_value = "127.0.0.1:9092",
        value_delimiter = ',',
        value_parser = address,
        value_name = "HOST:PORT",
        help_heading = "Cluster"
    )]
    pub(crate) bootstrap: Vec<String>,
    /// How long to keep trying, such as 30s or 5m [default: 1m; produce and consume 2m]
    #[arg(
        long,
        global = true,
        value_parser = time::span,
        value_name = "SPAN",
        help_heading = "Cluster"
    )]
    pub(crate) timeout: Option<Duration>,
    /// Print JSON, whose fields stay as they are
    #[arg(long, global = true, help_heading = "Cluster")]
    pub(crate) json: bool,
}

/// `host:port`; the port is 9092 when it is left out.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let text = text.trim();
    let bad = || format!("`{text}` is no address: write HOST:PORT");
    let (host, port) = match text.rsplit_once(':') {
        // An IPv6 address without a port.
        Some(_) if text.starts_with('[') && text.ends_with(']') => (text, "9092"),
        Some((host, port)) => (host, port),
        None => (text, "9092"),
    };
    let bare_v6 = host.contains(':') && !host.starts_with('[');
    if host.is_empty() || bare_v6 || port.parse::<u16>().is_err() || port == "0" {
        return Err(bad());
    }
    Ok(format!("{host}:{port}"))
}

/// How long a topic that the cluster does not know is waited for: it may have been made a moment ago.
const TOPIC_PATIENCE: Duration = Duration::from_millis(300);

impl ClusterArgs {
    pub(crate) fn output(&self) -> Output {
        Output::new(self.json)
    }

    fn client_config(&self) -> ClientConfig {
        let standard = ClientConfig::default();
        let timeout = self.timeout.unwrap_or(standard.operation_timeout);
        ClientConfig {
            client_id: "ringwood-cli".to_owned(),
            connect_timeout: standard.connect_timeout.min(timeout),
            request_timeout: standard.request_timeout.min(timeout),
            operation_timeout: timeout,
            ..standard
        }
    }

    pub(crate) fn connect(&self) -> Result<Client, Stop> {
        self.connect_as(self.client_config())
    }

    /// Connects for requests that may take so long at least.
    pub(crate) fn connect_for(&self, request: Duration) -> Result<Client, Stop> {
        let config = self.client_config();
        self.connect_as(ClientConfig {
            request_timeout: config.request_timeout.max(request),
            ..config
        })
    }

    fn connect_as(&self, config: ClientConfig) -> Result<Client, Stop> {
        Client::connect(&self.bootstrap, config).map_err(|e| {
            let at = self.bootstrap.join(", ");
            let mut failure =
                Failure::client("connect", format!("cannot reach a broker at {at}"), &e);
            if self.bootstrap.len() > 1 && failure.area == "connect" {
                failure.what = format!("cannot reach a broker at {at}");
            }
            failure.into()
        })
    }
}

/// The topic, which must exist; where it does not, a name that is near is suggested.
pub(crate) fn topic(client: &mut Client, name: &str, what: &str) -> Result<TopicView, Failure> {
    match client.topic(name, false, TOPIC_PATIENCE) {
        Ok(view) => Ok(view.clone()),
        Err(e) => {
            let mut failure = Failure::client("topic", what, &e);
            if let Some(code @ ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) = e.code() {
                failure.cause = format!("{code}: the cluster has no topic {name}");
                if let Some(near) = near_topic(client, name) {
                    failure.remedy = format!("did you mean {near}? {}", capital(&failure.remedy));
                }
            }
            Err(failure)
        }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

fn near_topic(client: &mut Client, name: &str) -> Option<String> {
    let names = client.refresh_all().ok()?.topics.keys();
    near(name, names.map(String::as_str)).map(str::to_owned)
}

/// The most similar of `candidates`, if any is similar.
pub(crate) fn near<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|c| (strsim::jaro_winkler(name, c), c))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// The partitions that are meant: those that were named, which must exist, or all.
pub(crate) fn partitions(view: &TopicView, named: &[i32]) -> Result<Vec<i32>, Failure> {
    if named.is_empty() {
        return Ok(view.partitions.iter().map(|p| p.index).collect());
    }
    for p in named {
        if view.partition(*p).is_none() {
            return Err(no_partition(view, *p));
        }
    }
    let mut named = named.to_vec();
    named.sort_unstable();
    named.dedup();
    Ok(named)
}

pub(crate) fn no_partition(view: &TopicView, partition: i32) -> Failure {
    let last = view.partitions.last().map_or(0, |p| p.index);
    Failure {
        area: "topic",
        what: format!("there is no partition {partition} in topic {}", view.name),
        cause: format!("{}: it has partitions 0 to {last}", ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        remedy: format!("see them with `ringwood topic describe {}`", view.name),
        code: crate::exit::NOT_FOUND_OR_EXISTS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_a_host_and_may_leave_the_port_out() {
        assert_eq!(address("kafka"), Ok("kafka:9092".into()));
        assert_eq!(address(" kafka:19092"), Ok("kafka:19092".into()));
        assert_eq!(address("[::1]"), Ok("[::1]:9092".into()));
        assert_eq!(address("[::1]:9"), Ok("[::1]:9".into()));
        for bad in ["", ":9092", "kafka:", "kafka:x", "kafka:0", "kafka:99999", "::1"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_is_similar_is_suggested() {
        let names = ["orders", "payments"];
        assert_eq!(near("order", names.into_iter()), Some("orders"));
        assert_eq!(near("ordres", names.into_iter()), Some("orders"));
        assert_eq!(near("zebra", names.into_iter()), None);
    }
}
