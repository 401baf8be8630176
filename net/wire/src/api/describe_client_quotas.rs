//! DescribeClientQuotas (key 48): quotas of clients, users and addresses (KIP-546).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request DescribeClientQuotasRequest<'a> for DescribeClientQuotas {
        /// The parts that an entity must have.
        components: Vec<ComponentData<'a>>, 0..;
        /// Whether entities with other parts are left out.
        strict: bool, 0..;
    }

    /// What one part of an entity's name must be.
    part ComponentData<'a> {
        /// The kind of part: `user`, `client-id` or `ip`.
        entity_type: &'a str, 0..;
        /// 0 this name, 1 the default, 2 any name.
        match_type: i8, 0..;
        /// The name to match, if the match is exact.
        matching: Option<&'a str>, 0..;
    }

    /// The answer.
    response DescribeClientQuotasResponse<'a> for DescribeClientQuotas {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// One entry for each entity.
        entries: Option<Vec<EntryData<'a>>>, 0..;
    }

    /// An entity and its quotas.
    part EntryData<'a> {
        /// The entity, part by part.
        entity: Vec<EntityData<'a>>, 0..;
        /// The quotas.
        values: Vec<ValueData<'a>>, 0..;
    }

    /// A part of an entity's name.
    part EntityData<'a> {
        /// The kind of part: `user`, `client-id` or `ip`.
        entity_type: &'a str, 0..;
        /// The part's name; `None`: the default.
        entity_name: Option<&'a str>, 0..;
    }

    /// A quota and its limit.
    part ValueData<'a> {
        /// The quota's name.
        key: &'a str, 0..;
        /// The limit.
        value: f64, 0..;
    }
}
