//! Scripted dialogues with the coordinator, and what it answered.
//!
//! Each file in `tests/stories` is a conversation: commands, a line `----`, and the golden trace of their answers and
//! records. `UPDATE_STORIES=1 cargo test -p ringwood-coordinator --test stories` writes the traces anew; read the
//! difference before keeping it.
//!
//! Records stand behind `>`, one for each batch. They are appended and committed after every command, unless a story says `hold`; then `flush` commits what waits
//! and `fail` refuses the oldest batch. `restart` forgets everything but the committed log. Member ids end in a counter.
#![expect(clippy::unwrap_used, reason = "a broken story should stop here and say where")]

use coordinator::{
    Append, AppendFailure, CommitPartition, CommitTopic, Config, Coordinator, Heartbeat, JoinGroup,
    JoinGroupResponse, LeaveGroup, LeavingMember, Now, OffsetCommit, OffsetDelete, OffsetFetch,
    Outcome, Record, Replayed, Response, SyncGroup, Ticket, TxnOffsetCommit,
};
use ids::{Instant, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp};
use ringwood_coordinator as coordinator;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wire::internal::Prefixed;
use wire::internal::consumer_protocol::ConsumerProtocolSubscription;
use wire::internal::group_metadata::{GroupMetadataKey, GroupMetadataValue};
use wire::internal::offset_commit::{OffsetCommitKey, OffsetCommitValue};

