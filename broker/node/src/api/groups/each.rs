//! Questions about several groups, each asked where its partition of `__consumer_offsets` lives.

use super::super::owners::at_owners;
use super::partition;
use crate::broker::Broker;
use ids::PartitionId;
use std::future::Future;
use std::rc::Rc;
use wire::ErrorCode;

/// What a coordinator says of a group: nothing of one that it does not know.
pub(super) type Found<T> = Result<Option<T>, ErrorCode>;

/// Asks about each group. The answers come in the order of the groups.
pub(super) async fn ask_each<T, F, Fut>(
    broker: &Rc<Broker>,
    groups: &[&str],
    ask: F,
) -> Vec<Found<T>>
where
    T: Send + 'static,
    F: Fn(Rc<Broker>, PartitionId, String) -> Fut + Copy + Send + 'static,
    Fut: Future<Output = Found<T>> + 'static,
{
    let places: Vec<Option<PartitionId>> = groups.iter().map(|g| partition(broker, g)).collect();
    let questions = places.iter().zip(groups);
    let questions = questions.filter_map(|(id, group)| id.map(|id| (id, (*group).to_owned())));
    let mut answers = at_owners(broker, questions.collect(), ask).await.into_iter();
    let found = places.iter().map(|place| match place {
        Some(_) => answers.next().flatten().unwrap_or(Err(ErrorCode::NOT_COORDINATOR)),
        // There are no groups before there is a place for them.
        None => Ok(None),
    });
    found.collect()
}
