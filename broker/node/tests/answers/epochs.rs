//! OffsetForLeaderEpoch across restarts. "Unknown" makes every client start over by its reset policy, with `latest` behind
//! records that it has not read; so it may be said only of epochs that are still to come.

use crate::asking::{ask, name, produce, ringwood};
use crate::broker::{Broker, fresh};
use std::net::TcpStream;

/// Where epochs end that the leader does not know: (epoch, end).
const UNKNOWN: (i32, i64) = (-1, -1);

/// OffsetForLeaderEpoch 4, as a client asks it of partition 0 without knowing the present epoch.
fn end_of(to: &mut TcpStream, topic: &str, epoch: i32) -> (i32, i64) {
    let mut body = vec![0xff, 0xff, 0xff, 0xff, 2];
    body.extend(name(topic));
    body.extend([2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    body.extend(epoch.to_be_bytes());
    body.extend([0, 0, 0]);
    let answer = ask(to, 23, 4, &body);
    let a = &answer[4 + 1 + name(topic).len() + 1..];
    assert_eq!(a[..6], [0, 0, 0, 0, 0, 0], "no error, partition 0");
    let epoch = i32::from_be_bytes(a[6..10].try_into().unwrap());
    (epoch, i64::from_be_bytes(a[10..18].try_into().unwrap()))
}

#[test]
fn an_epoch_whose_records_are_gone_is_known_after_restarts() {
    let data = fresh("answers-epochs");
    let first = Broker::serving(&data);
    let mut to = first.connect();
    let address = to.peer_addr().unwrap().to_string();
    ringwood(&address, &["topic", "create", "bare", "read", "kept", "--partitions", "1"]);
    // All of it is read, and purged.
    produce(&mut to, "read", &[1000; 100]);
    ringwood(&address, &["topic", "trim", "read", "--before", "end"]);
    produce(&mut to, "kept", &[1000; 7]);
    let ends = ["bare", "read", "kept"].map(|topic| end_of(&mut to, topic, 0));
    assert_eq!(ends, [(0, 0), (0, 100), (0, 7)]);
    drop(first);

    // Nobody has written in the second epoch yet.
    let second = Broker::serving(&data);
    let mut to = second.connect();
    let now =
        |to: &mut TcpStream, epoch| ["bare", "read", "kept"].map(|topic| end_of(to, topic, epoch));
    assert_eq!(now(&mut to, 0), [(0, 0), (0, 100), (0, 7)]);
    assert_eq!(now(&mut to, 1), [(1, 0), (1, 100), (1, 7)]);
    assert_eq!(now(&mut to, 2), [UNKNOWN; 3]);
    assert_eq!(now(&mut to, -1), [UNKNOWN; 3]);

    // Now the first records of the second epoch stand where those of the first would begin or end.
    for topic in ["bare", "read", "kept"] {
        produce(&mut to, topic, &[1000; 10]);
    }
    assert_eq!(now(&mut to, 0), [(0, 0), (0, 100), (0, 7)]);
    assert_eq!(now(&mut to, 1), [(1, 10), (1, 110), (1, 17)]);
    assert_eq!(now(&mut to, 2), [UNKNOWN; 3]);
    drop(second);

    // The second epoch's records go too; the third leaves none, the fourth writes.
    let third = Broker::serving(&data);
    let address = third.connect().peer_addr().unwrap().to_string();
    for topic in ["bare", "read", "kept"] {
        ringwood(&address, &["topic", "trim", topic, "--before", "end"]);
    }
    drop(third);
    let fourth = Broker::serving(&data);
    let mut to = fourth.connect();
    for topic in ["bare", "read", "kept"] {
        produce(&mut to, topic, &[1000]);
    }
    for epoch in 0..3 {
        assert_eq!(now(&mut to, epoch), [(epoch, 10), (epoch, 110), (epoch, 17)], "{epoch}");
    }
    assert_eq!(now(&mut to, 3), [(3, 11), (3, 111), (3, 18)]);
    assert_eq!(now(&mut to, 4), [UNKNOWN; 3]);
}
