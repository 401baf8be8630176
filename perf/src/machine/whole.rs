//! What the machine as a whole was doing: time of its cores, and pages that it keeps of files.
//!
//! A process's own seconds and memory leave out what the kernel does later in its name: pages that it wrote are flushed by threads of
//! the kernel, and kept in memory that counts for nobody.

/// A reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Whole {
    /// Seconds that each core has been busy since the machine started.
    busy: Vec<f64>,
    /// Bytes of files in memory.
    cached: u64,
}

/// What came between two readings.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Meanwhile {
    /// Seconds that each core was busy, whoever kept it so.
    pub busy: Vec<f64>,
    /// Bytes by which the page cache grew; negative where it shrank.
    pub cached: i64,
}

impl Whole {
    /// Reads them now. What the system does not tell stays empty.
    #[must_use]
    pub fn now() -> Self {
        Self::parse(&super::text("/proc/stat"), &super::text("/proc/meminfo"))
    }

    fn parse(stat: &str, memory: &str) -> Self {
        let tick = 1.0 / rustix::param::clock_ticks_per_second().max(1) as f64;
        let mut busy = Vec::new();
        for line in stat.lines() {
            let Some((name, fields)) = line.split_once(' ') else { continue };
            let Some(core) = name.strip_prefix("cpu").and_then(|n| n.parse::<usize>().ok()) else {
                continue;
            };
            // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
            let ticks: Vec<u64> =
                fields.split_ascii_whitespace().take(8).filter_map(|f| f.parse().ok()).collect();
            let all: u64 = ticks.iter().sum();
            // Neither idle, nor waiting for a device, nor taken by the host.
            let not: u64 = [3, 4, 7].iter().filter_map(|at| ticks.get(*at)).sum();
            if busy.len() <= core && core < 1 << 16 {
                busy.resize(core + 1, 0.0);
            }
            if let Some(place) = busy.get_mut(core) {
                *place = all.saturating_sub(not) as f64 * tick;
            }
        }
        let kib = |name: &str| -> u64 {
            let line = memory.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        Self { busy, cached: (kib("Cached:") + kib("Buffers:")) * 1024 }
    }

    /// What has come since.
    #[must_use]
    pub fn since(&self, before: &Self) -> Meanwhile {
        let pairs = self.busy.iter().zip(&before.busy);
        Meanwhile {
            busy: pairs.map(|(after, before)| (after - before).max(0.0)).collect(),
            cached: self.cached as i64 - before.cached as i64,
        }
    }
}

impl Meanwhile {
    /// Busy seconds of these cores together; `None`: one of them was not read.
    #[must_use]
    pub fn busy_on(&self, cores: &[usize]) -> Option<f64> {
        cores.iter().map(|core| self.busy.get(*core).copied()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn idle_waiting_and_stolen_time_is_not_busy() {
        let ticks = rustix::param::clock_ticks_per_second();
        let stat = |user: u64, idle: u64| {
            let (user, idle) = (user * ticks, idle * ticks);
            format!(
                "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 {user} 0 0 {idle} {idle} 0 0 {idle} 0 0\ncpu1 0 0 {user} 0 0 {user} 0 0 7 7\nintr 1\n"
            )
        };
        let memory = |kib: u64| format!("MemFree: 1 kB\nBuffers: 1 kB\nCached:  {kib} kB\n");
        let before = Whole::parse(&stat(1, 1), &memory(10));
        let after = Whole::parse(&stat(4, 90), &memory(4));
        let meanwhile = after.since(&before);
        assert_eq!(meanwhile, Meanwhile { busy: vec![3.0, 6.0], cached: -6 * 1024 });
        assert_eq!(meanwhile.busy_on(&[0, 1]), Some(9.0));
        assert_eq!(meanwhile.busy_on(&[2]), None);
        assert_eq!(Whole::parse("", ""), Whole::default());
    }

    #[test]
    fn a_thread_that_spins_is_seen() {
        if !cfg!(target_os = "linux") {
            return;
        }
        let before = Whole::now();
        let until = Instant::now() + Duration::from_millis(300);
        while Instant::now() < until {}
        let busy: f64 = Whole::now().since(&before).busy.iter().sum();
        assert!(busy > 0.0 && !before.busy.is_empty(), "{busy}");
    }
}
