//! Whose token this is, and what it may do.
//!
//! The rules of who sees what are here, as conditions that every finder takes: a row that the viewer may not see
//! is not found. Who may *change* what is asked by the verbs, through the `require_` functions. The same rules for what is in
//! memory already are in [`Sight`](crate::event::Sight).

pub mod asked_by;
pub mod gate;
pub mod token;

use entity::api_token::Kind;
use entity::id::{MemberId, RuntimeId, TokenId, WorkspaceId};
use entity::member::Role;
use entity::{agent, runtime, task, workspace};
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect, QueryTrait};

use crate::error::{Error, Result};

/// Whoever is asking.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Viewer {
    /// The token that they showed.
    pub token_id: TokenId,
    /// What the operator calls it.
    pub name: String,
    /// Whom it speaks for.
    pub identity: Identity,
    /// Whether the token was looked up for an earlier request, so that it has yet to be asked whether it still holds.
    pub is_recalled: bool,
}

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// The operator.
    Admin,
    /// The host application's backend.
    Service {
        /// In which workspace.
        workspace_id: WorkspaceId,
    },
    /// A person.
    Member {
        /// In which workspace.
        workspace_id: WorkspaceId,
        /// Who.
        member_id: MemberId,
        /// What they may do.
        role: Role,
    },
    /// A daemon.
    Daemon(Daemon),
}

/// A daemon, as its token names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Daemon {
    /// In which workspace.
    pub workspace_id: WorkspaceId,
    /// Its own name for itself.
    pub daemon_id: String,
}

impl Daemon {
    /// The ids of its runtimes, as a sub-select.
    pub fn runtimes(&self) -> SelectStatement {
        runtime::Entity::find()
            .select_only()
            .column(runtime::Column::Id)
            .filter(runtime::Column::WorkspaceId.eq(self.workspace_id))
            .filter(runtime::Column::DaemonId.eq(self.daemon_id.as_str()))
            .into_query()
    }
}

impl Viewer {
    /// Which kind of token it is.
    pub const fn kind(&self) -> Kind {
        match self.identity {
            Identity::Admin => Kind::Admin,
            Identity::Service { .. } => Kind::Service,
            Identity::Member { .. } => Kind::Member,
            Identity::Daemon(_) => Kind::Daemon,
        }
    }

    /// The one workspace that the token is bound to; none for an admin, who sees all.
    pub const fn workspace_id(&self) -> Option<WorkspaceId> {
        match &self.identity {
            Identity::Admin => None,
            Identity::Service { workspace_id } | Identity::Member { workspace_id, .. } => {
                Some(*workspace_id)
            }
            Identity::Daemon(daemon) => Some(daemon.workspace_id),
        }
    }

    /// The person, if it is one.
    pub const fn member_id(&self) -> Option<MemberId> {
        match &self.identity {
            Identity::Member { member_id, .. } => Some(*member_id),
            Identity::Admin | Identity::Service { .. } | Identity::Daemon(_) => None,
        }
    }

    /// The member whose private agents are the only ones that they see; none for who sees those of everybody.
    pub const fn own_private_agents_only(&self) -> Option<MemberId> {
        match &self.identity {
            Identity::Member {
                member_id,
                role: Role::Member,
                ..
            } => Some(*member_id),
            Identity::Admin
            | Identity::Service { .. }
            | Identity::Member { .. }
            | Identity::Daemon(_) => None,
        }
    }

    /// Which workspaces they see.
    pub fn workspaces(&self) -> Condition {
        self.in_workspace(workspace::Column::Id)
    }

    /// Which runtimes they see.
    pub fn runtimes(&self) -> Condition {
        let condition = self.in_workspace(runtime::Column::WorkspaceId);
        match &self.identity {
            Identity::Daemon(daemon) => {
                condition.add(runtime::Column::DaemonId.eq(daemon.daemon_id.as_str()))
            }
            Identity::Admin | Identity::Service { .. } | Identity::Member { .. } => condition,
        }
    }

    /// Which agents they see: private ones are their owner's, and the workspace's owners' and admins'.
    pub fn agents(&self) -> Condition {
        let condition = self.in_workspace(agent::Column::WorkspaceId);
        if let Some(member_id) = self.own_private_agents_only() {
            let workspaces = agent::Column::Visibility.eq(agent::Visibility::Workspace);
            let own = agent::Column::OwnerId.eq(member_id);
            return condition.add(Condition::any().add(workspaces).add(own));
        }
        match &self.identity {
            Identity::Daemon(daemon) => {
                condition.add(agent::Column::RuntimeId.in_subquery(daemon.runtimes()))
            }
            Identity::Admin | Identity::Service { .. } | Identity::Member { .. } => condition,
        }
    }

    /// Which tasks they see: those of the agents that they see; a daemon, those of its runtimes.
    pub fn tasks(&self) -> Condition {
        let condition = self.in_workspace(task::Column::WorkspaceId);
        match &self.identity {
            Identity::Member {
                role: Role::Member, ..
            } => condition.add(
                task::Column::AgentId.in_subquery(
                    Query::select()
                        .column(agent::Column::Id)
                        .from(agent::Entity)
                        .cond_where(self.agents())
                        .to_owned(),
                ),
            ),
            Identity::Daemon(daemon) => {
                condition.add(task::Column::RuntimeId.in_subquery(daemon.runtimes()))
            }
            Identity::Admin | Identity::Service { .. } | Identity::Member { .. } => condition,
        }
    }

    /// The daemon, or a refusal: registering, claiming and settling are daemons' alone.
    pub fn require_daemon(&self) -> Result<&Daemon> {
        match &self.identity {
            Identity::Daemon(daemon) => Ok(daemon),
            Identity::Admin | Identity::Service { .. } | Identity::Member { .. } => {
                Err(Error::Forbidden("only a daemon's token may do this"))
            }
        }
    }

    /// Refuses daemons: putting work on the board and taking it off is not theirs.
    pub fn require_host(&self) -> Result<()> {
        match &self.identity {
            Identity::Daemon(_) => Err(Error::Forbidden("a daemon's token may not do this")),
            Identity::Admin | Identity::Service { .. } | Identity::Member { .. } => Ok(()),
        }
    }

    /// Refuses those who may not change an agent that they see.
    pub fn require_manager_of(&self, agent: &agent::Model) -> Result<()> {
        self.require_host()?;
        match &self.identity {
            Identity::Member {
                member_id,
                role: Role::Member,
                ..
            } if agent.owner_id != Some(*member_id) => Err(Error::Forbidden(
                "only the agent's owner, or an owner or admin of the workspace, may do this",
            )),
            Identity::Admin
            | Identity::Service { .. }
            | Identity::Member { .. }
            | Identity::Daemon(_) => Ok(()),
        }
    }

    /// The rows of their workspace; all rows for an admin.
    fn in_workspace(&self, column: impl ColumnTrait) -> Condition {
        match self.workspace_id() {
            Some(id) => Condition::all().add(column.eq(id)),
            None => Condition::all().add(Expr::val(true)),
        }
    }
}

/// Whether one of `runtimes` is missing among those found, for the answer `NOT_FOUND`.
pub(crate) fn require_all_found(asked: &[RuntimeId], found: &[RuntimeId]) -> Result<()> {
    if asked.iter().all(|id| found.contains(id)) {
        Ok(())
    } else {
        Err(Error::NotFound("runtime"))
    }
}
