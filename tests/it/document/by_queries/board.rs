//! Putting tasks on the board and taking them off.

use super::super::deed::{Link, Whose};
use super::super::difference::Difference;
use super::super::side::{Answer, Said, rows};
use super::super::statement::{Argument, Row, some};
use super::ByQueries;

impl ByQueries<'_> {
    pub(super) async fn enqueue(
        &mut self,
        agent: &str,
        link: &Link,
        rest: [Argument; 5],
    ) -> Answer {
        let agent_id = self.side.argument(agent);
        let agent = self.side.agent(&agent_id).await;
        let issue = self.side.optional(link.issue.as_ref());
        let mut given = vec![
            agent_id.clone(),
            some(agent.id("runtime_id")),
            issue.clone(),
        ];
        given.extend(rest);
        if agent.get("archived_at").is_some() {
            self.would("CreateAgentTask", &given).await.unwrap();
            self.note(Difference::ArchivedAgentsAreGivenNothing);
            return None;
        }
        if issue.is_some()
            && let Some(pending) = self.pending(&issue, &agent_id).await
        {
            return Some(vec![
                Said::Row(pending.id("id")),
                Said::Text("true".to_owned()),
            ]);
        }
        let task = self.one("CreateAgentTask", &given).await.unwrap();
        // The queries make such tasks for issues alone; the host links its others itself.
        for (column, name) in [
            ("chat_session_id", &link.chat),
            ("autopilot_run_id", &link.run),
        ] {
            if let Some(name) = name {
                let (linked, id) = (self.side.names.id(name), task.id("id"));
                self.plain(&format!(
                    "update agent_task_queue set {column} = '{linked}' where id = '{id}'"
                ))
                .await;
            }
        }
        Some(vec![
            Said::Row(task.id("id")),
            Said::Text("false".to_owned()),
        ])
    }

    pub(super) async fn quick_create(&mut self, agent: &str, priority: i32) -> Answer {
        let agent_id = self.side.argument(agent);
        let agent = self.side.agent(&agent_id).await;
        let context = some(r#"{"type": "quick_create", "prompt": "make it"}"#);
        let given = [
            agent_id,
            some(agent.id("runtime_id")),
            some(priority),
            context,
        ];
        if agent.get("archived_at").is_some() {
            self.would("CreateQuickCreateTask", &given).await.unwrap();
            self.note(Difference::ArchivedAgentsAreGivenNothing);
            return None;
        }
        let task = self.one("CreateQuickCreateTask", &given).await.unwrap();
        Some(vec![
            Said::Row(task.id("id")),
            Said::Text("false".to_owned()),
        ])
    }

    pub(super) async fn cancel(&mut self, task: &str) -> Answer {
        let id = self.side.argument(task);
        let cancelled = self.one("CancelAgentTask", std::slice::from_ref(&id)).await;
        let task = match cancelled {
            Some(task) => task,
            None => self.side.task(&id).await,
        };
        Some(rows(&[task]))
    }

    pub(super) async fn cancel_all(&mut self, whose: &Whose) -> Answer {
        let id = |name: &String| self.side.argument(name);
        let (query, given) = match whose {
            Whose::Issue(issue) => ("CancelAgentTasksByIssue", vec![id(issue)]),
            Whose::IssueAndAgent(issue, agent) => (
                "CancelAgentTasksByIssueAndAgent",
                vec![id(issue), id(agent)],
            ),
            Whose::Agent(agent) => ("CancelAgentTasksByAgent", vec![id(agent)]),
            Whose::Comment(comment) => ("CancelAgentTasksByTriggerComment", vec![id(comment)]),
            Whose::Chat(chat) => ("CancelAgentTasksByChatSession", vec![id(chat)]),
        };
        Some(rows(&self.run(query, &given).await))
    }

    pub(super) async fn link_to_issue(&mut self, task: &str, issue: &str) -> Answer {
        let given = [self.side.argument(task), self.side.argument(issue)];
        let row = self.side.task(&given[0]).await;
        let occupies = |row: &Row| ["dispatched", "running"].contains(&row.text("status"));
        if row.get("issue_id").is_none() && occupies(&row) {
            let of_agent = self
                .run("ListAgentTasks", &[some(row.id("agent_id"))])
                .await;
            if of_agent
                .iter()
                .any(|other| occupies(other) && other.get("issue_id") == given[1].as_deref())
            {
                if self.would("LinkTaskToIssue", &given).await.is_ok() {
                    self.note(Difference::NoTwoAtWorkOnAnIssue);
                }
                return None;
            }
        }
        if self.would("LinkTaskToIssue", &given).await.is_err() {
            return None;
        }
        self.run("LinkTaskToIssue", &given).await;
        let row = self.side.task(&given[0]).await;
        (row.get("issue_id") == given[1].as_deref()).then(|| rows(&[row]))
    }

    pub(super) async fn rerun(&mut self, issue: &str, agent: &str) -> Answer {
        let (issue, agent_id) = (self.side.argument(issue), self.side.argument(agent));
        let agent = self.side.agent(&agent_id).await;
        if agent.get("archived_at").is_some() {
            return None;
        }
        let pair = [issue.clone(), agent_id.clone()];
        let cancelled = self
            .would("CancelAgentTasksByIssueAndAgent", &pair)
            .await
            .unwrap();
        let of_issue = self
            .run("ListActiveTasksByIssue", std::slice::from_ref(&issue))
            .await;
        for task in &cancelled {
            let before = of_issue
                .iter()
                .find(|before| before.id("id") == task.id("id"))
                .unwrap();
            if before.text("status") == "running" {
                self.note(Difference::RerunLeavesWhatRuns);
            } else {
                self.run("CancelAgentTask", &[some(task.id("id"))]).await;
            }
        }
        let runtime = some(agent.id("runtime_id"));
        let given = [
            agent_id,
            runtime,
            issue,
            some(0),
            None,
            None,
            some(true),
            some(false),
        ];
        let task = self.one("CreateAgentTask", &given).await.unwrap();
        Some(vec![
            Said::Row(task.id("id")),
            Said::Text("false".to_owned()),
        ])
    }

    /// The pair's task that waits.
    pub(super) async fn pending(&mut self, issue: &Argument, agent: &Argument) -> Option<Row> {
        let pair = [issue.clone(), agent.clone()];
        if !self.run("HasPendingTaskForIssueAndAgent", &pair).await[0].is("has_pending") {
            return None;
        }
        let active = self
            .run("ListActiveTasksByIssue", std::slice::from_ref(issue))
            .await;
        let waits =
            |row: &Row| row.text("status") != "running" && row.get("agent_id") == agent.as_deref();
        Some(
            active
                .into_iter()
                .find(waits)
                .expect("the task that is pending"),
        )
    }
}
