//! The daemon's runtimes: registered, and cleared of what an earlier life left in flight.

use anyhow::Context;
use nix::sys::utsname::{UtsName, uname};
use uuid::Uuid;

use crate::{api::NewRuntime, backoff, daemon::Daemon, options::AgentOption};

/// One provider on this daemon, as the server knows it.
pub(crate) struct Runtime {
    /// The server's id for it.
    pub(crate) id: Uuid,
    /// What runs its tasks.
    pub(crate) agent: AgentOption,
}

/// What the server is told about this machine.
pub(crate) struct Machine {
    /// The runtimes' name.
    pub(crate) name: String,
    /// System, release and architecture.
    pub(crate) device: String,
}

impl Machine {
    /// Looks around, and prefers a name that was given.
    pub(crate) fn new(name: Option<String>) -> anyhow::Result<Self> {
        let system = uname().context("the machine does not say what it is")?;
        let device = [UtsName::sysname, UtsName::release, UtsName::machine]
            .map(|part| part(&system).to_string_lossy().into_owned())
            .join(" ");
        Ok(Self {
            name: name.unwrap_or_else(|| system.nodename().to_string_lossy().into_owned()),
            device,
        })
    }
}

/// Registers a runtime for each provider, or finds it registered.
pub(crate) async fn register(daemon: &Daemon) -> anyhow::Result<Vec<Runtime>> {
    let mut runtimes = Vec::new();
    for agent in &daemon.agents {
        let new = NewRuntime {
            workspace_id: daemon.workspace_id,
            daemon_id: &daemon.id,
            provider: &agent.provider,
            name: &daemon.machine.name,
            device: &daemon.machine.device,
        };
        let id =
            backoff::until_answered("register a runtime", || daemon.api.register_runtime(&new))
                .await
                .with_context(|| {
                    format!("the server refuses the runtime for `{}`", agent.provider)
                })?;
        tracing::info!(runtime.id = %id, provider = agent.provider, "registered");
        runtimes.push(Runtime {
            id,
            agent: agent.clone(),
        });
    }
    Ok(runtimes)
}

/// Fails whatever an earlier life left in flight, when nothing of it runs any more.
pub(crate) async fn recover(daemon: &Daemon, runtimes: &[Runtime]) -> anyhow::Result<()> {
    for runtime in runtimes {
        let recovered = backoff::until_answered("recover orphaned tasks", || {
            daemon.api.recover_orphaned_tasks(runtime.id)
        })
        .await
        .context("the server refuses to recover orphaned tasks")?;
        if recovered > 0 {
            tracing::info!(runtime.id = %runtime.id, tasks = recovered, "recovered orphaned tasks");
        }
    }
    Ok(())
}
