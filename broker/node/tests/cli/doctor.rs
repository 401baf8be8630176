//! `ringwood doctor`: each prerequisite, what is wrong with it, and what to do.

use super::broker::ringwood;
use std::net::TcpListener;
use std::path::PathBuf;

const EVERYTHING: [&str; 9] = [
    "kernel",
    "io_uring",
    "locked memory",
    "open files",
    "data directory",
    "direct I/O",
    "free space",
    "Kafka port",
    "admin port",
];

/// The line of a prerequisite, and the one behind it.
fn of<'a>(said: &'a str, name: &str) -> (&'a str, &'a str) {
    let mut lines = said.lines();
    let line = lines.by_ref().find(|line| line[6..].starts_with(&format!("{name}: ")));
    (line.unwrap_or_else(|| panic!("no {name} in {said}")), lines.next().unwrap_or_default())
}

fn free() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[test]
fn doctor_names_what_stands_in_the_way_and_leaves_nothing() {
    let data = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("d{}", std::process::id()));
    std::fs::create_dir_all(&data).unwrap();
    let words = |data: &str, kafka: &str, admin: &str| {
        ringwood(&["doctor", "--data", data, "--listen", kafka, "--admin", admin], b"")
    };
    let ((kafka, listen), (admin, metrics)) = (free(), free());
    drop((kafka, admin));
    let good = words(data.to_str().unwrap(), &listen, &metrics);
    for name in EVERYTHING {
        let (line, remedy) = of(&good.out, name);
        // What it finds of this machine is either good, or there is something to do about it.
        assert!(line.starts_with("ok    ") || remedy.starts_with("      try: "), "{}", good.out);
    }
    for name in ["data directory", "Kafka port", "admin port"] {
        assert!(of(&good.out, name).0.starts_with("ok    "), "{}", good.out);
    }
    let most = ["doctor", "--reserve", "9000000GiB", "--listen", &listen, "--admin", &metrics];
    let full = ringwood(&[&most[..], &["--data", data.to_str().unwrap()]].concat(), b"");
    let (line, remedy) = of(&full.out, "free space");
    assert!(line.starts_with("warn  ") && line.ends_with("writes are refused"), "{line}");
    assert!(remedy.contains("--reserve"), "{remedy}");
    let fails = good.out.lines().filter(|line| line.starts_with("FAIL")).count();
    assert_eq!(good.code, i32::from(fails > 0), "{}", good.out);
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "its probes are gone");

    let (_held, taken) = free();
    let bad = words("/proc/no-place-for-data", &taken, &metrics);
    assert_eq!(bad.code, 1, "{bad:?}");
    let (line, remedy) = of(&bad.out, "data directory");
    assert!(line.starts_with("FAIL  ") && line.contains("/proc cannot be written"), "{line}");
    assert!(remedy.contains("--data"), "{remedy}");
    let (line, remedy) = of(&bad.out, "Kafka port");
    assert!(line.starts_with("FAIL  ") && line.contains(&taken), "{line}");
    assert!(remedy.contains("choose another"), "{remedy}");
    assert!(of(&bad.out, "admin port").0.starts_with("ok    "), "the other port is free");
    std::fs::remove_dir_all(&data).unwrap();
}
