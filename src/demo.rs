//! The demo: a workspace in which agents do real work on real files, so that there is something to watch.
//!
//! The parts are those of any installation: daemons that reach the server over HTTP and sockets and run commands, a
//! host application that enqueues and cancels, a front end that follows `taskEvents`. Only the host and the front end
//! are in the server's process and execute their documents without HTTP.

mod agents;
mod front_end;
mod host;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use callboard_daemon::{AgentOption, Options};
use entity::id::{MemberId, WorkspaceId};
use entity::member::Role;
use sea_orm::DatabaseConnection;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::auth::gate;
use crate::auth::token::{self, NewToken};
use crate::auth::{Daemon, Identity, Viewer};
use crate::graphql::Executor;
use crate::workspace;

/// The demo's workspace, in commands and addresses.
const SLUG: &str = "demo";

/// What the demo's tokens are called, by which those of its last run are found and ended.
const TOKEN_NAME: &str = "demo";

/// What the demo runs on.
#[derive(Clone, Debug)]
pub struct Demo {
    /// Where the server accepts connections.
    pub address: SocketAddr,
    /// Its pool.
    pub db: DatabaseConnection,
    /// What executes the host's and the front end's documents.
    pub executor: Executor,
    /// Whose files the agents work on.
    pub directory: PathBuf,
    /// Where the daemons keep their state; their own default where it is none.
    pub state_dir: Option<PathBuf>,
}

/// What a person needs to look around.
#[derive(Debug)]
pub struct Access {
    /// The demo's workspace.
    pub workspace_id: WorkspaceId,
    /// For a backend.
    pub service_token: SecretString,
    /// For a front end.
    pub member_token: SecretString,
}

impl Demo {
    /// Makes the workspace and its tokens. Those that an earlier run printed end.
    pub async fn open(&self) -> anyhow::Result<Access> {
        let workspace = match workspace::find_by_slug(&self.db, SLUG).await? {
            Some(workspace) => workspace,
            None => workspace::create(&self.db, SLUG, "Demo").await?,
        };
        let workspace_id = workspace.id;
        token::revoke_named(&self.db, workspace_id, TOKEN_NAME).await?;
        let member = Identity::Member {
            workspace_id,
            member_id: MemberId(Uuid::nil()),
            role: Role::Owner,
        };
        Ok(Access {
            workspace_id,
            service_token: self.token(Identity::Service { workspace_id }).await?,
            member_token: self.token(member).await?,
        })
    }

    /// Runs daemons, host and front end until told to stop.
    pub async fn run(self, access: &Access, stop: CancellationToken) -> anyhow::Result<()> {
        let tracker = TaskTracker::new();
        let workspace_id = access.workspace_id;
        for (daemon_id, agents) in agents::DAEMONS {
            let token = self
                .token(Identity::Daemon(Daemon {
                    workspace_id,
                    daemon_id: daemon_id.to_owned(),
                }))
                .await?;
            let options = self.daemon(daemon_id, agents, token)?;
            let stop = stop.clone();
            tracker.spawn(async move {
                if let Err(error) = callboard_daemon::run(options, stop).await {
                    tracing::error!(
                        daemon.id = daemon_id,
                        error = format!("{error:#}"),
                        "a daemon ended"
                    );
                }
            });
        }
        tracker.close();

        let viewer = gate::authenticate(&self.db, &access.service_token).await?;
        let host = host::Host::new(
            Client {
                executor: self.executor.clone(),
                viewer: viewer.clone(),
            },
            workspace_id,
        );
        let front_end = front_end::show(
            Client {
                executor: self.executor,
                viewer,
            },
            workspace_id,
        );
        let played = tokio::select! {
            played = host.play() => played,
            shown = front_end => shown,
            () = stop.cancelled() => Ok(()),
        };
        stop.cancel();
        tracker.wait().await;
        played
    }

    /// A daemon of the demo's.
    fn daemon(
        &self,
        daemon_id: &str,
        agents: &[agents::Agent],
        token: SecretString,
    ) -> anyhow::Result<Options> {
        let offered = agents
            .iter()
            .map(|agent| option(agent, &self.directory))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut options = Options::new(format!("http://{}", self.address), token, offered);
        options.name = Some(daemon_id.to_owned());
        options.state_dir.clone_from(&self.state_dir);
        options.kill_grace = std::time::Duration::from_secs(1);
        Ok(options)
    }

    async fn token(&self, identity: Identity) -> anyhow::Result<SecretString> {
        let new = NewToken {
            name: TOKEN_NAME.to_owned(),
            identity,
            expires_in: None,
        };
        Ok(token::create(&self.db, new).await?)
    }
}

impl Access {
    /// What a person is told at the start.
    pub fn introduction(&self, address: SocketAddr, database_url: Option<&str>) -> String {
        let (member, service) = (
            self.member_token.expose_secret(),
            self.service_token.expose_secret(),
        );
        let database = database_url
            .map(|url| format!("\n  Postgres           {url}"))
            .unwrap_or_default();
        let workspace_id = self.workspace_id;
        format!(
            r#"
Callboard's demo: agents at work on the files of this directory. Ctrl-C ends it.

  GraphQL            http://{address}/graphql
  subscriptions      ws://{address}/graphql/ws    (graphql-transport-ws)
  schema             http://{address}/schema.graphql{database}
  workspace          {workspace_id}
  a member's token   {member}
  the host's token   {service}

Ask it something, from another terminal:

  curl http://{address}/graphql -H 'authorization: Bearer {member}' \
    -H 'content-type: application/json' \
    -d '{{"query": "{{ viewer {{ workspaces {{ agents {{ name status presence {{ workload runningCount queuedCount }} }} }} }} }}"}}'
"#
        )
    }
}

/// The daemon's option for an agent of the demo's, at work in a directory.
fn option(agent: &agents::Agent, directory: &Path) -> anyhow::Result<AgentOption> {
    let directory = directory
        .to_str()
        .context("the demo works on a directory whose name is UTF-8")?;
    let quoted = directory.replace('\'', r"'\''");
    let command = format!("cd '{quoted}' || exit 1\n{}", agent.command);
    Ok(AgentOption {
        provider: agent.name.to_owned(),
        command: Some(command),
    })
}

/// Somebody who executes documents in this process.
#[derive(Clone, Debug)]
struct Client {
    executor: Executor,
    viewer: Viewer,
}

impl Client {
    fn request(&self, document: &str, variables: serde_json::Value) -> async_graphql::Request {
        async_graphql::Request::new(document)
            .variables(async_graphql::Variables::from_json(variables))
            .data(self.viewer.clone())
    }

    /// The data of a document's response.
    async fn execute(
        &self,
        document: &str,
        variables: serde_json::Value,
    ) -> anyhow::Result<serde_json::Value> {
        let response =
            async_graphql::Executor::execute(&self.executor, self.request(document, variables))
                .await;
        data(response)
    }
}

/// The data of a response, or its first error.
fn data(response: async_graphql::Response) -> anyhow::Result<serde_json::Value> {
    if let Some(error) = response.errors.into_iter().next() {
        anyhow::bail!("{}", error.message);
    }
    Ok(response.data.into_json()?)
}
