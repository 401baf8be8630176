//! IncrementalAlterConfigs (key 44): changes single configuration keys (KIP-339).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request IncrementalAlterConfigsRequest<'a> for IncrementalAlterConfigs {
        /// The resources concerned.
        resources: Vec<AlterConfigsResource<'a>>, 0..;
        /// Whether to check everything and change nothing.
        validate_only: bool, 0..;
    }

    /// A resource and the keys to change.
    part AlterConfigsResource<'a> {
        /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8, 0..;
        /// The resource's name.
        resource_name: &'a str, 0..;
        /// The keys concerned.
        configs: Vec<AlterableConfig<'a>>, 0..;
    }

    /// A key to change.
    part AlterableConfig<'a> {
        /// The key.
        name: &'a str, 0..;
        /// 0 set, 1 delete, 2 append to a list, 3 subtract from a list.
        config_operation: i8, 0..;
        /// The value; `None`: none, or secret.
        value: Option<&'a str>, 0..;
    }

    /// The answer.
    response IncrementalAlterConfigsResponse<'a> for IncrementalAlterConfigs {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// One answer for each thing asked.
        responses: Vec<AlterConfigsResourceResponse<'a>>, 0..;
    }

    /// What became of one resource.
    part AlterConfigsResourceResponse<'a> {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8, 0..;
        /// The resource's name.
        resource_name: &'a str, 0..;
    }
}
