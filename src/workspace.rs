//! Workspaces: made on the command line, read by everyone who is in them.

use entity::id::WorkspaceId;
use entity::workspace;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Statement, raw_sql,
};

use crate::auth::Viewer;
use crate::error::{Error, Result, violated_constraint};
use crate::limits;

/// Makes a workspace.
pub async fn create(db: &impl ConnectionTrait, slug: &str, name: &str) -> Result<workspace::Model> {
    limits::name("name", name)?;
    let id = WorkspaceId::generate();
    let statement: Statement = raw_sql!(
        Postgres,
        "insert into workspace (id, slug, name) values ({id}, {slug}, {name}) returning *"
    );
    workspace::Entity::find()
        .from_raw_sql(statement)
        .one(db)
        .await
        .map_err(|error| match violated_constraint(&error) {
            Some("workspace_slug_unique") => {
                Error::precondition("a workspace with this slug exists")
            }
            Some("workspace_slug_shape") => Error::bad_input(
                "slug",
                "use lower-case letters, digits and inner hyphens, 63 at most",
            ),
            _ => error.into(),
        })?
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("an insert returned no row")))
}

/// Finds a workspace by its slug.
pub async fn find_by_slug(
    db: &impl ConnectionTrait,
    slug: &str,
) -> Result<Option<workspace::Model>> {
    Ok(workspace::Entity::find()
        .filter(workspace::Column::Slug.eq(slug))
        .one(db)
        .await?)
}

/// Finds a workspace that the viewer is in.
pub async fn find(
    db: &impl ConnectionTrait,
    viewer: &Viewer,
    id: WorkspaceId,
) -> Result<Option<workspace::Model>> {
    Ok(workspace::Entity::find_by_id(id)
        .filter(viewer.workspaces())
        .one(db)
        .await?)
}

/// Refuses a workspace that the viewer is not in. A token is removed with its workspace, so that whoever was found to have
/// one need not be asked for the workspace as well.
pub async fn require(db: &impl ConnectionTrait, viewer: &Viewer, id: WorkspaceId) -> Result<()> {
    let is_in = match viewer.workspace_id() {
        Some(own) => own == id,
        None => find(db, viewer, id).await?.is_some(),
    };
    is_in.then_some(()).ok_or(Error::NotFound("workspace"))
}

/// The workspaces that the viewer is in, oldest first.
pub async fn list(db: &impl ConnectionTrait, viewer: &Viewer) -> Result<Vec<workspace::Model>> {
    Ok(workspace::Entity::find()
        .filter(viewer.workspaces())
        .order_by_asc(workspace::Column::CreatedAt)
        .order_by_asc(workspace::Column::Id)
        .all(db)
        .await?)
}
