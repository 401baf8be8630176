//! Producers by their ids: few in a list that is no larger than they are, many in a hash table.

use super::Producer;
use crate::short;
use hashbrown::HashMap;
use ids::ProducerId;

type Map = HashMap<ProducerId, Producer, foldhash::fast::FixedState>;

/// So many are a list, sorted by id: the smallest table has room for more than most partitions ever have.
const FEW: usize = 16;

/// Never iterated in hash order: listings sort.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    few: Vec<(ProducerId, Producer)>,
    /// All of them, as soon as they were more than [`FEW`].
    many: Option<Box<Map>>,
}

fn find(few: &[(ProducerId, Producer)], id: ProducerId) -> Result<usize, usize> {
    few.binary_search_by_key(&id, |(id, _)| *id)
}

impl Table {
    pub(super) fn get(&self, id: ProducerId) -> Option<&Producer> {
        if let Some(many) = &self.many {
            return many.get(&id);
        }
        let at = find(&self.few, id).ok()?;
        self.few.get(at).map(|(_, p)| p)
    }

    /// What is known of `id`, which is `new` if nothing was.
    pub(super) fn get_or_insert_with(
        &mut self,
        id: ProducerId,
        new: impl FnOnce() -> Producer,
    ) -> &mut Producer {
        self.make_room(id);
        match &mut self.many {
            Some(many) => many.entry(id).or_insert_with(new),
            None => {
                let at = find(&self.few, id).unwrap_or_else(|at| {
                    short::push(&mut self.few, (id, new()));
                    self.few[at..].rotate_right(1);
                    at
                });
                &mut self.few[at].1
            }
        }
    }

    /// The list becomes a table where it has no room for `id`.
    fn make_room(&mut self, id: ProducerId) {
        if self.many.is_none() && self.few.len() >= FEW && find(&self.few, id).is_err() {
            let all = std::mem::take(&mut self.few);
            self.many = Some(Box::new(all.into_iter().collect()));
        }
    }

    pub(super) fn remove(&mut self, id: ProducerId) -> Option<Producer> {
        let removed = match &mut self.many {
            Some(many) => many.remove(&id),
            None => find(&self.few, id).ok().map(|at| self.few.remove(at).1),
        };
        self.shrink();
        removed
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Producer) -> bool) {
        match &mut self.many {
            Some(many) => many.retain(|_, p| keep(p)),
            None => self.few.retain(|(_, p)| keep(p)),
        }
        self.shrink();
    }

    /// A table of which little is left becomes a list, and a list without producers takes nothing.
    fn shrink(&mut self) {
        if let Some(many) = self.many.take_if(|many| many.len() <= FEW / 2) {
            self.few = (*many).into_iter().collect();
            self.few.sort_unstable_by_key(|(id, _)| *id);
            self.few.shrink_to_fit();
        } else if self.few.is_empty() {
            self.few = Vec::new();
        }
    }

    pub(super) fn for_each_mut(&mut self, change: impl FnMut(&mut Producer)) {
        match &mut self.many {
            Some(many) => many.values_mut().for_each(change),
            None => self.few.iter_mut().map(|(_, p)| p).for_each(change),
        }
    }

    pub(super) fn sorted(&self) -> Vec<(ProducerId, &Producer)> {
        let Some(many) = &self.many else {
            return self.few.iter().map(|(id, p)| (*id, p)).collect();
        };
        let mut all: Vec<_> = many.iter().map(|(id, p)| (*id, p)).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }

    pub(super) fn len(&self) -> usize {
        self.many.as_ref().map_or(self.few.len(), |many| many.len())
    }

    /// What it has allocated, at least.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        let windows: usize = self.sorted().iter().map(|(_, p)| p.heap_bytes()).sum();
        let many = self.many.as_ref().map_or(0, |many| size_of::<Map>() + many.allocation_size());
        self.few.capacity() * size_of::<(ProducerId, Producer)>() + many + windows
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.sorted() == other.sorted()
    }
}

impl Eq for Table {}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::ProducerEpoch;

    fn of(ids: impl IntoIterator<Item = i64>) -> Table {
        let mut t = Table::default();
        for id in ids {
            t.get_or_insert_with(ProducerId(id), || Producer::new(ProducerEpoch(0)));
        }
        t
    }

    fn ids(t: &Table) -> Vec<i64> {
        t.sorted().iter().map(|(id, _)| id.0).collect()
    }

    #[test]
    fn few_and_many_are_found_removed_and_listed_in_order() {
        let most = 2 * i64::try_from(FEW).unwrap();
        for n in [1, most / 2, most / 2 + 1, most] {
            let mut t = of((0..n).rev());
            assert_eq!(ids(&t), (0..n).collect::<Vec<_>>());
            assert_eq!(t, of(0..n), "whatever the order");
            t.get_or_insert_with(ProducerId(0), || Producer::new(ProducerEpoch(9)));
            assert_eq!(t.get(ProducerId(0)).unwrap().epoch, ProducerEpoch(0), "known already");
            assert!(t.get(ProducerId(n)).is_none() && t.remove(ProducerId(n)).is_none());
            for id in 0..n {
                assert!(t.remove(ProducerId(id)).is_some());
                assert_eq!(ids(&t), (id + 1..n).collect::<Vec<_>>());
            }
            assert_eq!((t.len(), t.heap_bytes()), (0, 0));
        }
    }

    #[test]
    fn a_table_of_which_little_is_left_is_equal_to_a_list_and_no_larger() {
        let mut t = of(0..1000);
        t.for_each_mut(|p| p.coordinator_epoch = 1);
        t.get_or_insert_with(ProducerId(5), || Producer::new(ProducerEpoch(0))).coordinator_epoch =
            2;
        t.retain(|p| p.coordinator_epoch == 2);
        t.for_each_mut(|p| p.coordinator_epoch = -1);
        assert_eq!((ids(&t), t.heap_bytes()), (vec![5], of([5]).heap_bytes()));
        assert_eq!(t, of([5]));
    }
}
