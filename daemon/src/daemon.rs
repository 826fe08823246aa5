//! One daemon: what its parts share, and its life from the first call to the last.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use futures::future::join_all;
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    api::{Api, Viewer},
    backoff, claiming,
    dirs::Dirs,
    doorbell::Doorbells,
    heartbeat,
    held::Held,
    options::{AgentOption, Options},
    outbox::Outbox,
    running::Running,
    runtime::{self, Machine, Runtime},
    settlement,
    state::StateDir,
    subscription,
};

/// What the parts of one daemon share.
pub(crate) struct Daemon {
    /// The server.
    pub(crate) api: Api,
    /// The daemon's id, from its token.
    pub(crate) id: String,
    /// The token's workspace.
    pub(crate) workspace_id: Uuid,
    /// Where the daemon runs.
    pub(crate) machine: Machine,
    /// The providers that it offers.
    pub(crate) agents: Vec<AgentOption>,
    /// What it holds.
    pub(crate) held: Arc<Held>,
    /// What it has to tell yet.
    pub(crate) outbox: Outbox,
    /// What runs, for a next life.
    pub(crate) running: Running,
    /// Who works where.
    pub(crate) dirs: Dirs,
    /// Where fresh working directories are made.
    pub(crate) work_root: PathBuf,
    /// One permit for each task that may run.
    pub(crate) slots: Arc<Semaphore>,
    /// Asks for a heartbeat before its time.
    pub(crate) beat_now: Notify,
    /// The running tasks.
    pub(crate) tracker: TaskTracker,
    /// Cancelled when the daemon is to stop.
    pub(crate) stop: CancellationToken,
    /// Cancelled when a stopping daemon has tried to reach the server for long enough.
    pub(crate) abandon: CancellationToken,
    /// Time between two heartbeats.
    pub(crate) heartbeat: Duration,
    /// Time between two claims that nobody rang for.
    pub(crate) poll: Duration,
    /// Time between SIGTERM and SIGKILL.
    pub(crate) kill_grace: Duration,
    /// Time to settle what was stopped.
    pub(crate) settle_bound: Duration,
    /// Keeps other processes out.
    _state: StateDir,
}

impl Daemon {
    /// Introduces itself to the server, as soon as that can be reached.
    pub(crate) async fn connect(options: Options, stop: CancellationToken) -> anyhow::Result<Self> {
        options.check()?;
        let state_root = options.state_dir()?;
        let machine = Machine::new(options.name)?;
        let api = Api::new(&options.server, options.token, options.request_timeout)?;
        let viewer = backoff::until_answered("reach the server", || api.viewer())
            .await
            .with_context(|| format!("the server {} refuses the token", options.server))?;
        let (daemon_id, workspace_id) = identity(viewer)?;
        let state = StateDir::open(&state_root, workspace_id, &daemon_id)?;
        let outbox = Outbox::open(state.outbox())
            .await
            .context("the outbox cannot be used")?;
        let work_root = std::path::absolute(options.work_dir.unwrap_or_else(|| state.work()))
            .context("the work directory has no absolute path")?;
        tracing::info!(daemon.id = daemon_id, workspace.id = %workspace_id, "connected");
        Ok(Self {
            api,
            id: daemon_id,
            workspace_id,
            machine,
            agents: options.agents,
            held: Arc::default(),
            outbox,
            running: Running::new(state.running()),
            dirs: Dirs::default(),
            work_root,
            slots: Arc::new(Semaphore::new(usize::from(options.max_tasks))),
            beat_now: Notify::new(),
            tracker: TaskTracker::new(),
            stop,
            abandon: CancellationToken::new(),
            heartbeat: options.heartbeat,
            poll: options.poll,
            kill_grace: options.kill_grace,
            settle_bound: options.settle_bound,
            _state: state,
        })
    }

    /// Everything from connecting to the last settlement.
    pub(crate) async fn live(self: &Arc<Self>) -> anyhow::Result<()> {
        let life = async {
            let lived = self.work().await;
            // Where the server no longer wants the daemon, nobody else has said stop.
            self.stop.cancel();
            self.tracker.close();
            self.tracker.wait().await;
            lived
        };
        let bound = async {
            self.stop.cancelled().await;
            tracing::info!("stopping");
            tokio::time::sleep(self.kill_grace + self.settle_bound).await;
            self.abandon.cancel();
        };
        let (lived, _) = tokio::join!(
            async {
                let lived = Box::pin(life).await;
                // All is settled before the bound.
                self.abandon.cancel();
                lived
            },
            self.abandon.run_until_cancelled(bound),
        );
        lived
    }

    /// Serves until it is told to stop. The order matters: what an earlier life has finished must
    /// be settled, and what it has not finished ended, before the latter is failed and tried again.
    async fn work(self: &Arc<Self>) -> anyhow::Result<()> {
        let starting = async {
            let runtimes = runtime::register(self).await?;
            let left = self.outbox.left().await;
            for filed in left.context("the outbox cannot be read")? {
                settlement::deliver(&self.api, &self.outbox, filed).await;
            }
            let ended = self.running.end_left(self.kill_grace).await;
            ended.context("what an earlier life has left running cannot be ended")?;
            runtime::recover(self, &runtimes).await?;
            anyhow::Ok(runtimes)
        };
        let mut started = self.stop.run_until_cancelled(Box::pin(starting)).await;
        while let Some(runtimes) = started.transpose()? {
            self.serve(&runtimes).await;
            if self.stop.is_cancelled() {
                break;
            }
            // A runtime is gone, for instance removed while this machine slept for a week.
            tracing::warn!("the server does not know a runtime; registering again");
            let registering = Box::pin(runtime::register(self));
            started = self.stop.run_until_cancelled(registering).await;
        }
        Ok(())
    }

    /// Claims and beats until a runtime is unknown to the server.
    async fn serve(self: &Arc<Self>, runtimes: &[Runtime]) {
        let over = self.stop.child_token();
        let runtime_ids: Vec<_> = runtimes.iter().map(|runtime| runtime.id).collect();
        let bells = Doorbells::new(&runtime_ids);
        let beating = async {
            let beating = heartbeat::keep_beating(self, &runtime_ids);
            over.run_until_cancelled(beating).await;
            over.cancel();
        };
        let listening = subscription::listen(self, &runtime_ids, &bells);
        let listening = over.run_until_cancelled(Box::pin(listening));
        let claiming = join_all(
            runtimes
                .iter()
                .map(|runtime| claiming::keep_claiming(self, runtime, &bells, &over)),
        );
        tokio::join!(Box::pin(beating), listening, claiming);
    }
}

fn identity(viewer: Viewer) -> anyhow::Result<(String, Uuid)> {
    let daemon_id = viewer.daemon_id.context(
        "the token is not a daemon's; make one with `callboard token create --kind daemon`",
    )?;
    let workspace_id = viewer
        .workspace_ids
        .into_iter()
        .next()
        .context("the token is for no workspace")?;
    Ok((daemon_id, workspace_id))
}
