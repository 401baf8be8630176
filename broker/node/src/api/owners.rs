//! Questions about partitions, asked where they live.

use crate::broker::Broker;
use crate::post::Asked;
use ids::{CoreId, PartitionId};
use runtime::Class;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

/// The questions to one core, and their places among all.
type Part<Q> = (Vec<usize>, Vec<(PartitionId, Q)>);

/// Asks the core that owns each partition. The answers come in the order of the questions; a core that has ended gives none.
///
/// Questions to one core are answered one after the other, those to different cores at the same time.
pub(super) async fn at_owners<Q, A, F, Fut>(
    broker: &Rc<Broker>,
    questions: Vec<(PartitionId, Q)>,
    answer: F,
) -> Vec<Option<A>>
where
    Q: Send + 'static,
    A: Send + 'static,
    F: Fn(Rc<Broker>, PartitionId, Q) -> Fut + Copy + Send + 'static,
    Fut: Future<Output = A> + 'static,
{
    let mut answers: Vec<Option<A>> = questions.iter().map(|_| None).collect();
    let mut here = Vec::new();
    let mut elsewhere: BTreeMap<CoreId, Part<Q>> = BTreeMap::new();
    for (place, (id, question)) in questions.into_iter().enumerate() {
        let owner = broker.owner(id);
        if broker.is_here(owner) {
            here.push((place, id, question));
        } else {
            let (places, there) = elsewhere.entry(owner).or_default();
            places.push(place);
            there.push((id, question));
        }
    }
    let asked: Vec<(Vec<usize>, Asked<Vec<A>>)> = elsewhere
        .into_iter()
        .map(|(core, (places, there))| {
            let run = move |b: Rc<Broker>| async move {
                let mut all = Vec::with_capacity(there.len());
                for (id, question) in there {
                    all.push(answer(Rc::clone(&b), id, question).await);
                }
                all
            };
            (places, broker.post.ask(core, Class::Data, false, run))
        })
        .collect();
    for (place, id, question) in here {
        answers[place] = Some(answer(Rc::clone(broker), id, question).await);
    }
    for (places, asked) in asked {
        for (place, a) in places.into_iter().zip(asked.await.into_iter().flatten()) {
            answers[place] = Some(a);
        }
    }
    answers
}
