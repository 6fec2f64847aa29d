//! Work inside the network namespace of a pod's sandbox: a thread of its own enters it and ends afterwards, so that no
//! other work of the agent ever runs there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use tokio::sync::oneshot;

use super::facts;
use crate::protocol::{Refusal, RefusalKind};

/// Why the namespace of a sandbox could not be entered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetnsError {
    /// The processes could not be searched for the sandbox.
    #[error("cannot look for sandbox {id}")]
    Look {
        /// The sandbox.
        id: String,
        /// Why.
        source: facts::FactError,
    },
    /// No process belongs to the sandbox.
    #[error("sandbox {id} has no process on this host")]
    NoSandbox {
        /// The sandbox.
        id: String,
    },
    /// The namespace could not be entered.
    #[error("cannot enter the network namespace {}", path.display())]
    Enter {
        /// The namespace's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The thread ended without a word.
    #[error("the thread inside the namespace ended early")]
    Thread,
}

impl NetnsError {
    /// Returns of what kind it is, where no error of the system below it tells.
    pub(crate) fn kind(&self) -> Option<RefusalKind> {
        match self {
            Self::Look { source, .. } => source.kind(),
            Self::NoSandbox { .. } => Some(RefusalKind::Absent),
            Self::Enter { .. } | Self::Thread => None,
        }
    }
}

impl From<NetnsError> for Refusal {
    fn from(error: NetnsError) -> Self {
        let told = Self::of(&error);
        Self {
            kind: error.kind().unwrap_or(told.kind),
            ..told
        }
    }
}

/// The sandboxes of this host, each with a process that holds its namespaces: the first one in its cgroup, so that it works
/// with any runtime that puts the id into the cgroup's path (containerd and CRI-O do). The processes are read once for all of
/// them, and again when one is asked for that is not known or whose process has ended.
#[derive(Default)]
pub(crate) struct Sandboxes {
    pids: tokio::sync::Mutex<BTreeMap<String, i32>>,
}

impl Sandboxes {
    /// Returns the network namespace of a sandbox, or of a container.
    pub(crate) async fn namespace(&self, id: &str) -> Result<PathBuf, NetnsError> {
        Ok(self.process(id).await?.join("ns/net"))
    }

    /// Returns the directory in /proc of the first process of a sandbox, or of a container.
    pub(crate) async fn process(&self, id: &str) -> Result<PathBuf, NetnsError> {
        let none = || NetnsError::NoSandbox { id: id.to_owned() };
        // An id is 64 hexadecimal digits; a short text would match too much.
        if id.len() < 12 || !id.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(none());
        }
        // Whoever comes while the processes are read waits, and finds them.
        let mut pids = self.pids.lock().await;
        let known = pids.get(id).filter(|pid| facts::is_of_container(**pid, id));
        if known.is_none() {
            let read = tokio::task::spawn_blocking(facts::of_containers).await;
            *pids = read
                .map_err(|_| NetnsError::Thread)?
                .map_err(|source| NetnsError::Look {
                    id: id.to_owned(),
                    source,
                })?;
        }
        let pid = pids.get(id).ok_or_else(none)?;
        Ok(Path::new("/proc").join(pid.to_string()))
    }
}

/// Returns whether two files are of the same namespace.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let link = |path| std::fs::read_link(path).ok();
    link(one).is_some() && link(one) == link(other)
}

/// Does `work` inside a network namespace.
pub(crate) async fn within<T, F>(
    namespace: PathBuf,
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<T, NetnsError>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let (sender, receiver) = oneshot::channel();
    // The thread is never reused, so it need not find its way back out of the namespace.
    std::thread::spawn(move || sender.send(enter(&namespace, work)).is_ok());
    receiver.await.map_err(|_| NetnsError::Thread)?
}

fn enter<T, F: Future<Output = T>>(namespace: &Path, work: impl FnOnce() -> F) -> Result<T, NetnsError> {
    let failed = |source| NetnsError::Enter {
        path: namespace.to_owned(),
        source,
    };
    let file = File::open(namespace).map_err(failed)?;
    let network = Some(rustix::thread::LinkNameSpaceType::Network);
    rustix::thread::move_into_link_name_space(file.as_fd(), network).map_err(|error| failed(error.into()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    Ok(runtime.block_on(work()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sandbox_that_is_not_here_is_refused_by_name() {
        let sandboxes = Sandboxes::default();
        let error = sandboxes.namespace(&"f".repeat(64)).await.unwrap_err();
        assert!(matches!(error, NetnsError::NoSandbox { .. }));
        assert!(sandboxes.namespace("../1").await.is_err());
    }

    #[tokio::test]
    async fn work_inside_our_own_namespace_sees_its_interfaces() {
        let own = Path::new("/proc/self/ns/net");
        assert!(is_same(own, Path::new("/proc/thread-self/ns/net")));
        // Entering a namespace takes a privilege that tests may lack.
        if let Ok(found) = within(own.to_owned(), facts::interfaces).await {
            assert!(found.unwrap().iter().any(|interface| interface.name == "lo"));
        }
    }
}
