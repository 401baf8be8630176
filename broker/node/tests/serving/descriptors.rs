//! A broker that has no descriptor left: it goes on with the connections that it has, and with everything when some are free
//! again.

use crate::broker::{Broker, fresh};
use crate::line::Line;
use crate::requests::{
    CREATE_TOPICS, METADATA, PRODUCE, batch, create, created, known, metadata, produce, produced,
};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};
use wire::ErrorCode;

const DESCRIPTORS: usize = 80;

#[test]
fn without_descriptors_it_serves_whom_it_has_and_with_them_everybody() {
    let options = ["--ring", "1MiB", "--memory", "32MiB", "--cores", "1"];
    let mut broker = Broker::with_descriptors(&fresh("descriptors"), &options, DESCRIPTORS);
    let mut line = Line::to(&broker);
    assert_eq!(created(&line.ask(CREATE_TOPICS, &create("t"))), ErrorCode::NONE);
    let large = batch(&vec![b'x'; 200 << 10]);
    assert_eq!(produced(&line.ask(PRODUCE, &produce("t", &large))), ErrorCode::NONE);

    // They say nothing, and take what there is.
    let mut silent: Vec<TcpStream> = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    while broker.descriptors() < DESCRIPTORS {
        assert!(Instant::now() < deadline, "{} descriptors are taken", broker.descriptors());
        silent.push(broker.connect_to_admin());
        sleep(Duration::from_millis(5));
    }

    // Who is connected is served; whoever comes waits.
    assert_eq!(known(&line.ask(METADATA, &metadata("t"))), (ErrorCode::NONE, 1));
    let small = batch(b"one");
    assert_eq!(produced(&line.ask(PRODUCE, &produce("t", &small))), ErrorCode::NONE);
    let mut late = Line::to(&broker);
    late.put(METADATA, &metadata("t"));
    late.send();
    assert!(late.answer_within(Duration::from_millis(700)).is_none(), "there was a descriptor");
    // More than the ring holds: it must go to segments, for which there are no descriptors.
    const MANY: usize = 20;
    for _ in 0..MANY {
        line.put(PRODUCE, &produce("t", &large));
    }
    line.send();
    sleep(Duration::from_secs(1));
    assert!(broker.is_alive(), "it ended for want of descriptors");

    drop(silent);
    for n in 0..MANY {
        assert_eq!(produced(&line.answer()), ErrorCode::NONE, "batch {n}");
    }
    assert_eq!(known(&late.answer()), (ErrorCode::NONE, 1));
    let mut new = Line::to(&broker);
    assert_eq!(known(&new.ask(METADATA, &metadata("t"))), (ErrorCode::NONE, 1));
    assert!(broker.is_alive());
}
