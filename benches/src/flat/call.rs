//! The calls that leave a board as it was.

use super::boards::Subject;

/// A call of the API.
#[derive(Debug)]
pub(super) struct Call {
    /// What it is called in the tables.
    pub(super) name: &'static str,
    /// What it answers.
    pub(super) meaning: &'static str,
    /// Whether it is made on boards where a hundred thousand tasks wait too, and not only where few do.
    pub(super) on_all: bool,
    /// Whether a daemon makes it, and not the host application.
    by_daemon: bool,
    /// What is sent. It may use the variables of [`Subject::variables`].
    document: &'static str,
}

impl Call {
    /// Makes it once.
    pub(super) async fn make(&self, subject: &Subject) -> anyhow::Result<()> {
        let client = if self.by_daemon {
            &subject.runtime.daemon
        } else {
            subject.host()
        };
        client.data(self.document, &subject.variables()).await?;
        Ok(())
    }
}

/// All of them.
pub(super) const CALLS: [Call; 14] = [
    Call {
        name: "claimTask, blocked agent",
        meaning: "a claim for the agent of the tasks at the head, which is given nothing there",
        on_all: true,
        by_daemon: true,
        document: "mutation($runtime: UUID!, $lastAgent: UUID!) {
            claimTask(input: {runtimeId: $runtime, agentId: $lastAgent}) { task { id } } }",
    },
    Call {
        name: "heartbeat",
        meaning: "a daemon's sign of life",
        on_all: true,
        by_daemon: true,
        document: "mutation($runtime: UUID!) {
            heartbeat(input: {runtimeIds: [$runtime]}) { runtimes { id } lost { id } } }",
    },
    Call {
        name: "snapshot",
        meaning: "a workspace's snapshot: it lists every active task by contract, so it is left out where 100 000 wait",
        on_all: false,
        by_daemon: false,
        document: "query($workspace: UUID!) { workspace(id: $workspace) { snapshot {
            cursor
            activeTasks { id agentId status priority createdAt }
            latestOutcomes { id agentId status completedAt failureReason }
            presence { agentId availability workload runningCount queuedCount capacity } } } }",
    },
    Call {
        name: "presence, all agents",
        meaning: "everyone's availability and workload",
        on_all: true,
        by_daemon: false,
        document: "query($workspace: UUID!) { workspace(id: $workspace) { agents {
            id presence { availability workload runningCount queuedCount capacity } } } }",
    },
    Call {
        name: "presence, one agent",
        meaning: "the same of the agent of the tasks at the head",
        on_all: true,
        by_daemon: false,
        document: "query($lastAgent: UUID!) { agent(id: $lastAgent) {
            id presence { availability workload runningCount queuedCount capacity } } }",
    },
    Call {
        name: "activity, all agents",
        meaning: "activity30d and runCount30d of every agent",
        on_all: true,
        by_daemon: false,
        document: "query($workspace: UUID!) { workspace(id: $workspace) { agents {
            id runCount30d activity30d { day taskCount failedCount } } } }",
    },
    Call {
        name: "activity, one agent",
        meaning: "the same of one agent",
        on_all: true,
        by_daemon: false,
        document: "query($agent: UUID!) { agent(id: $agent) {
            id runCount30d activity30d { day taskCount failedCount } } }",
    },
    Call {
        name: "tasks, first page",
        meaning: "the workspace's 50 newest tasks",
        on_all: true,
        by_daemon: false,
        document: "query($workspace: UUID!) { workspace(id: $workspace) {
            tasks(first: 50) { nodes { id status createdAt } pageInfo { endCursor } } } }",
    },
    Call {
        name: "tasks, running",
        meaning: "the first page of those that run",
        on_all: true,
        by_daemon: false,
        document: "query($workspace: UUID!) { workspace(id: $workspace) {
            tasks(first: 50, filter: {status: [RUNNING]}) { nodes { id status createdAt } } } }",
    },
    Call {
        name: "tasks, an agent's failed",
        meaning: "the first page of an agent's failed tasks",
        on_all: true,
        by_daemon: false,
        document: "query($workspace: UUID!, $agent: UUID!) { workspace(id: $workspace) {
            tasks(first: 50, filter: {status: [FAILED], agentId: $agent}) { nodes { id status createdAt } } } }",
    },
    Call {
        name: "issue",
        meaning: "an issue's active tasks, its 50 newest tasks, and whether it has a pending one",
        on_all: true,
        by_daemon: false,
        document: "query($issue: UUID!) { issue(id: $issue) {
            activeTasks { id } hasPendingTask tasks(first: 50) { nodes { id status } } } }",
    },
    Call {
        name: "pendingTasks",
        meaning: "the runtime's first 200 queued and dispatched tasks in the order of claiming",
        on_all: true,
        by_daemon: false,
        document: "query($runtime: UUID!) { runtime(id: $runtime) { pendingTasks { id status } } }",
    },
    Call {
        name: "claimCandidates",
        meaning: "the runtime's first 200 queued tasks, each with what holds it back",
        on_all: true,
        by_daemon: false,
        document: "query($runtime: UUID!) { runtime(id: $runtime) {
            claimCandidates { task { id } claimable blockedBy { reason } } } }",
    },
    Call {
        name: "waiting, last in line",
        meaning: "the place in line of the task that is last, and what holds it back",
        on_all: true,
        by_daemon: false,
        document: "query($lastInLine: UUID!) { task(id: $lastInLine) {
            waiting { position blockedBy { reason } } } }",
    },
];
