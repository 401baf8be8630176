//! The brokers under load: who they are, which topics are used, who leads each partition.

use std::{
    collections::{BTreeMap, HashMap},
    io::{Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    thread,
    time::{Duration, Instant},
};

use crate::{
    failure::Failure,
    interrupt,
    machine::{Usage, listening_on},
    protocol::{Api, FRAME_BYTES_MAX, Malformed, Reader, admin, error_name},
    run::Broker,
};

/// How long a connection or an answer of the calm part may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection, one question at a time.
#[derive(Debug)]
pub(super) struct Dialogue {
    stream: TcpStream,
    correlation: i32,
}

impl Dialogue {
    pub(super) fn connect(address: &str) -> Result<Self, Failure> {
        Ok(Self { stream: connect(address)?, correlation: 0 })
    }

    /// Asks, and gives back the answer after its correlation id.
    pub(super) fn ask(&mut self, request: impl FnOnce(i32) -> Vec<u8>) -> Result<Vec<u8>, Failure> {
        let broken = |e: std::io::Error| Failure::Unreachable(format!("the broker hung up: {e}"));
        self.correlation += 1;
        self.stream.write_all(&request(self.correlation)).map_err(broken)?;
        let mut head = [0; 4];
        self.stream.read_exact(&mut head).map_err(broken)?;
        let size = u32::from_be_bytes(head) as usize;
        if !(4..=FRAME_BYTES_MAX).contains(&size) {
            return Err(Failure::Unreachable("what answers is no Kafka broker".into()));
        }
        let mut body = Vec::new();
        let mut frame = (&mut self.stream).take(size as u64);
        frame.read_to_end(&mut body).map_err(broken)?;
        if body.len() < size || body[..4] != self.correlation.to_be_bytes() {
            return Err(Failure::Unreachable("the broker's answer is to another question".into()));
        }
        body.drain(..4);
        Ok(body)
    }
}

/// Connects, trying every address that the name stands for.
pub(super) fn connect(address: &str) -> Result<TcpStream, Failure> {
    let unreachable = |why: String| Failure::Unreachable(format!("cannot reach {address}: {why}"));
    let addresses: Vec<SocketAddr> =
        address.to_socket_addrs().map_err(|e| unreachable(e.to_string()))?.collect();
    let mut why = "the name stands for no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                let ready = stream
                    .set_nodelay(true)
                    .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
                    .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
                ready.map_err(|e| unreachable(e.to_string()))?;
                return Ok(stream);
            }
            Err(e) => why = e.to_string(),
        }
    }
    Err(unreachable(why))
}

/// Tries until it works, for as long as a cluster may need to find itself. What the command line asks wrongly is not tried again.
fn patiently<T>(attempt: impl Fn() -> Result<T, Failure>) -> Result<T, Failure> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match attempt() {
            Err(Failure::Unreachable(_)) if Instant::now() < deadline && !interrupt::came() => {
                thread::sleep(Duration::from_millis(50));
            }
            result => return result,
        }
    }
}

fn malformed(_: Malformed) -> Failure {
    Failure::Unreachable("the broker's answer is not as the protocol has it".into())
}

/// Which broker leads each partition of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leaders {
    /// Addresses of the leaders.
    pub(super) addresses: Vec<String>,
    /// For each partition over all topics, the place of its leader's address.
    pub(super) of_partition: Vec<usize>,
}

/// The brokers and topics of a run.
#[derive(Clone, Debug)]
pub struct Target {
    bootstrap: Vec<String>,
    topics: Vec<String>,
    /// The place of each among them: every part of every answer is looked up.
    places: HashMap<String, u32>,
    partitions: u32,
    facts: Broker,
}

