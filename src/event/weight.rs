//! About how much memory events take.

use std::collections::HashMap;

use entity::id::TaskId;
use entity::task;

use super::{Batch, Event};

impl Batch {
    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        let mut tasks: HashMap<TaskId, usize> = HashMap::new();
        for task in self.events.iter().filter_map(|event| event.task.as_ref()) {
            tasks.entry(task.id).or_insert_with(|| task_bytes(task));
        }
        size_of::<Event>() * self.events.len() + tasks.values().sum::<usize>()
    }
}

/// About how much memory a task takes: of its texts those that can be long.
fn task_bytes(task: &task::Model) -> usize {
    let texts = [&task.trigger_summary, &task.error, &task.progress_summary];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    let json: usize = [&task.context, &task.result]
        .into_iter()
        .flatten()
        .map(json_bytes)
        .sum();
    size_of::<task::Model>() + texts + json
}

/// About how much memory a piece of JSON takes. It is no deeper than its parser allows.
fn json_bytes(value: &serde_json::Value) -> usize {
    let within = match value {
        serde_json::Value::String(text) => text.len(),
        serde_json::Value::Array(items) => items.iter().map(json_bytes).sum(),
        serde_json::Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| size_of::<String>() + name.len() + json_bytes(value))
            .sum(),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => 0,
    };
    size_of::<serde_json::Value>() + within
}
