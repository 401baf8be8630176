//! ApiVersions (key 18): which APIs, versions and features the broker offers (KIP-35, KIP-511, KIP-584).

use crate::{Api, ApiKey, ErrorCode, VersionRange};

schema! {
    /// What the caller asks.
    request ApiVersionsRequest<'a> for ApiVersions {
        /// The client library's name: letters, digits, dots and dashes.
        client_software_name: &'a str, 3..;
        /// The client library's version: letters, digits, dots and dashes.
        client_software_version: &'a str, 3..;
    }

    /// The answer.
    response ApiVersionsResponse<'a> for ApiVersions {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// The APIs offered.
        api_keys: Vec<ApiVersion>, 0..;
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 1..;
        /// The levels that this broker could work with.
        supported_features: Vec<SupportedFeatureKey<'a>>, 3.., tag 0;
        /// Rises with every change of the finalized features, also over restarts; -1: unknown.
        finalized_features_epoch: i64 = -1, 3.., tag 1;
        /// The levels that the whole cluster has agreed on.
        finalized_features: Vec<FinalizedFeatureKey<'a>>, 3.., tag 2;
        /// Whether the cluster can migrate away from ZooKeeper; never true here.
        zk_migration_ready: bool, 3.., tag 3;
    }

    /// An API and its versions.
    part ApiVersion {
        /// The API's number.
        api_key: i16, 0..;
        /// The lowest version supported.
        min_version: i16, 0..;
        /// The highest version supported.
        max_version: i16, 0..;
    }

    /// A feature that the broker could work with.
    part SupportedFeatureKey<'a> {
        /// The feature.
        name: &'a str, 3..;
        /// The lowest version supported.
        min_version: i16, 3..;
        /// The highest version supported.
        max_version: i16, 3..;
    }

    /// A feature that the cluster has agreed on.
    part FinalizedFeatureKey<'a> {
        /// The feature.
        name: &'a str, 3..;
        /// The highest level.
        max_version_level: i16, 3..;
        /// The lowest level.
        min_version_level: i16, 3..;
    }
}

impl ApiVersionsResponse<'static> {
    /// The answer to an ApiVersions request of a version that the broker does not know: error 35 and the range that it
    /// does know, so that the client asks again with that (KIP-511). It always travels as version 0.
    #[must_use]
    pub fn unsupported_version(known: VersionRange) -> Self {
        let api_key = ApiKey::ApiVersions.code();
        let entry = ApiVersion { api_key, min_version: known.min, max_version: known.max };
        Self {
            error_code: ErrorCode::UNSUPPORTED_VERSION,
            api_keys: vec![entry],
            ..Self::default()
        }
    }
}

impl From<&Api> for ApiVersion {
    /// The line that a broker which serves the whole API sends.
    fn from(api: &Api) -> Self {
        let VersionRange { min, max } = api.advertised;
        Self { api_key: api.key.code(), min_version: min, max_version: max }
    }
}
