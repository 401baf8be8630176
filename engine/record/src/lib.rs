//! Record batch v2 as bytes: header view, CRC32C, varints, builder, iterator, compression, validation.
