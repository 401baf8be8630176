//! Fetches, with a session or without.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use ringwood_perf::protocol::{Reader, Writer, batch};

use super::{FakeBroker, Shared};

impl FakeBroker {
    pub(super) fn fetch(&self, mut request: Reader<'_>, answer: &mut Writer, number: u64) {
        let Shared { script, sessions, named, served, .. } = &*self.shared;
        request.i32().unwrap();
        let wait = Duration::from_millis(request.i32().unwrap() as u64);
        request.i32().unwrap();
        let max = request.i32().unwrap() as usize;
        request.i8().unwrap();
        let (id, epoch) = (request.i32().unwrap(), request.i32().unwrap());
        let mut wanted = Vec::new();
        for _ in 0..request.count().unwrap() {
            let topic = request.string().unwrap();
            for _ in 0..request.count().unwrap() {
                let partition = request.i32().unwrap();
                request.i32().unwrap();
                let offset = request.i64().unwrap();
                request.i64().unwrap();
                request.i32().unwrap();
                wanted.push(((topic.to_owned(), partition), offset));
            }
        }
        named.fetch_add(wanted.len() as u64, Ordering::Relaxed);
        if script.forget_sessions == Some(number) {
            sessions.lock().unwrap().open.clear();
        }
        let opened = if script.no_sessions {
            assert_eq!((id, epoch), (0, 0), "a session that was never given");
            Ok((0, Session::of(wanted)))
        } else {
            sessions.lock().unwrap().take(id, epoch, wanted)
        };
        let (id, mut session) = match opened {
            Ok(opened) => opened,
            Err(code) => {
                answer.i32(0).i16(code).i32(0).count(0);
                return;
            }
        };
        let deadline = Instant::now() + wait;
        let found = loop {
            let found = self.read(&session, max);
            if !found.iter().any(|found| found.is_news) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            break found;
        };
        let told = found.iter().filter(|found| session.epoch == 0 || found.is_news);
        answer.i32(0).i16(0).i32(id).count(told.clone().count());
        let mut had_records = BTreeSet::new();
        for Found { place, error, end, records, .. } in told {
            let ((topic, partition), _) = &session.wanted[*place];
            answer.string(topic).count(1).i32(*partition).i16(*error);
            answer.i64(*end).i64(*end).i64(-1).i32(-1).bytes(records);
            if !records.is_empty() {
                had_records.insert(*place);
            }
        }
        served.fetch_add(had_records.len() as u64, Ordering::Relaxed);
        session.serve_others_first(&had_records);
        if id != 0 {
            session.epoch += 1;
            sessions.lock().unwrap().open.insert(id, session);
        }
    }

    fn read(&self, session: &Session, max: usize) -> Vec<Found> {
        let script = &self.shared.script;
        let topics = self.shared.topics.lock().unwrap();
        let mut total = 0;
        let mut found = Vec::new();
        for (number, ((topic, partition), offset)) in session.wanted.iter().enumerate() {
            let found_here = |error, end, records: Vec<u8>| {
                let is_news = error != 0 || !records.is_empty();
                Found { place: number, error, end, records, is_news }
            };
            let Some(place) = topics.get(topic).and_then(|t| t.get(*partition as usize)) else {
                found.push(found_here(3, -1, Vec::new()));
                continue;
            };
            if *offset < self.log_start(*partition) {
                self.shared.astray.fetch_add(1, Ordering::Relaxed);
                found.push(found_here(1, -1, Vec::new()));
                continue;
            }
            let mut records = Vec::new();
            let mute = script.mute == Some(*partition);
            let shown = place.batches.iter().take_while(|(at, _)| at.elapsed() >= script.hidden);
            for (_, bytes) in shown.filter(|_| !mute) {
                let seen = batch::next(&mut bytes.as_slice()).unwrap().unwrap();
                if seen.last_offset < *offset {
                    continue;
                }
                // A smaller one behind it would leave a gap.
                if total > 0 && total + bytes.len() > max {
                    break;
                }
                total += bytes.len();
                records.extend_from_slice(bytes);
            }
            found.push(found_here(0, place.end, records));
        }
        found
    }
}

/// A partition of a topic.
type Place = (String, i32);

/// What of one partition a fetch has found.
struct Found {
    /// Which of its session.
    place: usize,
    error: i16,
    end: i64,
    records: Vec<u8>,
    is_news: bool,
}

/// What one reader has asked for.
#[derive(Debug, Default)]
struct Session {
    epoch: i32,
    wanted: Vec<(Place, i64)>,
}

impl Session {
    fn of(wanted: Vec<(Place, i64)>) -> Self {
        Self { epoch: 0, wanted }
    }

    fn serve_others_first(&mut self, had_records: &BTreeSet<usize>) {
        let mut number = 0;
        let wanted = std::mem::take(&mut self.wanted).into_iter();
        let (served, others): (Vec<_>, Vec<_>) = wanted.partition(|_| {
            number += 1;
            had_records.contains(&(number - 1))
        });
        self.wanted = others.into_iter().chain(served).collect();
    }
}

/// Every fetch session.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: BTreeMap<i32, Session>,
    last: i32,
}

impl Sessions {
    /// Takes out the one that is asked for, or a new one, as the client wants it now.
    fn take(
        &mut self,
        id: i32,
        epoch: i32,
        wanted: Vec<(Place, i64)>,
    ) -> Result<(i32, Session), i16> {
        if epoch == 0 {
            self.open.remove(&id);
            self.last += 1;
            return Ok((self.last, Session::of(wanted)));
        }
        let Some(session) = self.open.get(&id) else { return Err(70) };
        if session.epoch != epoch {
            return Err(71);
        }
        let mut session = self.open.remove(&id).unwrap_or_default();
        let mut moved: BTreeMap<Place, i64> = wanted.into_iter().collect();
        for (place, offset) in &mut session.wanted {
            if let Some(to) = moved.remove(place) {
                *offset = to;
            }
        }
        session.wanted.extend(moved);
        Ok((id, session))
    }
}
