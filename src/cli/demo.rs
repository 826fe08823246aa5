//! `callboard demo`.

use clap::Args;

/// Runs the service with a workspace, agents and daemons at work in it.
#[derive(Args, Debug)]
pub(super) struct DemoCommand {
    #[command(flatten)]
    serve: super::serve::ServeCommand,
}

impl DemoCommand {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        self.serve.run().await
    }
}