impl Target {
    /// Connects and asks who is there.
    ///
    /// # Errors
    /// No broker answers, or none that speaks what a load needs.
    pub fn discover(bootstrap: &[String]) -> Result<Self, Failure> {
        let mut target = Self {
            bootstrap: bootstrap.to_vec(),
            topics: Vec::new(),
            places: HashMap::new(),
            partitions: 0,
            facts: Broker::default(),
        };
        let mut dialogue = target.dialogue()?;
        let apis = admin::read_api_versions(Reader::new(&dialogue.ask(admin::api_versions)?))
            .map_err(malformed)?;
        for api in Api::ALL {
            let (key, version) = api.key_and_version();
            let speaks =
                apis.iter().any(|(k, low, high)| *k == key && (*low..=*high).contains(&version));
            if !speaks
                && !matches!(
                    api,
                    Api::DescribeConfigs
                        | Api::DescribeLogDirs
                        | Api::InitProducerId
                        | Api::DeleteTopics
                )
            {
                return Err(Failure::Unreachable(format!(
                    "the broker does not speak {api:?} in version {version}"
                )));
            }
        }
        // An empty list of topics asks for none.
        let metadata = dialogue.ask(|c| admin::metadata(c, &[]))?;
        let metadata = admin::read_metadata(Reader::new(&metadata)).map_err(malformed)?;
        target.facts.cluster_id = metadata.cluster_id;
        target.facts.addresses = metadata.brokers.iter().map(|b| b.address.clone()).collect();
        if let Some(broker) = metadata.brokers.first() {
            target.facts.settings = settings(&mut dialogue, broker.id);
        }
        let (key, version) = Api::DescribeLogDirs.key_and_version();
        if apis.iter().any(|(k, low, high)| *k == key && (*low..=*high).contains(&version))
            && let Some(directories) = log_dirs(&mut dialogue)
        {
            target.facts.settings.insert("log.dirs".into(), directories);
        }
        target.facts.fingerprint = fingerprint(&apis, &target.facts.settings);
        target.facts.before = target.usage();
        Ok(target)
    }

    /// What is known of the brokers.
    #[must_use]
    pub fn facts(&self) -> &Broker {
        &self.facts
    }

    /// What local brokers' processes have used until now.
    #[must_use]
    pub fn usage(&self) -> Vec<Usage> {
        self.processes().into_iter().filter_map(Usage::of).collect()
    }

