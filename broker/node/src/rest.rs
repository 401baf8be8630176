//! REST for topics, on the admin address: the resources, fields and error codes of Confluent's REST API v3.
//!
//! ```text
//!  line         from the control thread to core 0 and back: a Kafka request goes, its answer comes
//!  answer       JSON and errors
//!  clusters     /v3/clusters, and which cluster is meant
//!  topics       list, create, describe, more partitions, delete
//!  partitions   partitions and their replicas
//!  configs      a topic's configuration
//! ```
//!
//! Nothing is decided here. Each call becomes the request of the Kafka API that does the same (CreateTopics, Metadata, ...) and
//! is answered by the same code, so the two cannot differ. `rest/openapi.json` describes it, and is served.

mod answer;
mod clusters;
mod configs;
mod line;
mod partitions;
mod topics;

pub(crate) use line::{Line, serve};

use answer::Problem;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{any, get, post};
use std::sync::Arc;

/// The largest body that is read: a topic with a thousand configurations is far below it.
const BODY_BYTES_MAX: usize = 256 << 10;

/// The description of everything below, for programs.
const OPENAPI: &str = include_str!("rest/openapi.json");

/// The routes, which ask over `line`.
pub(crate) fn routes(line: Arc<Line>) -> Router {
    const TOPIC: &str = "/v3/clusters/{cluster}/topics/{topic}";
    let below = |rest: &str| format!("{TOPIC}{rest}");
    Router::new()
        .route("/v3/openapi.json", get(openapi))
        .route("/v3/clusters", get(clusters::list))
        .route("/v3/clusters/{cluster}", get(clusters::describe))
        .route("/v3/clusters/{cluster}/topics", get(topics::list).post(topics::create))
        .route(TOPIC, get(topics::describe).patch(topics::add_partitions).delete(topics::delete))
        .route(&below("/partitions"), get(partitions::list))
        .route(&below("/partitions/{partition}"), get(partitions::describe))
        .route(&below("/partitions/{partition}/replicas"), get(partitions::replicas))
        .route(&below("/partitions/{partition}/replicas/{broker}"), get(partitions::replica))
        .route(&below("/configs"), get(configs::list))
        .route(&below("/configs:alter"), post(configs::alter))
        .route(
            &below("/configs/{name}"),
            get(configs::describe).put(configs::set).delete(configs::unset),
        )
        .route("/v3/{*rest}", any(nothing))
        .method_not_allowed_fallback(not_so)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(line)
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn nothing() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        404,
        "there is no such resource; GET /v3/openapi.json lists them",
    )
}

async fn not_so() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        405,
        "this resource has no such method; GET /v3/openapi.json lists them",
    )
}
