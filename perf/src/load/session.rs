//! The fetch session of one connection (KIP-227): the broker remembers what is asked of it, each fetch names what has moved, and each
//! answer what there is. Without one every fetch and every answer would name every partition, as no client of these days does, and a
//! reader of ten thousand would measure that.

/// What the next fetch asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// The session; 0: none yet.
    pub(super) id: i32,
    /// Counts the fetches of the session; 0 begins one.
    pub(super) epoch: i32,
    /// Places of the partitions that are named.
    pub(super) places: Vec<usize>,
}

/// The session, by places of partitions in some list of their reader's.
#[derive(Debug)]
pub(super) struct Session {
    id: i32,
    epoch: i32,
    places: Vec<usize>,
    /// What has another offset than the broker was told.
    moved: Vec<usize>,
    /// Where the next fetch begins that names all.
    turn: usize,
}

/// What a broker answers that has no such session (any more), or that has counted otherwise.
const LET_GO: [i16; 2] = [70, 71];

impl Session {
    /// Of these places.
    pub(super) fn of(places: Vec<usize>) -> Self {
        Self { id: 0, epoch: 0, places, moved: Vec::new(), turn: 0 }
    }

    /// Whether there is nothing to ask for.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The next fetch.
    pub(super) fn ask(&mut self) -> Ask {
        let mut places = std::mem::take(&mut self.moved);
        if self.epoch == 0 {
            // A broker that keeps no session serves what is named first: all have their turn, so that none starves.
            places.clone_from(&self.places);
            let turn = self.turn % places.len().max(1);
            places.rotate_left(turn);
            self.turn = turn + 1;
        } else {
            places.sort_unstable();
            places.dedup();
        }
        Ask { id: self.id, epoch: self.epoch, places }
    }

    /// The partition of this place is to be read from elsewhere now.
    pub(super) fn on_moved(&mut self, place: usize) {
        self.moved.push(place);
    }

    /// The answer to the fetch came, with its error code and session. `true`: the broker has let the session go, and the next fetch
    /// begins another; nothing is wrong.
    pub(super) fn on_answer(&mut self, code: i16, id: i32) -> bool {
        if code != 0 {
            // With the name of the old one: who still has it closes it.
            self.epoch = 0;
            return LET_GO.contains(&code);
        }
        self.epoch = match (id, self.epoch) {
            (0, _) => 0,
            (_, i32::MAX) => 1,
            (_, epoch) => epoch + 1,
        };
        self.id = id;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(id: i32, epoch: i32, places: &[usize]) -> Ask {
        Ask { id, epoch, places: places.to_vec() }
    }

    #[test]
    fn a_session_names_all_once_and_then_what_has_moved() {
        let mut session = Session::of((0..10_000).collect());
        let first = session.ask();
        assert_eq!((first.id, first.epoch, first.places.len()), (0, 0, 10_000));
        assert!(!session.on_answer(0, 7));
        [3, 9_000, 3].into_iter().for_each(|place| session.on_moved(place));
        assert_eq!(session.ask(), ask(7, 1, &[3, 9_000]));
        session.on_answer(0, 7);
        assert_eq!(session.ask(), ask(7, 2, &[]));
        session.epoch = i32::MAX;
        session.on_answer(0, 7);
        assert_eq!(session.ask().epoch, 1);
    }

    #[test]
    fn a_session_that_is_gone_begins_anew_with_all() {
        let mut session = Session::of(vec![4, 6]);
        session.ask();
        session.on_answer(0, 7);
        session.on_moved(6);
        // It is closed by its name, where it is still there.
        for code in LET_GO {
            assert!(session.on_answer(code, 0));
            let asked = session.ask();
            assert_eq!((asked.id, asked.epoch, asked.places.len()), (7, 0, 2));
        }
        assert!(!session.on_answer(56, 0), "an error of another kind");
        session.ask();
        session.on_answer(0, 8);
        assert_eq!(session.ask(), ask(8, 1, &[]));
    }

    #[test]
    fn without_a_session_all_have_their_turn() {
        let mut session = Session::of(vec![4, 6, 9]);
        for first in [4, 6, 9, 4] {
            let asked = session.ask();
            assert_eq!((asked.id, asked.epoch, asked.places[0]), (0, 0, first));
            assert_eq!(asked.places.len(), 3);
            session.on_answer(0, 0);
        }
    }
}
