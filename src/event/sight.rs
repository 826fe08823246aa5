//! What a viewer may see of the log: the rule of who is shown which event, and what makes two viewers alike.

use entity::id::{MemberId, WorkspaceId};
use entity::member::Role;

use super::Audience;
use crate::auth::{Identity, Viewer};

/// What a viewer may see, and nothing else of them: viewers of the same sight are shown the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sight {
    /// Everything.
    Everywhere,
    /// Everything in a workspace.
    Workspace(WorkspaceId),
    /// In a workspace, what is everyone's and what is the member's own.
    Member(WorkspaceId, MemberId),
    /// In a workspace, what is on the daemon's runtimes.
    Daemon(WorkspaceId, String),
}

impl From<&Viewer> for Sight {
    fn from(viewer: &Viewer) -> Self {
        match &viewer.identity {
            Identity::Admin => Self::Everywhere,
            Identity::Member {
                workspace_id,
                member_id,
                role: Role::Member,
            } => Self::Member(*workspace_id, *member_id),
            Identity::Service { workspace_id } | Identity::Member { workspace_id, .. } => {
                Self::Workspace(*workspace_id)
            }
            Identity::Daemon(daemon) => Self::Daemon(daemon.workspace_id, daemon.daemon_id.clone()),
        }
    }
}

impl Sight {
    /// Whether something of that workspace and with that audience is to be seen.
    pub fn has(&self, workspace_id: WorkspaceId, audience: &Audience) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Workspace(own) => *own == workspace_id,
            Self::Member(own, member_id) => *own == workspace_id && audience.is_open_to(*member_id),
            Self::Daemon(own, daemon_id) => {
                *own == workspace_id
                    && audience.daemon_id.as_deref().unwrap_or_default() == daemon_id
            }
        }
    }

    /// Whether what happens in a workspace can bring a task into sight that was there before, or take one out of it: as
    /// when somebody's private agent is opened to all.
    pub const fn can_change(&self) -> bool {
        match self {
            Self::Member(..) => true,
            // Tasks stay on the runtime on which they were put.
            Self::Everywhere | Self::Workspace(_) | Self::Daemon(..) => false,
        }
    }
}
