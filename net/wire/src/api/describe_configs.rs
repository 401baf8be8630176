//! DescribeConfigs (key 32): configuration values, where each comes from and what it overrides (KIP-226, KIP-569).

use crate::ErrorCode;

schema! {
    /// What the caller asks.
    request DescribeConfigsRequest<'a> for DescribeConfigs {
        /// The resources concerned.
        resources: Vec<DescribeConfigsResource<'a>>, 0..;
        /// Whether to list what each value overrides.
        include_synonyms: bool, 0..;
        /// Whether to explain the keys.
        include_documentation: bool, 3..;
    }

    /// A resource to describe.
    part DescribeConfigsResource<'a> {
        /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8, 0..;
        /// The resource's name.
        resource_name: &'a str, 0..;
        /// The keys wanted; `None`: all.
        configuration_keys: Option<Vec<&'a str>>, 0..;
    }

    /// The answer.
    response DescribeConfigsResponse<'a> for DescribeConfigs {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// One answer for each thing asked.
        results: Vec<DescribeConfigsResult<'a>>, 0..;
    }

    /// A resource and its configuration.
    part DescribeConfigsResult<'a> {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        resource_type: i8, 0..;
        /// The resource's name.
        resource_name: &'a str, 0..;
        /// The keys concerned.
        configs: Vec<DescribeConfigsResourceResult<'a>>, 0..;
    }

    /// A configuration key.
    part DescribeConfigsResourceResult<'a> {
        /// The key.
        name: &'a str, 0..;
        /// The value; `None`: none, or secret.
        value: Option<&'a str>, 0..;
        /// Whether the value cannot be changed at run time.
        read_only: bool, 0..;
        /// Where the value comes from: 1 topic, 2 broker, 3 all brokers, 4 static, 5 default, 6 logger, 7
        /// client metrics, 8 group.
        config_source: i8 = -1, 0..;
        /// Whether the value is secret; it is then not told.
        is_sensitive: bool, 0..;
        /// The values that this one overrides, the strongest first.
        synonyms: Vec<DescribeConfigsSynonym<'a>>, 0..;
        /// 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password.
        config_type: i8, 3..;
        /// What the key means.
        documentation: Option<&'a str>, 3..;
    }

    /// A value that another one overrides.
    part DescribeConfigsSynonym<'a> {
        /// The key.
        name: &'a str, 0..;
        /// The value; `None`: none, or secret.
        value: Option<&'a str>, 0..;
        /// Where the value comes from, as in `config_source`.
        source: i8, 0..;
    }
}
