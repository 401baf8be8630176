//! A broker that keeps to a script: it answers after a known time, stalls, hangs up, and loses, doubles, swaps or alters batches.

mod fetches;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use fetches::Sessions;
use ringwood_perf::{
    hlog::{Counted, write_counted},
    protocol::{
        Api, Reader, Writer,
        batch::{self, HEADER_BYTES},
    },
};

/// What the broker does wrong, or slowly.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// Every produce is answered so long after it came.
    pub(crate) delay: Duration,
    /// Every produce of this many is answered so long after it came, instead of `delay`.
    pub(crate) slow: Option<(u64, Duration)>,
    /// Produces are answered one after the other, each so long after the one before: a broker of known capacity.
    pub(crate) each: Duration,
    /// No produce is answered from this long after the first until that long later.
    pub(crate) stall: Option<(Duration, Duration)>,
    /// Acknowledged, not stored: the batch of this number, counted over all partitions.
    pub(crate) lose: Option<u64>,
    /// Stored twice.
    pub(crate) double: Option<u64>,
    /// Stored after the next batch of its partition.
    pub(crate) swap: Option<u64>,
    /// Stored with another byte in a value, and a right batch CRC.
    pub(crate) alter: Option<u64>,
    /// Refused with this error code.
    pub(crate) refuse: Option<(u64, i16)>,
    /// The connection that brings the batch of this number is closed without an answer.
    pub(crate) hang_up: Option<u64>,
    /// The produce of this number and those behind it on its connection are never answered, and the connection stays open.
    pub(crate) silent: Option<u64>,
    /// The same of fetches, counted on all connections; what is stored is there for the next connection.
    pub(crate) silent_fetch: Option<u64>,
    /// What is stored is there for fetches so much later.
    pub(crate) hidden: Duration,
    /// The log's end is told as it was so long ago.
    pub(crate) end_hidden: Duration,
    /// What comes on the connection that brings the batch of this number is not answered from there on, and stored only when another
    /// connection brings something.
    pub(crate) withhold: Option<u64>,
    /// The connection that brings the batch of this number is closed without an answer, and as many that come after it.
    pub(crate) away: Option<(u64, u64)>,
    /// Of this partition everything below this offset has been deleted.
    pub(crate) deleted: Option<(i32, i64)>,
    /// No fetch session is kept.
    pub(crate) no_sessions: bool,
    /// All fetch sessions are let go when the fetch of this number comes.
    pub(crate) forget_sessions: Option<u64>,
    /// Of this partition a fetch finds nothing, whatever was stored.
    pub(crate) mute: Option<i32>,
    /// Nothing is stored.
    pub(crate) discard: bool,
}

#[derive(Debug, Default)]
struct Partition {
    /// With the moment at which each was stored.
    batches: Vec<(Instant, Vec<u8>)>,
    end: i64,
    swapped: Option<Vec<u8>>,
    /// Next sequence of each producer id.
    sequences: BTreeMap<i64, i32>,
}

#[derive(Debug)]
struct Shared {
    script: Script,
    address: SocketAddr,
    topics: Mutex<BTreeMap<String, Vec<Partition>>>,
    batches: AtomicU64,
    producer_ids: AtomicU64,
    produces: AtomicU64,
    fetches: AtomicU64,
    sessions: Mutex<Sessions>,
    /// How many partitions all fetches have named, and how many had records in the answers.
    named: AtomicU64,
    served: AtomicU64,
    /// How many fetches were for an offset that is not there.
    astray: AtomicU64,
    /// How many connections are still to be closed when they come.
    away: AtomicU64,
    /// Produces of a client that has gone: topic, partition, batch.
    withheld: Mutex<Vec<(String, i32, Vec<u8>)>>,
    /// How long after a produce came its answer was written, by the broker's own clock.
    answered: Mutex<Vec<Duration>>,
    free_at: Mutex<Option<Instant>>,
    first_produce: Mutex<Option<Instant>>,
    codecs: AtomicU64,
    /// How many batches had come when a topic was first deleted.
    batches_at_deletion: Mutex<Option<u64>>,
}

