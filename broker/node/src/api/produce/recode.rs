//! `compression.type`: a topic that names a codec stores every batch under it, whatever the producer used.
//!
//! A batch that comes under the topic's codec already stays as it is, whatever its level. The size limit holds once more for
//! what is stored.

use super::{Refused, meta};
use crate::api::codes;
use crate::broker::Broker;
use cluster::config::{Compression, TopicConfig};
use log::BatchMeta;
use record::{BatchView, Codec, DECOMPRESSED_BYTES_MAX, Invalid, RecodeError, recode};
use std::borrow::Cow;
use wire::ErrorCode;

/// The codec and the level that a topic wants; `None` if the producer's choice stands.
fn wanted(config: &TopicConfig) -> Option<(Codec, Option<i32>)> {
    Some(match config.compression {
        Compression::Producer => return None,
        Compression::Uncompressed => (Codec::None, None),
        Compression::Gzip => {
            (Codec::Gzip, Some(config.compression_gzip_level).filter(|level| *level > 0))
        }
        Compression::Snappy => (Codec::Snappy, None),
        Compression::Lz4 => (Codec::Lz4, Some(config.compression_lz4_level)),
        Compression::Zstd => (Codec::Zstd, Some(config.compression_zstd_level)),
    })
}

/// A checked batch as the topic stores it.
pub(super) fn for_topic<'a>(
    broker: &Broker,
    config: &TopicConfig,
    batch: Cow<'a, [u8]>,
    as_sent: BatchMeta,
) -> Result<(Cow<'a, [u8]>, BatchMeta), Refused> {
    let Some((codec, level)) = wanted(config) else { return Ok((batch, as_sent)) };
    let failed = |e: RecodeError| Refused::new(ErrorCode::UNKNOWN_SERVER_ERROR, e.to_string());
    let view = BatchView::first(&batch).map_err(|e| failed(RecodeError::Batch(e)))?;
    if view.codec() == Ok(codec) {
        return Ok((batch, as_sent));
    }
    let stored = recode(
        &view,
        codec,
        level,
        DECOMPRESSED_BYTES_MAX,
        &mut broker.decompressor.borrow_mut(),
        &mut broker.compressor.borrow_mut(),
    )
    .map_err(failed)?;
    let limit = config.max_message_bytes as usize;
    if stored.len() > limit {
        let e = Invalid::TooLarge { bytes: stored.len(), limit };
        return Err(Refused::new(codes::of_invalid(&e), e.to_string()));
    }
    let header = *BatchView::first(&stored).map_err(|e| failed(RecodeError::Batch(e)))?.header();
    let meta = meta(&header, stored.len());
    Ok((Cow::Owned(stored), meta))
}
