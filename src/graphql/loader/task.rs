//! What is told of tasks: where they stand, what they used, their lives and transcripts.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use entity::id::TaskId;
use entity::{task_event, task_message, task_usage};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::{Loaders, grouped, shared};
use crate::error::Error;
use crate::event;
use crate::task::transcript;
use crate::task::waiting::Waiting;

/// Names where a queued task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct WaitingOf(pub(in super::super) TaskId);

/// Names what a task used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct UsageOf(pub(in super::super) TaskId);

/// Names a task's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct EventsOf(pub(in super::super) TaskId);

/// Names a page of a task's transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct MessagesOf {
    /// Whose.
    pub(in super::super) task_id: TaskId,
    /// After which line.
    pub(in super::super) after_seq: i32,
    /// How many lines.
    pub(in super::super) rows: i32,
}

impl Loader<WaitingOf> for Loaders {
    type Value = Waiting;
    type Error = Arc<Error>;

    async fn load(
        &self,
        keys: &[WaitingOf],
    ) -> Result<HashMap<WaitingOf, Self::Value>, Self::Error> {
        let tasks: Vec<TaskId> = keys.iter().map(|key| key.0).collect();
        let waiting = crate::task::waiting::of_tasks(&self.db, &tasks)
            .await
            .map_err(Arc::new)?;
        Ok(waiting
            .into_iter()
            .map(|(id, waiting)| (WaitingOf(id), waiting))
            .collect())
    }
}

impl Loader<UsageOf> for Loaders {
    type Value = Vec<task_usage::Model>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[UsageOf]) -> Result<HashMap<UsageOf, Self::Value>, Self::Error> {
        let rows = task_usage::Entity::find()
            .filter(task_usage::Column::TaskId.is_in(keys.iter().map(|key| key.0)))
            .order_by_asc(task_usage::Column::Provider)
            .order_by_asc(task_usage::Column::Model)
            .all(&self.db)
            .await
            .map_err(shared)?;
        let mut usage: HashMap<UsageOf, Self::Value> = HashMap::new();
        for row in rows {
            usage.entry(UsageOf(row.task_id)).or_default().push(row);
        }
        Ok(usage)
    }
}

impl Loader<EventsOf> for Loaders {
    type Value = Vec<task_event::Model>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[EventsOf]) -> Result<HashMap<EventsOf, Self::Value>, Self::Error> {
        let tasks: Vec<TaskId> = keys.iter().map(|key| key.0).collect();
        let rows = event::of_tasks(&self.db, &tasks).await.map_err(Arc::new)?;
        let named = rows
            .into_iter()
            .filter_map(|row| Some((EventsOf(row.task_id?), row)));
        Ok(grouped(named))
    }
}

impl Loader<MessagesOf> for Loaders {
    type Value = Vec<task_message::Model>;
    type Error = Arc<Error>;

    async fn load(
        &self,
        keys: &[MessagesOf],
    ) -> Result<HashMap<MessagesOf, Self::Value>, Self::Error> {
        // A document asks for the same page of all the tasks of a list.
        let pages = grouped(
            keys.iter()
                .map(|key| ((key.after_seq, key.rows), key.task_id)),
        );
        let mut messages = HashMap::new();
        for ((after_seq, rows), tasks) in pages {
            let found = transcript::messages(&self.db, &tasks, after_seq, rows)
                .await
                .map_err(Arc::new)?;
            let named = found.into_iter().map(|message| {
                let task_id = message.task_id;
                let key = MessagesOf {
                    task_id,
                    after_seq,
                    rows,
                };
                (key, message)
            });
            messages.extend(grouped(named));
        }
        Ok(messages)
    }
}
