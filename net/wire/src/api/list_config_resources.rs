//! ListConfigResources (key 74): names of resources that have a configuration (KIP-714, KIP-1142).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request ListConfigResourcesRequest for ListConfigResources {
        /// The kinds wanted; empty: all.
        resource_types: Vec<i8>, 1..;
    }

    /// The answer.
    response ListConfigResourcesResponse<'a> for ListConfigResources {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The resources found.
        config_resources: Vec<ConfigResource<'a>>, 0..;
    }

    /// A resource that has a configuration.
    part ConfigResource<'a> {
        /// The resource's name.
        resource_name: &'a str, 0..;
        /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8 = 16, 1..;
    }
}
