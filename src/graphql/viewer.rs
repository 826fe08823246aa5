//! `viewer`: whose token this is.

use async_graphql::{Context, Object, Result};
use entity::api_token::Kind;
use entity::id::MemberId;

use super::context;
use super::workspace::Workspace;
use crate::auth::{self, Identity};

/// Whose token this is, and what it may do.
#[derive(Debug)]
pub(super) struct Viewer(auth::Viewer);

/// Whose token this is, and what it may do.
#[Object]
impl Viewer {
    /// Whom the token speaks for.
    async fn kind(&self) -> Kind {
        self.0.kind()
    }

    /// What the operator calls the token.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The person, if the token is a member's; the id is the host application's.
    async fn member_id(&self) -> Option<MemberId> {
        self.0.member_id()
    }

    /// The daemon, if the token is a daemon's.
    async fn daemon_id(&self) -> Option<&str> {
        match &self.0.identity {
            Identity::Daemon(daemon) => Some(&daemon.daemon_id),
            Identity::Admin | Identity::Service { .. } | Identity::Member { .. } => None,
        }
    }

    /// The workspaces that the token reaches: one, or all for an admin.
    async fn workspaces(&self, ctx: &Context<'_>) -> Result<Vec<Workspace>> {
        let workspaces = crate::workspace::list(context::db(ctx)?, &self.0).await?;
        Ok(workspaces.into_iter().map(Workspace::from).collect())
    }
}

/// The query of whose token this is.
#[derive(Debug, Default)]
pub(super) struct ViewerQuery;

#[Object]
impl ViewerQuery {
    /// Whose token this is, and what it may do.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer> {
        Ok(Viewer(context::viewer(ctx)?.clone()))
    }
}
