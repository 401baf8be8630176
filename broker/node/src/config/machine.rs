//! What the machine has, and what of it this process may have.

use std::path::Path;

/// Memory that this process may have: the machine's, or what its control group leaves of it.
pub(super) fn memory_of_this_process() -> u64 {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    machine_memory(read).min(control_group_memory(read).unwrap_or(u64::MAX))
}

/// The smallest limit of the process's control group and of those above it, of both versions; `None` if there is none. In a
/// container the group's own path may not be there: the root that is mounted is then the container's.
pub(super) fn control_group_memory(read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let mut least: Option<u64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (root, file) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|c| c == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        for above in Path::new(group).ancestors() {
            let dir = Path::new(root).join(above.strip_prefix("/").unwrap_or(above));
            // "max" is no limit; the other version says a number that no machine has.
            let limit = read(&dir.join(file)).and_then(|text| text.trim().parse().ok());
            least = least.into_iter().chain(limit).min();
        }
    }
    least
}

/// Memory of the machine, as the kernel says it.
pub(super) fn machine_memory(read: impl Fn(&Path) -> Option<String>) -> u64 {
    let text = read(Path::new("/proc/meminfo")).unwrap_or_default();
    let kib = text.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    let kib = kib.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(4 << 20) * 1024
}

/// Processors that this process may use: its affinity, and the quota of its control group.
pub(super) fn processors() -> u16 {
    let allowed = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u16::try_from(allowed).unwrap_or(u16::MAX)
}
