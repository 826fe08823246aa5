//! Table `task_message`: the transcripts of tasks.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::id::TaskId;

/// A line of a task's transcript.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "task_message")]
pub struct Model {
    /// Whose transcript.
    #[sea_orm(primary_key, auto_increment = false)]
    pub task_id: TaskId,
    /// Its place in it, from 1; the daemon counts.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i32,
    /// What sort of line it is; the daemon's word.
    pub r#type: String,
    /// Which tool it speaks of.
    pub tool: Option<String>,
    /// What was said.
    pub content: Option<String>,
    /// What the tool was given.
    pub input: Option<serde_json::Value>,
    /// What the tool gave.
    pub output: Option<String>,
    /// When it was received.
    pub at: DateTime<Utc>,
}

/// None; statements join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
