//! Which versions of which API a broker and this client have in common (KIP-35, KIP-511).

use std::collections::BTreeMap;
use wire::api::api_versions::ApiVersionsResponse;
use wire::{ApiKey, DecodeError, ErrorCode, Message, VersionRange};

/// What a broker advertises.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    ranges: BTreeMap<i16, (i16, i16)>,
}

/// What came of an ApiVersions answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Negotiation {
    /// These.
    Agreed(Versions),
    /// Ask again in this version.
    AskAgain(i16),
    /// The broker refuses, with this code.
    Refused(ErrorCode),
}

impl Versions {
    /// Judges the body of an answer to an ApiVersions request of `asked`. A broker that is older than the request answers in
    /// version 0 with UNSUPPORTED_VERSION and, since KIP-511, the range that it knows; before that, nothing.
    ///
    /// # Errors
    /// The body is not an ApiVersions response.
    pub fn negotiate(body: &[u8], asked: i16) -> Result<Negotiation, DecodeError> {
        let too_new = ErrorCode::UNSUPPORTED_VERSION;
        if asked > 0 && body.first_chunk() == Some(&too_new.0.to_be_bytes()) {
            let known = ApiVersionsResponse::decode(body, 0)
                .ok()
                .and_then(|r| Self::of(&r).range(ApiKey::ApiVersions))
                .map_or(0, |(_, max)| max);
            // Strictly downwards, so that this ends.
            return Ok(Negotiation::AskAgain(known.clamp(0, asked - 1)));
        }
        let response = ApiVersionsResponse::decode(body, asked)?;
        if response.error_code == ErrorCode::NONE {
            Ok(Negotiation::Agreed(Self::of(&response)))
        } else {
            Ok(Negotiation::Refused(response.error_code))
        }
    }

    fn of(response: &ApiVersionsResponse<'_>) -> Self {
        let ranges =
            response.api_keys.iter().map(|k| (k.api_key, (k.min_version, k.max_version))).collect();
        Self { ranges }
    }

    /// The lowest and highest version that the broker advertises.
    #[must_use]
    pub fn range(&self, api: ApiKey) -> Option<(i16, i16)> {
        self.ranges.get(&api.code()).copied()
    }

    /// Every API that the broker advertises, by number: the number, the lowest and the highest version.
    pub fn iter(&self) -> impl Iterator<Item = (i16, i16, i16)> {
        self.ranges.iter().map(|(key, (min, max))| (*key, *min, *max))
    }

    /// The highest version that both sides know and that is not above `cap`.
    #[must_use]
    pub fn choose(&self, api: ApiKey, ours: VersionRange, cap: i16) -> Option<i16> {
        let (min, max) = self.range(api)?;
        let version = max.min(ours.max).min(cap);
        (version >= min && version >= ours.min).then_some(version)
    }
}
