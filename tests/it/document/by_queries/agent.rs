//! Changing agents.

use super::super::deed::Change;
use super::super::difference::Difference;
use super::super::side::{Answer, rows};
use super::super::statement::some;
use super::ByQueries;

impl ByQueries<'_> {
    /// Archives an agent and cancels its tasks; archiving it again changes nothing.
    pub(super) async fn archive(&mut self, agent: &str) -> Answer {
        let id = self.side.argument(agent);
        let agent = self.side.agent(&id).await;
        if agent.get("archived_at").is_none() {
            self.run("ArchiveAgent", &[id.clone(), None]).await;
            self.run("CancelAgentTasksByAgent", &[id]).await;
        }
        Some(rows(&[agent]))
    }

    pub(super) async fn archive_all(&mut self, runtime: &str) -> Answer {
        let runtimes = some(format!("{{{}}}", self.side.names.id(runtime)));
        let archived = self.run("ArchiveAgentsByRuntime", &[None, runtimes]).await;
        for agent in &archived {
            self.run("CancelAgentTasksByAgent", &[some(agent.id("id"))])
                .await;
        }
        Some(rows(&archived))
    }

    pub(super) async fn restore(&mut self, agent: &str) -> Answer {
        let id = self.side.argument(agent);
        let agent = self.side.agent(&id).await;
        if self.is_callboard() && agent.get("archived_at").is_none() {
            let restored = self.would("RestoreAgent", &[id]).await.unwrap();
            assert_eq!(restored.len(), 1);
            self.note(Difference::OnlyTheArchivedAreRestored);
            return None;
        }
        Some(rows(&self.run("RestoreAgent", &[id]).await))
    }

    pub(super) async fn change(&mut self, agent: &str, change: &Change) -> Answer {
        let id = self.side.argument(agent);
        let mut given = vec![None; 15];
        given[0].clone_from(&id);
        match change {
            Change::Name(name) => given[1] = some(name),
            Change::Runtime(runtime) => given[6] = self.side.argument(runtime),
            Change::Capacity(capacity) => given[9] = some(capacity),
            Change::NoMcpConfig => {
                return Some(rows(&self.run("ClearAgentMcpConfig", &[id]).await));
            }
        }
        Some(rows(&self.run("UpdateAgent", &given).await))
    }

    /// Idle and working follow from the tasks.
    pub(super) async fn set_status(&mut self, agent: &str, status: &str) -> Answer {
        let id = self.side.argument(agent);
        let changed = match status {
            "idle" | "working" => self.run("RefreshAgentStatusFromTasks", &[id]).await,
            _ => self.run("UpdateAgentStatus", &[id, some(status)]).await,
        };
        Some(rows(&changed))
    }
}
