//! How a task ends, as this daemon tells the server: until it is acknowledged, or nobody's any more.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    api::{Api, ApiError, Verdict},
    backoff,
    claim::ClaimProof,
    outbox::{Filed, Outbox},
    report::Pin,
    usage::Usage,
};

/// Everything left to say about a task whose command has ended. Contains the claim token: only for
/// the server and the outbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settlement {
    /// Which task, and by which claim.
    #[serde(flatten)]
    pub(crate) proof: ClaimProof,
    /// Reported before the outcome; emptied once that is done.
    pub(crate) usage: Vec<Usage>,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// What a later task can resume.
    pub(crate) pin: Pin,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(crate) enum Outcome {
    /// The command succeeded.
    Complete {
        /// What it gave as its result.
        result: Value,
    },
    /// The command failed, or was not let finish.
    #[serde(rename_all = "camelCase")]
    Fail {
        /// For people.
        error: String,
        /// For the rules about retries.
        failure_reason: FailureReason,
    },
    /// Somebody else has decided; only the usage is this daemon's to tell.
    LetGo,
}

/// The failure reasons that a daemon gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailureReason {
    /// The command itself failed.
    AgentError,
    /// The daemon stopped: another try may succeed.
    RuntimeRecovery,
}

impl FailureReason {
    const fn name(self) -> &'static str {
        match self {
            Self::AgentError => "agent_error",
            Self::RuntimeRecovery => "runtime_recovery",
        }
    }
}

impl Outcome {
    /// A word for the log.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Complete { .. } => "complete",
            Self::Fail { .. } => "fail",
            Self::LetGo => "let go",
        }
    }
}

impl Settlement {
    /// Whether there is anything to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.usage.is_empty() && self.outcome == Outcome::LetGo
    }
}

/// Tells the server, for as long as it takes, and removes the file once it knows. Dropped before
/// that, the file stays for the daemon's next life.
pub(crate) async fn deliver(api: &Api, outbox: &Outbox, mut filed: Filed) {
    if filed.settlement.is_empty() {
        return;
    }
    let proof = filed.settlement.proof;
    if !filed.settlement.usage.is_empty() {
        let usage = std::mem::take(&mut filed.settlement.usage);
        let told = backoff::until_settled("report usage", || api.report_usage(proof, &usage)).await;
        if let Err(error) = told {
            tracing::warn!(task.id = %proof.task_id, %error, "the usage is not taken");
        }
        // So that a daemon that dies here does not report it twice.
        if !filed.settlement.is_empty() {
            outbox.refile(&filed).await;
        }
    }
    match settle(api, &filed.settlement).await {
        Ok(()) => {
            tracing::info!(task.id = %proof.task_id, "settled");
            outbox.remove(&filed).await;
        }
        Err(error) if error.verdict() == Verdict::Gone => {
            tracing::info!(task.id = %proof.task_id, %error, "let go");
            outbox.remove(&filed).await;
        }
        Err(error) => {
            tracing::error!(task.id = %proof.task_id, %error, "the server refuses a settlement");
            outbox.set_aside(&filed).await;
            fail_instead(api, proof, &error).await;
        }
    }
}

/// Ends a task whose outcome the server will not have: nobody else ever would.
async fn fail_instead(api: &Api, proof: ClaimProof, refusal: &ApiError) {
    let settlement = Settlement {
        proof,
        usage: Vec::new(),
        outcome: Outcome::Fail {
            error: format!("the server refuses how it ended: {refusal}"),
            failure_reason: FailureReason::AgentError,
        },
        pin: Pin::default(),
    };
    if let Err(error) = settle(api, &settlement).await {
        tracing::error!(task.id = %proof.task_id, %error, "the server refuses its failure too");
    }
}

async fn settle(api: &Api, settlement: &Settlement) -> Result<(), ApiError> {
    let (proof, pin) = (settlement.proof, &settlement.pin);
    match &settlement.outcome {
        Outcome::Complete { result } => {
            backoff::until_settled("complete a task", || api.complete_task(proof, result, pin))
                .await
        }
        Outcome::Fail {
            error,
            failure_reason,
        } => {
            let reason = failure_reason.name();
            backoff::until_settled("fail a task", || api.fail_task(proof, error, reason, pin)).await
        }
        Outcome::LetGo => Ok(()),
    }
}
