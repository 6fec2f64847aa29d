//! Lists of the API: in pages, and read once for all who ask at about the same time.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::ListParams;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::{Cluster, ClusterError, name};

/// Objects in one page (the API's `limit`): what kubectl asks for, too.
const PAGE: u32 = 500;
/// More pages than these make no cluster that Kubernetes supports (5,000 Nodes, 150,000 pods).
const PAGES: usize = 400;
/// How long a list that was read is good for others who ask. A second reading of a check comes 3 s after the first.
const FRESH: Duration = Duration::from_secs(1);

impl Cluster {
    /// Reads a whole list, page by page, each with the deadline of a request. One that holds a name which Kubernetes admits
    /// nowhere is refused as a whole: no Kubernetes gives it. `keep` turns each object into what is kept of
    /// it, so that no more than a page of whole objects is in memory.
    pub(super) async fn list<K, T>(
        &self,
        operation: &str,
        api: &Api<K>,
        params: ListParams,
        keep: impl Fn(K) -> T,
    ) -> Result<Vec<T>, ClusterError>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let mut kept = Vec::new();
        let mut params = params.limit(PAGE);
        for _ in 0..PAGES {
            let page = self.ask(operation, api.list(&params)).await?;
            let mut faults = page
                .items
                .iter()
                .map(|item| name::fault_of(&K::kind(&()), item.meta()));
            if let Some(fault) = faults.find_map(|fault| fault) {
                return Err(self.strange(operation, &fault));
            }
            kept.extend(page.items.into_iter().map(&keep));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(kept),
            }
        }
        Err(ClusterError::NotKubernetes {
            operation: operation.to_owned(),
            server: self.server().to_owned(),
            reason: format!("a list of more than {PAGES} pages"),
        })
    }
}

/// A list that many ask for: one of them reads it, the others get what it read.
pub(super) struct Shared<T>(Mutex<Option<Reading<T>>>);

/// What was read, and when.
type Reading<T> = (Instant, Result<Arc<T>, ClusterError>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Shared<T> {
    /// Returns what was read less than a second ago, else reads it. An error is shared too: a server that is silent is
    /// waited for once, not once for each who asks.
    pub(super) async fn get(
        &self,
        read: impl Future<Output = Result<T, ClusterError>>,
    ) -> Result<Arc<T>, ClusterError> {
        let mut last = self.0.lock().await;
        if let Some((_, known)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return known.clone();
        }
        let read = read.await.map(Arc::new);
        *last = Some((Instant::now(), read.clone()));
        read
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn who_asks_at_the_same_time_gets_one_reading_and_its_error_too() {
        let (shared, reads) = (Shared::default(), AtomicUsize::new(0));
        let (shared, reads) = (&shared, &reads);
        let ask = |ok: bool| {
            shared.get(async move {
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
                let late = ClusterError::Late {
                    operation: "list nodes".to_owned(),
                    server: "s".to_owned(),
                    seconds: 15,
                };
                if ok { Ok(1) } else { Err(late) }
            })
        };
        let all = futures::future::join_all((0..50).map(|_| ask(false))).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        tokio::time::sleep(FRESH).await;
        assert_eq!(*ask(true).await.unwrap(), 1);
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }
}
