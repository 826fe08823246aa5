//! A token becomes a viewer.

use axum::http::{HeaderMap, header};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::Edge;
use crate::auth::Viewer;
use crate::error::{Error, Result};

/// Finds out who is asking, and whether they ask too often.
pub(super) async fn requester(edge: &Edge, headers: &HeaderMap) -> Result<Viewer> {
    let viewer = authenticate(edge, bearer(headers)).await?;
    edge.quota.request(&viewer)?;
    Ok(viewer)
}

/// The same, but that they may be recalled by their token, which need not hold any longer.
pub(super) async fn requester_or_recalled(edge: &Edge, token: &SecretString) -> Result<Viewer> {
    let viewer = match edge.board.gate.recall(token) {
        Some(recalled) => recalled,
        None => edge.board.gate.authenticate(token).await?,
    };
    edge.quota.request(&viewer)?;
    Ok(viewer)
}

/// Finds out whose token this is.
pub(super) async fn authenticate(edge: &Edge, token: Option<SecretString>) -> Result<Viewer> {
    let token = token.ok_or(Error::NO_TOKEN)?;
    edge.board.gate.authenticate(&token).await
}

/// The token of the header `Authorization: Bearer …`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    bearer_token(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
}

/// Takes the token out of the payload of a message on a socket: the same header, as a field.
pub(super) fn take_token(payload: &mut Map<String, Value>) -> Option<SecretString> {
    let name = payload
        .keys()
        .find(|name| name.eq_ignore_ascii_case("authorization"))?
        .clone();
    bearer_token(payload.remove(&name)?.as_str()?)
}

fn bearer_token(value: &str) -> Option<SecretString> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| SecretString::from(token.trim()))
}
