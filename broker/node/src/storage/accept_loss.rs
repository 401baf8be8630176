//! `storage accept-loss`.

use super::names::Names;
use super::out::Out;
use super::{Failed, NOT_FOUND};
use crate::say::exit;
use ids::PartitionId;
use serde_json::json;
use store::inspect::{AcceptError, Inspector, Loss};

/// Ends the marks of those of `whose` that are incomplete.
pub(super) async fn carry_out(
    inspector: &mut Inspector,
    names: &Names,
    whose: &[PartitionId],
    mut out: Out,
) -> Result<u8, Failed> {
    let marked: Vec<PartitionId> = inspector
        .info()
        .partitions
        .into_iter()
        .filter(|p| p.incomplete.is_some() && whose.contains(&p.id))
        .map(|p| p.id)
        .collect();
    if marked.is_empty() {
        return Err(Failed {
            code: NOT_FOUND,
            what: "there is no loss to accept".into(),
            cause: "no partition that you named is marked as incomplete".into(),
            remedy: "`ringwood storage info` shows which are, in the column INCOMPLETE".into(),
        });
    }
    for id in marked {
        match inspector.accept_loss(id).await {
            Ok(loss) => line(&loss, names, &mut out),
            Err(e) => {
                let code = match &e {
                    AcceptError::Unknown(_) | AcceptError::NotIncomplete(_) => NOT_FOUND,
                    AcceptError::Open(_)
                    | AcceptError::Unread(_)
                    | AcceptError::Gap(_)
                    | AcceptError::Write(_) => exit::FAILED,
                };
                return Err(Failed {
                    code,
                    what: format!("the loss of {} is not accepted", names.partition(id)),
                    cause: e.to_string(),
                    remedy: "see the cause; the partition is as it was".into(),
                });
            }
        }
    }
    Ok(0)
}

fn line(loss: &Loss, names: &Names, out: &mut Out) {
    let id = loss.partition;
    if out.json {
        out.object(&json!({
            "topic": names.of(id.topic), "partition": id.index.0,
            "start": loss.kept.0.0, "end": loss.kept.1.0,
            "lost_from": loss.lost.map(|l| l.0.0), "lost_to": loss.lost.map(|l| l.1.0),
            "next": loss.next.0, "why": loss.why,
        }));
        return;
    }
    let lost = loss.lost.map_or_else(
        || format!("lost=unknown from {} on", loss.kept.1),
        |(from, to)| format!("lost={from}..{}", to.0 - 1),
    );
    out.row(&[
        names.partition(id),
        format!("kept={}..{}", loss.kept.0, loss.kept.1.0 - 1),
        lost,
        format!("next={}", loss.next),
        loss.why.clone(),
    ]);
}
