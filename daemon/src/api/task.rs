//! Calls about one task.

use serde_json::Value;
use uuid::Uuid;

use super::{
    Api, ApiError,
    operation::{
        AppendTaskMessages, ClaimTask, CompleteTask, FailTask, PinTaskSession, ReportTaskProgress,
        ReportTaskUsage, StartTask, append_task_messages, claim_task, complete_task, fail_task,
        pin_task_session, report_task_progress, report_task_usage, start_task,
    },
};
use crate::{
    claim::{self, Claim, ClaimProof, ClaimToken, ClaimedAgent, Resume},
    control::Progress,
    report::Pin,
    transcript::Message,
    usage::{self, Usage},
};

impl Api {
    /// The next task of a runtime, if there is one to be had. The same request id gets the same
    /// claim again.
    pub(crate) async fn claim_task(
        &self,
        runtime_id: Uuid,
        request_id: Uuid,
    ) -> Result<Option<Claim>, ApiError> {
        let input = claim_task::ClaimTaskInput {
            runtime_id,
            agent_id: None,
            request_id: Some(request_id),
        };
        let data = self
            .call::<ClaimTask>(claim_task::Variables { input })
            .await?;
        Ok(data.claim_task.map(Claim::from))
    }

    /// Says that the task runs.
    pub(crate) async fn start_task(&self, proof: ClaimProof) -> Result<(), ApiError> {
        let input = start_task::StartTaskInput {
            task_id: proof.task_id,
            claim_token: Some(proof.claim_token.expose()),
        };
        self.call::<StartTask>(start_task::Variables { input })
            .await?;
        Ok(())
    }

    /// Records what a later task can resume.
    pub(crate) async fn pin_session(&self, proof: ClaimProof, pin: &Pin) -> Result<(), ApiError> {
        let input = pin_task_session::PinTaskSessionInput {
            task_id: proof.task_id,
            claim_token: Some(proof.claim_token.expose()),
            session_id: pin.session_id.clone(),
            work_dir: pin.work_dir.clone(),
        };
        self.call::<PinTaskSession>(pin_task_session::Variables { input })
            .await?;
        Ok(())
    }

    /// Says how far the task has got.
    pub(crate) async fn report_progress(
        &self,
        proof: ClaimProof,
        progress: &Progress,
    ) -> Result<(), ApiError> {
        let input = report_task_progress::ReportTaskProgressInput {
            task_id: proof.task_id,
            claim_token: Some(proof.claim_token.expose()),
            summary: progress.summary.clone(),
            step: progress.step.map(i64::from),
            total: progress.total.map(i64::from),
        };
        self.call::<ReportTaskProgress>(report_task_progress::Variables { input })
            .await?;
        Ok(())
    }

    /// Adds lines to the transcript; lines that are there already are left alone.
    pub(crate) async fn append_messages(
        &self,
        proof: ClaimProof,
        messages: &[Message],
    ) -> Result<(), ApiError> {
        let messages = messages
            .iter()
            .map(|message| append_task_messages::TaskMessageInput {
                seq: message.seq,
                type_: message.kind.name().to_owned(),
                tool: None,
                content: Some(message.content.clone()),
                input: None,
                output: None,
            })
            .collect();
        let input = append_task_messages::AppendTaskMessagesInput {
            task_id: proof.task_id,
            claim_token: Some(proof.claim_token.expose()),
            messages,
        };
        self.call::<AppendTaskMessages>(append_task_messages::Variables { input })
            .await?;
        Ok(())
    }

    /// Says what the task has used.
    pub(crate) async fn report_usage(
        &self,
        proof: ClaimProof,
        usage: &[Usage],
    ) -> Result<(), ApiError> {
        let usage = usage
            .iter()
            .map(|usage| report_task_usage::TaskUsageInput {
                provider: usage.provider.clone(),
                model: usage.model.clone(),
                input_tokens: usage::int(usage.input_tokens),
                output_tokens: usage::int(usage.output_tokens),
                cache_read_tokens: usage::int(usage.cache_read_tokens),
                cache_write_tokens: usage::int(usage.cache_write_tokens),
            })
            .collect();
        let input = report_task_usage::ReportTaskUsageInput {
            task_id: proof.task_id,
            claim_token: Some(proof.claim_token.expose()),
            usage,
        };
        self.call::<ReportTaskUsage>(report_task_usage::Variables { input })
            .await?;
        Ok(())
    }

    /// Settles the task as completed; repeating it changes nothing.
    pub(crate) async fn complete_task(
        &self,
        proof: ClaimProof,
        result: &Value,
        pin: &Pin,
    ) -> Result<(), ApiError> {
        let input = complete_task::CompleteTaskInput {
            task_id: proof.task_id,
            claim_token: Some(proof.claim_token.expose()),
            result: Some(result.clone()),
            session_id: pin.session_id.clone(),
            work_dir: pin.work_dir.clone(),
        };
        self.call::<CompleteTask>(complete_task::Variables { input })
            .await?;
        Ok(())
    }

    /// Settles the task as failed; repeating it changes nothing.
    pub(crate) async fn fail_task(
        &self,
        proof: ClaimProof,
        error: &str,
        failure_reason: &str,
        pin: &Pin,
    ) -> Result<(), ApiError> {
        let input = fail_task::FailTaskInput {
            task_id: proof.task_id,
            claim_token: Some(proof.claim_token.expose()),
            error: error.to_owned(),
            failure_reason: Some(failure_reason.to_owned()),
            session_id: pin.session_id.clone(),
            work_dir: pin.work_dir.clone(),
        };
        self.call::<FailTask>(fail_task::Variables { input })
            .await?;
        Ok(())
    }
}

impl From<claim_task::ClaimTaskClaimTask> for Claim {
    fn from(claim: claim_task::ClaimTaskClaimTask) -> Self {
        let (task, agent) = (claim.task, claim.agent);
        Self {
            proof: ClaimProof {
                task_id: task.id,
                claim_token: ClaimToken::new(claim.claim_token),
            },
            issue_id: task.issue_id,
            attempt: task.attempt,
            trigger_summary: task.trigger_summary,
            context: task.context.filter(|context| !context.is_null()),
            resume: claim.resume.map(|resume| Resume {
                session_id: resume.session_id,
                work_dir: resume.work_dir,
            }),
            agent: ClaimedAgent {
                name: agent.name,
                instructions: agent.instructions,
                model: agent.model,
                runtime_config: agent.runtime_config,
                custom_args: claim::strings(&agent.custom_args),
                custom_env: claim::entries(&agent.custom_env),
                mcp_config: agent.mcp_config.filter(|config| !config.is_null()),
            },
        }
    }
}
