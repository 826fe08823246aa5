//! The verbs that come in crowds: enqueue, claim, start, report progress, complete. Those of one kind that arrive at the same moment share
//! a transaction.

use entity::id::AgentId;
use entity::{agent, task};
use tokio_util::task::TaskTracker;

use super::claim::together::{Claiming, Told, agents_together, claim_together};
use super::claim::{self, Claimed, Request};
use super::enqueue::together::{Enqueueing, enqueue_together};
use super::enqueue::{Enqueued, NewTask, QuickCreate};
use super::progress::{self, Progress, Progressing};
use super::settle::{self, Completing, Completion};
use super::shown::Shown;
use super::{Claim, start};
use crate::auth::Viewer;
use crate::db::Writer;
use crate::error::Result;
use crate::group::{Desk, Group};
use crate::settings::Settings;

/// Where these are asked for.
#[derive(Clone, Debug)]
pub struct Together {
    writer: Writer,
    settings: Settings,
    enqueues: Group<Enqueueing, Option<Enqueued>>,
    claims: Group<Claiming, Told>,
    agents: Group<AgentId, agent::Model>,
    starts: Group<Shown, task::Model>,
    progress: Group<Progressing, task::Model>,
    completions: Group<Completing, task::Model>,
}

impl Together {
    /// Writes through a writer; what has begun is on the tracker.
    pub fn new(writer: &Writer, settings: &Settings, tracker: &TaskTracker) -> Self {
        let (enqueueing, starting) = (writer.clone(), writer.clone());
        let (progressing, completing) = (writer.clone(), writer.clone());
        let (claiming, loading, lease) = (writer.clone(), writer.clone(), settings.clone());
        let desk = Desk::new(tracker);
        Self {
            writer: writer.clone(),
            settings: settings.clone(),
            enqueues: Group::new(desk.clone(), move |asked, patience| {
                let writer = enqueueing.clone();
                async move { enqueue_together(&writer, asked, patience).await }
            }),
            claims: Group::new(desk.clone(), move |asked, patience| {
                let (writer, settings) = (claiming.clone(), lease.clone());
                async move { claim_together(&writer, &settings, asked, patience).await }
            }),
            // At a desk of its own: what is read does not keep those waiting who write.
            agents: Group::new(Desk::new(tracker), move |asked, _patience| {
                let writer = loading.clone();
                async move { agents_together(&writer, &asked).await }
            }),
            starts: Group::new(desk.clone(), move |asked, patience| {
                let writer = starting.clone();
                async move { start::start_together(&writer, asked, patience).await }
            }),
            progress: Group::new(desk.clone(), move |asked, patience| {
                let writer = progressing.clone();
                async move { progress::report_together(&writer, asked, patience).await }
            }),
            completions: Group::new(desk.clone(), move |asked, patience| {
                let writer = completing.clone();
                async move { settle::complete_together(&writer, asked, patience).await }
            }),
        }
    }

    /// Puts a task on the board, unless the same issue and agent already have one that waits: then that one is the
    /// answer.
    pub async fn enqueue(&self, viewer: &Viewer, new: NewTask) -> Result<Enqueued> {
        let asked = Enqueueing::check(viewer, new)?;
        loop {
            if let Some(enqueued) = self.enqueues.ask(asked.clone()).await? {
                return Ok(enqueued);
            }
        }
    }

    /// Puts a task on the board that is linked to nothing.
    pub async fn quick_create(&self, viewer: &Viewer, new: QuickCreate) -> Result<Enqueued> {
        self.enqueue(viewer, new.into_task()?).await
    }

    /// Hands a daemon the best claimable tasks of its runtimes; see [`claim::claim`].
    pub async fn claim(&self, viewer: &Viewer, request: &Request) -> Result<Vec<Claimed>> {
        if let ([runtime_id], 1) = (&*request.runtime_ids, request.max) {
            let asked = Claiming {
                daemon: viewer.require_daemon()?.clone(),
                runtime_id: *runtime_id,
                agent_id: request.agent_id,
                request_id: request.request_id,
            };
            match self.claims.ask(asked).await? {
                Told::Take(handed) => {
                    let agent = self.agents.ask(handed.task.agent_id).await?;
                    return Ok(vec![handed.with(agent)?]);
                }
                Told::Nothing => return Ok(Vec::new()),
                Told::Ask => {}
            }
        }
        claim::claim(&self.writer, viewer, &self.settings, request).await
    }

    /// Takes up a claimed task. Repeated with the same token it returns the running task with its first `started_at`.
    pub async fn start(&self, viewer: &Viewer, claim: Claim) -> Result<task::Model> {
        let daemon = viewer.require_daemon()?.clone();
        self.starts.ask(Shown { daemon, claim }).await
    }

    /// Notes how far a task is that the claim holds.
    pub async fn report_progress(
        &self,
        viewer: &Viewer,
        claim: Claim,
        progress: Progress,
    ) -> Result<task::Model> {
        progress.check()?;
        let daemon = viewer.require_daemon()?.clone();
        let shown = Shown { daemon, claim };
        self.progress.ask(Progressing { shown, progress }).await
    }

    /// Ends a running task well. On a task that has ended already it changes nothing and returns it as it is.
    pub async fn complete(
        &self,
        viewer: &Viewer,
        claim: Claim,
        completion: Completion,
    ) -> Result<task::Model> {
        completion.check()?;
        let daemon = viewer.require_daemon()?.clone();
        let shown = Shown { daemon, claim };
        let asked = Completing { shown, completion };
        self.completions.ask(asked).await
    }
}
