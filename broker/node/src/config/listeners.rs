//! Which of the listeners of a `server.properties` is opened: Kafka has many, with names of their own, and this broker one.
//!
//! What a name stands for says `listener.security.protocol.map`; a name that is not in it is taken at its word. Those of the
//! controllers (`controller.listener.names`) are nobody's here, and one with TLS or SASL is never opened without.

use super::{ConfigError, error};
use std::collections::BTreeMap;

/// A listener: its name, and `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) address: String,
}

/// What a file says of listeners.
pub(super) struct Listeners<'a> {
    kafka: &'a BTreeMap<String, String>,
}

impl<'a> Listeners<'a> {
    pub(super) fn of(kafka: &'a BTreeMap<String, String>) -> Self {
        Self { kafka }
    }

    /// The items of a list.
    fn items(&self, key: &str) -> impl Iterator<Item = &'a str> {
        self.kafka.get(key).into_iter().flat_map(|text| text.split(',')).map(str::trim)
    }

    fn is_plain(&self, name: &str) -> bool {
        let of_a_controller = self.items("controller.listener.names").any(|n| n == name);
        let mut pairs =
            self.items("listener.security.protocol.map").filter_map(|p| p.split_once(':'));
        let protocol = pairs.find(|(n, _)| n.trim() == name).map_or(name, |(_, p)| p.trim());
        let protocol = protocol.to_ascii_uppercase();
        let plain = !protocol.contains("SSL") && !protocol.contains("SASL");
        plain && !of_a_controller && name != "CONTROLLER"
    }

    /// The listener of a list that is opened or told to clients, `None` if there is no list: the one of this name, if it is among those
    /// without TLS and SASL, or the first of them.
    pub(super) fn one(
        &self,
        key: &str,
        name: Option<&str>,
    ) -> Result<Option<Listener>, ConfigError> {
        let Some(text) = self.kafka.get(key) else { return Ok(None) };
        let plain: Vec<(&str, &str)> = self
            .items(key)
            .filter_map(|item| item.split_once("://"))
            .filter(|(name, _)| self.is_plain(name))
            .collect();
        let named = plain.iter().find(|(n, _)| Some(*n) == name);
        let Some((name, address)) = named.or(plain.first()) else {
            return Err(error(
                format!("{key} names no listener without TLS and SASL"),
                text.clone(),
                "name one such as PLAINTEXT://127.0.0.1:9092, with PLAINTEXT in listener.security.protocol.map",
            ));
        };
        let address = match address.strip_prefix(':') {
            Some(port) => format!("0.0.0.0:{port}"),
            None => (*address).to_owned(),
        };
        Ok(Some(Listener { name: (*name).to_owned(), address }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(file: &[(&str, &str)], key: &str, name: Option<&str>) -> Result<String, String> {
        let kafka = file.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        match Listeners::of(&kafka).one(key, name) {
            Ok(Some(l)) => Ok(format!("{} {}", l.name, l.address)),
            Ok(None) => Ok(String::new()),
            Err(e) => Err(format!("{e:?}")),
        }
    }

    #[test]
    fn the_map_says_what_a_name_stands_for() {
        const MAP: &str = "listener.security.protocol.map";
        let file = [
            ("listeners", "INSIDE://:1, CLIENTS://h:2,CTL://:3"),
            (MAP, "INSIDE:SSL,CLIENTS:PLAINTEXT, CTL:PLAINTEXT"),
            ("controller.listener.names", "CTL"),
        ];
        assert_eq!(one(&file, "listeners", None), Ok("CLIENTS h:2".into()));
        assert_eq!(one(&file, "advertised.listeners", None), Ok(String::new()));
        let secure =
            [("listeners", "CLIENTS://:1,CTL://:3"), (MAP, "CLIENTS:sasl_plaintext"), file[2]];
        let refused = one(&secure, "listeners", None).unwrap_err();
        assert!(refused.contains("listeners names no listener without TLS and SASL"), "{refused}");
        // SSL in a name is a word like another where the map says so.
        let plain = [("listeners", "NOSSL://:1"), (MAP, "NOSSL:PLAINTEXT")];
        assert_eq!(one(&plain, "listeners", None), Ok("NOSSL 0.0.0.0:1".into()));
    }

    #[test]
    fn without_a_map_a_name_is_taken_at_its_word() {
        for (listeners, expected) in [
            ("PLAINTEXT://:9092", "PLAINTEXT 0.0.0.0:9092"),
            ("SSL://:1,SASL_PLAINTEXT://:2,PLAINTEXT://h:3", "PLAINTEXT h:3"),
            ("CONTROLLER://:1,OTHER://h:2", "OTHER h:2"),
        ] {
            assert_eq!(one(&[("listeners", listeners)], "listeners", None), Ok(expected.into()));
        }
        for bad in ["SSL://:1", "CONTROLLER://:1", "localhost:9092", ""] {
            assert!(one(&[("listeners", bad)], "listeners", None).is_err(), "{bad}");
        }
    }

    #[test]
    fn clients_are_told_the_listener_that_is_open() {
        let file = [("advertised.listeners", "A://a:1,B://b:2")];
        assert_eq!(one(&file, "advertised.listeners", Some("B")), Ok("B b:2".into()));
        assert_eq!(one(&file, "advertised.listeners", Some("C")), Ok("A a:1".into()));
    }
}
