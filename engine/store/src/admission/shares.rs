//! How much of what was admitted lately each client had: who fills the ring is slowed, who does not is not.

use super::Client;
use std::collections::BTreeMap;

/// After so many bytes what was before counts half.
const WINDOW: u64 = 8 << 20;
/// Who has less than this is forgotten then.
const LEAST: u64 = 64;

/// Bytes by client.
#[derive(Default)]
pub(super) struct Shares {
    all: u64,
    clients: BTreeMap<Client, u64>,
}

impl Shares {
    /// A batch of this client is going to be appended.
    pub(super) fn note(&mut self, client: Client, bytes: usize) {
        self.all += bytes as u64;
        *self.clients.entry(client).or_default() += bytes as u64;
        if self.all >= WINDOW {
            self.all = 0;
            self.clients.retain(|_, had| {
                *had /= 2;
                self.all += if *had >= LEAST { *had } else { 0 };
                *had >= LEAST
            });
        }
    }

    /// What the client has had, as a part of what each would have if all had the same; at most 1. One of whom nothing is known
    /// is not slowed.
    pub(super) fn of(&self, client: Client) -> f64 {
        let had = self.clients.get(&client).copied().unwrap_or(0);
        (had as f64 * self.clients.len() as f64 / self.all.max(1) as f64).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_are_slowed_alike_and_a_quiet_one_hardly() {
        let mut shares = Shares::default();
        assert!(shares.of(Client(1)) < f64::EPSILON);
        for round in 0..100_000 {
            for n in 0..50 {
                shares.note(Client(n), 1_000);
            }
            if round % 100 == 0 {
                shares.note(Client(99), 100);
            }
        }
        for n in 0..50 {
            assert!(shares.of(Client(n)) > 0.9, "{}", shares.of(Client(n)));
        }
        assert!(shares.of(Client(99)) < 0.01, "{}", shares.of(Client(99)));
        assert!(shares.all < WINDOW);
    }

    #[test]
    fn who_has_stopped_is_forgotten() {
        let mut shares = Shares::default();
        shares.note(Client(1), 1 << 20);
        for _ in 0..200 {
            shares.note(Client(2), 1 << 20);
        }
        assert_eq!(shares.clients.keys().copied().collect::<Vec<_>>(), [Client(2)]);
        assert!(shares.of(Client(2)) > 0.99);
    }
}
