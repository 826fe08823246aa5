//! Table `task_usage`: what tasks used, by model.

use sea_orm::entity::prelude::*;

use crate::id::TaskId;

/// What a task used of one model.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "task_usage")]
pub struct Model {
    /// Which task.
    #[sea_orm(primary_key, auto_increment = false)]
    pub task_id: TaskId,
    /// Whose model.
    #[sea_orm(primary_key, auto_increment = false)]
    pub provider: String,
    /// Which model.
    #[sea_orm(primary_key, auto_increment = false)]
    pub model: String,
    /// Tokens read, the cached left out.
    pub input_tokens: i32,
    /// Tokens written.
    pub output_tokens: i32,
    /// Tokens read from the cache.
    pub cache_read_tokens: i32,
    /// Tokens written to the cache.
    pub cache_write_tokens: i32,
}

/// None; statements join by hand.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
