//! `callboard demo`.

use anyhow::Context;
use clap::Args;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::serve::{ServeCommand, Server, wait_for_signal};
use crate::config;
use crate::demo::Demo;

/// Runs the service with a workspace, agents and daemons at work in it.
#[derive(Args, Debug)]
pub(super) struct DemoCommand {
    #[command(flatten)]
    serve: ServeCommand,
}

impl DemoCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let stop_server = CancellationToken::new();
        let server = Server::start(&self.serve, stop_server.clone()).await?;
        let played = self.play(&server).await;
        stop_server.cancel();
        server.finish().await?;
        played
    }

    /// Plays on a server that runs, until Ctrl-C. The daemons stop first: they have to tell the server so.
    async fn play(&self, server: &Server) -> anyhow::Result<()> {
        let data_dir = self
            .serve
            .database
            .data_dir
            .clone()
            .or_else(config::default_data_dir);
        let demo = Demo {
            address: server.address,
            db: server.db.clone(),
            executor: server.executor.clone(),
            directory: std::env::current_dir()
                .context("the demo works on the files of the current directory")?,
            state_dir: data_dir.map(|directory| directory.join("demo")),
        };
        let access = demo.open().await?;
        super::print(&access.introduction(server.address, server.database.own_url.as_deref()));

        let stop = CancellationToken::new();
        let tracker = TaskTracker::new();
        let playing = tracker.spawn({
            let stop = stop.clone();
            async move { demo.run(&access, stop).await }
        });
        tracker.close();
        let interrupted = tokio::select! {
            interrupted = wait_for_signal() => interrupted,
            () = tracker.wait() => Ok(()),
        };
        stop.cancel();
        tracing::info!("stopping");
        playing.await??;
        interrupted
    }
}
