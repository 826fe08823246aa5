//! Runtimes: registering them, signing them off, and failing what an earlier life of the daemon left behind.

pub mod heartbeat;

use entity::id::{AgentId, RuntimeId, WorkspaceId};
use entity::{runtime, task};
use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, Statement, raw_sql,
};
use serde_json::{Value, json};

use crate::auth::Viewer;
use crate::error::{Error, Result};
use crate::limits;
use crate::task::{lock, retry};

/// A runtime as its daemon describes it.
#[derive(Clone, Debug)]
pub struct Registration {
    /// In which workspace.
    pub workspace_id: WorkspaceId,
    /// On which daemon.
    pub daemon_id: String,
    /// What runs the tasks.
    pub provider: String,
    /// Its name for people.
    pub name: String,
    /// Where it lives.
    pub runtime_mode: runtime::Mode,
    /// What the daemon says of its machine; absent keeps.
    pub device_info: Option<String>,
    /// Whatever else it says, an object; absent keeps.
    pub metadata: Option<Value>,
}

/// Registers a runtime, or brings the one of that workspace, daemon and provider on line with what is new.
pub async fn register(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    new: Registration,
) -> Result<runtime::Model> {
    let daemon = viewer.require_daemon()?;
    limits::name("input.daemonId", &new.daemon_id)?;
    limits::name("input.provider", &new.provider)?;
    limits::name("input.name", &new.name)?;
    limits::text("input.deviceInfo", new.device_info.as_deref())?;
    limits::json("input.metadata", new.metadata.as_ref())?;
    if new
        .metadata
        .as_ref()
        .is_some_and(|metadata| !metadata.is_object())
    {
        return Err(Error::bad_input("input.metadata", "must be an object"));
    }
    if new.workspace_id != daemon.workspace_id {
        return Err(Error::NotFound("workspace"));
    }
    if new.daemon_id != daemon.daemon_id {
        return Err(Error::Forbidden("this token is another daemon's"));
    }

    let id = RuntimeId::generate();
    let Registration {
        workspace_id,
        daemon_id,
        provider,
        name,
        device_info,
        metadata,
        ..
    } = new;
    let runtime_mode = new.runtime_mode.to_value();
    let empty = json!({});
    let statement: Statement = raw_sql!(
        Postgres,
        r#"insert into agent_runtime as known (
               id, workspace_id, daemon_id, provider, name, runtime_mode, status, device_info, metadata, last_seen_at)
           values (
               {id}, {workspace_id}, {daemon_id}, {provider}, {name}, {runtime_mode}, 'online',
               coalesce({device_info}, ''), coalesce({metadata}, {empty}), now())
           on conflict (workspace_id, daemon_id, provider) do update
           set name = excluded.name,
               runtime_mode = excluded.runtime_mode,
               status = 'online',
               device_info = coalesce({device_info}, known.device_info),
               metadata = coalesce({metadata}, known.metadata),
               last_seen_at = now(),
               updated_at = now()
           returning *"#
    );
    runtime::Entity::find()
        .from_raw_sql(statement)
        .one(db)
        .await?
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("an insert returned no row")))
}

/// Signs a runtime off; its tasks stay as they are.
pub async fn deregister(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    id: RuntimeId,
) -> Result<runtime::Model> {
    let daemon = viewer.require_daemon()?;
    let (workspace_id, daemon_id) = (daemon.workspace_id, daemon.daemon_id.clone());
    let statement: Statement = raw_sql!(
        Postgres,
        r#"update agent_runtime
           set status = 'offline', last_seen_at = now(), updated_at = now()
           where id = {id} and workspace_id = {workspace_id} and daemon_id = {daemon_id}
           returning *"#
    );
    runtime::Entity::find()
        .from_raw_sql(statement)
        .one(db)
        .await?
        .ok_or(Error::NotFound("runtime"))
}

/// Finds a runtime that the viewer may see.
pub async fn find(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    id: RuntimeId,
) -> Result<Option<runtime::Model>> {
    Ok(runtime::Entity::find_by_id(id)
        .filter(viewer.runtimes())
        .one(db)
        .await?)
}

/// The runtimes of a workspace that the viewer may see, oldest first.
pub async fn list(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    workspace_id: WorkspaceId,
) -> Result<Vec<runtime::Model>> {
    Ok(runtime::Entity::find()
        .filter(viewer.runtimes())
        .filter(runtime::Column::WorkspaceId.eq(workspace_id))
        .order_by_asc(runtime::Column::CreatedAt)
        .order_by_asc(runtime::Column::Id)
        .all(db)
        .await?)
}

/// Of these runtimes, those that the viewer may see.
pub async fn find_all(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    ids: &[RuntimeId],
) -> Result<Vec<RuntimeId>> {
    let found = runtime::Entity::find()
        .filter(viewer.runtimes())
        .filter(runtime::Column::Id.is_in(ids.iter().copied()))
        .all(db)
        .await?;
    Ok(found.into_iter().map(|runtime| runtime.id).collect())
}

/// What came of a runtime's orphans.
#[derive(Debug)]
pub struct Recovered {
    /// Tasks that were under way when the daemon went, and have failed.
    pub failed: Vec<task::Model>,
    /// Their successors.
    pub retried: Vec<task::Model>,
}

/// Fails what the runtime's earlier life was working on, and retries what may be retried. A daemon calls this when
/// it starts, before it claims.
pub async fn recover_orphans(
    txn: &DatabaseTransaction,
    viewer: &Viewer,
    id: RuntimeId,
) -> Result<Recovered> {
    let daemon = viewer.require_daemon()?;
    let (workspace_id, daemon_id) = (daemon.workspace_id, daemon.daemon_id.clone());
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select * from agent_runtime
           where id = {id} and workspace_id = {workspace_id} and daemon_id = {daemon_id}"#
    );
    if runtime::Entity::find()
        .from_raw_sql(statement)
        .one(txn)
        .await?
        .is_none()
    {
        return Err(Error::NotFound("runtime"));
    }
    let statement: Statement = raw_sql!(
        Postgres,
        r#"select distinct agent_id from agent_task_queue
           where runtime_id = {id} and workspace_id = {workspace_id}
               and by_index('held_by_runtime', status in ('dispatched', 'running'))"#
    );
    let agents: Vec<AgentId> = lock::ids(txn, statement).await?;
    lock::agents(txn, &agents).await?;
    let agents = lock::uuids(&agents);
    let statement: Statement = raw_sql!(
        Postgres,
        r#"update agent_task_queue
           set status = 'failed',
               completed_at = now(),
               error = 'daemon restarted while task was in flight',
               failure_reason = 'runtime_recovery'
           where runtime_id = {id} and workspace_id = {workspace_id}
               and by_index('held_by_runtime', status in ('dispatched', 'running'))
               and agent_id = any({agents})
           returning *"#
    );
    let failed = task::Entity::find()
        .from_raw_sql(statement)
        .all(txn)
        .await?;
    let retried = retry::after_failure(txn, &failed).await?;
    Ok(Recovered { failed, retried })
}
