//! Gives a new cluster its identity.

use super::{Controller, Decision};
use crate::record::Record;
use crate::{ErrorCode, Refusal};

/// The metadata version that this build writes.
const VERSION: u16 = 1;
/// Kafka's cluster ids have 22 characters; operators may choose others.
const CLUSTER_ID_BYTES_MAX: usize = 128;

impl Controller {
    /// The first record of an empty metadata log. Errors: INVALID_REQUEST if the log is not empty or the id is empty or
    /// longer than 128 bytes.
    pub fn format(&mut self, cluster_id: &str) -> Result<Decision<()>, Refusal> {
        let refuse = |why: String| Err(Refusal::new(ErrorCode::InvalidRequest, why));
        if let Some(id) = self.image.cluster_id() {
            return refuse(format!("The metadata log already belongs to cluster {id}."));
        }
        if cluster_id.is_empty() || cluster_id.len() > CLUSTER_ID_BYTES_MAX {
            let len = cluster_id.len();
            return refuse(format!(
                "A cluster id has 1 to {CLUSTER_ID_BYTES_MAX} bytes, not {len}."
            ));
        }
        let record = Record::Format { cluster_id: cluster_id.to_owned(), version: VERSION };
        Ok(self.decide(vec![record], ()))
    }
}
