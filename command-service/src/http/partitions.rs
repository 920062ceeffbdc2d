//! `GET /api/partitions`: who owns what. It must never change it.

use axum::Json;
use axum::extract::State;
use muster_schemas::api::PartitionStatus;

use crate::service::CommandService;

pub(super) async fn list(State(service): State<CommandService>) -> Json<Vec<PartitionStatus>> {
    Json(service.partitions())
}
