//! A broker's process started.
//!
//! One registration, and one record that raises the leader epoch of everything that the broker leads, so that a restarted
//! process never resumes in its old epoch. It takes no role before it has replayed both.

use super::{Controller, Decision};
use crate::record::{BrokerRegistered, Record, STRING_BYTES_MAX};
use crate::{ErrorCode, Refusal};

/// Far above what a node has; bounds the record.
const ENDPOINTS_MAX: usize = 1_000;

impl Controller {
    /// Registers a started broker. Errors: INVALID_REQUEST for an impossible registration or an unformatted cluster,
    /// DUPLICATE_BROKER_REGISTRATION if the incarnation is not newer than the known one.
    pub fn start(&mut self, registration: BrokerRegistered) -> Result<Decision<()>, Refusal> {
        let refuse = |why: String| Err(Refusal::new(ErrorCode::InvalidRequest, why));
        if self.image.cluster_id().is_none() {
            return refuse("The cluster is not formatted.".into());
        }
        let r = &registration;
        if r.broker.0 < 0 {
            return refuse(format!("A broker id is not negative, as {} is.", r.broker));
        }
        if r.cores == 0 {
            return refuse("A broker has at least one core.".into());
        }
        if r.endpoints.is_empty() || r.endpoints.len() > ENDPOINTS_MAX {
            return refuse(format!("A broker has 1 to {ENDPOINTS_MAX} endpoints."));
        }
        for (i, e) in r.endpoints.iter().enumerate() {
            if e.host.is_empty() || e.port == 0 {
                let name = &e.listener;
                return refuse(format!("Listener {name} has no address that clients can reach."));
            }
            if r.endpoints[..i].iter().any(|other| other.listener == e.listener) {
                return refuse(format!("Listener {} appears twice.", e.listener));
            }
        }
        let strings = r.endpoints.iter().flat_map(|e| [&e.listener, &e.host]).chain(&r.rack);
        if strings.map(String::len).any(|len| len > STRING_BYTES_MAX) {
            return refuse("A name in the registration is too long.".into());
        }
        if let Some(known) = self.image.broker(r.broker)
            && r.incarnation <= known.incarnation
        {
            let (id, old) = (r.broker, known.incarnation);
            let why = format!("Broker {id} already registered incarnation {old}.");
            return Err(Refusal::new(ErrorCode::DuplicateBrokerRegistration, why));
        }
        let broker = r.broker;
        let records = vec![Record::BrokerRegistered(registration), Record::StartEpochs { broker }];
        Ok(self.decide(records, ()))
    }
}
