//! Why a target was missed, in words, from what was measured beside it: who was at a limit under that load. It is a direction to look into,
//! and no measurement of a cause.

use super::targets::{COPIES, COPIES_OUT, Light};
use super::{Figure, median};

/// From this share of what there is on, somebody is at a limit.
const FULL: f64 = 0.85;

/// From this share of the broker's processor time on, it is the kernel's part that counts.
const MOSTLY: f64 = 0.5;

/// What was measured under a load on a broker of so many cores, and what it points to.
pub(super) fn of(what: &str, cores: u32, all: &[Figure], light: Option<Light>) -> String {
    let of = |f: fn(&Figure) -> f64| median(all.iter().map(f).collect());
    if what == COPIES {
        return format!(
            "{:.2} into tails, {:.2} into commits, {:.2} of received requests before they were one",
            of(|f| f.copied[0]),
            of(|f| f.copied[1]),
            of(|f| f.copied[2])
        );
    }
    if what == COPIES_OUT {
        return "the table of user-space copies below has both loads".to_owned();
    }
    let written = of(|f| f.own * f.bytes);
    let seen = Seen {
        client: of(|f| f.client),
        device: light.map_or(f64::NAN, |light| written / light.device),
        busy: of(|f| f.busy) / f64::from(cores),
        kernel: of(|f| f.kernel),
    };
    format!(
        "the broker used {} of its processors, {} of that the kernel's, {:.2} CPU s/GB; it wrote {:.0} MB/s, {} of what the device takes in flushed writes of 1 MiB, \
         with {:.0} flushes/s; the client's busiest thread wanted a processor {} of the time. It points to {}",
        percent(seen.busy),
        percent(seen.kernel),
        of(|f| f.cpu),
        written / 1e6,
        percent(seen.device),
        of(|f| f.flushes),
        percent(seen.client),
        seen.points_to()
    )
}

/// Shares of what there is, between 0 and 1; not a number where nobody knows.
struct Seen {
    /// Of a processor, which the client's busiest thread wanted.
    client: f64,
    /// Of what the device takes.
    device: f64,
    /// Of the processors of the broker's cores.
    busy: f64,
    /// Of what the broker used of them.
    kernel: f64,
}

impl Seen {
    fn points_to(&self) -> &'static str {
        if self.client >= FULL {
            return "the client, which had no more to give: the broker may take more";
        }
        if self.device >= FULL {
            return "the device: fewer bytes written for each that is taken";
        }
        match (self.busy >= FULL, self.kernel >= MOSTLY) {
            (true, true) => {
                "the kernel's part of the broker's work: fewer calls and copies of it for each byte, larger requests and commits"
            }
            (true, false) => "the broker's own work for each byte (--profile names it)",
            (false, _) => {
                "waiting, as nobody was at a limit: for flushes, and for turns between client and broker"
            }
        }
    }
}

fn percent(share: f64) -> String {
    if share.is_nan() { "an unknown part".to_owned() } else { format!("{:.0} %", share * 100.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prove::figures::targets::SHARE;

    /// 500 MB/s on a device of 2 GB/s, every byte written twice; two cores that have one to do.
    fn calm() -> Figure {
        Figure {
            bytes: 5e8,
            own: 2.0,
            busy: 1.0,
            kernel: 0.7,
            cpu: 2.0,
            flushes: 900.0,
            client: 0.6,
            copied: [1.0, 1.0, 0.25],
            ..Figure::default()
        }
    }

    #[test]
    fn a_miss_says_who_was_at_a_limit() {
        let light = Some(Light { device: 2e9, loopback: 3e9 });
        let told = |figure: &Figure| of(SHARE, 2, std::slice::from_ref(figure), light);
        let waiting = told(&calm());
        for said in [
            "the broker used 50 % of its processors, 70 % of that the kernel's, 2.00 CPU s/GB;",
            "it wrote 1000 MB/s, 50 % of what the device takes",
            "900 flushes/s; the client's busiest thread wanted a processor 60 % of the time.",
        ] {
            assert!(waiting.contains(said), "{said}: {waiting}");
        }
        assert!(waiting.contains("points to waiting"), "{waiting}");
        assert!(told(&Figure { busy: 1.9, ..calm() }).contains("points to the kernel's part"));
        let own = Figure { busy: 1.9, kernel: 0.3, ..calm() };
        assert!(told(&own).contains("points to the broker's own work"));
        assert!(told(&Figure { own: 3.6, ..calm() }).contains("points to the device"));
        assert!(told(&Figure { client: 0.9, ..own }).contains("points to the client"));
    }

    #[test]
    fn what_nobody_knows_points_nowhere() {
        let untold = Figure { client: f64::NAN, kernel: f64::NAN, ..calm() };
        let words = of(SHARE, 2, &[untold], None);
        assert!(words.contains("an unknown part of that the kernel's"), "{words}");
        assert!(words.contains("an unknown part of what the device takes"), "{words}");
        assert!(words.contains("points to waiting"), "{words}");
    }

    #[test]
    fn copies_are_told_by_their_sites() {
        let words = of(COPIES, 1, &[calm()], None);
        assert!(words.starts_with("1.00 into tails, 1.00 into commits, 0.25 of received"));
    }
}
