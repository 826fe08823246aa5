//! Calls about the daemon and its runtimes.

use serde_json::json;
use uuid::Uuid;

use super::{
    Api, ApiError,
    operation::{
        Heartbeat, RecoverOrphanedTasks, RegisterRuntime, ViewerQuery, heartbeat,
        recover_orphaned_tasks, register_runtime, viewer_query,
    },
};
use crate::claim::ClaimProof;

/// Whose token this is.
pub(crate) struct Viewer {
    /// The daemon's id; none where the token is not a daemon's.
    pub(crate) daemon_id: Option<String>,
    /// The workspaces that the token is for.
    pub(crate) workspace_ids: Vec<Uuid>,
}

/// A runtime about to be registered.
pub(crate) struct NewRuntime<'a> {
    /// Where.
    pub(crate) workspace_id: Uuid,
    /// On which daemon.
    pub(crate) daemon_id: &'a str,
    /// For which provider.
    pub(crate) provider: &'a str,
    /// Under which name.
    pub(crate) name: &'a str,
    /// On what machine.
    pub(crate) device: &'a str,
}

/// What the server says to a sign of life.
pub(crate) struct Beat {
    /// The runtimes that it knows.
    pub(crate) runtime_ids: Vec<Uuid>,
    /// The tasks that are no longer held by the claims that were named.
    pub(crate) lost_task_ids: Vec<Uuid>,
}

impl Api {
    /// Whose token this is.
    pub(crate) async fn viewer(&self) -> Result<Viewer, ApiError> {
        let viewer = self
            .call::<ViewerQuery>(viewer_query::Variables)
            .await?
            .viewer;
        Ok(Viewer {
            daemon_id: viewer.daemon_id,
            workspace_ids: viewer.workspaces.into_iter().map(|row| row.id).collect(),
        })
    }

    /// Registers a runtime, or finds it registered; its id.
    pub(crate) async fn register_runtime(&self, new: &NewRuntime<'_>) -> Result<Uuid, ApiError> {
        let input = register_runtime::RegisterRuntimeInput {
            workspace_id: new.workspace_id,
            daemon_id: new.daemon_id.to_owned(),
            provider: new.provider.to_owned(),
            name: new.name.to_owned(),
            runtime_mode: register_runtime::RuntimeMode::LOCAL,
            device_info: Some(new.device.to_owned()),
            metadata: Some(json!({ "version": env!("CARGO_PKG_VERSION") })),
        };
        let data = self
            .call::<RegisterRuntime>(register_runtime::Variables { input })
            .await?;
        Ok(data.register_runtime.id)
    }

    /// Fails what an earlier life of the daemon left in flight; how many tasks that were.
    pub(crate) async fn recover_orphaned_tasks(&self, runtime_id: Uuid) -> Result<usize, ApiError> {
        let data = self
            .call::<RecoverOrphanedTasks>(recover_orphaned_tasks::Variables { runtime_id })
            .await?;
        Ok(data.recover_orphaned_tasks.failed.len())
    }

    /// A sign of life for all runtimes, with everything that is held.
    pub(crate) async fn heartbeat(
        &self,
        runtime_ids: &[Uuid],
        holding: &[ClaimProof],
    ) -> Result<Beat, ApiError> {
        let input = heartbeat::HeartbeatInput {
            runtime_ids: runtime_ids.to_vec(),
            holding: holding
                .iter()
                .map(|proof| heartbeat::HeldTaskInput {
                    task_id: proof.task_id,
                    claim_token: proof.claim_token.expose(),
                })
                .collect(),
        };
        let beat = self
            .call::<Heartbeat>(heartbeat::Variables { input })
            .await?
            .heartbeat;
        Ok(Beat {
            runtime_ids: beat.runtimes.into_iter().map(|row| row.id).collect(),
            lost_task_ids: beat.lost.into_iter().map(|row| row.id).collect(),
        })
    }
}
