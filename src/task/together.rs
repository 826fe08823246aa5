//! The verbs that come in crowds: enqueue, claim, start, report progress, complete, fail. Those of one kind that arrive at the
//! same moment share a transaction.

use entity::task;

use super::claim::together::{Claiming, Told, claim_together};
use super::claim::{Claimed, Request};
use super::enqueue::together::{Enqueueing, enqueue_together};
use super::enqueue::{Enqueued, NewTask, QuickCreate};
use super::progress::{self, Progress, Progressing};
use super::settle::{self, Completing, Completion, Failed, Failing, Failure};
use super::shown::Shown;
use super::{Claim, start};
use crate::auth::Viewer;
use crate::auth::asked_by::AskedBy;
use crate::db::Writer;
use crate::error::Result;
use crate::group::{Desk, Group};
use crate::settings::Settings;

/// Where these are asked for.
#[derive(Clone, Debug)]
pub struct Together {
    writer: Writer,
    settings: Settings,
    enqueues: Group<AskedBy<Enqueueing>, Option<Enqueued>>,
    claims: Group<AskedBy<Claiming>, Told>,
    starts: Group<AskedBy<Shown>, task::Model>,
    progress: Group<AskedBy<Progressing>, task::Model>,
    completions: Group<AskedBy<Completing>, task::Model>,
    failures: Group<AskedBy<Failing>, Failed>,
}

impl Together {
    /// Writes through a writer, at a desk of their own.
    pub fn new(writer: &Writer, settings: &Settings, desk: Desk) -> Self {
        let (enqueueing, starting) = (writer.clone(), writer.clone());
        let (progressing, completing, failing) = (writer.clone(), writer.clone(), writer.clone());
        let (claiming, lease) = (writer.clone(), settings.clone());
        Self {
            writer: writer.clone(),
            settings: settings.clone(),
            enqueues: Group::new("enqueue", desk.clone(), move |asked, turn| {
                let writer = enqueueing.clone();
                async move { enqueue_together(&writer, asked, turn).await }
            }),
            claims: Group::weighing(
                "claim",
                desk.clone(),
                |claiming: &AskedBy<Claiming>| claiming.asked().weight(),
                move |asked, turn| {
                    let (writer, settings) = (claiming.clone(), lease.clone());
                    async move { claim_together(&writer, &settings, asked, turn).await }
                },
            ),
            starts: Group::new("start", desk.clone(), move |asked, turn| {
                let writer = starting.clone();
                async move { start::start_together(&writer, asked, turn).await }
            }),
            progress: Group::new("progress", desk.clone(), move |asked, turn| {
                let writer = progressing.clone();
                async move { progress::report_together(&writer, asked, turn).await }
            }),
            completions: Group::new("complete", desk.clone(), move |asked, turn| {
                let writer = completing.clone();
                async move { settle::complete_together(&writer, asked, turn).await }
            }),
            failures: Group::new("fail", desk, move |asked, turn| {
                let writer = failing.clone();
                async move { settle::fail_together(&writer, asked, turn).await }
            }),
        }
    }

    /// Puts a task on the board, unless the same issue and agent already have one that waits: then that one is the
    /// answer.
    pub async fn enqueue(&self, viewer: &Viewer, new: NewTask) -> Result<Enqueued> {
        let asked = AskedBy::new(viewer, Enqueueing::check(viewer, new)?);
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

    /// Hands the daemon the best claimable tasks of its runtimes, the best one first. The same request id again gets the same
    /// tasks, for as long as that claim holds them.
    ///
    /// What the runtimes were given and did not start is taken back before: by asking for work, the daemon shows that it
    /// lives.
    pub async fn claim(&self, viewer: &Viewer, request: Request) -> Result<Vec<Claimed>> {
        let mut asked = Claiming::check(viewer, request)?;
        loop {
            match self.claims.ask(AskedBy::new(viewer, asked.clone())).await? {
                Told::Take(claimed) => return Ok(claimed),
                Told::Expired => asked.take_back(&self.writer, &self.settings).await?,
                Told::Again(passed_over) => asked.pass_over(passed_over),
            }
        }
    }

    /// Takes up a claimed task. Repeated with the same token it returns the running task with its first `started_at`.
    pub async fn start(&self, viewer: &Viewer, claim: Claim) -> Result<task::Model> {
        let daemon = viewer.require_daemon()?.clone();
        let asked = AskedBy::new(viewer, Shown { daemon, claim });
        self.starts.ask(asked).await
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
        let asked = AskedBy::new(viewer, Progressing { shown, progress });
        self.progress.ask(asked).await
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
        let asked = AskedBy::new(viewer, Completing { shown, completion });
        self.completions.ask(asked).await
    }

    /// Ends a dispatched or running task badly, and retries it where the rule allows, in the same transaction. On a task
    /// that has ended already it changes nothing and returns it as it is.
    pub async fn fail(&self, viewer: &Viewer, claim: Claim, failure: Failure) -> Result<Failed> {
        failure.check()?;
        let daemon = viewer.require_daemon()?.clone();
        let shown = Shown { daemon, claim };
        let asked = AskedBy::new(viewer, Failing { shown, failure });
        self.failures.ask(asked).await
    }
}
