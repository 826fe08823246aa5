//! The settings that we give the server.

use std::path::Path;

use super::Options;
use super::server::PORT;

/// Our settings, in the syntax of `postgresql.conf`.
pub(super) fn render(sockets: &Path, options: &Options) -> String {
    // A list of names in double quotes, within a string in single quotes.
    let sockets = sockets.to_string_lossy().replace('"', "\"\"");
    let sockets = sockets.replace('\\', "\\\\").replace('\'', "''");
    let max_connections = options.max_connections;
    let durability = if options.durable { "on" } else { "off" };
    format!(
        "# Written by Callboard whenever it starts the server; put settings of your own at the end of\n\
         # cluster/postgresql.conf.\n\
         cluster_name = 'callboard'\n\
         listen_addresses = ''\n\
         port = {PORT}\n\
         unix_socket_directories = '\"{sockets}\"'\n\
         unix_socket_permissions = 0700\n\
         max_connections = {max_connections}\n\
         timezone = 'UTC'\n\
         log_timezone = 'UTC'\n\
         fsync = {durability}\n\
         synchronous_commit = {durability}\n\
         full_page_writes = {durability}\n"
    )
}
