//! The promise itself: each of the fifty queries runs, and whatever they change is told to whoever watches.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::statement::{Argument, Row, Session, queries, some};
use crate::harness::{Feed, TestApp, World};

/// A host application at work on the tables, and a front end that watches.
struct Host<'a> {
    app: &'a TestApp,
    session: Session,
    feed: Feed,
    ran: BTreeSet<&'static str>,
}

impl Host<'_> {
    /// Runs a query that changes nothing and finds something.
    async fn read(&mut self, name: &'static str, arguments: &[Argument]) -> Vec<Row> {
        let rows = self.change(name, arguments, &[]).await;
        assert!(!rows.is_empty(), "{name} finds nothing");
        rows
    }

    /// Runs a query that changes tasks; the front end is told these things, and nothing else before the next.
    async fn change(
        &mut self,
        name: &'static str,
        arguments: &[Argument],
        told: &[&str],
    ) -> Vec<Row> {
        self.ran.insert(name);
        let rows = self.session.run(name, arguments).await;
        let seen = self.feed.take(told.len()).await;
        let seen: Vec<&str> = seen.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(seen, told, "{name}");
        rows
    }

    /// Runs a query that changes agents: so many events say that.
    async fn change_agent(&mut self, name: &'static str, arguments: &[Argument], told: i64) -> Row {
        let before = self.app.database.event_count("agent_changed").await;
        let rows = self.change(name, arguments, &[]).await;
        let after = self.app.database.event_count("agent_changed").await;
        assert_eq!(after - before, told, "{name}");
        rows.into_iter().next().expect("an agent")
    }

    /// Runs a statement of the host's own.
    async fn plain(&mut self, sql: &str) {
        self.session.plain(sql).await;
    }
}

#[tokio::test]
async fn the_fifty_queries_run_and_what_they_change_is_told_to_whoever_watches() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let feed = world.follow(&world.cursor().await).await;
    let mut host = Host {
        app: &app,
        session: Session::open(&app.database).await,
        feed,
        ran: BTreeSet::new(),
    };
    let (workspace, runtime) = (some(world.workspace_id), some(world.runtime_id));

    let agent = agents(&mut host, &workspace, &runtime).await;
    leases(&mut host, &agent, &runtime).await;
    ends(&mut host, &agent, &runtime).await;
    cancellations(&mut host, &agent, &runtime).await;
    sweeps(&mut host, &agent, &runtime).await;
    histories(&mut host, &agent, &workspace).await;

    let all = queries();
    let all: BTreeSet<&str> = all.iter().map(|query| query.name.as_str()).collect();
    assert_eq!((all.len(), &host.ran), (50, &all));
}

