//! How many connections a node takes, in all and from one address.
//!
//! Shared by the node's cores. Only accepting and closing touch it, so that a lock is good enough.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// `max.connections` are open.
    Total,
    /// `max.connections.per.ip`, or its override, are open from this address.
    PerAddress,
}

#[derive(Debug, Default)]
struct Table {
    most: usize,
    most_per_address: usize,
    overrides: BTreeMap<IpAddr, usize>,
    open: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// The limits of a node, and what is open.
#[derive(Clone)]
pub struct ConnectionLimits(Arc<Mutex<Table>>);

impl fmt::Debug for ConnectionLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table();
        write!(f, "ConnectionLimits({} of {} open)", table.open, table.most)
    }
}

impl ConnectionLimits {
    /// `max.connections` and `max.connections.per.ip`.
    #[must_use]
    pub fn new(most: usize, most_per_address: usize) -> Self {
        Self(Arc::new(Mutex::new(Table { most, most_per_address, ..Table::default() })))
    }

    /// Changes the limits. Open connections stay.
    pub fn set(&self, most: usize, most_per_address: usize) {
        let mut table = self.table();
        (table.most, table.most_per_address) = (most, most_per_address);
    }

    /// `max.connections.per.ip.overrides`, all of them.
    pub fn set_overrides(&self, overrides: impl IntoIterator<Item = (IpAddr, usize)>) {
        let overrides = overrides.into_iter().map(|(ip, n)| (ip.to_canonical(), n)).collect();
        self.table().overrides = overrides;
    }

    /// Counts a connection from `address` until the admission is dropped.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn admit(&self, address: IpAddr) -> Result<Admission, Refused> {
        // An IPv4 client of a dual-stack listener is the same client.
        let address = address.to_canonical();
        let mut table = self.table();
        if table.open >= table.most {
            return Err(Refused::Total);
        }
        let most = table.overrides.get(&address).copied().unwrap_or(table.most_per_address);
        let open = table.by_address.get(&address).copied().unwrap_or(0);
        if open >= most {
            return Err(Refused::PerAddress);
        }
        table.by_address.insert(address, open + 1);
        table.open += 1;
        drop(table);
        Ok(Admission { limits: self.clone(), address })
    }

    /// Open connections of the node.
    #[must_use]
    pub fn open(&self) -> usize {
        self.table().open
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that counts; dropping it ends that.
#[derive(Debug)]
pub struct Admission {
    limits: ConnectionLimits,
    address: IpAddr,
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut table = self.limits.table();
        table.open = table.open.saturating_sub(1);
        match table.by_address.get_mut(&self.address) {
            Some(n) if *n > 1 => *n -= 1,
            Some(_) => {
                table.by_address.remove(&self.address);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_and_the_address_are_limited_and_places_come_back() {
        let limits = ConnectionLimits::new(3, 2);
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        let first = limits.admit(a).unwrap();
        let _second = limits.admit(mapped).unwrap();
        assert_eq!(limits.admit(a).err(), Some(Refused::PerAddress));
        let third = limits.admit(b).unwrap();
        assert_eq!(limits.admit(b).err(), Some(Refused::Total));
        drop(first);
        let _again = limits.admit(a).unwrap();
        drop(third);
        limits.set_overrides([(b, 0)]);
        assert_eq!(limits.admit(b).err(), Some(Refused::PerAddress));
        assert_eq!((limits.open(), limits.table().by_address.len()), (2, 1));
        limits.set(1, 9);
        assert_eq!(limits.admit(a).err(), Some(Refused::Total));
    }
}