/// A running fake broker. Its threads end with the process or with their connections.
#[derive(Clone, Debug)]
pub(crate) struct FakeBroker {
    shared: Arc<Shared>,
}

impl FakeBroker {
    pub(crate) fn start(script: Script) -> Self {
        Self::start_at("127.0.0.1:0", script)
    }

    pub(crate) fn start_at(address: &str, script: Script) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let shared = Arc::new(Shared {
            script,
            address: listener.local_addr().unwrap(),
            topics: Mutex::default(),
            batches: AtomicU64::new(0),
            producer_ids: AtomicU64::new(1000),
            produces: AtomicU64::new(0),
            fetches: AtomicU64::new(0),
            sessions: Mutex::default(),
            named: AtomicU64::new(0),
            served: AtomicU64::new(0),
            astray: AtomicU64::new(0),
            away: AtomicU64::new(0),
            withheld: Mutex::default(),
            answered: Mutex::default(),
            free_at: Mutex::default(),
            first_produce: Mutex::default(),
            codecs: AtomicU64::new(0),
            batches_at_deletion: Mutex::default(),
        });
        let broker = Self { shared };
        let accepting = broker.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let broker = accepting.clone();
                let away = &broker.shared.away;
                let left = away
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
                if left.is_err() {
                    thread::spawn(move || broker.serve(stream.unwrap()));
                }
            }
        });
        broker
    }

    pub(crate) fn address(&self) -> String {
        self.shared.address.to_string()
    }

    /// Serves metrics from now on, a flush for every produce, and an interval log of two stages. Gives the address.
    pub(crate) fn admin(&self) -> String {
        self.admin_at("127.0.0.1:0")
    }

    pub(crate) fn admin_at(&self, address: &str) -> String {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let broker = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // The whole question is read: a connection closed before that loses the answer.
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    asked.push(byte[0]);
                }
                let produces = broker.shared.produces.load(Ordering::Relaxed);
                let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
                if asked.starts_with(b"GET /latency.hlog?last=") {
                    stages(&mut answer, produces);
                } else {
                    let text = format!("ringwood_journal_flushes_total {produces}\n");
                    answer.extend(text.bytes());
                }
                stream.write_all(&answer).unwrap();
            }
        });
        address
    }

    /// How many batches came, and in how many requests.
    pub(crate) fn batches_and_requests(&self) -> (u64, u64) {
        let produces = self.shared.produces.load(Ordering::Relaxed);
        (self.shared.batches.load(Ordering::Relaxed), produces)
    }

    /// The median of the times in which the broker answered produces, by its own clock.
    pub(crate) fn median_answer(&self) -> Duration {
        let mut all = self.shared.answered.lock().unwrap().clone();
        all.sort_unstable();
        all[all.len() / 2]
    }

    /// How many batches came before the first topic was deleted; `None`: none was.
    pub(crate) fn batches_at_deletion(&self) -> Option<u64> {
        *self.shared.batches_at_deletion.lock().unwrap()
    }

    /// How many fetches came, how many partitions they named in all, and how many of these had records in the answers.
    pub(crate) fn fetches(&self) -> (u64, u64, u64) {
        let Shared { fetches, named, served, .. } = &*self.shared;
        let [fetches, named, served] =
            [fetches, named, served].map(|count| count.load(Ordering::Relaxed));
        (fetches, named, served)
    }

    /// How many fetches were for an offset that is not there.
    pub(crate) fn astray(&self) -> u64 {
        self.shared.astray.load(Ordering::Relaxed)
    }

    /// How many connections it is still to turn away.
    pub(crate) fn away(&self) -> u64 {
        self.shared.away.load(Ordering::Relaxed)
    }

    /// The sizes of the values that are stored.
    pub(crate) fn value_sizes(&self) -> BTreeSet<usize> {
        let topics = self.shared.topics.lock().unwrap();
        let mut sizes = BTreeSet::new();
        for (_, bytes) in topics.values().flatten().flat_map(|partition| &partition.batches) {
            batch::walk(&bytes[HEADER_BYTES..], |_, value| _ = sizes.insert(value.len())).unwrap();
        }
        sizes
    }

    /// Which codecs were seen, as bits by number.
    pub(crate) fn codecs(&self) -> u64 {
        self.shared.codecs.load(Ordering::Relaxed)
    }

    fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut out = stream.try_clone().unwrap();
        let (sender, answers) = mpsc::channel::<Answer>();
        let broker = self.clone();
        // Answers leave in order, each not before its time: requests behind one are read meanwhile.
        thread::spawn(move || {
            for Answer { at, bytes, produced } in answers {
                thread::sleep(at.saturating_duration_since(Instant::now()));
                if let Some(came) = produced {
                    broker.shared.answered.lock().unwrap().push(came.elapsed());
                }
                if out.write_all(&bytes).is_err() {
                    return;
                }
            }
            let _ = out.shutdown(std::net::Shutdown::Both);
        });
        let mut is_silent = false;
        let mut is_withheld = false;
        loop {
            let mut size = [0; 4];
            if stream.read_exact(&mut size).is_err() {
                return;
            }
            let mut frame = vec![0; u32::from_be_bytes(size) as usize];
            if stream.read_exact(&mut frame).is_err() {
                return;
            }
            let came = Instant::now();
            let mut request = Reader::new(&frame);
            let (key, version) = (request.i16().unwrap(), request.i16().unwrap());
            let correlation = request.i32().unwrap();
            request.nullable_string().unwrap();
            let Some(api) =
                Api::ALL.into_iter().find(|api| api.key_and_version() == (key, version))
            else {
                return;
            };
            let mut answer = Writer::new();
            answer.i32(0).i32(correlation);
            let at = match api {
                Api::Produce => match self.produce(request, &mut answer, came, &mut is_withheld) {
                    Produced::Answer(at, number) => {
                        is_silent |= self.shared.script.silent == Some(number);
                        at
                    }
                    Produced::Silence => continue,
                    Produced::HangUp => return,
                },
                Api::Fetch => {
                    let number = self.shared.fetches.fetch_add(1, Ordering::Relaxed);
                    is_silent |= self.shared.script.silent_fetch == Some(number);
                    self.fetch(request, &mut answer, number);
                    came
                }
                Api::ApiVersions
                | Api::Metadata
                | Api::CreateTopics
                | Api::DeleteTopics
                | Api::ListOffsets
                | Api::InitProducerId
                | Api::DescribeConfigs
                | Api::DescribeLogDirs => {
                    self.calm(api, request, &mut answer);
                    came
                }
            };
            if is_silent {
                continue;
            }
            let produced = matches!(api, Api::Produce).then_some(came);
            if sender.send(Answer { at, bytes: answer.finish(0), produced }).is_err() {
                return;
            }
        }
    }

    fn calm(&self, api: Api, mut request: Reader<'_>, answer: &mut Writer) {
        let mut topics = self.shared.topics.lock().unwrap();
        match api {
            Api::ApiVersions => {
                answer.i16(0).count(Api::ALL.len());
                for api in Api::ALL {
                    let (key, version) = api.key_and_version();
                    answer.i16(key).i16(0).i16(version);
                }
            }
            Api::Metadata => {
                answer.i32(0).count(1).i32(1).string("127.0.0.1");
                answer.i32(i32::from(self.shared.address.port())).null_string();
                answer.string("fake").i32(1);
                let count = request.count().unwrap();
                answer.count(count);
                for _ in 0..count {
                    let name = request.string().unwrap();
                    let partitions = topics.get(name).map_or(0, Vec::len);
                    answer.i16(if partitions == 0 { 3 } else { 0 }).string(name).i8(0);
                    answer.count(partitions);
                    for partition in 0..partitions {
                        answer.i16(0).i32(partition as i32).i32(1);
                        answer.count(1).i32(1).count(1).i32(1);
                    }
                }
            }
            Api::CreateTopics => {
                let count = request.count().unwrap();
                answer.i32(0).count(count);
                for _ in 0..count {
                    let name = request.string().unwrap();
                    let partitions = request.i32().unwrap() as usize;
                    request.i16().unwrap();
                    assert_eq!(request.count(), Ok(0), "assignments");
                    for _ in 0..request.count().unwrap() {
                        request.string().unwrap();
                        request.string().unwrap();
                    }
                    let made: Vec<Partition> =
                        std::iter::repeat_with(Partition::default).take(partitions).collect();
                    topics.insert(name.to_owned(), made);
                    answer.string(name).i16(0).null_string();
                }
            }
            Api::DeleteTopics => {
                let batches = self.shared.batches.load(Ordering::Relaxed);
                self.shared.batches_at_deletion.lock().unwrap().get_or_insert(batches);
                let count = request.count().unwrap();
                answer.i32(0).count(count);
                for _ in 0..count {
                    let name = request.string().unwrap();
                    topics.remove(name);
                    answer.string(name).i16(0);
                }
            }
            Api::ListOffsets => {
                request.i32().unwrap();
                let count = request.count().unwrap();
                answer.count(count);
                for _ in 0..count {
                    let name = request.string().unwrap();
                    let partitions = request.count().unwrap();
                    answer.string(name).count(partitions);
                    for _ in 0..partitions {
                        let partition = request.i32().unwrap();
                        let which = request.i64().unwrap();
                        let end =
                            topics[name][partition as usize].end(self.shared.script.end_hidden);
                        let start = self.log_start(partition);
                        answer.i32(partition).i16(0).i64(-1).i64(if which == -1 {
                            end
                        } else {
                            start
                        });
                    }
                }
            }
            Api::InitProducerId => {
                let id = self.shared.producer_ids.fetch_add(1, Ordering::Relaxed);
                answer.i32(0).i16(0).i64(id as i64).i16(0);
            }
            Api::DescribeConfigs => {
                answer.i32(0).count(1).i16(0).null_string().i8(4).string("1").count(1);
                answer.string("ringwood.version").string("0.0-fake").i8(1).i8(4).i8(0).count(0);
            }
            Api::DescribeLogDirs => {
                assert_eq!(request.count(), Ok(0), "topics");
                answer.i32(0).count(2).i16(56).string("/broken").count(0);
                answer.i16(0).string(env!("CARGO_TARGET_TMPDIR")).count(0);
            }
            Api::Produce | Api::Fetch => unreachable!("answered elsewhere"),
        }
    }

    /// The first offset of a partition of this number.
    fn log_start(&self, partition: i32) -> i64 {
        let deleted = self.shared.script.deleted;
        deleted.filter(|(of, _)| *of == partition).map_or(0, |(_, below)| below)
    }

    fn produce(
        &self,
        mut request: Reader<'_>,
        answer: &mut Writer,
        came: Instant,
        is_withheld: &mut bool,
    ) -> Produced {
        let script = &self.shared.script;
        let first = *self.shared.first_produce.lock().unwrap().get_or_insert(came);
        assert_eq!(request.nullable_string(), Ok(None), "transactional id");
        let acks = request.i16().unwrap();
        request.i32().unwrap();
        let count = request.count().unwrap();
        answer.count(count);
        for _ in 0..count {
            let topic = request.string().unwrap();
            let partitions = request.count().unwrap();
            answer.string(topic).count(partitions);
            for _ in 0..partitions {
                let partition = request.i32().unwrap();
                let bytes = request.bytes().unwrap();
                let number = self.shared.batches.fetch_add(1, Ordering::Relaxed);
                if script.hang_up == Some(number) {
                    return Produced::HangUp;
                }
                if let Some((_, connections)) = script.away.filter(|(first, _)| *first == number) {
                    self.shared.away.store(connections, Ordering::Relaxed);
                    return Produced::HangUp;
                }
                *is_withheld |= script.withhold == Some(number);
                let mut withheld = self.shared.withheld.lock().unwrap();
                if *is_withheld {
                    withheld.push((topic.to_owned(), partition, bytes.to_vec()));
                    continue;
                }
                for (topic, partition, bytes) in withheld.drain(..) {
                    self.append(&topic, partition, bytes, u64::MAX);
                }
                drop(withheld);
                let (error, base) = self.append(topic, partition, bytes.to_vec(), number);
                answer.i32(partition).i16(error).i64(base).i64(-1).i64(0);
            }
        }
        answer.i32(0);
        if acks == 0 || *is_withheld {
            return Produced::Silence;
        }
        let number = self.shared.produces.fetch_add(1, Ordering::Relaxed);
        let delay = match script.slow {
            Some((every, slow)) if number % every == every - 1 => slow,
            Some(_) | None => script.delay,
        };
        let mut free_at = self.shared.free_at.lock().unwrap();
        let at = (came + delay).max(free_at.unwrap_or(came) + script.each);
        *free_at = Some(at.max(came));
        drop(free_at);
        let at = match script.stall {
            Some((after, length)) if at >= first + after => at.max(first + after + length),
            Some(_) | None => at,
        };
        Produced::Answer(at, number)
    }

    fn append(&self, topic: &str, partition: i32, mut bytes: Vec<u8>, number: u64) -> (i16, i64) {
        let script = &self.shared.script;
        if let Some((_, code)) = script.refuse.filter(|(refused, _)| *refused == number) {
            return (code, -1);
        }
        if script.discard {
            return (0, 0);
        }
        let seen = batch::next(&mut bytes.as_slice()).unwrap().expect("a whole batch");
        assert!(seen.is_intact(), "batch {number} has a wrong CRC");
        assert_eq!(seen.base_offset, 0);
        assert!(seen.count > 0 && seen.last_offset == i64::from(seen.count) - 1);
        self.shared.codecs.fetch_or(1 << seen.codec(), Ordering::Relaxed);
        let count = seen.count;
        let mut topics = self.shared.topics.lock().unwrap();
        let Some(place) = topics.get_mut(topic).and_then(|t| t.get_mut(partition as usize)) else {
            return (3, -1);
        };
        let id = i64::from_be_bytes(bytes[43..51].try_into().unwrap());
        if id >= 0 {
            let sequence = i32::from_be_bytes(bytes[53..57].try_into().unwrap());
            let next = place.sequences.entry(id).or_insert(0);
            if sequence != *next {
                return (45, -1);
            }
            *next += count;
        }
        let base = place.end;
        if script.lose == Some(number) {
            return (0, base);
        }
        if script.swap == Some(number) {
            place.swapped = Some(bytes);
            // It will stand after the next one; the offset told is where it would have been.
            return (0, base);
        }
        if script.alter == Some(number) {
            let at = HEADER_BYTES + 60;
            bytes[at] ^= 0xff;
            let crc = crc32c::crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        if script.double == Some(number) {
            place.store(bytes.clone(), count);
        }
        place.store(bytes, count);
        if let Some(late) = place.swapped.take() {
            let count = i32::from_be_bytes(late[57..61].try_into().unwrap());
            place.store(late, count);
        }
        (0, base)
    }
}

