//! How this node runs: built-in defaults, then the configuration file, then the environment, then flags.

use cluster::config::{LoadError, StaticConfig, parse_properties};
use runtime::{Io, Pin};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

/// A `host:port` as a person writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// Reads `host:port` or `[v6]:port`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }

    pub(crate) fn resolve(&self) -> Option<SocketAddr> {
        (self.host.as_str(), self.port).to_socket_addrs().ok()?.next()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What may be said by flag, environment or file; `None` is "not said here".
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) data: Option<PathBuf>,
    pub(crate) listen: Option<String>,
    pub(crate) advertise: Option<String>,
    pub(crate) admin: Option<String>,
    pub(crate) durability: Option<String>,
    pub(crate) io: Option<String>,
    pub(crate) cores: Option<String>,
    pub(crate) pin: Option<String>,
    pub(crate) memory: Option<String>,
    pub(crate) ring: Option<String>,
    pub(crate) reserve: Option<String>,
    pub(crate) metrics_series: Option<String>,
    pub(crate) node_id: Option<i32>,
    /// Kafka's keys.
    pub(crate) kafka: BTreeMap<String, String>,
}

/// What the node runs with.
#[derive(Clone, Debug)]
pub(crate) struct NodeConfig {
    pub(crate) data: PathBuf,
    pub(crate) listen: Address,
    pub(crate) advertise: Address,
    pub(crate) admin: Address,
    /// Data cores.
    pub(crate) cores: u16,
    pub(crate) io: Io,
    pub(crate) pin: Pin,
    /// Buffers of all cores together, in bytes.
    pub(crate) memory: usize,
    /// Of each core.
    pub(crate) ring_bytes: u64,
    pub(crate) reserve: u64,
    /// The most partitions, and the most offsets of groups, that metrics show one by one.
    pub(crate) metrics_series: usize,
    pub(crate) node_id: i32,
    pub(crate) fixed: StaticConfig,
    /// Things worth one line at start.
    pub(crate) notices: Vec<String>,
}

/// A configuration that cannot be run: what, why, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    pub(crate) what: String,
    pub(crate) cause: String,
    pub(crate) remedy: String,
}

fn error(
    what: impl Into<String>,
    cause: impl Into<String>,
    remedy: impl Into<String>,
) -> ConfigError {
    ConfigError { what: what.into(), cause: cause.into(), remedy: remedy.into() }
}

/// Reads `64MiB`, `1GiB`, `4096`.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let n: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        _ => return None,
    };
    n.checked_mul(unit)
}

const KEYS: [&str; 13] = [
    "node.id",
    "data.dir",
    "data.reserve",
    "engine.io",
    "engine.cores",
    "engine.pin",
    "engine.memory",
    "engine.ring",
    "engine.durability",
    "listener.listen",
    "listener.advertise",
    "admin.listen",
    "admin.metrics_series",
];

