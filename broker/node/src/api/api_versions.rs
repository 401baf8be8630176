//! ApiVersions (KIP-35, KIP-511): what is served. The answer must be readable by a client that knows nothing yet.

use super::{Asked, SERVED, read, reply};
use crate::broker::Broker;
use server::Reply;
use wire::api::ApiKey;
use wire::api::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use wire::{DecodeError, ErrorCode, Reader};

/// The features and the only level of each: `group.version` stands for consumer groups (KIP-848).
pub(super) const FEATURES: &[(&str, i16)] = &[("group.version", 1)];
/// It rises when a finalized feature changes. These are there with the first start of a broker that has them, and nothing
/// can change them.
const FEATURES_EPOCH: i64 = 1;

fn entries() -> Vec<ApiVersion> {
    let mut all: Vec<ApiVersion> = SERVED
        .iter()
        .map(|(key, min, max)| ApiVersion {
            api_key: key.code(),
            min_version: *min,
            max_version: *max,
        })
        .collect();
    all.sort_by_key(|a| a.api_key);
    all
}

/// A version that is not served: the oldest form, with the versions of this API, so that the client tries again (KIP-511).
pub(super) fn fall_back(asked: &Asked<'_>) -> Reply {
    let own = entries().into_iter().filter(|a| a.api_key == ApiKey::ApiVersions.code());
    let body = ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION,
        api_keys: own.collect(),
        ..ApiVersionsResponse::default()
    };
    reply(&Asked { version: 0, ..*asked }, &body)
}

pub(super) fn answer(
    _broker: &Broker,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: ApiVersionsRequest<'_> = read(reader, asked)?;
    let named = asked.version < 3
        || (is_name(request.client_software_name) && is_name(request.client_software_version));
    let body = if named {
        ApiVersionsResponse {
            api_keys: entries(),
            supported_features: FEATURES
                .iter()
                .map(|(name, level)| SupportedFeatureKey {
                    name,
                    min_version: *level,
                    max_version: *level,
                })
                .collect(),
            finalized_features_epoch: FEATURES_EPOCH,
            finalized_features: FEATURES
                .iter()
                .map(|(name, level)| FinalizedFeatureKey {
                    name,
                    max_version_level: *level,
                    min_version_level: *level,
                })
                .collect(),
            ..ApiVersionsResponse::default()
        }
    } else {
        ApiVersionsResponse {
            error_code: ErrorCode::INVALID_REQUEST,
            ..ApiVersionsResponse::default()
        }
    };
    Ok(reply(asked, &body))
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?` (KIP-511).
fn is_name(text: &str) -> bool {
    let b = text.as_bytes();
    let ends = b.first().zip(b.last());
    ends.is_some_and(|(a, z)| a.is_ascii_alphanumeric() && z.is_ascii_alphanumeric())
        && b.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_names_follow_kip_511() {
        for good in ["a", "librdkafka", "apache-kafka-java", "3.7.0"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "ä"] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn apis_are_listed_once_and_in_order() {
        let all = entries();
        assert!(all.windows(2).all(|w| w[0].api_key < w[1].api_key));
        assert_eq!(all.len(), SERVED.len());
    }
}
