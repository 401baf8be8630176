//! `ringwood cluster`, `version`, `perf`.

use super::broker::{Broker, ringwood};

#[test]
fn the_cluster_and_its_brokers_are_shown() {
    let broker = Broker::start();
    broker.run(&["topic", "create", "t", "-p", "4"]).ok();
    let info = broker.run(&["cluster", "info"]).ok();
    for line in ["controller\t1", "brokers\t1", "topics\t1", "partitions\t4"] {
        assert!(info.lines().any(|l| l == line), "no `{line}` in {info}");
    }
    let json = broker.run(&["cluster", "info", "--json"]).ok();
    assert!(json.contains(r#""controller":1,"brokers":1,"topics":1,"partitions":4"#), "{json}");
    let brokers = broker.run(&["cluster", "brokers"]).ok();
    assert_eq!(brokers, format!("1\t127.0.0.1\t{}\t-\tcontroller\n", broker.port));
    let json = broker.run(&["cluster", "brokers", "--json"]).ok();
    assert!(json.contains(r#""rack":null,"controller":true,"fenced":false"#), "{json}");
    // The flag wins over the environment, and an address that answers over one that does not.
    let both = format!("127.0.0.1:1,{}", broker.address());
    broker.run(&["cluster", "brokers", "-b", &both]).ok();
    broker.run(&["cluster", "brokers", "-b", "127.0.0.1:1"]).fails(4, &["127.0.0.1:1"]);
}

#[test]
fn what_needs_no_broker_works_without_one() {
    let version = format!("ringwood {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(ringwood(&["version"], b"").ok(), version);
    assert_eq!(ringwood(&["--version"], b"").ok(), version);
    let help = ringwood(&["--help"], b"").ok();
    for command in ["start", "topic", "produce", "consume", "config", "cluster", "perf", "generate"]
    {
        assert!(help.contains(command), "{command}");
    }
    let perf = ringwood(&["perf", "--help"], b"").ok();
    assert!(perf.contains("quick") && perf.contains("compare"), "{perf}");
    assert_eq!(ringwood(&["perf", "show", "/no/such/run"], b"").code, 1);
}

#[test]
fn what_answers_is_not_always_a_broker() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        // Until the client hangs up.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let ran = ringwood(&["topic", "list", "-b", &at], b"");
    ran.fails(4, &["does not answer like a Kafka broker"]);
    server.join().unwrap();
}
