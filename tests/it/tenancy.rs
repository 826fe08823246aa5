//! Workspaces are strangers to each other: what is another's is answered as what is not there.

mod private;
mod secret;
mod stranger;
mod view;
mod watch;
