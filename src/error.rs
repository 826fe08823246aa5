//! What can go wrong, in terms a client can act on, and its one conversion to GraphQL.
//!
//! Capabilities return [`Error`]; `anyhow` is for what happens outside a request (start-up, the command line).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::ErrorExtensions;
use sea_orm::{DbErr, RuntimeErr};

/// The result of a capability.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong, in terms a client can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A value that can never be right.
    #[error("`{argument}`: {problem}")]
    BadUserInput {
        /// The argument, as the client wrote it: `input.priority`.
        argument: Cow<'static, str>,
        /// What is wrong with it.
        problem: Cow<'static, str>,
    },
    /// No token, or one that is unknown, expired or revoked.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The viewer may see the thing, not do this with it.
    #[error("{0}")]
    Forbidden(&'static str),
    /// No such row, or not in a workspace of the viewer's: one answer for both.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The claim token is wrong or superseded, or its lease has expired.
    #[error("this claim no longer holds the task")]
    ClaimConflict,
    /// Not possible in the present state; the message says which.
    #[error("{0}")]
    FailedPrecondition(Cow<'static, str>),
    /// The log no longer reaches back to the cursor.
    #[error("the event log no longer reaches back to this cursor; take a new snapshot")]
    CursorExpired,
    /// The query asks for too much.
    #[error("{0}")]
    QueryTooComplex(String),
    /// The request is larger than it may be.
    #[error("the request body is larger than {limit_bytes} bytes")]
    PayloadTooLarge {
        /// The bound.
        limit_bytes: usize,
    },
    /// More than a token may do at once or in a second.
    #[error("{problem}")]
    RateLimited {
        /// Of what there was too much.
        problem: &'static str,
        /// When there may be room again.
        retry_after: Duration,
    },
    /// The database does not answer.
    #[error("the database does not answer; try again")]
    Unavailable(#[source] DbErr),
    /// A fault here; details go to the log, never to the client.
    #[error("internal error")]
    Internal(#[source] anyhow::Error),
    /// An error of a read that several waited for.
    #[error(transparent)]
    Shared(#[from] Arc<Self>),
}

/// What the database says where a token does not hold; the function `asked_by` raises it.
const TOKEN_DOES_NOT_HOLD: &str = "CB401";

impl Error {
    /// What somebody is told who shows no token.
    pub const NO_TOKEN: Self = Self::Unauthenticated("a token is needed: Authorization: Bearer …");

    /// What the holder of a token is told that is not known, or not any longer.
    pub const UNKNOWN_TOKEN: Self =
        Self::Unauthenticated("this token is unknown, expired or revoked");

    /// A value of `argument` that can never be right, and why.
    pub fn bad_input(
        argument: impl Into<Cow<'static, str>>,
        problem: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::BadUserInput {
            argument: argument.into(),
            problem: problem.into(),
        }
    }

    /// Something that the present state does not allow, and why.
    pub fn precondition(problem: impl Into<Cow<'static, str>>) -> Self {
        Self::FailedPrecondition(problem.into())
    }

    /// The contract's code: `errors[].extensions.code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadUserInput { .. } => "BAD_USER_INPUT",
            Self::Unauthenticated(_) => "UNAUTHENTICATED",
            Self::Forbidden(_) => "FORBIDDEN",
            Self::NotFound(_) => "NOT_FOUND",
            Self::ClaimConflict => "CLAIM_CONFLICT",
            Self::FailedPrecondition(_) => "FAILED_PRECONDITION",
            Self::CursorExpired => "CURSOR_EXPIRED",
            Self::QueryTooComplex(_) => "QUERY_TOO_COMPLEX",
            Self::PayloadTooLarge { .. } => "PAYLOAD_TOO_LARGE",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::Unavailable(_) => "UNAVAILABLE",
            Self::Internal(_) => "INTERNAL",
            Self::Shared(error) => error.code(),
        }
    }

    /// Whether the database does not answer, so that what was asked of it may be asked again.
    pub fn is_unavailable(&self) -> bool {
        self.code() == "UNAVAILABLE"
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if sql_state(&error).as_deref() == Some(TOKEN_DOES_NOT_HOLD) {
            Self::UNKNOWN_TOKEN
        } else if is_unavailable(&error) {
            Self::Unavailable(error)
        } else {
            Self::Internal(anyhow::Error::new(error))
        }
    }
}

impl From<Error> for async_graphql::Error {
    fn from(error: Error) -> Self {
        let code = error.code();
        match code {
            "INTERNAL" => tracing::error!(error = ?error, "request failed"),
            "UNAVAILABLE" => tracing::warn!(error = ?error, "database unavailable"),
            _ => {}
        }
        Self::new(error.to_string()).extend_with(|_, extensions| extensions.set("code", code))
    }
}

/// Whether the database is away, overloaded or going down, rather than the statement wrong.
fn is_unavailable(error: &DbErr) -> bool {
    match sqlx_error(error) {
        Some(sqlx::Error::Database(error)) => error.code().is_some_and(|code| {
            // Connection exceptions, insufficient resources, operator intervention (a shutdown, a time-out): all pass when
            // tried again.
            let passing = ["08", "53", "57"]
                .iter()
                .any(|class| code.starts_with(class));
            passing || is_lost_to_another(&code)
        }),
        Some(
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed,
        ) => true,
        Some(_) => false,
        None => matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_)),
    }
}

/// Whether a transaction lost against another one, so that it may do better by itself: a deadlock, a failure to serialise,
/// a lock that was not to be had in time.
pub fn lost_to_another(error: &DbErr) -> bool {
    sql_state(error).is_some_and(|code| is_lost_to_another(&code))
}

/// The code that Postgres gave an error.
fn sql_state(error: &DbErr) -> Option<Cow<'_, str>> {
    sqlx_error(error)?.as_database_error()?.code()
}

fn is_lost_to_another(sql_state: &str) -> bool {
    sql_state.starts_with("40") || sql_state == "55P03"
}

/// The driver's error inside the mapper's, if there is one.
fn sqlx_error(error: &DbErr) -> Option<&sqlx::Error> {
    let (DbErr::Exec(runtime) | DbErr::Query(runtime) | DbErr::Conn(runtime)) = error else {
        return None;
    };
    let RuntimeErr::SqlxError(error) = runtime else {
        return None;
    };
    Some(error)
}

/// The violated constraint, if that is what went wrong.
pub fn violated_constraint(error: &DbErr) -> Option<&str> {
    sqlx_error(error)?.as_database_error()?.constraint()
}
