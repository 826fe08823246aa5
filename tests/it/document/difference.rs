//! Where Callboard differs from the queries on purpose. This is the whole list: what else differs is a fault.
//!
//! Each is met in the play-off where the query itself is run, is seen to do what Callboard must not, and is undone.

use std::collections::BTreeMap;

/// A difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Difference {
    CompleteChecksTheToken,
    CompleteKeepsTheSession,
    PinChecksTheToken,
    RetryGivesWay,
    ArchivedAgentsAreGivenNothing,
    NoTwoAtWorkOnAnIssue,
    RerunLeavesWhatRuns,
    LongRunsAreSpared,
    TheBusyAreSpared,
    LeasesAreTakenBackByTheirRuntime,
    DeliveriesEnd,
    OfflineRuntimesAreHandedNothing,
    TheBestOfAllAgentsIsFirst,
    OnlyTheArchivedAreRestored,
    PoisonIsNotHandedOn,
}

/// Every difference, and its reason.
pub(super) const DIFFERENCES: [(Difference, &str); 15] = [
    (
        Difference::CompleteChecksTheToken,
        "CompleteAgentTask asks for no token: a daemon that lost its claim would complete what another works on",
    ),
    (
        Difference::CompleteKeepsTheSession,
        "CompleteAgentTask overwrites the pinned session with nothing where the daemon does not repeat it",
    ),
    (
        Difference::PinChecksTheToken,
        "UpdateAgentTaskSession asks for no token: every write of a daemon is fenced, this one too",
    ),
    (
        Difference::RetryGivesWay,
        "CreateRetryTask breaks the unique index where a successor waits, and takes the failure itself back with it",
    ),
    (
        Difference::ArchivedAgentsAreGivenNothing,
        "CreateAgentTask puts work on the board that nobody may claim",
    ),
    (
        Difference::NoTwoAtWorkOnAnIssue,
        "LinkTaskToIssue attaches a task that is at work to an issue on which its agent is at work in another",
    ),
    (
        Difference::RerunLeavesWhatRuns,
        "CancelAgentTasksByIssueAndAgent ends running work; a rerun cancels only what waits",
    ),
    (
        Difference::LongRunsAreSpared,
        "FailStaleTasks fails a long run whose daemon lives, and who lives knows best whether its command works",
    ),
    (
        Difference::TheBusyAreSpared,
        "ExpireStaleQueuedTasks fails what waits behind its own agent's work on a runtime that is there",
    ),
    (
        Difference::LeasesAreTakenBackByTheirRuntime,
        "RequeueExpiredClaimLeases would requeue for a runtime that may be dead; each takes back its own when it claims",
    ),
    (
        Difference::DeliveriesEnd,
        "RequeueExpiredClaimLeasesForRuntime requeues for ever what no daemon ever starts",
    ),
    (
        Difference::OfflineRuntimesAreHandedNothing,
        "ClaimAgentTaskForRuntime does not look whether the runtime is on line: a heartbeat comes before a claim",
    ),
    (
        Difference::TheBestOfAllAgentsIsFirst,
        "asking agents in the order of the candidates hands out an agent's later task before another's better one",
    ),
    (
        Difference::OnlyTheArchivedAreRestored,
        "RestoreAgent succeeds on an agent that is not archived; whoever asks for that is mistaken",
    ),
    (
        Difference::PoisonIsNotHandedOn,
        "CreateRetryTask copies a session that GetLastTaskSession would not go on with",
    ),
];

/// How often each was met.
#[derive(Debug, Default)]
pub(super) struct Met(pub(super) BTreeMap<Difference, u32>);

impl Met {
    /// Notes that one was met: a query was seen to do otherwise.
    pub(super) fn note(&mut self, difference: Difference) {
        *self.0.entry(difference).or_default() += 1;
    }
}