impl Said {
    /// Reads a configuration file: TOML, or Kafka's `server.properties` by its ending.
    pub(crate) fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| {
            error(
                format!("cannot read the configuration {shown}"),
                e.to_string(),
                "check the path and its permissions",
            )
        })?;
        if path.extension().is_some_and(|e| e == "properties") {
            let kafka = parse_properties(&text).map_err(|e| {
                error(
                    format!("cannot read the configuration {shown}"),
                    format!("{e:?}"),
                    "mend that line",
                )
            })?;
            let mut said = Self { kafka, ..Self::default() };
            said.take_kafka_places()?;
            return Ok(said);
        }
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            error(
                format!("cannot read the configuration {shown}"),
                e.to_string(),
                "it is TOML with the sections [node] [data] [engine] [listener] [admin] [defaults]",
            )
        })?;
        let mut said = Self::default();
        for (section, values) in table {
            let Some(values) = values.as_table() else {
                return Err(unknown_key(&section));
            };
            for (key, value) in values {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                if section == "defaults" {
                    said.kafka.insert(key.clone(), text);
                } else {
                    said.set(&format!("{section}.{key}"), text)?;
                }
            }
        }
        Ok(said)
    }

    /// Reads `RINGWOOD_SECTION__KEY`.
    pub(crate) fn from_environment(
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut said = Self::default();
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix("RINGWOOD_") else { continue };
            let Some((section, key)) = rest.split_once("__") else { continue };
            let (section, key) = (section.to_lowercase(), key.to_lowercase());
            if section == "defaults" {
                said.kafka.insert(key.replace('_', "."), value);
            } else {
                said.set(&format!("{section}.{key}"), value)?;
            }
        }
        Ok(said)
    }

    fn set(&mut self, key: &str, value: String) -> Result<(), ConfigError> {
        match key {
            "node.id" => {
                let id = value.parse().map_err(|_| {
                    error("node.id is not a number", value.clone(), "give a number from 0 up")
                })?;
                self.node_id = Some(id);
            }
            "data.dir" => self.data = Some(PathBuf::from(value)),
            "data.reserve" => self.reserve = Some(value),
            "engine.io" => self.io = Some(value),
            "engine.cores" => self.cores = Some(value),
            "engine.pin" => self.pin = Some(value),
            "engine.memory" => self.memory = Some(value),
            "engine.ring" => self.ring = Some(value),
            "engine.durability" => self.durability = Some(value),
            "listener.listen" => self.listen = Some(value),
            "listener.advertise" => self.advertise = Some(value),
            "admin.listen" => self.admin = Some(value),
            "admin.metrics_series" => self.metrics_series = Some(value),
            other => return Err(unknown_key(other)),
        }
        Ok(())
    }

    /// Kafka keys that say where the node lives.
    fn take_kafka_places(&mut self) -> Result<(), ConfigError> {
        if let Some(id) = self.kafka.get("node.id").or_else(|| self.kafka.get("broker.id")) {
            self.node_id = id.parse().ok();
        }
        if let Some(dirs) = self.kafka.get("log.dirs").or_else(|| self.kafka.get("log.dir")) {
            if dirs.contains(',') {
                return Err(error(
                    "log.dirs names several directories",
                    dirs.clone(),
                    "name one: a node has one data directory",
                ));
            }
            self.data = Some(PathBuf::from(dirs));
        }
        for (key, place) in
            [("listeners", &mut self.listen), ("advertised.listeners", &mut self.advertise)]
        {
            let Some(listeners) = self.kafka.get(key) else { continue };
            let plain = listeners.split(',').map(str::trim).find_map(|l| {
                let (name, address) = l.split_once("://")?;
                (name != "CONTROLLER" && !name.contains("SSL") && !name.contains("SASL"))
                    .then(|| address.to_owned())
            });
            let Some(address) = plain else {
                return Err(error(
                    format!("{key} names no listener without TLS and SASL"),
                    listeners.clone(),
                    "name one such as PLAINTEXT://127.0.0.1:9092",
                ));
            };
            let address = match address.strip_prefix(':') {
                Some(port) => format!("0.0.0.0:{port}"),
                None => address,
            };
            *place = Some(address);
        }
        Ok(())
    }

    /// What `self` says, and where it is silent what `below` says.
    pub(crate) fn over(self, below: Self) -> Self {
        let mut kafka = below.kafka;
        kafka.extend(self.kafka);
        Self {
            data: self.data.or(below.data),
            listen: self.listen.or(below.listen),
            advertise: self.advertise.or(below.advertise),
            admin: self.admin.or(below.admin),
            durability: self.durability.or(below.durability),
            io: self.io.or(below.io),
            cores: self.cores.or(below.cores),
            pin: self.pin.or(below.pin),
            memory: self.memory.or(below.memory),
            ring: self.ring.or(below.ring),
            reserve: self.reserve.or(below.reserve),
            metrics_series: self.metrics_series.or(below.metrics_series),
            node_id: self.node_id.or(below.node_id),
            kafka,
        }
    }
}

fn unknown_key(key: &str) -> ConfigError {
    let near = KEYS.iter().min_by_key(|k| distance(k, key)).copied().unwrap_or("");
    error(
        format!("unknown configuration key {key}"),
        "Ringwood does not know it",
        format!("did you mean {near}? Kafka's keys go under [defaults]"),
    )
}

/// How many letters two words differ in, roughly: enough for a suggestion.
fn distance(a: &str, b: &str) -> usize {
    let common = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    a.len().max(b.len()) - common
}

fn default_data(variables: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(dir) = variables("STATE_DIRECTORY") {
        return Some(PathBuf::from(dir));
    }
    if let Some(dir) = variables("XDG_DATA_HOME") {
        return Some(Path::new(&dir).join("ringwood"));
    }
    variables("HOME").map(|home| Path::new(&home).join(".local/share/ringwood"))
}

/// Memory that this process may have: the machine's, or what its control group leaves of it.
fn memory_of_this_process() -> u64 {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    machine_memory(read).min(control_group_memory(read).unwrap_or(u64::MAX))
}

/// The smallest limit of the process's control group and of those above it, of both versions; `None` if there is none. In a
/// container the group's own path may not be there: the root that is mounted is then the container's.
fn control_group_memory(read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let mut least: Option<u64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|c| c == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        for above in Path::new(group).ancestors() {
            let dir = Path::new(root).join(above.strip_prefix("/").unwrap_or(above));
            // "max" is no limit; the other version says a number that no machine has.
            let limit = read(&dir.join(file)).and_then(|text| text.trim().parse().ok());
            least = least.into_iter().chain(limit).min();
        }
    }
    least
}

