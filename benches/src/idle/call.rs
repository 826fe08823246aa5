//! The calls of a daemon that has nothing to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::board::Runtime;

/// What an idle daemon does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    /// Asks for a task.
    Claim,
    /// Says that it is there.
    Heartbeat,
}

impl Call {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Claim, Self::Heartbeat];

    /// What it is called in the tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Claim => "claimTask",
            Self::Heartbeat => "heartbeat",
        }
    }

    /// What it is about.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Claim => "a daemon asks for a task, and there is none",
            Self::Heartbeat => "a daemon says that its runtime is there",
        }
    }

    /// Lets the daemons, in turn, make the call so many times in all.
    pub(crate) async fn make(
        self,
        runtimes: &[Runtime],
        calls: u32,
        at_once: u32,
    ) -> anyhow::Result<()> {
        let runtimes: Arc<[Runtime]> = runtimes.into();
        let (next, most) = (Arc::new(AtomicUsize::new(0)), usize::try_from(calls)?);
        let mut callers = JoinSet::new();
        for _ in 0..at_once {
            let (runtimes, next) = (Arc::clone(&runtimes), Arc::clone(&next));
            callers.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let runtime = runtimes.get(number % runtimes.len());
                    match runtime.filter(|_| number < most) {
                        Some(runtime) => self.make_one(runtime).await?,
                        None => return anyhow::Ok(()),
                    }
                }
            });
        }
        while let Some(ended) = callers.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn make_one(self, runtime: &Runtime) -> anyhow::Result<()> {
        match self {
            Self::Claim => {
                let input = json!({"runtimeId": runtime.id, "requestId": Uuid::new_v4()});
                let document = "mutation($input: ClaimTaskInput!) { claimTask(input: $input) { claimToken task { id } } }";
                let answer = runtime
                    .daemon
                    .data(document, &json!({"input": input}))
                    .await?;
                let claim = answer.get("claimTask").context("there is an answer")?;
                anyhow::ensure!(claim.is_null(), "there was a task: {claim}");
                Ok(())
            }
            Self::Heartbeat => runtime.heartbeat().await,
        }
    }
}