/// Makes an agent, changes it and finds it.
async fn agents(host: &mut Host<'_>, workspace: &Argument, runtime: &Argument) -> Argument {
    let given = [
        workspace.clone(),
        some("scribe"),
        some("writes"),
        None,
        some("local"),
        some("{}"),
        runtime.clone(),
        some("workspace"),
        some(2),
        None,
        some(""),
        some("{}"),
        some("[]"),
        some(r#"{"servers": {}}"#),
        some("a model"),
    ];
    let made = host.change_agent("CreateAgent", &given, 1).await;
    let agent = some(made.id("id"));
    host.read("ListAgents", std::slice::from_ref(workspace))
        .await;
    host.read("ListAllAgents", std::slice::from_ref(workspace))
        .await;
    host.read("GetAgent", std::slice::from_ref(&agent)).await;
    host.read("GetAgentInWorkspace", &[agent.clone(), workspace.clone()])
        .await;
    let mut change = vec![None; 15];
    change[0].clone_from(&agent);
    change[1] = some("clerk");
    change[9] = some(3);
    let changed = host.change_agent("UpdateAgent", &change, 1).await;
    assert_eq!(
        (changed.text("name"), changed.number("max_concurrent_tasks")),
        ("clerk", 3)
    );
    // Secrets are no news.
    host.change_agent("ClearAgentMcpConfig", std::slice::from_ref(&agent), 0)
        .await;
    host.change_agent("UpdateAgentStatus", &[agent.clone(), some("blocked")], 1)
        .await;
    host.change_agent(
        "RefreshAgentStatusFromTasks",
        std::slice::from_ref(&agent),
        1,
    )
    .await;
    host.change_agent("ArchiveAgent", &[agent.clone(), None], 1)
        .await;
    host.change_agent("RestoreAgent", std::slice::from_ref(&agent), 1)
        .await;
    let runtimes = some(format!("{{{}}}", runtime.as_deref().unwrap()));
    host.change_agent("ArchiveAgentsByRuntime", &[None, runtimes], 1)
        .await;
    host.change_agent("RestoreAgent", std::slice::from_ref(&agent), 1)
        .await;
    agent
}

/// Lets a task's lease run out, and asks around while it waits.
async fn leases(host: &mut Host<'_>, agent: &Argument, runtime: &Argument) {
    let (issue, one) = (some(Uuid::new_v4()), std::slice::from_ref);
    let given = new_task(agent, runtime, &issue, &some(Uuid::new_v4()));
    host.change("CreateAgentTask", &given, &["QUEUED"]).await;
    let pair = [issue.clone(), agent.clone()];
    assert!(host.read("HasActiveTaskForIssue", one(&issue)).await[0].is("has_active"));
    assert!(host.read("HasPendingTaskForIssue", one(&issue)).await[0].is("has_pending"));
    assert!(host.read("HasPendingTaskForIssueAndAgent", &pair).await[0].is("has_pending"));
    assert!(
        host.read("GetLatestTaskIsLeaderForIssueAndAgent", &pair)
            .await[0]
            .is("is_leader_task")
    );
    host.read("ListPendingTasksByRuntime", one(runtime)).await;
    host.read("ListQueuedClaimCandidatesByRuntime", one(runtime))
        .await;
    host.read("ListActiveTasksByIssue", one(&issue)).await;

    let claim = [some(60), agent.clone(), runtime.clone()];
    let run_out = "update agent_task_queue set claim_expires_at = now() - interval '1 s' where status = 'dispatched'";
    host.change("ClaimAgentTaskForRuntime", &claim, &["DISPATCHED"])
        .await;
    host.plain(run_out).await;
    host.read("ListRuntimesWithExpiredClaimLeases", &[]).await;
    host.change(
        "RequeueExpiredClaimLeases",
        &[some(150), some(50)],
        &["REQUEUED"],
    )
    .await;
    host.change("ClaimAgentTaskForRuntime", &claim, &["DISPATCHED"])
        .await;
    host.plain(run_out).await;
    let given = [runtime.clone(), some(50)];
    host.change("RequeueExpiredClaimLeasesForRuntime", &given, &["REQUEUED"])
        .await;

    let claimed = host
        .change("ClaimAgentTaskForRuntime", &claim, &["DISPATCHED"])
        .await;
    let (task, token) = (
        some(claimed[0].id("id")),
        some(claimed[0].id("claim_token")),
    );
    host.change(
        "StartAgentTaskWithClaimToken",
        &[task.clone(), token],
        &["RUNNING"],
    )
    .await;
    let given = [task.clone(), some("a session"), some("/work")];
    host.change("UpdateAgentTaskSession", &given, &["SESSION_PINNED"])
        .await;
    assert_eq!(
        host.read("CountRunningTasks", one(agent)).await[0].number("count"),
        1
    );
    let given = [task.clone(), some("{}"), some("a session"), some("/work")];
    host.change("CompleteAgentTask", &given, &["COMPLETED"])
        .await;
    let session = host
        .read("GetLastTaskSession", &[agent.clone(), issue.clone()])
        .await;
    assert_eq!(session[0].text("session_id"), "a session");
    host.read("ListTasksByIssue", one(&issue)).await;
    host.read("GetAgentTask", one(&task)).await;
}

/// Runs a task in the form that has no tokens, fails and retries it.
async fn ends(host: &mut Host<'_>, agent: &Argument, runtime: &Argument) {
    let one = std::slice::from_ref;
    let given = new_task(agent, runtime, &some(Uuid::new_v4()), &None);
    host.change("CreateAgentTask", &given, &["QUEUED"]).await;
    let claimed = host
        .change("ClaimAgentTask", one(agent), &["DISPATCHED"])
        .await;
    let task = some(claimed[0].id("id"));
    host.change("StartAgentTask", one(&task), &["RUNNING"])
        .await;
    let given = [
        task.clone(),
        some("too slow"),
        some("timeout"),
        None,
        None,
        None,
    ];
    host.change("FailAgentTask", &given, &["FAILED"]).await;
    let retried = host
        .change("CreateRetryTask", one(&task), &["QUEUED"])
        .await;
    assert_eq!(retried[0].number("attempt"), 2);
    host.change(
        "CancelAgentTask",
        &[some(retried[0].id("id"))],
        &["CANCELLED"],
    )
    .await;
}

/// Cancels the tasks of everything that has tasks.
async fn cancellations(host: &mut Host<'_>, agent: &Argument, runtime: &Argument) {
    let one = std::slice::from_ref;
    let (issue, comment, chat) = (
        some(Uuid::new_v4()),
        some(Uuid::new_v4()),
        some(Uuid::new_v4()),
    );
    let task = quick_create(host, agent, runtime).await;
    host.change("LinkTaskToIssue", &[task, issue.clone()], &["LINKED"])
        .await;
    host.change("CancelAgentTasksByIssue", one(&issue), &["CANCELLED"])
        .await;
    let given = new_task(agent, runtime, &issue, &comment);
    host.change("CreateAgentTask", &given, &["QUEUED"]).await;
    let pair = [issue.clone(), agent.clone()];
    host.change("CancelAgentTasksByIssueAndAgent", &pair, &["CANCELLED"])
        .await;
    host.change("CreateAgentTask", &given, &["QUEUED"]).await;
    host.change(
        "CancelAgentTasksByTriggerComment",
        one(&comment),
        &["CANCELLED"],
    )
    .await;
    let task = quick_create(host, agent, runtime).await;
    host.plain(&format!(
        "update agent_task_queue set chat_session_id = '{}' where id = '{}'",
        chat.as_deref().unwrap(),
        task.as_deref().unwrap()
    ))
    .await;
    host.change("CancelAgentTasksByChatSession", one(&chat), &["CANCELLED"])
        .await;
    quick_create(host, agent, runtime).await;
    quick_create(host, agent, runtime).await;
    host.change(
        "CancelAgentTasksByAgent",
        one(agent),
        &["CANCELLED", "CANCELLED"],
    )
    .await;
}

/// Fails what nobody will end.
async fn sweeps(host: &mut Host<'_>, agent: &Argument, runtime: &Argument) {
    let one = std::slice::from_ref;
    quick_create(host, agent, runtime).await;
    host.change("ClaimAgentTask", one(agent), &["DISPATCHED"])
        .await;
    host.change("RecoverOrphanedTasksForRuntime", one(runtime), &["FAILED"])
        .await;
    quick_create(host, agent, runtime).await;
    host.change("ClaimAgentTask", one(agent), &["DISPATCHED"])
        .await;
    host.plain("update agent_task_queue set dispatched_at = now() - interval '1 h' where status = 'dispatched'").await;
    host.change("FailStaleTasks", &[some(300), some(9000)], &["FAILED"])
        .await;
    quick_create(host, agent, runtime).await;
    host.plain(
        "update agent_task_queue set created_at = now() - interval '3 h' where status = 'queued'",
    )
    .await;
    host.change(
        "ExpireStaleQueuedTasks",
        &[some(7200), some(500)],
        &["FAILED"],
    )
    .await;
}

/// Looks back.
async fn histories(host: &mut Host<'_>, agent: &Argument, workspace: &Argument) {
    for name in [
        "GetWorkspaceAgentRunCounts",
        "GetWorkspaceAgentActivity30d",
        "ListWorkspaceAgentTaskSnapshot",
    ] {
        host.read(name, std::slice::from_ref(workspace)).await;
    }
    host.read("ListAgentTasks", std::slice::from_ref(agent))
        .await;
}

/// What `CreateAgentTask` is given for a leader's task.
fn new_task(
    agent: &Argument,
    runtime: &Argument,
    issue: &Argument,
    comment: &Argument,
) -> [Argument; 8] {
    let (agent, runtime, issue) = (agent.clone(), runtime.clone(), issue.clone());
    [
        agent,
        runtime,
        issue,
        some(2),
        comment.clone(),
        some("asked"),
        some(false),
        some(true),
    ]
}

async fn quick_create(host: &mut Host<'_>, agent: &Argument, runtime: &Argument) -> Argument {
    let given = [
        agent.clone(),
        runtime.clone(),
        some(3),
        some(r#"{"type": "quick_create"}"#),
    ];
    let rows = host
        .change("CreateQuickCreateTask", &given, &["QUEUED"])
        .await;
    some(rows[0].id("id"))
}
