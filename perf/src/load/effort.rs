//! How hard a worker thread worked during the measured part of the run.

use rustix::time::{ClockId, clock_gettime};

use super::window::Window;

/// What one thread used between the window's begin and end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Effort {
    /// CPU seconds.
    pub(super) cpu: f64,
    /// Seconds in which it could have run and had no core.
    pub(super) waited: f64,
    /// Seconds of wall clock.
    pub(super) wall: f64,
    /// It goes before other work on its core.
    pub(super) goes_first: bool,
}

impl Effort {
    /// CPU share, between 0 and 1.
    pub(super) fn busy(&self) -> f64 {
        if self.wall > 0.0 { self.cpu / self.wall } else { 0.0 }
    }

    /// Share of the time without a core, between 0 and 1.
    pub(super) fn starved(&self) -> f64 {
        if self.wall > 0.0 { self.waited / self.wall } else { 0.0 }
    }
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: u64,
    cpu: f64,
    waited: f64,
}

/// Reads the calling thread's counters at the right moments.
#[derive(Debug, Default)]
pub(super) struct EffortMeter {
    first: Option<Reading>,
    last: Option<Reading>,
}

impl EffortMeter {
    /// To be called often, with the time: takes a reading when the window begins and when it ends.
    pub(super) fn tick(&mut self, now: u64, window: &Window) {
        if self.first.is_none() && now >= window.begin() {
            self.first = Some(read(now));
        }
        if self.last.is_none() && now >= window.end() {
            self.last = Some(read(now));
        }
    }

    pub(super) fn effort(&self) -> Effort {
        let (Some(first), Some(last)) = (self.first, self.last) else { return Effort::default() };
        Effort {
            cpu: last.cpu - first.cpu,
            waited: last.waited - first.waited,
            wall: last.at.saturating_sub(first.at) as f64 / 1e9,
            goes_first: false,
        }
    }
}

fn read(at: u64) -> Reading {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // The second number is the nanoseconds spent runnable on a queue; absent where the kernel does not count them.
    let waited = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or(0);
    Reading { at, cpu: time.tv_sec as f64 + time.tv_nsec as f64 / 1e9, waited: waited as f64 / 1e9 }
}

/// Wakes the calling thread when it asked to be woken: the kernel's default slack of 50 us would count as the broker's latency.
pub(super) fn wake_on_time() {
    #[cfg(target_os = "linux")]
    {
        // Refused, the thread wakes as late as any other; the self-check tells whether that was too late.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
}

/// Lets the calling thread go before other work on its core when its time has come: a schedule that waits for a core measures the
/// scheduler. A nice value does not do: a thread that runs keeps its core for a slice of about 3 ms, whoever is nicer. `false`:
/// refused, as it is to all but root; the self-check tells whether that mattered.
pub(super) fn go_first() -> bool {
    use thread_priority::{
        RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    // The lowest of the real-time priorities goes before everything ordinary, and after all that the system itself runs so.
    let fifo = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, fifo).is_ok()
}
