//! Lists of the API: in pages, object by object, and read once for all who ask at about the same time.

use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{AsyncBufRead, AsyncBufReadExt as _};
use kube::api::ListParams;
use kube::{Api, Resource};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::limits::{self, IsPage};
use super::objects::{ListError, Objects};
use super::{Cluster, ClusterError, name};

/// Objects in one page (the API's `limit`): what kubectl asks for, too.
const PAGE: u32 = 500;
/// More pages than these make no cluster that Kubernetes supports (5,000 Nodes, 150,000 pods).
const PAGES: usize = 400;
/// The most of a whole list that is read, in bytes. 5,000 Nodes with fifty images each are about 60 MiB.
const WHOLE: usize = limits::PAGE;
/// The most that is kept of a list, in bytes of memory, estimated. Of 5,000 Nodes it is about 30 MiB.
const KEPT: usize = 64 << 20;
/// How long a list that was read is good for others who ask; longer where reading it took longer, up to the time after
/// which a check reads again (3 s).
const FRESH: Duration = Duration::from_secs(1);
const STALE: Duration = Duration::from_millis(2500);

impl Cluster {
    /// Reads a whole list, page by page, each with the deadline of a request. One that holds a name which Kubernetes admits
    /// nowhere is refused as a whole: no Kubernetes gives it. `keep` turns each object into what is kept of it. No more than one whole object is in memory, also where a server knows no pages.
    pub(super) async fn list<K, T>(
        &self,
        operation: &str,
        api: &Api<K>,
        params: ListParams,
        keep: impl Fn(K) -> T,
    ) -> Result<Vec<T>, ClusterError>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
        T: Serialize,
    {
        let mut list = Kept {
            keep,
            items: Vec::new(),
            weight: 0,
            read: 0,
        };
        let mut params = params.limit(PAGE);
        for _ in 0..PAGES {
            let page = self.page(operation, api, &params, &mut list);
            match self.in_time(operation, page).await? {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(list.items),
            }
        }
        Err(self.strange(operation, &format!("a list of more than {PAGES} pages")))
    }

    /// Reads a page and returns the token of the next one.
    async fn page<K: Resource<DynamicType = ()> + DeserializeOwned, T: Serialize>(
        &self,
        operation: &str,
        api: &Api<K>,
        params: &ListParams,
        list: &mut Kept<T, impl Fn(K) -> T>,
    ) -> Result<Option<String>, ClusterError> {
        let failed = |error: &kube::Error| ClusterError::of(operation, self.server(), error);
        let request = kube::core::Request::new(api.resource_url());
        let request = request.list(params).map_err(kube::Error::BuildRequest);
        let mut request = request.map_err(|error| failed(&error))?;
        request.extensions_mut().insert(IsPage);
        let body = self.client.request_stream(request).await;
        let body = body.map_err(|error| failed(&error))?;
        list.take(pin!(body)).await.map_err(|error| match error {
            PageError::Broken(error) => failed(&kube::Error::Service(Box::new(error))),
            other => self.strange(operation, &other.to_string()),
        })
    }
}

/// What is kept of a list.
struct Kept<T, F> {
    keep: F,
    items: Vec<T>,
    /// What it weighs in memory.
    weight: usize,
    /// The bytes that were read for it.
    read: usize,
}

