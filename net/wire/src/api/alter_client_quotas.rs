//! AlterClientQuotas (key 49): changes quotas of clients, users and addresses (KIP-546).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request AlterClientQuotasRequest<'a> for AlterClientQuotas {
        /// One entry for each entity.
        entries: Vec<EntryData<'a>>, 0..;
        /// Whether to check everything and change nothing.
        validate_only: bool, 0..;
    }

    /// An entity and its quotas.
    part EntryData<'a> {
        /// The entity, part by part.
        entity: Vec<EntityData<'a>>, 0..;
        /// The quotas to set or to remove.
        ops: Vec<OpData<'a>>, 0..;
    }

    /// A part of an entity's name.
    part EntityData<'a> {
        /// The kind of part: `user`, `client-id` or `ip`.
        entity_type: &'a str, 0..;
        /// The part's name; `None`: the default.
        entity_name: Option<&'a str>, 0..;
    }

    /// A quota to set or to remove.
    part OpData<'a> {
        /// The quota's name.
        key: &'a str, 0..;
        /// The limit.
        value: f64, 0..;
        /// Whether the quota goes; else it is set.
        remove: bool, 0..;
    }

    /// The answer.
    response AlterClientQuotasResponse<'a> for AlterClientQuotas {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// One entry for each entity.
        entries: Vec<EntryResult<'a>>, 0..;
    }

    /// What became of one entity.
    part EntryResult<'a> {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// The entity, part by part.
        entity: Vec<EntityData<'a>>, 0..;
    }
}
