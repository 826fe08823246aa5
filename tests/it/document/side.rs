//! One of the two databases of the play-off, and what is said on it.

use uuid::Uuid;

use super::facts::{AGENT, Facts, Names, TASK};
use super::statement::{Argument, Row, Session, some};
use crate::harness::TestDatabase;

/// A database, and what the things on it are called.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) session: Session,
    pub(super) names: Names,
    pub(super) workspace: Uuid,
}

/// A part of an answer.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// A row.
    Row(Uuid),
    /// Something else.
    Text(String),
}

/// The answer to a deed; none where it is refused.
pub(super) type Answer = Option<Vec<Said>>;

/// Rows as an answer.
pub(super) fn rows(rows: &[Row]) -> Vec<Said> {
    rows.iter().map(|row| Said::Row(row.id("id"))).collect()
}

impl Side {
    /// A new side on a database.
    pub(super) async fn new(database: &TestDatabase, workspace: Uuid) -> Self {
        let mut names = Names::default();
        names.give("workspace", workspace);
        Self {
            session: Session::open(database).await,
            names,
            workspace,
        }
    }

    /// What is called so, for a parameter.
    pub(super) fn argument(&self, name: &str) -> Argument {
        some(self.names.id(name))
    }

    /// What may be called something, for a parameter.
    pub(super) fn optional(&self, name: Option<&String>) -> Argument {
        name.map(|name| self.names.id(name).to_string())
    }

    /// The row of a task.
    pub(super) async fn task(&mut self, id: &Argument) -> Row {
        let rows = self
            .session
            .one("GetAgentTask", std::slice::from_ref(id))
            .await;
        rows.expect("a task")
    }

    /// The row of an agent.
    pub(super) async fn agent(&mut self, id: &Argument) -> Row {
        let rows = self.session.one("GetAgent", std::slice::from_ref(id)).await;
        rows.expect("an agent")
    }

    /// Whether something is on line.
    pub(super) async fn is_online(&mut self, runtime: Uuid) -> bool {
        let sql = format!("select status from agent_runtime where id = '{runtime}'");
        self.session.plain(&sql).await[0].text("status") == "online"
    }

    /// Gives names to the tasks that are new: by the order of those that they repeat, which is one order on both sides.
    /// Of several that one deed put on the board or ended, the order becomes that of their names.
    pub(super) async fn name_new_tasks(&mut self, number: &mut usize) {
        let mut new: Vec<(String, Uuid)> = Vec::new();
        for row in self.tasks_as_rows().await {
            if !self.names.knows(row.id("id")) {
                let parent = row
                    .get("parent_task_id")
                    .map(|id| self.names.name(id.parse().unwrap()));
                new.push((parent.unwrap_or_default(), row.id("id")));
            }
        }
        new.sort();
        for (_, id) in &new {
            self.names.give(&format!("task {number:03}"), *id);
            *number += 1;
        }
        let ids: Vec<Uuid> = new.into_iter().map(|(_, id)| id).collect();
        self.put_in_order("created_at", &ids).await;
    }

    /// Lets what happened at once have happened in this order. A sweep does in several transactions through the API what
    /// is one here, so that their own times are no order.
    pub(super) async fn put_in_order(&mut self, column: &str, ids: &[Uuid]) {
        if ids.len() < 2 {
            return;
        }
        for id in ids {
            let sql = format!("update agent_task_queue set {column} = now() where id = '{id}'");
            self.session.plain(&sql).await;
        }
    }

    /// Every task, by name.
    pub(super) async fn tasks(&mut self) -> Vec<Facts> {
        let rows = self.tasks_as_rows().await;
        let mut tasks: Vec<Facts> = rows.iter().map(|row| self.names.row(&TASK, row)).collect();
        tasks.sort_by(|a, b| a["id"].cmp(&b["id"]));
        tasks
    }

    /// Every agent, by name.
    pub(super) async fn agents(&mut self) -> Vec<Facts> {
        let workspace = some(self.workspace);
        let rows = self.session.run("ListAllAgents", &[workspace]).await;
        rows.iter().map(|row| self.names.row(&AGENT, row)).collect()
    }

    /// The answer in the words of both sides.
    pub(super) fn words(&self, answer: Answer) -> Option<Vec<String>> {
        let word = |said| match said {
            Said::Row(id) => self.names.name(id),
            Said::Text(text) => text,
        };
        answer.map(|answer| answer.into_iter().map(word).collect())
    }

    async fn tasks_as_rows(&mut self) -> Vec<Row> {
        let sql = format!(
            "select * from agent_task_queue where workspace_id = '{}'",
            self.workspace
        );
        self.session.plain(&sql).await
    }
}