/// Each produce took 3 ms, and as many fetches 1 ms.
fn stages(out: &mut Vec<u8>, produces: u64) {
    let line = |tag: &str, nanos| Counted {
        tag: tag.into(),
        start: Duration::ZERO,
        length: Duration::from_secs(1),
        counts: vec![(nanos, produces)],
    };
    let lines = [line("Produce.total", 3_000_000), line("Fetch.total", 1_000_000)];
    write_counted(out, SystemTime::UNIX_EPOCH, &[], lines).unwrap();
}

/// An answer on its way.
struct Answer {
    at: Instant,
    bytes: Vec<u8>,
    /// When the produce came that it answers.
    produced: Option<Instant>,
}

enum Produced {
    /// When, and the number of the produce.
    Answer(Instant, u64),
    Silence,
    HangUp,
}

impl Partition {
    /// Where it ended so long ago.
    fn end(&self, ago: Duration) -> i64 {
        let later = self.batches.iter().rev().take_while(|(at, _)| at.elapsed() < ago);
        later.last().map_or(self.end, |(_, bytes)| {
            batch::next(&mut bytes.as_slice()).unwrap().unwrap().base_offset
        })
    }

    fn store(&mut self, mut bytes: Vec<u8>, count: i32) {
        bytes[0..8].copy_from_slice(&self.end.to_be_bytes());
        self.end += i64::from(count);
        self.batches.push((Instant::now(), bytes));
    }
}
