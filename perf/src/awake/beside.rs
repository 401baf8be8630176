//! Whether a broker that was there before has its processors all the same.
//!
//! The idle class gives way within one group of the scheduler. Where two groups (control groups, or sessions where the kernel makes
//! groups of them) want a processor they share it as groups, and one that has nothing to run but a thread of the idle class has as
//! much of it as any other. A broker that we start is in our group. One that is named need not be.

use std::{
    fs,
    net::{SocketAddr, ToSocketAddrs},
};

use crate::{
    failure::Failure,
    machine::{is_local, listening_on},
    own::parse_cores,
};

/// Whether all brokers on this machine have what they want of these processors beside threads of the idle class.
pub(super) fn all_are_given_way<'a>(
    addresses: impl Iterator<Item = &'a String>,
    cores: &[usize],
) -> Result<(), Failure> {
    let own = Place::of("self");
    for address in addresses {
        // What is no address is nobody's here; to connect to it fails later, and says so.
        let places: Vec<SocketAddr> =
            address.to_socket_addrs().map(Iterator::collect).unwrap_or_default();
        if !places.iter().any(|place| is_local(place.ip())) {
            continue;
        }
        let refused = |why: &str| {
            Err(Failure::Usage(format!(
                "--keep-awake: the broker at {address} {why}; keep it and this program to processors of their own (taskset)"
            )))
        };
        let Some(pid) = places.into_iter().find_map(listening_on) else {
            return refused("is on this machine, and its process is not ours to look at");
        };
        if !own.gives_way_to(&Place::of(&pid.to_string()), cores) {
            return refused(
                "may want the same processors, and is in another control group or session, to which no class gives way",
            );
        }
    }
    Ok(())
}

/// Where a process is scheduled.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// Its control groups, of those hierarchies that may divide processors.
    groups: Vec<String>,
    /// Its session's group, where the kernel makes one of each.
    session: String,
    /// The processors that it may use. `None`: that cannot be told.
    cores: Option<Vec<usize>>,
}

impl Place {
    /// `process`: its number, or `self`.
    fn of(process: &str) -> Self {
        let read =
            |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        let sessions = fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled");
        let makes_groups = sessions.is_ok_and(|enabled| enabled.trim() == "1");
        let session = if makes_groups { read("autogroup") } else { String::new() };
        Self::parse(&read("cgroup"), &session, &read("status"))
    }

    /// From what the kernel tells in `cgroup`, `autogroup` and `status`.
    fn parse(cgroup: &str, autogroup: &str, status: &str) -> Self {
        let group = |line: &str| -> Option<String> {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let divides = controllers.is_empty() || controllers.split(',').any(|c| c == "cpu");
            divides.then(|| path.to_owned())
        };
        let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        Self {
            groups: cgroup.lines().filter_map(group).collect(),
            session: autogroup.split_whitespace().next().unwrap_or_default().to_owned(),
            cores: cores.and_then(|cores| parse_cores(cores.trim()).ok()),
        }
    }

    /// Whether a thread of the idle class here, on these processors, takes nothing from the other.
    fn gives_way_to(&self, other: &Self, cores: &[usize]) -> bool {
        let is_apart = other.cores.as_ref().is_some_and(|o| !o.iter().any(|c| cores.contains(c)));
        is_apart || (self.groups == other.groups && self.session == other.session)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn nothing_is_taken_from_whoever_is_in_the_same_group_or_on_other_processors() {
        let place = |group: &str, session: &str, cores: &str| {
            let cgroup = format!("4:memory:/m{cores}\n2:cpu,cpuacct:/a\n0::{group}\n");
            let status = format!("Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t{cores}\n");
            Place::parse(&cgroup, &format!("/autogroup-{session} nice 0\n"), &status)
        };
        let own = place("/user", "1", "0-3");
        assert_eq!(own.groups, ["/a", "/user"]);
        assert_eq!(
            (own.session.as_str(), own.cores.as_deref()),
            ("/autogroup-1", Some(&[0, 1, 2, 3][..]))
        );
        assert!(own.gives_way_to(&place("/user", "1", "0-1"), &[0, 1, 2, 3]));
        assert!(!own.gives_way_to(&place("/service", "1", "0-1"), &[0, 1, 2, 3]));
        assert!(!own.gives_way_to(&place("/user", "2", "0-1"), &[1]));
        assert!(own.gives_way_to(&place("/service", "2", "0-1"), &[2, 3]));
        // Of whom nothing is known everything may be.
        assert!(!own.gives_way_to(&Place::parse("", "", ""), &[0]));
    }

    #[test]
    fn a_broker_of_our_own_group_is_found_and_one_of_another_machine_passed_over() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap().to_string();
        // An address for documents: nobody has it.
        let there = "192.0.2.1:9092".to_owned();
        assert_eq!(all_are_given_way([&here, &there].into_iter(), &[0]), Ok(()));
        // Where nobody listens nobody is known.
        let nobody = "127.0.0.1:1".to_owned();
        let refused = all_are_given_way([&here, &nobody].into_iter(), &[0]).unwrap_err();
        assert!(refused.to_string().contains("127.0.0.1:1 is on this machine"), "{refused}");
    }
}