/// Memory of the machine, as the kernel says it.
fn machine_memory(read: impl Fn(&Path) -> Option<String>) -> u64 {
    let text = read(Path::new("/proc/meminfo")).unwrap_or_default();
    let kib = text.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    let kib = kib.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(4 << 20) * 1024
}

/// Processors that this process may use: its affinity, and the quota of its control group.
fn processors() -> u16 {
    let allowed = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u16::try_from(allowed).unwrap_or(u16::MAX)
}

/// Partitions, and offsets of groups, that metrics show if nobody says how many: some 10 MiB of text.
const METRICS_SERIES: usize = 20_000;
/// A page of half a gigabyte helps nobody.
const METRICS_SERIES_MAX: usize = 1_000_000;

/// Most data cores that a node has.
const CORES_MAX: u16 = 256;

fn cores(said: Option<&str>) -> Result<u16, ConfigError> {
    match said {
        // On one or two processors the clients are most likely on the same machine: one is left to them.
        None | Some("auto") => Ok(match processors() {
            0..=2 => 1,
            n => n.min(CORES_MAX),
        }),
        Some(text) => match text.parse() {
            Ok(n @ 1..=CORES_MAX) => Ok(n),
            _ => Err(error(
                format!("cores is not a number of cores: {text}"),
                format!("it is 1 to {CORES_MAX}, or auto"),
                "for example --cores 4",
            )),
        },
    }
}

impl NodeConfig {
    /// The share of one core in the memory for buffers.
    pub(crate) fn memory_per_core(&self) -> usize {
        self.memory / usize::from(self.cores)
    }

