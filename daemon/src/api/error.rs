//! What can come back instead of an answer, and what a daemon may conclude from it.

use std::{error::Error, fmt};

use graphql_client::Response;
use reqwest::{StatusCode, header::InvalidHeaderValue};

/// A call that was not answered, or answered with an error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The request or its answer did not get through.
    #[error("no answer from the server: {}", root_cause(.0))]
    Transport(#[from] reqwest::Error),
    /// Something in between answered, or the server before it got to GraphQL.
    #[error("the server answered {0} and no GraphQL")]
    Status(StatusCode),
    /// A success whose body is not what the schema promises.
    #[error("the server's answer cannot be read: {0}")]
    Malformed(#[source] serde_json::Error),
    /// The token has characters that no token has.
    #[error("the token cannot be sent: {0}")]
    Token(#[source] InvalidHeaderValue),
    /// The websocket cannot be had, or has broken.
    #[error("the websocket is gone: {0}")]
    Socket(String),
    /// The server's own no.
    #[error("{code}: {message}")]
    Refused {
        /// Which kind of no.
        code: Code,
        /// For people.
        message: String,
    },
}

/// `errors[].extensions.code` of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// A value that can never be right.
    BadUserInput,
    /// No token, or one that is unknown, expired or revoked.
    Unauthenticated,
    /// Not with this token.
    Forbidden,
    /// No such row for this viewer.
    NotFound,
    /// The claim is not, or no longer, this daemon's.
    ClaimConflict,
    /// Not possible in the present state.
    FailedPrecondition,
    /// The log no longer reaches back to the cursor.
    CursorExpired,
    /// Too many requests.
    RateLimited,
    /// Too much asked at once.
    QueryTooComplex,
    /// Too much sent at once.
    PayloadTooLarge,
    /// The server's database does not answer.
    Unavailable,
    /// A fault in the server.
    Internal,
    /// None of the contract's codes.
    Unknown,
}

/// What a daemon may conclude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing: the same call may succeed later.
    Passing,
    /// The claim or the row is gone: let go.
    Gone,
    /// Nothing is possible with this token at this address: somebody has to change something.
    Denied,
    /// The call itself is wrong and will stay so.
    Wrong,
}

impl ApiError {
    /// What a daemon may conclude from this error.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::Transport(_)
            | Self::Malformed(_)
            | Self::Socket(_)
            | Self::Status(
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS,
            ) => Verdict::Passing,
            Self::Status(status) if status.is_server_error() => Verdict::Passing,
            Self::Status(StatusCode::PAYLOAD_TOO_LARGE) => Verdict::Wrong,
            Self::Status(_) | Self::Token(_) => Verdict::Denied,
            Self::Refused { code, .. } => code.verdict(),
        }
    }
}