/// Why a page cannot be read.
#[derive(Debug, thiserror::Error)]
enum PageError {
    #[error("the answer broke off")]
    Broken(#[source] io::Error),
    #[error(transparent)]
    List(#[from] ListError),
    #[error("an object of another form than it must have: number {number}, line {line}, column {column}")]
    Form {
        number: usize,
        line: usize,
        column: usize,
    },
    #[error("{0}")]
    Name(String),
    #[error("a list of more than {} MiB", WHOLE >> 20)]
    Long,
    #[error("a list of which more than {} MiB would have to be kept", KEPT >> 20)]
    Heavy,
}

/// What stands beside the objects of a list.
#[derive(Deserialize)]
struct Beside {
    #[serde(default)]
    metadata: Metadata,
    /// Was handed out before. Where it is absent that is no list: nobody must take it for an empty one.
    #[serde(rename = "items")]
    _items: IgnoredAny,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    r#continue: Option<String>,
}

impl<T: Serialize, F> Kept<T, F> {
    /// Takes the objects of a page and returns the token of the next one.
    async fn take<K: Resource<DynamicType = ()> + DeserializeOwned>(
        &mut self,
        mut body: impl AsyncBufRead + Unpin,
    ) -> Result<Option<String>, PageError>
    where
        F: Fn(K) -> T,
    {
        let mut objects = Objects::default();
        loop {
            let bytes = body.fill_buf().await.map_err(PageError::Broken)?;
            let length = bytes.len();
            if length == 0 {
                break;
            }
            self.read += length;
            if self.read > WHOLE {
                return Err(PageError::Long);
            }
            objects.take(bytes, |object| self.add(object))?;
            body.consume_unpin(length);
        }
        let form = |error: serde_json::Error| self.form(&error);
        let beside: Beside = serde_json::from_slice(&objects.rest()?).map_err(form)?;
        Ok(beside.metadata.r#continue.filter(|token| !token.is_empty()))
    }

    fn add<K: Resource<DynamicType = ()> + DeserializeOwned>(
        &mut self,
        object: &[u8],
    ) -> Result<(), PageError>
    where
        F: Fn(K) -> T,
    {
        let object: K = serde_json::from_slice(object).map_err(|error| self.form(&error))?;
        if let Some(fault) = name::fault_of(&K::kind(&()), object.meta()) {
            return Err(PageError::Name(fault));
        }
        let item = (self.keep)(object);
        self.weight += size_of::<T>() + weight(&item);
        if self.weight > KEPT {
            return Err(PageError::Heavy);
        }
        self.items.push(item);
        Ok(())
    }

    /// Names a place without the parser's words: they quote what stands there.
    fn form(&self, error: &serde_json::Error) -> PageError {
        PageError::Form {
            number: self.items.len() + 1,
            line: error.line(),
            column: error.column(),
        }
    }
}

/// Estimates what a value takes in memory beside its own size: its text, and for each text a place on the heap.
fn weight(item: &impl Serialize) -> usize {
    struct Weight(usize);

    impl Write for Weight {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0 += text.len();
            let places = text.split(|byte| *byte == b'"').count().saturating_sub(1);
            self.0 += places * 20;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut weight = Weight(0);
    // Values of ours always have JSON.
    let _ = serde_json::to_writer(&mut weight, item);
    weight.0
}

/// A list that many ask for: one of them reads it, the others get what it read.
pub(super) struct Shared<T>(Mutex<Option<Reading<T>>>);

/// What was read.
struct Reading<T> {
    /// Until when it is good.
    until: Instant,
    read: Result<Arc<T>, ClusterError>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Shared<T> {
    /// Returns what was read about a second ago or later, else reads it. An error is shared too: a server that is silent is
    /// waited for once, not once for each who asks.
    pub(super) async fn get(
        &self,
        read: impl Future<Output = Result<T, ClusterError>>,
    ) -> Result<Arc<T>, ClusterError> {
        let mut last = self.0.lock().await;
        if let Some(known) = last.as_ref().filter(|known| Instant::now() < known.until) {
            return known.read.clone();
        }
        // The old one goes first: two of them are twice the memory.
        *last = None;
        let since = Instant::now();
        let read = read.await.map(Arc::new);
        let until = Instant::now() + since.elapsed().clamp(FRESH, STALE);
        *last = Some(Reading {
            until,
            read: read.clone(),
        });
        read
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use k8s_openapi::api::core::v1::Node;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::cluster::{RunNamespace, testing};

    /// Returns a cluster whose server answers every request with `head`, and then with `more` for as long as it is read.
    async fn server(head: String, more: &'static [u8]) -> (Cluster, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, head.clone(), more, Arc::clone(&counted)));
            }
        });
        (testing::at(address).await, sent)
    }

    async fn answer(mut stream: TcpStream, head: String, more: &'static [u8], sent: Arc<AtomicUsize>) {
        let mut asked = [0; 8 * 1024];
        let _ = stream.read(&mut asked).await;
        let status = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
        let mut alive = stream
            .write_all((status.to_owned() + &head).as_bytes())
            .await
            .is_ok();
        while alive && !more.is_empty() {
            alive = stream.write_all(more).await.is_ok();
            sent.fetch_add(more.len(), Ordering::Relaxed);
        }
    }

    fn reason<T: Debug>(answer: Result<T, ClusterError>) -> String {
        match answer {
            Err(ClusterError::NotKubernetes { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    const ENDLESS: &[u8] = &[b'A'; 1 << 16];

    #[tokio::test]
    async fn a_list_without_end_is_left_after_little_and_named() {
        let (cluster, sent) = server(r#"{"metadata":{"annotations":{"a":""#.to_owned(), ENDLESS).await;
        assert_eq!(
            reason(cluster.nodes().await),
            "a list with more than 64 KiB beside its objects"
        );
        let (other, more) = server(r#"{"items":[{"metadata":{"name":""#.to_owned(), ENDLESS).await;
        assert_eq!(
            reason(other.nodes().await),
            "a list with an object of more than 4 MiB"
        );
        // What the sockets hold comes on top.
        let sent = sent.load(Ordering::Relaxed) + more.load(Ordering::Relaxed);
        assert!(sent < 32 << 20, "{sent}");
    }

    #[test]
    fn a_list_of_small_objects_without_end_is_left_before_it_fills_the_memory() {
        let mut list = Kept {
            keep: |node: Node| node.status.and_then(|status| status.conditions),
            items: Vec::new(),
            weight: 0,
            read: 0,
        };
        let conditions = vec![serde_json::json!({"type": "a", "status": "b"}); 2000];
        let node = serde_json::json!({"metadata": {"name": "a"}, "status": {"conditions": conditions}});
        let node = node.to_string().into_bytes();
        let error = loop {
            if let Err(error) = list.add::<Node>(&node) {
                break error;
            }
        };
        assert!(matches!(error, PageError::Heavy), "{error:?}");
        assert!(list.items.len() < 500, "{}", list.items.len());
    }

    #[tokio::test]
    async fn an_answer_without_end_is_left_whatever_it_answers() {
        let (cluster, sent) = server("{\"a\":\"".to_owned(), ENDLESS).await;
        let namespace = RunNamespace {
            guest: None,
            name: "verifier-x".to_owned(),
            uid: String::new(),
        };
        let long = "an answer of more than 4 MiB";
        assert_eq!(reason(cluster.deployment(&namespace, "nginx").await), long);
        assert_eq!(reason(cluster.log(&namespace, "nginx", "nginx", 3).await), long);
        assert_eq!(reason(cluster.ready().await), long);
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent < 48 << 20, "{sent}");
    }

    #[tokio::test]
    async fn a_server_that_knows_no_pages_is_read_object_by_object() {
        let images = vec![serde_json::json!({"names": ["n".repeat(100)]}); 80];
        let node = |number: usize| serde_json::json!({"metadata": {"name": number.to_string()}, "status": {"images": images}});
        let items: Vec<_> = (0..1000).map(node).collect();
        let list =
            serde_json::json!({"kind": "NodeList", "items": items, "metadata": {"resourceVersion": "1"}});
        let (cluster, _) = server(list.to_string(), b"").await;
        assert_eq!(cluster.nodes().await.unwrap().len(), 1000);
    }

    #[tokio::test]
    async fn an_object_is_no_empty_list_and_what_is_wrong_is_not_quoted() {
        let (cluster, _) = server("{}".to_owned(), b"").await;
        reason(cluster.nodes().await);
        let (cluster, _) = server(
            r#"{"items":[{"metadata":{"name":"a"}},{"metadata":"hunter2"}]}"#.to_owned(),
            b"",
        )
        .await;
        let reason = reason(cluster.nodes().await);
        assert!(
            reason.contains("number 2, line 1, column") && !reason.contains("hunter2"),
            "{reason}"
        );
    }

    #[tokio::test]
    async fn a_page_leads_to_the_next_one() {
        let mut list = Kept {
            keep: |node: Node| node.metadata.name,
            items: Vec::new(),
            weight: 0,
            read: 0,
        };
        let pages = [
            (
                r#"{"items":[{"metadata":{"name":"a"}}],"metadata":{"continue":"b"}}"#,
                Some("b"),
            ),
            (
                r#"{"metadata":{"continue":""},"items":[{"metadata":{"name":"b"}}]}"#,
                None,
            ),
        ];
        for (page, next) in pages {
            let token = list.take(page.as_bytes()).await.unwrap();
            assert_eq!(token.as_deref(), next);
        }
        assert_eq!(list.items, [Some("a".to_owned()), Some("b".to_owned())]);
    }

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
