//! `/healthz`: the process answers. `/readyz`: so does the database.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use sea_orm::ConnectionTrait;

use super::Edge;

/// Says that the process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Says whether requests can be served.
pub(super) async fn ready(State(edge): State<Arc<Edge>>) -> (StatusCode, &'static str) {
    match edge.board.db.execute_unprepared("select 1").await {
        Ok(_) => (StatusCode::OK, "ok\n"),
        Err(error) => {
            tracing::warn!(error = %error, "not ready");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the database does not answer\n",
            )
        }
    }
}
