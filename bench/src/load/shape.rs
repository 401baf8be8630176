//! How a load looks: connections, requests in flight on each, bytes of a batch.

use std::fmt;
use std::str::FromStr;

/// What is asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// One batch per request, answered when it is durable.
    Produce,
    /// One batch per answer, from memory.
    Fetch,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Produce => "produce",
            Self::Fetch => "fetch",
        })
    }
}

/// Connections by requests in flight by bytes, written `8x8x1KiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Connections, each with a partition of its own.
    pub connections: usize,
    /// Requests in flight on each.
    pub in_flight: usize,
    /// Bytes of a batch's one value.
    pub bytes: usize,
}

impl Shape {
    /// The shapes that the decision is judged by.
    pub const ALL: [Self; 4] = [
        Self { connections: 1, in_flight: 1, bytes: 1 << 10 },
        Self { connections: 32, in_flight: 1, bytes: 1 << 10 },
        Self { connections: 8, in_flight: 8, bytes: 1 << 10 },
        Self { connections: 2, in_flight: 5, bytes: 128 << 10 },
    ];
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, in_flight, bytes } = self;
        if bytes.is_multiple_of(1 << 10) {
            write!(f, "{connections}x{in_flight}x{}KiB", bytes >> 10)
        } else {
            write!(f, "{connections}x{in_flight}x{bytes}")
        }
    }
}

impl FromStr for Shape {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || format!("{s:?} is no shape; write for example 8x8x1KiB");
        let mut parts = s.splitn(3, 'x');
        let mut part = || parts.next().ok_or_else(wrong);
        let connections = part()?.parse().map_err(|_| wrong())?;
        let in_flight = part()?.parse().map_err(|_| wrong())?;
        let size = part()?;
        let (digits, unit) = match size.strip_suffix("KiB") {
            Some(digits) => (digits, 1 << 10),
            None => (size, 1),
        };
        let bytes: usize = digits.parse().map_err(|_| wrong())?;
        let bytes = bytes.checked_mul(unit).ok_or_else(wrong)?;
        // As much as the servers take: see `UNANSWERED_MAX` and `GROUP_BYTES`.
        let fits = (1..=64).contains(&connections)
            && (1..=bench_core::UNANSWERED_MAX).contains(&in_flight)
            && (1..=1_000_000).contains(&bytes);
        if fits {
            Ok(Self { connections, in_flight, bytes })
        } else {
            Err(format!("{s}: at most 64 connections, 64 in flight, 1000000 bytes"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_back() {
        for shape in Shape::ALL {
            assert_eq!(shape.to_string().parse(), Ok(shape));
        }
        assert_eq!("3x2x100".parse(), Ok(Shape { connections: 3, in_flight: 2, bytes: 100 }));
    }

    #[test]
    fn what_no_server_takes_is_refused() {
        for s in ["", "1x1", "0x1x1KiB", "1x65x1KiB", "65x1x1KiB", "1x1x0", "1x1x1MiB", "axbxc"] {
            assert!(s.parse::<Shape>().is_err(), "{s}");
        }
        assert!(format!("1x1x{}KiB", usize::MAX).parse::<Shape>().is_err());
    }
}
