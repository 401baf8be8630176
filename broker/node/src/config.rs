//! How this node runs: built-in defaults, then the configuration file, then the environment, then flags.

mod address;
mod listeners;
mod machine;
mod said;
#[cfg(test)]
mod tests;

pub(crate) use address::Address;
pub(crate) use said::Said;

use cluster::config::{LoadError, StaticConfig};
use machine::{memory_of_this_process, processors};
use runtime::{Io, Pin};
use std::path::{Path, PathBuf};

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
    /// Free bytes below which writes are refused; none said: what fits the file system.
    pub(crate) reserve: Option<u64>,
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

fn default_data(variables: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(dir) = variables("STATE_DIRECTORY") {
        return Some(PathBuf::from(dir));
    }
    if let Some(dir) = variables("XDG_DATA_HOME") {
        return Some(Path::new(&dir).join("ringwood"));
    }
    variables("HOME").map(|home| Path::new(&home).join(".local/share/ringwood"))
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

    /// Below so many free bytes of a file system of `total` writes are refused: what the operator says, or 1 GiB, or a fiftieth
    /// of a large one.
    pub(crate) fn reserve_of(&self, total: u64) -> u64 {
        self.reserve.unwrap_or_else(|| (1 << 30).max(total / 50))
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
        let reserve = size(&said.reserve, "reserve")?;
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
