use super::machine::{control_group_memory, machine_memory};
use super::*;

fn no_variables(_: &str) -> Option<String> {
    None
}

fn with_data() -> Said {
    Said { data: Some(PathBuf::from("/d")), ..Said::default() }
}

#[test]
fn nothing_said_listens_on_this_machine_only() {
    let c = NodeConfig::settle(with_data(), no_variables).unwrap();
    assert_eq!(c.listen.to_string(), "127.0.0.1:9092");
    assert_eq!(c.advertise, c.listen);
    assert!(c.listen.resolve().unwrap().ip().is_loopback());
}

#[test]
fn an_address_bound_everywhere_needs_another_to_advertise() {
    let said = Said { listen: Some("0.0.0.0:9092".into()), ..with_data() };
    let refused = NodeConfig::settle(said.clone(), no_variables).unwrap_err();
    assert!(refused.remedy.contains("--advertise"));
    let said = Said { advertise: Some("broker.example:9092".into()), ..said };
    assert!(NodeConfig::settle(said, no_variables).is_ok());
}

#[test]
fn what_is_nearer_wins() {
    let file = Said { node_id: Some(1), ring: Some("8MiB".into()), ..Said::default() };
    let flags = Said { node_id: Some(2), ..with_data() };
    let c = NodeConfig::settle(flags.over(file), no_variables).unwrap();
    assert_eq!((c.node_id, c.ring_bytes), (2, 8 << 20));
}

#[test]
fn cores_are_a_number_or_found() {
    let with = |cores: &str| Said { cores: Some(cores.into()), ..with_data() };
    assert_eq!(NodeConfig::settle(with("3"), no_variables).unwrap().cores, 3);
    assert!(NodeConfig::settle(with("auto"), no_variables).unwrap().cores >= 1);
    for wrong in ["0", "-1", "many", "257"] {
        assert!(NodeConfig::settle(with(wrong), no_variables).is_err(), "{wrong}");
    }
}

#[test]
fn the_series_of_metrics_have_a_bound() {
    let with = |n: &str| Said { metrics_series: Some(n.into()), ..with_data() };
    assert_eq!(NodeConfig::settle(with_data(), no_variables).unwrap().metrics_series, 20_000);
    assert_eq!(NodeConfig::settle(with("0"), no_variables).unwrap().metrics_series, 0);
    for wrong in ["-1", "many", "1000001"] {
        assert!(NodeConfig::settle(with(wrong), no_variables).is_err(), "{wrong}");
    }
}

#[test]
fn an_unknown_key_is_an_error_with_a_suggestion() {
    let e = Said::default().set("listener.lisen", "x".into()).unwrap_err();
    assert!(e.remedy.contains("listener.listen"), "{e:?}");
}

#[test]
fn a_container_s_memory_is_what_its_control_group_may_have() {
    let with = |files: &'static [(&'static str, &'static str)]| {
        control_group_memory(move |path| {
            let found = files.iter().find(|(p, _)| Path::new(p) == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    };
    assert_eq!(with(&[]), None);
    assert_eq!(
        with(&[("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", "max\n")]),
        None
    );
    assert_eq!(
        with(&[("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", "1073741824\n")]),
        Some(1 << 30)
    );
    // The unit's own limit, and a smaller one of the slice above it.
    assert_eq!(
        with(&[
            ("/proc/self/cgroup", "0::/system.slice/ringwood.service\n"),
            ("/sys/fs/cgroup/system.slice/ringwood.service/memory.max", "2147483648\n"),
            ("/sys/fs/cgroup/system.slice/memory.max", "536870912\n"),
        ]),
        Some(512 << 20)
    );
    // The first version, whose path is the host's: the container sees its own group as the root.
    assert_eq!(
        with(&[
            ("/proc/self/cgroup", "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n"),
        ]),
        Some(256 << 20)
    );
    assert_eq!(machine_memory(|_| Some("MemTotal:        2048 kB\n".into())), 2 << 20);
}

#[test]
fn sizes_have_binary_units() {
    assert_eq!(bytes("64MiB"), Some(64 << 20));
    assert_eq!(bytes("4096"), Some(4096));
    assert_eq!(bytes("3 parsecs"), None);
}

#[test]
fn the_reserve_is_a_fiftieth_of_a_large_file_system_unless_it_is_said() {
    let said = |reserve: Option<&str>| {
        let reserve = reserve.map(str::to_owned);
        NodeConfig::settle(Said { reserve, ..with_data() }, no_variables).unwrap()
    };
    let gib = 1 << 30;
    assert_eq!(said(None).reserve_of(0), gib, "a file system that does not say its size");
    assert_eq!(said(None).reserve_of(50 * gib), gib);
    assert_eq!(said(None).reserve_of(1000 * gib), 20 * gib);
    assert_eq!(said(Some("0")).reserve_of(1000 * gib), 0);
    assert_eq!(said(Some("16MiB")).reserve_of(1000 * gib), 16 << 20);
}