    /// Settles what was said.
    pub(crate) fn settle(
        said: Said,
        variables: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let address = |text: &str, what: &str| {
            Address::parse(text).ok_or_else(|| {
                error(
                    format!("{what} is not an address: {text}"),
                    "it is host:port",
                    format!("for example --{what} 127.0.0.1:9092"),
                )
            })
        };
        let listen = address(said.listen.as_deref().unwrap_or("127.0.0.1:9092"), "listen")?;
        let advertise = match &said.advertise {
            Some(text) => address(text, "advertise")?,
            None => {
                let anywhere = listen.resolve().is_some_and(|a| a.ip().is_unspecified());
                if anywhere {
                    return Err(error(
                        format!("clients would be told to connect to {listen}"),
                        "an address that is bound everywhere is none that a client can reach",
                        "add --advertise HOST:PORT with the name that clients use",
                    ));
                }
                listen.clone()
            }
        };
        let admin = address(said.admin.as_deref().unwrap_or("127.0.0.1:9644"), "admin")?;
        let size = |text: &Option<String>, what: &str| -> Result<Option<u64>, ConfigError> {
            let Some(text) = text else { return Ok(None) };
            bytes(text).map(Some).ok_or_else(|| {
                error(format!("{what} is not a size: {text}"), "it is like 64MiB", "mend it")
            })
        };
        let cores = cores(said.cores.as_deref())?;
        let io = match said.io.as_deref() {
            None | Some("auto") => Io::Auto,
            Some("uring") => Io::Uring,
            Some("portable") => Io::Portable,
            Some(other) => {
                let what = format!("io is not a backend: {other}");
                return Err(error(what, "it is auto, uring or portable", "leave it out for auto"));
            }
        };
        let pin = match said.pin.as_deref() {
            None | Some("auto") => Pin::Auto,
            Some("always") => Pin::Always,
            Some("never") => Pin::Never,
            Some(other) => {
                let what = format!("pin is not a placement: {other}");
                return Err(error(what, "it is auto, always or never", "leave it out for auto"));
            }
        };
        // A core needs room for a few commits and the tails of its partitions.
        let least = u64::from(cores) * (16 << 20);
        let memory = size(&said.memory, "memory")?
            .unwrap_or_else(|| (memory_of_this_process() / 4).min(1 << 30))
            .max(least);
        let ring_bytes = size(&said.ring, "ring")?
            .unwrap_or_else(|| (memory / u64::from(cores) / 4).clamp(64 << 20, 1 << 30))
            .clamp(1 << 20, 64 << 30);
        let reserve = size(&said.reserve, "reserve")?.unwrap_or(1 << 30);
        let metrics_series = match said.metrics_series.as_deref() {
            None => METRICS_SERIES,
            Some(text) => match text.parse() {
                Ok(n @ 0..=METRICS_SERIES_MAX) => n,
                Ok(_) | Err(_) => {
                    return Err(error(
                        format!("metrics-series is not a number of series: {text}"),
                        format!("it is 0 to {METRICS_SERIES_MAX}"),
                        "for example --metrics-series 20000",
                    ));
                }
            },
        };
        let mut kafka = said.kafka;
        if let Some(d) = said.durability {
            kafka.insert("ringwood.durability".into(), d);
        }
        let (fixed, loaded) = StaticConfig::load(kafka).map_err(|errors| {
            let first = errors.first().map_or_else(String::new, LoadError::to_string);
            error("a configuration value cannot be used", first, "mend or remove it")
        })?;
        let notices = loaded.iter().map(|n| format!("{}: {}", n.key, n.message)).collect();
        let data = said.data.or_else(|| default_data(&variables)).ok_or_else(|| {
            error("there is no place for data", "HOME is not set", "add --data DIR")
        })?;
        Ok(Self {
            data,
            listen,
            advertise,
            admin,
            cores,
            io,
            pin,
            memory: usize::try_from(memory).unwrap_or(usize::MAX),
            ring_bytes,
            reserve,
            metrics_series,
            node_id: said.node_id.unwrap_or(1),
            fixed,
            notices,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_variables(_: &str) -> Option<String> {
        None
    }

    fn with_data() -> Said {
        Said { data: Some(PathBuf::from("/d")), ..Said::default() }
    }

    #[test]
    fn nothing_said_listens_on_this_machine_only() {
        let c = NodeConfig::settle(with_data(), no_variables).unwrap();
        assert_eq!(c.listen.to_string(), "127.0.0.1:9092");
        assert_eq!(c.advertise, c.listen);
        assert!(c.listen.resolve().unwrap().ip().is_loopback());
    }

    #[test]
    fn an_address_bound_everywhere_needs_another_to_advertise() {
        let said = Said { listen: Some("0.0.0.0:9092".into()), ..with_data() };
        let refused = NodeConfig::settle(said.clone(), no_variables).unwrap_err();
        assert!(refused.remedy.contains("--advertise"));
        let said = Said { advertise: Some("broker.example:9092".into()), ..said };
        assert!(NodeConfig::settle(said, no_variables).is_ok());
    }

    #[test]
    fn what_is_nearer_wins() {
        let file = Said { node_id: Some(1), ring: Some("8MiB".into()), ..Said::default() };
        let flags = Said { node_id: Some(2), ..with_data() };
        let c = NodeConfig::settle(flags.over(file), no_variables).unwrap();
        assert_eq!((c.node_id, c.ring_bytes), (2, 8 << 20));
    }

    #[test]
    fn cores_are_a_number_or_found() {
        let with = |cores: &str| Said { cores: Some(cores.into()), ..with_data() };
        assert_eq!(NodeConfig::settle(with("3"), no_variables).unwrap().cores, 3);
        assert!(NodeConfig::settle(with("auto"), no_variables).unwrap().cores >= 1);
        for wrong in ["0", "-1", "many", "257"] {
            assert!(NodeConfig::settle(with(wrong), no_variables).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_series_of_metrics_have_a_bound() {
        let with = |n: &str| Said { metrics_series: Some(n.into()), ..with_data() };
        assert_eq!(NodeConfig::settle(with_data(), no_variables).unwrap().metrics_series, 20_000);
        assert_eq!(NodeConfig::settle(with("0"), no_variables).unwrap().metrics_series, 0);
        for wrong in ["-1", "many", "1000001"] {
            assert!(NodeConfig::settle(with(wrong), no_variables).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_with_a_suggestion() {
        let e = Said::default().set("listener.lisen", "x".into()).unwrap_err();
        assert!(e.remedy.contains("listener.listen"), "{e:?}");
    }

    #[test]
    fn a_container_s_memory_is_what_its_control_group_may_have() {
        let with = |files: &'static [(&'static str, &'static str)]| {
            control_group_memory(move |path| {
                let found = files.iter().find(|(p, _)| Path::new(p) == path);
                found.map(|(_, text)| (*text).to_owned())
            })
        };
        assert_eq!(with(&[]), None);
        assert_eq!(
            with(&[("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", "max\n")]),
            None
        );
        assert_eq!(
            with(&[("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", "1073741824\n")]),
            Some(1 << 30)
        );
        // The unit's own limit, and a smaller one of the slice above it.
        assert_eq!(
            with(&[
                ("/proc/self/cgroup", "0::/system.slice/ringwood.service\n"),
                ("/sys/fs/cgroup/system.slice/ringwood.service/memory.max", "2147483648\n"),
                ("/sys/fs/cgroup/system.slice/memory.max", "536870912\n"),
            ]),
            Some(512 << 20)
        );
        // The first version, whose path is the host's: the container sees its own group as the root.
        assert_eq!(
            with(&[
                ("/proc/self/cgroup", "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n"),
                ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n"),
            ]),
            Some(256 << 20)
        );
        assert_eq!(machine_memory(|_| Some("MemTotal:        2048 kB\n".into())), 2 << 20);
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(bytes("64MiB"), Some(64 << 20));
        assert_eq!(bytes("4096"), Some(4096));
        assert_eq!(bytes("3 parsecs"), None);
    }
}
