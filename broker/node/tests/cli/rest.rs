//! REST on the admin address: every path of the OpenAPI file, refusals, and the commands of docs/rest.md.

use super::broker::Broker;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

/// Status and body.
type Answer = (u16, Value);

/// Asks as plainly as can be: one request, one connection.
fn ask(broker: &Broker, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let text = body.map(Value::to_string);
    raw(broker, method, path, text.as_deref().map(|t| ("application/json", t)))
}

fn raw(broker: &Broker, method: &str, path: &str, body: Option<(&str, &str)>) -> Answer {
    let address = broker.admin_address();
    let mut stream = TcpStream::connect(&address).unwrap();
    let (head, body) = match body {
        None => (String::new(), ""),
        Some((kind, text)) => {
            (format!("content-type: {kind}\r\ncontent-length: {}\r\n", text.len()), text)
        }
    };
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{head}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    // A server that refuses a large body closes before it has read all of it.
    let _ = stream.write_all(body.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = body.trim();
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body:?}"))
    };
    (status, body)
}

fn cluster(broker: &Broker) -> String {
    // The Kafka port may be open a moment before this one has somebody to ask.
    let deadline = Instant::now() + Duration::from_secs(10);
    let (status, list) = loop {
        let answer = ask(broker, "GET", "/v3/clusters", None);
        if answer.0 != 503 || Instant::now() > deadline {
            break answer;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!((status, &list["kind"]), (200, &json!("KafkaClusterList")));
    let id = list["data"][0]["cluster_id"].as_str().unwrap().to_owned();
    let (status, one) = ask(broker, "GET", &format!("/v3/clusters/{id}"), None);
    assert_eq!((status, one), (200, list["data"][0].clone()));
    id
}

#[test]
fn a_topic_lives_and_dies_over_rest() {
    let broker = Broker::start();
    let topics = format!("/v3/clusters/{}/topics", cluster(&broker));
    let new = json!({
        "topic_name": "t", "partitions_count": 2, "replication_factor": 1,
        "configs": [{"name": "retention.ms", "value": "60000"}],
    });
    let (status, created) = ask(&broker, "POST", &topics, Some(&new));
    assert_eq!(status, 201, "{created}");
    assert_eq!(created["kind"], "KafkaTopic");
    assert_eq!(
        (&created["partitions_count"], &created["replication_factor"]),
        (&json!(2), &json!(1))
    );
    // The Kafka API sees the same topic, and REST sees what the Kafka API makes.
    assert_eq!(broker.run(&["topic", "list"]).ok(), "t\t2\t1\n");
    broker.run(&["topic", "create", "u.v"]).ok();
    let (_, list) = ask(&broker, "GET", &topics, None);
    let names: Vec<_> = list["data"].as_array().unwrap().iter().map(|t| &t["topic_name"]).collect();
    assert_eq!(names, ["t", "u.v"]);
    // Links lead where they say.
    let at = list["data"][0]["metadata"]["self"].as_str().unwrap();
    let path = at.split_once("/v3/").unwrap().1;
    let (status, one) = ask(&broker, "GET", &format!("/v3/{path}"), None);
    assert_eq!((status, &one), (200, &list["data"][0]));

    let topic = format!("{topics}/t");
    let (status, more) = ask(&broker, "PATCH", &topic, Some(&json!({"partitions_count": 4})));
    assert_eq!((status, &more["partitions_count"]), (200, &json!(4)));
    let (_, partitions) = ask(&broker, "GET", &format!("{topic}/partitions"), None);
    let ids: Vec<_> =
        partitions["data"].as_array().unwrap().iter().map(|p| &p["partition_id"]).collect();
    assert_eq!(ids, [0, 1, 2, 3]);
    let (_, one) = ask(&broker, "GET", &format!("{topic}/partitions/3"), None);
    assert_eq!(one, partitions["data"][3]);
    let (_, replicas) = ask(&broker, "GET", &format!("{topic}/partitions/3/replicas"), None);
    assert_eq!(replicas["data"][0]["is_leader"], true);
    assert_eq!(replicas["data"][0]["broker_id"], 1);
    let (status, one) = ask(&broker, "GET", &format!("{topic}/partitions/3/replicas/1"), None);
    assert_eq!((status, &one), (200, &replicas["data"][0]));

    let (status, _) = ask(&broker, "DELETE", &topic, None);
    assert_eq!(status, 204);
    assert_eq!(ask(&broker, "GET", &topic, None).0, 404);
    assert_eq!(broker.run(&["topic", "list"]).ok(), "u.v\t1\t1\n");
}

/// The fields that Confluent's v3 requires of a resource, and where its links lead, below the cluster.
const CLUSTER: &[&str] = &["kind", "metadata", "cluster_id"];
const OF_CLUSTER: &[(&str, &str)] = &[
    ("controller", "/brokers/1"),
    ("acls", "/acls"),
    ("brokers", "/brokers"),
    ("broker_configs", "/broker-configs"),
    ("consumer_groups", "/consumer-groups"),
    ("topics", "/topics"),
    ("partition_reassignments", "/topics/-/partitions/-/reassignment"),
];
const TOPIC: &[&str] = &[
    "kind",
    "metadata",
    "cluster_id",
    "topic_name",
    "is_internal",
    "replication_factor",
    "partitions_count",
];
const OF_TOPIC: &[(&str, &str)] = &[
    ("partitions", "/topics/t/partitions"),
    ("configs", "/topics/t/configs"),
    ("partition_reassignments", "/topics/t/partitions/-/reassignment"),
];
const PARTITION: &[&str] = &["kind", "metadata", "cluster_id", "topic_name", "partition_id"];
const OF_PARTITION: &[(&str, &str)] = &[
    ("leader", "/topics/t/partitions/0/replicas/1"),
    ("replicas", "/topics/t/partitions/0/replicas"),
    ("reassignment", "/topics/t/partitions/0/reassignment"),
];
const REPLICA: &[&str] = &[
    "kind",
    "metadata",
    "cluster_id",
    "topic_name",
    "partition_id",
    "broker_id",
    "is_leader",
    "is_in_sync",
];
const OF_REPLICA: &[(&str, &str)] = &[("broker", "/brokers/1")];

#[test]
fn answers_have_the_fields_and_links_of_v3() {
    let broker = Broker::start();
    let cluster = format!("/v3/clusters/{}", cluster(&broker));
    broker.run(&["topic", "create", "t"]).ok();
    let at = format!("http://{}{cluster}", broker.admin_address());
    for (path, fields, links) in [
        ("", CLUSTER, OF_CLUSTER),
        ("/topics/t", TOPIC, OF_TOPIC),
        ("/topics/t/partitions/0", PARTITION, OF_PARTITION),
        ("/topics/t/partitions/0/replicas/1", REPLICA, OF_REPLICA),
    ] {
        let (status, got) = ask(&broker, "GET", &format!("{cluster}{path}"), None);
        assert_eq!(status, 200, "{path}: {got}");
        let mut expected: Vec<&str> = fields.to_vec();
        expected.extend(links.iter().map(|(name, _)| name));
        expected.sort_unstable();
        let mut names: Vec<&str> = got.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, expected, "{path}");
        for field in fields {
            assert!(!got[field].is_null(), "{path}: {field}");
        }
        for (name, to) in links {
            assert_eq!(got[name], json!({ "related": format!("{at}{to}") }), "{path}: {name}");
        }
    }
}

#[test]
fn configurations_are_read_set_and_unset_over_rest() {
    let broker = Broker::start();
    let topic = format!("/v3/clusters/{}/topics/t", cluster(&broker));
    broker.run(&["topic", "create", "t"]).ok();
    let key = format!("{topic}/configs/retention.ms");
    let (status, before) = ask(&broker, "GET", &key, None);
    assert_eq!((status, &before["is_default"]), (200, &json!(true)));
    assert_eq!(ask(&broker, "PUT", &key, Some(&json!({"value": "60000"}))).0, 204);
    let (_, after) = ask(&broker, "GET", &key, None);
    assert_eq!(
        (&after["value"], &after["source"]),
        (&json!("60000"), &json!("DYNAMIC_TOPIC_CONFIG"))
    );
    assert_eq!(after["synonyms"][0]["value"], "60000");
    assert_eq!(broker.run(&["config", "get", "topic/t", "retention.ms"]).ok(), "60000\n");
    let changes = json!({"data": [
        {"name": "retention.ms", "operation": "DELETE"},
        {"name": "cleanup.policy", "value": "compact"},
    ]});
    assert_eq!(ask(&broker, "POST", &format!("{topic}/configs:alter"), Some(&changes)).0, 204);
    assert_eq!(broker.run(&["config", "list", "topic/t"]).ok(), "cleanup.policy\tcompact\ttopic\n");
    assert_eq!(ask(&broker, "DELETE", &format!("{topic}/configs/cleanup.policy"), None).0, 204);
    assert_eq!(broker.run(&["config", "list", "topic/t"]).ok(), "");
    let (_, all) = ask(&broker, "GET", &format!("{topic}/configs"), None);
    assert!(all["data"].as_array().unwrap().len() > 20);
    // All or none.
    let half = json!({"data": [
        {"name": "retention.ms", "value": "1"},
        {"name": "retention.sm", "value": "1"},
    ]});
    let (status, error) = ask(&broker, "POST", &format!("{topic}/configs:alter"), Some(&half));
    assert_eq!((status, &error["error_code"]), (400, &json!(40002)), "{error}");
    assert_eq!(broker.run(&["config", "list", "topic/t"]).ok(), "");
}

#[test]
fn what_cannot_be_done_is_refused_with_a_number_and_words() {
    let broker = Broker::start();
    let topics = format!("/v3/clusters/{}/topics", cluster(&broker));
    let refused = |(status, body): Answer, expected: (u16, u64), word: &str| {
        assert_eq!((status, body["error_code"].as_u64()), (expected.0, Some(expected.1)), "{body}");
        let message = body["message"].as_str().unwrap();
        assert!(message.contains(word), "no `{word}` in {message}");
    };
    let new =
        |name: &str, partitions: i64| json!({"topic_name": name, "partitions_count": partitions});
    assert_eq!(ask(&broker, "POST", &topics, Some(&new("t", 1))).0, 201);
    let post = |body: &Value| ask(&broker, "POST", &topics, Some(body));
    refused(post(&new("t", 1)), (400, 40002), "TOPIC_ALREADY_EXISTS");
    refused(post(&new("a/b", 1)), (400, 40002), "INVALID_TOPIC");
    refused(post(&new("n", 0)), (400, 40002), "INVALID_PARTITIONS");
    refused(
        post(&json!({"topic_name": "n", "replication_factor": 3})),
        (400, 40002),
        "REPLICATION",
    );
    let bad = json!({"topic_name": "n", "configs": [{"name": "retention.ms", "value": "soon"}]});
    refused(post(&bad), (400, 40002), "INVALID_CONFIG");
    refused(post(&json!({"topic_nmae": "n"})), (400, 400), "topic_nmae");
    refused(post(&json!([])), (400, 400), "the body cannot be read");
    refused(raw(&broker, "POST", &topics, Some(("application/json", "{"))), (400, 400), "EOF");
    let plain = raw(&broker, "POST", &topics, Some(("text/plain", "{\"topic_name\":\"n\"}")));
    refused(plain, (415, 415), "application/json");
    let large = format!("{{\"topic_name\":\"{}\"}}", "n".repeat(300 << 10));
    refused(raw(&broker, "POST", &topics, Some(("application/json", &large))), (413, 413), "");
    assert_eq!(post(&json!({"topic_name": "n", "validate_only": true})).0, 204);

    let get = |path: &str| ask(&broker, "GET", path, None);
    refused(get("/v3/clusters/other/topics"), (404, 404), "other");
    refused(get("/v3/nothing"), (404, 404), "openapi");
    refused(get(&format!("{topics}/n")), (404, 40403), "UNKNOWN_TOPIC");
    refused(get(&format!("{topics}/n/configs")), (404, 40403), "UNKNOWN_TOPIC");
    refused(get(&format!("{topics}/t/partitions/7")), (404, 40403), "partition 7");
    refused(get(&format!("{topics}/t/partitions/x")), (400, 400), "x");
    refused(get(&format!("{topics}/t/partitions/0/replicas/9")), (404, 404), "broker 9");
    refused(get(&format!("{topics}/t/partitions/0/replicas/x")), (400, 400), "x");
    refused(get(&format!("{topics}/t/partitions/0/reassignment")), (404, 404), "openapi");
    refused(get(&format!("{topics}/t/configs/nope")), (404, 404), "nope");
    refused(ask(&broker, "DELETE", &format!("{topics}/n"), None), (404, 40403), "UNKNOWN_TOPIC");
    let fewer =
        ask(&broker, "PATCH", &format!("{topics}/t"), Some(&json!({"partitions_count": 1})));
    refused(fewer, (400, 40002), "INVALID_PARTITIONS");
    let gone = format!("{topics}/n/configs/retention.ms");
    refused(
        ask(&broker, "PUT", &gone, Some(&json!({"value": "1"}))),
        (404, 40403),
        "UNKNOWN_TOPIC",
    );
    refused(ask(&broker, "PATCH", &topics, None), (405, 405), "method");
    assert_eq!(broker.run(&["topic", "list"]).ok(), "t\t1\t1\n");
}

#[test]
fn every_method_of_the_openapi_file_is_served() {
    let broker = Broker::start();
    let id = cluster(&broker);
    broker.run(&["topic", "create", "t"]).ok();
    let (status, file) = ask(&broker, "GET", "/v3/openapi.json", None);
    assert_eq!(status, 200);
    let paths = file["paths"].as_object().unwrap();
    assert!(paths.len() > 10);
    for (path, item) in paths {
        let filled = path
            .replace("{cluster}", &id)
            .replace("{topic}", "t")
            .replace("{partition}", "0")
            .replace("{broker}", "1")
            .replace("{name}", "retention.ms");
        for method in ["get", "post", "put", "patch", "delete"] {
            let described = item.get(method).is_some();
            if method == "delete" && path.ends_with("/{topic}") {
                // It would take the topic away from the others.
                assert!(described);
                continue;
            }
            let (status, body) = ask(&broker, &method.to_uppercase(), &filled, None);
            let served = status != 405;
            assert_eq!(served, described, "{method} {path}: {status} {body}");
            if described && method == "get" {
                assert_eq!(status, 200, "{path}: {body}");
                conforms(&file, &body, item);
            }
        }
    }
}

/// The answer has exactly the fields of its schema.
fn conforms(file: &Value, body: &Value, item: &Value) {
    let schema = &item["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
    let Some(name) = schema.as_str().and_then(|r| r.rsplit('/').next()) else { return };
    let described = file["components"]["schemas"][name]["properties"].as_object().unwrap();
    let fields: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(fields, described.keys().collect::<Vec<_>>(), "{name}");
}

#[test]
fn the_commands_of_the_document_work() {
    let broker = Broker::start();
    let id = cluster(&broker);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rest.md");
    let text = std::fs::read_to_string(path).unwrap();
    let blocks: Vec<&str> =
        text.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    assert_eq!(blocks.len(), 4);
    for block in blocks {
        assert!(block.starts_with("curl "));
        let script = block.replace("127.0.0.1:9644", &broker.admin_address());
        let done = Command::new("sh")
            .args(["-e", "-c", &script])
            .env("CLUSTER", &id)
            .output()
            .expect("a shell");
        let err = String::from_utf8_lossy(&done.stderr);
        assert!(
            done.status.success(),
            "curl is needed, and the commands must work: {block}\n{err}"
        );
        let out = String::from_utf8_lossy(&done.stdout);
        if block.contains("partitions_count\": 6") {
            assert!(out.contains("\"partitions_count\":6") && out.contains("\"2097152\""), "{out}");
        }
    }
    assert_eq!(broker.run(&["topic", "list"]).ok(), "");
}