#[test]
#[expect(clippy::disallowed_methods, reason = "the traces are files of this test")]
fn stories() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let update = std::env::var_os("UPDATE_STORIES").is_some();
    let mut wrong = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let told = tell(&text);
        if told == text {
            continue;
        }
        if update {
            std::fs::write(file, told).unwrap();
        } else {
            wrong.push(format!("{}: now told as\n{told}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Tells a story again: the same commands, with what is answered now.
fn tell(text: &str) -> String {
    let mut scene = Scene::new();
    let mut out = String::new();
    for block in text.split_inclusive("\n\n") {
        let (commands, _) = block.split_once("----\n").unwrap_or((block, ""));
        if commands.lines().all(|line| line.is_empty() || line.starts_with('#')) {
            out.push_str(block);
            continue;
        }
        let commands = commands.trim_end();
        out.push_str(commands);
        out.push_str("\n----\n");
        for command in commands.lines().filter(|line| !line.starts_with('#')) {
            scene.act(command);
        }
        out.push_str(&std::mem::take(&mut scene.trace));
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

struct Scene {
    config: Config,
    coordinator: Coordinator,
    now: Now,
    fresh: u32,
    /// What is committed.
    log: Vec<Logged>,
    /// Appended, not committed.
    held: VecDeque<Append>,
    hold: bool,
    /// Who waits, in the words of the command.
    waiting: BTreeMap<Ticket, String>,
    trace: String,
}

enum Logged {
    Record(Record, Option<ProducerId>),
    Marker(ProducerId, bool),
}

/// A command's words: names, and settings `key=value`.
struct Words<'a> {
    names: Vec<&'a str>,
    settings: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.settings.iter().find(|(k, _)| *k == key).map(|(_, value)| *value)
    }

    fn number(&self, key: &str, default: i32) -> i32 {
        self.get(key).map_or(default, |v| v.parse().unwrap())
    }

    /// Settings whose key is a partition, `topic/0`.
    fn partitions(&self) -> Vec<(&'a str, PartitionIndex, &'a str)> {
        let split = |(key, value): &(&'a str, &'a str)| {
            key.split_once('/').map(|(t, p)| (t, PartitionIndex(p.parse().unwrap()), *value))
        };
        self.settings.iter().filter_map(split).collect()
    }

    /// Names that are partitions.
    fn partition_names(&self) -> Vec<(&'a str, Vec<PartitionIndex>)> {
        let split = |name: &&'a str| {
            name.split_once('/').map(|(t, p)| (t, vec![PartitionIndex(p.parse().unwrap())]))
        };
        self.names.iter().filter_map(split).collect()
    }
}

impl Scene {
    fn new() -> Self {
        let config = Config::default();
        // Long ago, or relative times would be negative.
        let now = Now { instant: Instant(1_000_000_000_000), wall: Timestamp(1_000_000) };
        let mut coordinator = Coordinator::new(config.clone());
        coordinator.start(now);
        Self {
            config,
            coordinator,
            now,
            fresh: 0,
            log: Vec::new(),
            held: VecDeque::new(),
            hold: false,
            waiting: BTreeMap::new(),
            trace: String::new(),
        }
    }

    fn act(&mut self, command: &str) {
        let mut parts = command.split(' ');
        let verb = parts.next().unwrap();
        let (settings, names): (Vec<&str>, Vec<&str>) = parts.partition(|w| w.contains('='));
        let settings = settings.into_iter().map(|w| w.split_once('=').unwrap()).collect();
        let words = Words { names, settings };
        match verb {
            "config" => self.configure(&words),
            "join" => self.join(&words),
            "sync" => self.sync(&words),
            "beat" => {
                let request = Heartbeat {
                    group_id: words.names.first().unwrap_or(&""),
                    generation_id: words.number("gen", -1),
                    member_id: words.get("id").unwrap_or(""),
                    group_instance_id: words.get("instance"),
                };
                let code = self.coordinator.heartbeat(request, self.now);
                self.say(&format!("{code}"));
            }
            "leave" => self.leave(&words),
            "commit" => self.commit(&words),
            "fetch" => self.fetch(&words),
            "delete-offsets" => {
                let topics = words.partition_names();
                let request = OffsetDelete { group_id: words.names.first().unwrap_or(&""), topics };
                match self.coordinator.offset_delete(&request, self.now) {
                    Outcome::Ready(r) => self.say_response("", &r.into()),
                    Outcome::Parked(ticket) => self.wait(ticket, "delete-offsets"),
                }
            }
            "delete" => match self.coordinator.delete_groups(&words.names, self.now) {
                Outcome::Ready(r) => self.say_response("", &r.into()),
                Outcome::Parked(ticket) => self.wait(ticket, "delete"),
            },
            "delete-topics" => self.coordinator.on_topics_deleted(&words.names, self.now),
            "describe" => self.describe(words.names[0]),
            "list" => {
                let filter = |key| words.get(key).map_or(Vec::new(), |v| v.split(',').collect());
                for group in self.coordinator.list_groups(&filter("states"), &filter("types")) {
                    self.say(&format!(
                        "{:?} type {:?} {}",
                        group.group_id,
                        group.protocol_type,
                        group.state.name()
                    ));
                }
            }
            "wait" => self.pass(words.names[0].parse().unwrap()),
            // A marker goes into the log: `end 7 commit`.
            "end" => {
                let producer = ProducerId(words.names[0].parse().unwrap());
                let at = Offset(i64::try_from(self.log.len()).unwrap());
                let committed = words.names[1] == "commit";
                self.log.push(Logged::Marker(producer, committed));
                self.coordinator.on_transaction_end(producer, at, committed);
            }
            "hold" => self.hold = true,
            "flush" => {
                self.hold = false;
                self.drain();
            }
            "fail" => {
                let why = match words.names[0] {
                    "too_large" => AppendFailure::TooLarge,
                    "unavailable" => AppendFailure::Unavailable,
                    "not_leader" => AppendFailure::NotLeader,
                    other => panic!("no failure {other}"),
                };
                let append = self.held.pop_front().unwrap();
                self.coordinator.on_append_failed(append.batch, why, self.now);
            }
            "abandon" => self.coordinator.abandon(wire::ErrorCode::NOT_COORDINATOR),
            "restart" => self.restart(),
            other => panic!("no verb {other}"),
        }
        self.drain();
    }

    fn configure(&mut self, words: &Words<'_>) {
        for (key, value) in &words.settings {
            let n: i64 = value.parse().unwrap();
            let size = usize::try_from(n).unwrap();
            match *key {
                "max_size" => self.config.group_max_size = size,
                "pending" => self.config.pending_members_max = size,
                "delay" => {
                    self.config.group_initial_rebalance_delay_ms = u32::try_from(n).unwrap();
                }
                "metadata" => self.config.offset_metadata_max_bytes = size,
                "retention" => self.config.offsets_retention_ms = n,
                "batch" => self.config.batch_bytes_max = size,
                other => panic!("no setting {other}"),
            }
        }
        self.coordinator.configure(self.config.clone());
    }

    fn join(&mut self, words: &Words<'_>) {
        self.fresh += 1;
        let fresh = self.fresh.to_string();
        let version = words.number("v", 9);
        let protocols = words.get("protocols").unwrap_or("range:x").split(',');
        let protocols: Vec<(&str, Vec<u8>)> = protocols
            .filter_map(|p| p.split_once(':'))
            .map(|(name, metadata)| (name, metadata_bytes(metadata)))
            .collect();
        let request = JoinGroup {
            group_id: words.names.first().unwrap_or(&""),
            member_id: words.get("id").unwrap_or(""),
            group_instance_id: words.get("instance"),
            client_id: words.get("client").unwrap_or("c"),
            client_host: "/1.2.3.4",
            session_timeout_ms: words.number("session", 10_000),
            rebalance_timeout_ms: words.number("rebalance", 60_000),
            protocol_type: words.get("type").unwrap_or("consumer"),
            protocols: protocols
                .iter()
                .map(|(name, metadata)| (*name, metadata.as_slice()))
                .collect(),
            needs_member_id: version >= 4,
            can_skip_assignment: version >= 9,
        };
        let who = words.get("id").or(words.get("instance")).or(words.get("client")).unwrap_or("c");
        match self.coordinator.join_group(&request, &fresh, self.now) {
            Outcome::Ready(r) => self.say_response("", &r.into()),
            Outcome::Parked(ticket) => self.wait(ticket, &format!("join {who}")),
        }
    }

    fn sync(&mut self, words: &Words<'_>) {
        let assigned = words.get("assign").unwrap_or("").split(',');
        let request = SyncGroup {
            group_id: words.names.first().unwrap_or(&""),
            generation_id: words.number("gen", -1),
            member_id: words.get("id").unwrap_or(""),
            group_instance_id: words.get("instance"),
            protocol_type: words.get("type"),
            protocol_name: words.get("protocol"),
            assignments: assigned
                .filter_map(|a| a.split_once(':'))
                .map(|(id, bytes)| (id, bytes.as_bytes()))
                .collect(),
        };
        match self.coordinator.sync_group(&request, self.now) {
            Outcome::Ready(r) => self.say_response("", &r.into()),
            Outcome::Parked(ticket) => {
                self.wait(ticket, &format!("sync {}", request.member_id));
            }
        }
    }

    /// `leave g a b instance:c a/instance:c`
    fn leave(&mut self, words: &Words<'_>) {
        let leaving = |name: &&'_ str| -> (String, Option<String>) {
            match name.split_once("instance:") {
                Some((id, instance)) => {
                    (id.trim_end_matches('/').to_owned(), Some(instance.to_owned()))
                }
                None => ((*name).to_owned(), None),
            }
        };
        let who: Vec<_> = words.names.iter().skip(1).map(leaving).collect();
        let members = who
            .iter()
            .map(|(id, i)| LeavingMember { member_id: id, group_instance_id: i.as_deref() })
            .collect();
        let request = LeaveGroup { group_id: words.names.first().unwrap_or(&""), members };
        match self.coordinator.leave_group(&request, self.now) {
            Outcome::Ready(r) => self.say_response("", &r.into()),
            Outcome::Parked(ticket) => self.wait(ticket, "leave"),
        }
    }

    fn commit(&mut self, words: &Words<'_>) {
        let metadata = words.get("meta").unwrap_or("");
        let topics = words
            .partitions()
            .into_iter()
            .map(|(name, partition, offset)| CommitTopic {
                name,
                partitions: vec![CommitPartition {
                    partition,
                    offset: Offset(offset.parse().unwrap()),
                    leader_epoch: LeaderEpoch(words.number("epoch", -1)),
                    metadata,
                }],
            })
            .collect();
        let request = OffsetCommit {
            group_id: words.names.first().unwrap_or(&""),
            generation_id: words.number("gen", -1),
            member_id: words.get("id").unwrap_or(""),
            group_instance_id: words.get("instance"),
            retention_ms: words.get("retention").map(|v| v.parse().unwrap()),
            topics,
            knows_group_id_not_found: words.number("v", 9) >= 9,
        };
        let outcome = match words.get("producer") {
            None => self.coordinator.offset_commit(&request, self.now),
            Some(id) => {
                let producer_id = ProducerId(id.parse().unwrap());
                let producer_epoch = ProducerEpoch(0);
                let request = TxnOffsetCommit { commit: request, producer_id, producer_epoch };
                self.coordinator.txn_offset_commit(&request, self.now)
            }
        };
        match outcome {
            Outcome::Ready(r) => self.say_response("", &r.into()),
            Outcome::Parked(ticket) => self.wait(ticket, "commit"),
        }
    }

    fn fetch(&mut self, words: &Words<'_>) {
        let wanted = words.partition_names();
        let topics = if wanted.is_empty() { None } else { Some(wanted) };
        let request = OffsetFetch {
            group_id: words.names.first().unwrap_or(&""),
            topics,
            require_stable: words.names.contains(&"stable"),
            member: None,
        };
        let topics = self.coordinator.offset_fetch(&request);
        if topics.is_empty() {
            self.say("no offsets");
        }
        for topic in topics {
            for p in topic.partitions {
                self.say(&format!(
                    "{}/{} {} epoch {} {:?} {}",
                    topic.name, p.partition, p.offset, p.leader_epoch, p.metadata, p.error_code
                ));
            }
        }
    }

    fn describe(&mut self, group_id: &str) {
        let Some(group) = self.coordinator.describe_group(group_id) else {
            return self.say("no such group");
        };
        self.say(&format!("{} {:?} {:?}", group.state, group.protocol_type, group.protocol));
        for m in group.members {
            let instance = m.group_instance_id.map_or(String::new(), |i| format!(" ({i})"));
            self.say(&format!(
                "  {}{instance} {} {} {:?} gets {:?}",
                m.member_id,
                m.client_id,
                m.client_host,
                text(&m.metadata),
                text(&m.assignment)
            ));
        }
    }

    /// Lets milliseconds pass, from deadline to deadline.
    fn pass(&mut self, ms: u64) {
        let end = self.now.instant + Duration::from_millis(ms);
        while let Some(at) = self.coordinator.next_deadline()
            && at <= end
        {
            let passed = at.since(self.now.instant);
            self.now.wall = self.now.wall + i64::try_from(passed.as_millis()).unwrap();
            self.now.instant = self.now.instant.max(at);
            self.coordinator.on_tick(self.now);
            assert!(self.coordinator.next_deadline() > Some(self.now.instant), "nothing is due");
            let before = self.trace.len();
            self.drain();
            if self.trace.len() > before {
                let left = end.since(self.now.instant).as_millis();
                let after = u128::from(ms) - left;
                self.trace.insert_str(before, &format!("after {after} ms:\n"));
            }
        }
        let passed = end.since(self.now.instant);
        self.now.wall = self.now.wall + i64::try_from(passed.as_millis()).unwrap();
        self.now.instant = end;
    }

    fn restart(&mut self) {
        self.coordinator = Coordinator::new(self.config.clone());
        self.waiting.clear();
        self.held.clear();
        self.hold = false;
        for (at, logged) in self.log.iter().enumerate() {
            let at = Offset(i64::try_from(at).unwrap());
            match logged {
                Logged::Record(record, producer) => {
                    let (key, value) = (&record.key, record.value.as_deref());
                    let record = Replayed { at, producer: *producer, key, value };
                    self.coordinator.replay(record).unwrap();
                }
                Logged::Marker(producer, committed) => {
                    self.coordinator.on_transaction_end(*producer, at, *committed);
                }
            }
        }
        self.coordinator.start(self.now);
    }

    fn wait(&mut self, ticket: Ticket, who: &str) {
        self.say(&format!("{who} waits"));
        self.waiting.insert(ticket, who.to_owned());
    }

    /// Appends what there is to append, commits it if nothing is held, and reports the answers.
    fn drain(&mut self) {
        loop {
            let mut idle = true;
            while let Some(append) = self.coordinator.poll_append() {
                idle = false;
                for (i, record) in append.records.iter().enumerate() {
                    let mark = match (i, append.producer) {
                        (0, None) => ">".to_owned(),
                        (0, Some((id, _))) => format!("> in a transaction of {id}:"),
                        _ => " ".to_owned(),
                    };
                    let line = format!("{mark} {}", told(record));
                    self.say(&line);
                }
                self.held.push_back(append);
            }
            if !self.hold {
                while let Some(append) = self.held.pop_front() {
                    idle = false;
                    let producer = append.producer.map(|(id, _)| id);
                    let records = append.records.into_iter();
                    self.log.extend(records.map(|record| Logged::Record(record, producer)));
                    let end = Offset(i64::try_from(self.log.len()).unwrap());
                    self.coordinator.on_appended(append.batch, end);
                    self.coordinator.on_committed(end, self.now);
                }
            }
            while let Some(answer) = self.coordinator.poll_answer() {
                let who = self.waiting.remove(&answer.ticket).expect("somebody waits for it");
                self.say_response(&format!("{who}: "), &answer.response);
            }
            if idle {
                return;
            }
        }
    }

    fn say(&mut self, line: &str) {
        self.trace.push_str(line);
        self.trace.push('\n');
    }

    fn say_response(&mut self, who: &str, response: &Response) {
        let line = match response {
            Response::JoinGroup(r) => joined(r),
            Response::SyncGroup(r) if r.error_code.is_none() => format!(
                "{} of {}/{}",
                format_args!("{:?}", text(&r.assignment)),
                r.protocol_type.as_deref().unwrap_or("null"),
                r.protocol_name.as_deref().unwrap_or("null")
            ),
            Response::SyncGroup(r) => r.error_code.to_string(),
            Response::LeaveGroup(r) => {
                let mut line = r.error_code.to_string();
                for m in &r.members {
                    let instance = m.group_instance_id.as_deref().unwrap_or("-");
                    write!(line, ", {:?} {instance} {}", m.member_id, m.error_code).unwrap();
                }
                line
            }
            Response::OffsetCommit(r) => partitions(&r.topics),
            Response::OffsetDelete(r) => format!("{} {}", r.error_code, partitions(&r.topics)),
            Response::ConsumerGroupHeartbeat(r) => r.error_code.to_string(),
            Response::DeleteGroups(r) => {
                let groups = r.groups.iter().map(|g| format!("{} {}", g.group_id, g.error_code));
                groups.collect::<Vec<_>>().join(", ")
            }
        };
        self.say(&format!("{who}{line}"));
    }
}

fn joined(r: &JoinGroupResponse) -> String {
    if r.error_code.is_error() {
        return format!("{} member {:?}", r.error_code, r.member_id);
    }
    let mut line = format!(
        "member {} of generation {} {}/{} led by {}",
        r.member_id,
        r.generation_id,
        r.protocol_type.as_deref().unwrap_or("null"),
        r.protocol_name.as_deref().unwrap_or("null"),
        r.leader
    );
    if r.skip_assignment {
        line.push_str(", nothing to assign");
    }
    for m in &r.members {
        let instance = m.group_instance_id.as_ref().map_or(String::new(), |i| format!(" ({i})"));
        write!(line, ", {}{instance} {:?}", m.member_id, text(&m.metadata)).unwrap();
    }
    line
}

fn partitions(topics: &[coordinator::CommittedTopic]) -> String {
    let one = |t: &coordinator::CommittedTopic| {
        let name = t.name.clone();
        t.partitions
            .iter()
            .map(|p| format!("{name}/{} {}", p.partition, p.error_code))
            .collect::<Vec<_>>()
    };
    topics.iter().flat_map(one).collect::<Vec<_>>().join(", ")
}

/// A record in words.
fn told(record: &Record) -> String {
    let value = record.value.as_deref();
    if let Ok((_, key)) = GroupMetadataKey::decode_prefixed(&record.key) {
        let Some(value) = value else { return format!("group {:?} is no more", key.group) };
        let (version, value) = GroupMetadataValue::decode_prefixed(value).unwrap();
        let mut line = format!(
            "group {:?} v{version} generation {} {:?}/{} led by {} since {}",
            key.group,
            value.generation,
            value.protocol_type,
            value.protocol.unwrap_or("null"),
            value.leader.unwrap_or("null"),
            value.current_state_timestamp
        );
        for m in value.members {
            let instance = m.group_instance_id.map_or(String::new(), |i| format!(" ({i})"));
            let (said, gets) = (text(m.subscription), text(m.assignment));
            write!(line, ", {}{instance} {said:?} gets {gets:?}", m.member_id).unwrap();
        }
        return line;
    }
    let (_, key) = OffsetCommitKey::decode_prefixed(&record.key).unwrap();
    let place = format!("{:?} {}/{}", key.group, key.topic, key.partition);
    let Some(value) = value else { return format!("offset {place} is no more") };
    let (version, v) = OffsetCommitValue::decode_prefixed(value).unwrap();
    format!(
        "offset {place} v{version} is {} epoch {} {:?} at {} until {}",
        v.offset, v.leader_epoch, v.metadata, v.commit_timestamp, v.expire_timestamp
    )
}

/// `@t+u` is what a consumer of the topics t and u says about itself; anything else is opaque.
fn metadata_bytes(text: &str) -> Vec<u8> {
    let Some(topics) = text.strip_prefix('@') else { return text.as_bytes().to_vec() };
    let topics = topics.split('+').collect();
    let said = ConsumerProtocolSubscription { topics, ..Default::default() };
    let mut bytes = Vec::new();
    said.encode_prefixed(1, &mut bytes).unwrap();
    bytes
}

fn text(bytes: &[u8]) -> String {
    if let Ok((_, said)) = ConsumerProtocolSubscription::decode_prefixed(bytes) {
        return format!("@{}", said.topics.join("+"));
    }
    String::from_utf8_lossy(bytes).into_owned()
}