    /// The local processes that listen on the brokers' addresses.
    pub(super) fn processes(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self
            .facts
            .addresses
            .iter()
            .chain(&self.bootstrap)
            .filter_map(|address| address.to_socket_addrs().ok()?.find_map(listening_on))
            .collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Uses these topics, creating them where they are not there, and waits until every partition has a leader.
    ///
    /// # Errors
    /// A topic cannot be created, has another number of partitions, or gets no leaders in time.
    pub fn use_topics(
        &mut self,
        topics: Vec<String>,
        partitions: u32,
        replication: i16,
        configs: &[(String, String)],
    ) -> Result<(), Failure> {
        let mut dialogue = self.dialogue()?;
        let answer = dialogue
            .ask(|c| admin::create_topics(c, &topics, partitions as i32, replication, configs))?;
        // Where one of them cannot be created the others are there, and are to be deleted.
        self.places = topics.iter().cloned().zip(0..).collect();
        (self.topics, self.partitions) = (topics, partitions);
        for (topic, error, message) in
            admin::read_create_topics(Reader::new(&answer)).map_err(malformed)?
        {
            // 36: it is there already.
            if error != 0 && error != 36 {
                return Err(Failure::Unreachable(format!(
                    "cannot create topic {topic}: {} {message}",
                    error_name(error)
                )));
            }
        }
        patiently(|| self.leaders()).map(|_| ())
    }

    /// Deletes the topics of the run.
    ///
    /// # Errors
    /// The broker cannot be reached.
    pub fn drop_topics(&self) -> Result<(), Failure> {
        self.dialogue()?.ask(|c| admin::delete_topics(c, &self.topics)).map(|_| ())
    }

    /// The name of the first topic of the run, and how many there are.
    pub(crate) fn first_and_count(&self) -> (&str, usize) {
        (self.topics.first().map_or("", String::as_str), self.topics.len())
    }

    /// The topic's name and the partition's number in it.
    pub(super) fn place(&self, partition: u32) -> (&str, i32) {
        let topic = self.topics.get((partition / self.partitions.max(1)) as usize);
        (topic.map_or("", String::as_str), (partition % self.partitions.max(1)) as i32)
    }

    /// The partition's number over all topics; `None` for one that is not of the run.
    pub(super) fn partition(&self, topic: &str, partition: i32) -> Option<u32> {
        let place = *self.places.get(topic)?;
        let partition = u32::try_from(partition).ok().filter(|p| *p < self.partitions)?;
        Some(place * self.partitions + partition)
    }

    pub(super) fn topics(&self) -> &[String] {
        &self.topics
    }

    pub(super) fn partitions(&self) -> u32 {
        self.partitions * self.topics.len() as u32
    }

    /// Asks who leads every partition.
    pub(super) fn leaders(&self) -> Result<Leaders, Failure> {
        let answer = self.dialogue()?.ask(|c| admin::metadata(c, &self.topics))?;
        let metadata = admin::read_metadata(Reader::new(&answer)).map_err(malformed)?;
        let addresses: BTreeMap<i32, &str> =
            metadata.brokers.iter().map(|broker| (broker.id, broker.address.as_str())).collect();
        let mut leaders = Leaders::default();
        let mut found = vec![None; self.partitions() as usize];
        for topic in &metadata.topics {
            if topic.error == 0 && topic.partitions.len() != self.partitions as usize {
                return Err(Failure::Usage(format!(
                    "topic {} has {} partitions, not {}",
                    topic.name,
                    topic.partitions.len(),
                    self.partitions
                )));
            }
            for (partition, leader, _) in &topic.partitions {
                let place = self.partition(&topic.name, *partition);
                let address = addresses.get(leader);
                if let (Some(place), Some(address)) = (place, address) {
                    found[place as usize] = Some(*address);
                }
            }
        }
        for (partition, address) in found.into_iter().enumerate() {
            let Some(address) = address else {
                let (topic, partition) = self.place(partition as u32);
                return Err(Failure::Unreachable(format!("{topic}/{partition} has no leader")));
            };
            let known = leaders.addresses.iter().position(|a| a == address);
            leaders.of_partition.push(known.unwrap_or(leaders.addresses.len()));
            if known.is_none() {
                leaders.addresses.push(address.to_owned());
            }
        }
        Ok(leaders)
    }

    /// The end offset (or with `which` -2 the first) of every partition.
    pub(super) fn offsets(&self, which: i64) -> Result<Vec<i64>, Failure> {
        // A topic that has just been made may have leaders that do not know it yet.
        patiently(|| self.offsets_once(which))
    }

    fn offsets_once(&self, which: i64) -> Result<Vec<i64>, Failure> {
        let leaders = self.leaders()?;
        let mut offsets = vec![-1; self.partitions() as usize];
        for (place, address) in leaders.addresses.iter().enumerate() {
            let mut dialogue = Dialogue::connect(address)?;
            for topic in &self.topics {
                let partitions: Vec<i32> = (0..self.partitions as i32)
                    .filter(|p| {
                        let partition = self.partition(topic, *p);
                        partition.is_some_and(|p| leaders.of_partition[p as usize] == place)
                    })
                    .collect();
                if partitions.is_empty() {
                    continue;
                }
                let answer = dialogue.ask(|c| admin::list_offsets(c, topic, &partitions, which))?;
                for (partition, error, offset) in
                    admin::read_list_offsets(Reader::new(&answer)).map_err(malformed)?
                {
                    if error != 0 {
                        return Err(Failure::Unreachable(format!(
                            "no offsets of {topic}/{partition}: {}",
                            error_name(error)
                        )));
                    }
                    if let Some(partition) = self.partition(topic, partition) {
                        offsets[partition as usize] = offset;
                    }
                }
            }
        }
        Ok(offsets)
    }

    /// A new identity for an idempotent producer.
    pub(super) fn producer_id(&self) -> Result<(i64, i16), Failure> {
        // The first identity of a fresh cluster is answered with COORDINATOR_LOAD_IN_PROGRESS for a while.
        patiently(|| self.producer_id_once())
    }

    fn producer_id_once(&self) -> Result<(i64, i16), Failure> {
        let answer = self.dialogue()?.ask(admin::init_producer_id)?;
        match admin::read_init_producer_id(Reader::new(&answer)).map_err(malformed)? {
            (0, id, epoch) => Ok((id, epoch)),
            (error, _, _) => {
                Err(Failure::Unreachable(format!("no producer id: {}", error_name(error))))
            }
        }
    }

    fn dialogue(&self) -> Result<Dialogue, Failure> {
        let mut failure = Failure::Usage("no broker is named".into());
        for address in &self.bootstrap {
            match Dialogue::connect(address) {
                Ok(dialogue) => return Ok(dialogue),
                Err(e) => failure = e,
            }
        }
        Err(failure)
    }
}

/// Settings that say how durable an acknowledgement is and what the broker is, as far as it tells.
const TOLD: [&str; 9] = [
    "log.flush.interval.messages",
    "log.flush.interval.ms",
    "min.insync.replicas",
    "default.replication.factor",
    "ringwood.version",
    "ringwood.revision",
    "ringwood.backend",
    "ringwood.durability",
    "log.dirs",
];

/// Where the broker's data is in truth, whatever its settings say; several are separated by commas.
fn log_dirs(dialogue: &mut Dialogue) -> Option<String> {
    let answer = dialogue.ask(admin::describe_log_dirs).ok()?;
    let directories = admin::read_describe_log_dirs(Reader::new(&answer)).ok()?;
    (!directories.is_empty()).then(|| directories.join(","))
}

fn settings(dialogue: &mut Dialogue, broker: i32) -> BTreeMap<String, String> {
    let answer = dialogue.ask(|c| admin::describe_broker(c, broker, &TOLD));
    let settings = answer.ok().and_then(|a| admin::read_describe_configs(Reader::new(&a)).ok());
    settings.unwrap_or_default().into_iter().collect()
}

/// Which software answers: its own word where it gives one, else what its APIs tell.
fn fingerprint(apis: &[(i16, i16, i16)], settings: &BTreeMap<String, String>) -> String {
    if let Some(version) = settings.get("ringwood.version") {
        let backend =
            settings.get("ringwood.backend").map(|b| format!(", {b}")).unwrap_or_default();
        return format!("Ringwood {version}{backend}");
    }
    if settings.keys().any(|name| name.starts_with("ringwood.")) {
        return "Ringwood".into();
    }
    let highest =
        |key: i16| apis.iter().find(|(k, _, _)| *k == key).map_or(-1, |(_, _, high)| *high);
    let level = match (highest(1), highest(75)) {
        (18.., _) => "Kafka 4.1 or newer",
        (17, 0..) => "Kafka 3.9 or 4.0",
        (16.., _) => "Kafka 3.7 or newer",
        (13.., _) => "Kafka 3.1 or newer",
        _ => "Kafka 2.4 or newer",
    };
    format!("speaks like {level} ({} APIs)", apis.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_told_by_its_own_word_or_by_what_it_speaks() {
        let told = |highest: &[(i16, i16)], settings: &[(&str, &str)]| {
            let apis: Vec<_> = highest.iter().map(|(key, high)| (*key, 0, *high)).collect();
            let settings = settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
            fingerprint(&apis, &settings.collect())
        };
        let portable = [("ringwood.version", "0.1.0"), ("ringwood.backend", "portable")];
        assert_eq!(told(&[(1, 18)], &portable), "Ringwood 0.1.0, portable");
        assert_eq!(told(&[(1, 18)], &portable[..1]), "Ringwood 0.1.0");
        assert_eq!(told(&[(1, 18)], &[("ringwood.durability", "fsync")]), "Ringwood");
        assert_eq!(told(&[(1, 18), (75, 0)], &[]), "speaks like Kafka 4.1 or newer (2 APIs)");
        assert_eq!(told(&[(1, 17), (75, 0)], &[]), "speaks like Kafka 3.9 or 4.0 (2 APIs)");
        // Without DescribeTopicPartitions it is older, or another's.
        assert_eq!(told(&[(1, 17)], &[]), "speaks like Kafka 3.7 or newer (1 APIs)");
        assert_eq!(told(&[], &[]), "speaks like Kafka 2.4 or newer (0 APIs)");
    }
}
