//! Finding the brokers, and what is none.

use crate::fake::Fake;
use crate::{client, config};
use ringwood_client::{Client, ClientConfig, ClientError};
use std::net::TcpListener;
use std::time::Duration;

#[test]
fn versions_are_agreed_with_brokers_of_any_age() {
    for (newest, asked) in [(4, 1), (3, 2), (2, 2), (0, 2)] {
        let fake = Fake::start();
        fake.state().api_versions_max = newest;
        let client = client(&fake);
        assert_eq!(client.metadata().cluster_id.as_deref(), Some("fake"));
        assert_eq!(fake.state().requests["api_versions"], asked, "newest {newest}");
    }
}

#[test]
fn an_address_where_nobody_listens_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    match Client::connect(std::slice::from_ref(&address), config()) {
        Err(ClientError::Connect { address: named, .. }) => assert_eq!(named, address),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_second_bootstrap_address_serves_when_the_first_does_not() {
    let fake = Fake::start();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    Client::connect(&[dead.to_string(), fake.address()], config()).unwrap();
}

#[test]
fn a_broker_that_says_nothing_is_given_up_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = ClientConfig { request_timeout: Duration::from_millis(100), ..config() };
    match Client::connect(&[address], config) {
        Err(ClientError::TimedOut { .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_broker_is_found_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        // The client hangs up.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    match Client::connect(&[address], config()) {
        Err(ClientError::Protocol { error, .. }) => {
            assert!(error.to_string().contains("the limit is"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}