impl Code {
    const ALL: [(&'static str, Self); 12] = [
        ("BAD_USER_INPUT", Self::BadUserInput),
        ("UNAUTHENTICATED", Self::Unauthenticated),
        ("FORBIDDEN", Self::Forbidden),
        ("NOT_FOUND", Self::NotFound),
        ("CLAIM_CONFLICT", Self::ClaimConflict),
        ("FAILED_PRECONDITION", Self::FailedPrecondition),
        ("CURSOR_EXPIRED", Self::CursorExpired),
        ("RATE_LIMITED", Self::RateLimited),
        ("QUERY_TOO_COMPLEX", Self::QueryTooComplex),
        ("PAYLOAD_TOO_LARGE", Self::PayloadTooLarge),
        ("UNAVAILABLE", Self::Unavailable),
        ("INTERNAL", Self::Internal),
    ];

    fn parse(text: &str) -> Self {
        Self::ALL
            .into_iter()
            .find_map(|(name, code)| (name == text).then_some(code))
            .unwrap_or(Self::Unknown)
    }

    fn verdict(self) -> Verdict {
        match self {
            Self::Unavailable | Self::Internal | Self::RateLimited => Verdict::Passing,
            Self::NotFound | Self::ClaimConflict => Verdict::Gone,
            Self::Unauthenticated => Verdict::Denied,
            Self::BadUserInput
            | Self::Forbidden
            | Self::FailedPrecondition
            | Self::CursorExpired
            | Self::QueryTooComplex
            | Self::PayloadTooLarge
            | Self::Unknown => Verdict::Wrong,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL
            .into_iter()
            .find_map(|(name, code)| (code == *self).then_some(name));
        f.write_str(name.unwrap_or("an unknown error"))
    }
}

/// The data, unless there is any error: a nullable field that failed is null *and* an error, and
/// must not be read as "nothing there".
pub(crate) fn unwrap_response<T>(response: Response<T>, status: StatusCode) -> Result<T, ApiError> {
    if let Some(error) = response.errors.unwrap_or_default().into_iter().next() {
        let code = error
            .extensions
            .as_ref()
            .and_then(|extensions| extensions.get("code"))
            .and_then(|code| code.as_str())
            .map_or(Code::Unknown, Code::parse);
        if code == Code::Unknown && !status.is_success() {
            tracing::debug!(
                error.message = error.message,
                "an error without a known code"
            );
            return Err(ApiError::Status(status));
        }
        return Err(ApiError::Refused {
            code,
            message: error.message,
        });
    }
    response.data.ok_or(ApiError::Status(status))
}

/// What lies below "error sending request": the part that tells a refused connection from a name
/// that does not resolve.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn verdict_of(body: Value, status: u16) -> Result<Value, Verdict> {
        let response: Response<Value> = serde_json::from_value(body).unwrap();
        unwrap_response(response, StatusCode::from_u16(status).unwrap())
            .map_err(|error| error.verdict())
    }

    fn refusal(code: &str) -> Value {
        json!({ "data": null, "errors": [{ "message": "no", "extensions": { "code": code } }] })
    }

    #[test]
    fn each_code_has_its_verdict() {
        let cases = [
            ("BAD_USER_INPUT", Verdict::Wrong),
            ("UNAUTHENTICATED", Verdict::Denied),
            ("FORBIDDEN", Verdict::Wrong),
            ("NOT_FOUND", Verdict::Gone),
            ("CLAIM_CONFLICT", Verdict::Gone),
            ("FAILED_PRECONDITION", Verdict::Wrong),
            ("CURSOR_EXPIRED", Verdict::Wrong),
            ("RATE_LIMITED", Verdict::Passing),
            ("QUERY_TOO_COMPLEX", Verdict::Wrong),
            ("PAYLOAD_TOO_LARGE", Verdict::Wrong),
            ("UNAVAILABLE", Verdict::Passing),
            ("INTERNAL", Verdict::Passing),
            ("SOMETHING_ELSE", Verdict::Wrong),
        ];
        for (code, verdict) in cases {
            assert_eq!(verdict_of(refusal(code), 200), Err(verdict), "{code}");
        }
    }

    #[test]
    fn a_code_counts_for_more_than_the_status_it_came_with() {
        assert_eq!(
            verdict_of(refusal("CLAIM_CONFLICT"), 500),
            Err(Verdict::Gone)
        );
        let bare = json!({ "errors": [{ "message": "bad gateway" }] });
        assert_eq!(verdict_of(bare, 502), Err(Verdict::Passing));
    }

    #[test]
    fn a_failed_nullable_field_is_not_an_empty_answer() {
        let body = json!({
            "data": { "claimTask": null },
            "errors": [{ "message": "no", "extensions": { "code": "UNAVAILABLE" } }],
        });
        assert_eq!(verdict_of(body, 200), Err(Verdict::Passing));
        let body = json!({ "data": { "claimTask": null } });
        assert_eq!(verdict_of(body.clone(), 200), Ok(body["data"].clone()));
    }

    #[test]
    fn what_is_in_between_may_recover_or_be_misconfigured() {
        let verdict = |status| ApiError::Status(StatusCode::from_u16(status).unwrap()).verdict();
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(verdict(status), Verdict::Passing, "{status}");
        }
        for status in [301, 401, 403, 404] {
            assert_eq!(verdict(status), Verdict::Denied, "{status}");
        }
    }
}
