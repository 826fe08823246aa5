//! `/metrics`: what this server counts of itself, for Prometheus and whatever reads its text format.
//!
//! Like `/healthz` it is for whoever reaches the port, since it tells nothing of a tenant; and it asks nobody, so that it
//! answers while the database does not.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Edge;
use crate::metrics::CONTENT_TYPE;

/// The page.
pub(super) async fn page(State(edge): State<Arc<Edge>>) -> Response {
    let board = &edge.board;
    match board.metrics.page(board.db.count()) {
        Ok(page) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
