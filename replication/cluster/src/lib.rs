//! The cluster image and the controller's decisions: placement, leaders, configs.
//!
//! Everything that the cluster agrees on is a sequence of [`Record`]s in the internal partition `__cluster_metadata`.
//! Replaying them in order gives a [`ClusterImage`]. The [`Controller`] owns an image that runs ahead of the disk: an
//! operation decides against it, applies its own records to it and returns `(records, response)`. The caller appends the
//! records through the ordinary path, and only when they are flushed applies them to the images that the data cores read
//! and lets the response go. So nothing is shown to anyone before it is durable, and two requests that race for one name
//! still see each other.
//!
//! Each data core has an image of its own (a clone of core 0's at start, fed with the same records in the same order
//! afterwards); [`ClusterImage::apply`] says what changed as a [`Delta`].
//!
//! This crate is pure: no I/O, no clock, no randomness. Fresh topic ids are handed in.
#![forbid(unsafe_code)]

pub mod config;
pub mod controller;
mod error;
pub mod image;
pub mod name;
pub mod placement;
pub mod record;

pub use controller::{Controller, Decision};
pub use error::{ErrorCode, Refusal};
pub use image::{ApplyError, Broker, Change, ClusterImage, Delta, PartitionState, Topic};
pub use record::{
    BrokerRegistered, DecodeError, DirectoryId, Endpoint, Partition, Record, Resource, ResourceKind,
};
