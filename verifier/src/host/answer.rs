//! Which request is answered by what: the dispatch, and nothing else.

use std::path::Path;
use std::time::Duration;

use futures::FutureExt as _;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::cri::{self, Cri};
use super::netns::{self, Sandboxes};
use super::{certificates, containerd, dns, echo, etcd, facts, probe};
use crate::protocol::wire::{self, Stream};
use crate::protocol::{
    Ask, Backup, Certificates, Chains, Clock, Cni, CniReply, ContainerLog, CriImage, CriImageStatus,
    CriImages, CriPods, CriPodsReply, CriStatus, CriStatusReply, Crictl, Dial, Disks, DisksReply, Dns, Echo,
    EchoServer, EchoSurvey, EncryptionRules, ErrorCounters, EtcdGet, EtcdObjects, EtcdProof, EtcdSnapshot,
    EtcdStatus, Existing, Headroom, HeadroomReply, Hello, HttpProbe, ImageStore, ImageStoreReply, Interfaces,
    Journal, Listeners, Load, Missing, Names, Persistence, PersistenceReply, Place, Processes, Refusal,
    RefusalKind, Request, Resolver, Restarts, RouteLookups, Routes, Setting, Sysctls, TOOL, TimeSource,
    TlsPeek, TlsProbe, Unpacked, Usage,
};

/// How long a runtime may take to say where its CNI is configured.
const RUNTIME: Duration = Duration::from_secs(2);

/// Answers a request that is only a question, as JSON.
pub(super) async fn answer(request: Request, sandboxes: &Sandboxes) -> Vec<u8> {
    match request {
        Request::Hello(_) => encode::<Hello, Refusal>(Ok(facts::hello(TOOL))),
        Request::Clock(_) => encode::<Clock, _>(facts::clock()),
        Request::TimeSource(_) => encode::<TimeSource, Refusal>(Ok(facts::time_source().await)),
        Request::ErrorCounters(_) => encode::<ErrorCounters, _>(blocking(facts::counters).await),
        Request::Names(ask) => encode::<Names, Refusal>(Ok(facts::names(ask).await)),
        Request::Processes(ask) => {
            encode::<Processes, _>(blocking(move || facts::processes(&ask.names)).await)
        }
        Request::Restarts(ask) => encode::<Restarts, _>(facts::restarts(&ask.units).await),
        Request::Journal(ask) => encode::<Journal, _>(facts::journal(&ask.unit, ask.lines).await),
        Request::ContainerLog(ask) => {
            encode::<ContainerLog, _>(blocking(move || facts::container_log(&ask)).await)
        }
        Request::Routes(_) => encode::<Routes, _>(facts::routes().await),
        Request::RouteLookups(ask) => encode::<RouteLookups, _>(facts::lookups(&ask).await),
        Request::Interfaces(_) => encode::<Interfaces, _>(facts::interfaces().await),
        Request::Sysctls(ask) => encode::<Sysctls, _>(facts::sysctls(&ask.keys)),
        Request::Disks(ask) => encode::<Disks, _>(disks(ask).await),
        Request::Usage(_) => encode::<Usage, _>(blocking(facts::usage).await),
        Request::Persistence(ask) => encode::<Persistence, _>(persistence(ask).await),
        Request::Certificates(ask) => {
            encode::<Certificates, _>(blocking(move || Ok(certificates::collect(&ask))).await)
        }
        Request::Chains(ask) => encode::<Chains, Refusal>(Ok(facts::chains(&ask.containing).await)),
        Request::Cni(ask) => encode::<Cni, Refusal>(Ok(cni(ask).await)),
        Request::Crictl(ask) => encode::<Crictl, Refusal>(Ok(cri::crictl(ask.socket.as_deref()).await)),
        Request::Headroom(ask) => encode::<Headroom, _>(headroom(ask).await),
        Request::CriPods(ask) => encode::<CriPods, _>(cri_pods(ask, sandboxes).await),
        Request::Listeners(ask) => {
            encode::<Listeners, _>(blocking(move || facts::listeners(&ask.pids)).await)
        }
        Request::Setting(ask) => encode::<Setting, _>(blocking(move || facts::setting(&ask)).await),
        Request::Existing(ask) => encode::<Existing, Refusal>(Ok(facts::existing(ask.paths))),
        Request::TlsProbe(ask) => encode::<TlsProbe, _>(probe::https(ask.probe).await),
        Request::TlsPeek(ask) => encode::<TlsPeek, _>(probe::peek(ask).await),
        Request::HttpProbe(ask) => encode::<HttpProbe, _>(probe::http(ask, sandboxes).await),
        Request::EchoServer(ask) => encode::<EchoServer, _>(echo::serve(ask, sandboxes).await),
        Request::Echo(ask) => encode::<Echo, _>(echo::ask(ask, sandboxes).await),
        Request::EchoSurvey(ask) => encode::<EchoSurvey, _>(echo::survey(ask, sandboxes).await),
        Request::Resolver(ask) => encode::<Resolver, _>(dns::resolver(ask, sandboxes).await),
        Request::Dns(ask) => encode::<Dns, _>(dns::ask(ask, sandboxes).await),
        Request::EtcdGet(ask) => encode::<EtcdGet, _>(etcd::get(&ask).await),
        Request::EncryptionRules(ask) => {
            encode::<EncryptionRules, _>(blocking(move || facts::encryption_rules(&ask)).await)
        }
        Request::EtcdObjects(ask) => encode::<EtcdObjects, _>(etcd::objects(&ask).await),
        Request::EtcdProof(ask) => encode::<EtcdProof, _>(etcd::proof(&ask).await),
        Request::Backup(ask) => encode::<Backup, _>(blocking(move || facts::backup(&ask)).await),
        Request::EtcdStatus(ask) => encode::<EtcdStatus, _>(etcd::status(&ask).await),
        Request::Dial(_) | Request::Load(_) | Request::EtcdSnapshot(_) => to_json(&Err::<(), _>(Refusal {
            kind: RefusalKind::NotImplemented,
            text: "this request needs a stream of its own".into(),
        })),
        Request::CriStatus(ask) => encode::<CriStatus, _>(cri_status(ask).await),
        Request::CriImages(ask) => encode::<CriImages, _>(cri_images(ask).await),
        Request::CriImageStatus(ask) => encode::<CriImageStatus, _>(cri_image_status(ask).await),
        Request::ImageStore(ask) => encode::<ImageStore, _>(image_store(ask).boxed().await),
        Request::Unpacked(ask) => encode::<Unpacked, _>(containerd::unpacked(&ask).await),
        Request::Missing(ask) => encode::<Missing, _>(containerd::missing(&ask.plan).await),
    }
}

/// Answers a load, whose blobs follow on the stream.
pub(super) async fn load(load: Load, mut blobs: impl AsyncRead + Unpin) -> Vec<u8> {
    // Boxed: it is far larger than all other answers.
    encode::<Load, _>(Box::pin(containerd::load(&load.plan, &load.send, &mut blobs)).await)
}

async fn cri_status(ask: CriStatus) -> Result<CriStatusReply, cri::Error> {
    Cri::connect(ask.socket.as_deref()).await?.status().await
}

async fn cri_images(ask: CriImages) -> Result<Vec<CriImage>, cri::Error> {
    Cri::connect(ask.socket.as_deref()).await?.images().await
}

/// Asks the CRI and, where it is containerd's, what that has below it.
async fn image_store(ask: ImageStore) -> Result<ImageStoreReply, Refusal> {
    let cri = Cri::connect(ask.socket.as_deref()).await?;
    let (status, images, running, discards) =
        futures::try_join!(cri.status(), cri.images(), cri.running(), cri.discards())?;
    let store = containerd::store(&ask, discards).await?;
    Ok(ImageStoreReply {
        runtime: status.runtime,
        version: status.version,
        platform: bundle::Platform::current().to_string(),
        sandbox_image: status.sandbox_image,
        images,
        running,
        store,
    })
}

async fn cri_image_status(ask: CriImageStatus) -> Result<Option<CriImage>, cri::Error> {
    let cri = Cri::connect(ask.socket.as_deref()).await?;
    cri.image_status(&ask.reference).await
}

async fn cri_pods(ask: CriPods, sandboxes: &Sandboxes) -> Result<CriPodsReply, cri::Error> {
    Cri::connect(ask.socket.as_deref()).await?.pods(sandboxes).await
}

/// Returns where the runtime keeps images, if it answers.
async fn image_directory(socket: Option<&str>) -> Option<String> {
    let named = async { Cri::connect(socket).await?.image_directory().await };
    timeout(RUNTIME, named).await.ok().and_then(Result::ok).flatten()
}

async fn disks(ask: Disks) -> Result<DisksReply, Refusal> {
    let images = image_directory(ask.socket.as_deref()).await;
    blocking(move || Ok(facts::disks(images.as_deref()))).await
}

/// Looks at the file system that the runtime names; at the usual one where no runtime answers.
async fn headroom(ask: Headroom) -> Result<HeadroomReply, Refusal> {
    let directory = image_directory(ask.socket.as_deref()).await;
    Ok(HeadroomReply {
        disk: containerd::left(directory.as_deref())?,
        memory: facts::memory()?,
        processes: facts::process_ids()?,
    })
}

/// Compares the kernel's state with what files say of the next boot.
async fn persistence(ask: Persistence) -> Result<PersistenceReply, Refusal> {
    let daemons = facts::routes_of_daemons().await?;
    let live = facts::sysctls(&ask.keys)?;
    blocking(move || Ok(facts::persistence(&ask, &live, &daemons))).await
}

/// Reads the directory that the runtime names; the usual one where no runtime answers.
async fn cni(ask: Cni) -> CniReply {
    let named = async {
        let cri = Cri::connect(ask.socket.as_deref()).await?;
        cri.cni_directory().await
    };
    let directory = timeout(RUNTIME, named).await.ok().and_then(Result::ok).flatten();
    facts::cni(Path::new(directory.as_deref().unwrap_or(facts::CNI_DIRECTORY)))
}

/// Connects, says so, and passes bytes in both directions until both have ended.
pub(super) async fn dial(ask: Dial, sandboxes: &Sandboxes, mut stream: Stream, deadline: Duration) {
    let connected = match timeout(deadline, connect(ask, sandboxes)).await {
        Ok(connected) => connected,
        Err(_) => Err(late(deadline)),
    };
    let mut target = match connected {
        Ok(target) => target,
        Err(refusal) => {
            let _ = wire::write_message(&mut stream, &encode::<Dial, _>(Err::<(), _>(refusal))).await;
            let _ = stream.shutdown().await;
            return;
        }
    };
    let _ = target.set_nodelay(true);
    if wire::write_message(&mut stream, &encode::<Dial, _>(Ok::<(), Refusal>(())))
        .await
        .is_ok()
    {
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut target).await;
    }
}

/// Connects from the host, or from inside one of its sandboxes: a socket stays in the namespace that it was made in.
async fn connect(ask: Dial, sandboxes: &Sandboxes) -> Result<TcpStream, Refusal> {
    let Dial { to, from } = ask;
    let refused = move |to: &str, error: &std::io::Error| Refusal {
        kind: RefusalKind::of(error.kind()),
        text: format!("{to}: {error}").into(),
    };
    let Place::Sandbox(id) = from else {
        let stream = TcpStream::connect(&to).await;
        return stream.map_err(|error| refused(&to, &error));
    };
    let namespace = sandboxes.namespace(&id).await?;
    let address = to.clone();
    let made = netns::within(namespace, || async move {
        TcpStream::connect(address).await.and_then(TcpStream::into_std)
    });
    let stream = made.await?.and_then(TcpStream::from_std);
    stream.map_err(|error| refused(&to, &error))
}

/// Says what comes, and passes a snapshot on.
pub(super) async fn snapshot(ask: EtcdSnapshot, mut stream: Stream, deadline: Duration) {
    let opened = match timeout(deadline, etcd::open(&ask)).await {
        Ok(opened) => opened.map_err(Refusal::from),
        Err(_) => Err(late(deadline)),
    };
    let (begun, snapshot) = match opened {
        Ok(snapshot) => (Ok(snapshot.begun.clone()), Some(snapshot)),
        Err(refusal) => (Err(refusal), None),
    };
    let told = wire::write_message(&mut stream, &encode::<EtcdSnapshot, Refusal>(begun)).await;
    if let (Ok(()), Some(snapshot)) = (told, snapshot) {
        snapshot.pass(&mut stream).await;
    }
    let _ = stream.shutdown().await;
}

/// Gives a request no more than its time.
pub(super) async fn in_time(deadline: Duration, answer: impl Future<Output = Vec<u8>>) -> Vec<u8> {
    timeout(deadline, answer)
        .await
        .unwrap_or_else(|_| to_json(&Err::<(), _>(late(deadline))))
}

/// Gives the answer, or says that it is longer than whoever asked takes.
pub(super) fn within(limit: u32, answer: Vec<u8>) -> Vec<u8> {
    if answer.len() <= limit as usize {
        return answer;
    }
    to_json(&Err::<(), _>(Refusal {
        kind: RefusalKind::Failed,
        text: format!(
            "the answer has {} bytes, and no more than {limit} may be sent",
            answer.len()
        )
        .into(),
    }))
}

/// What is said when the time is over; usually nobody listens any more.
fn late(deadline: Duration) -> Refusal {
    Refusal {
        kind: RefusalKind::Late,
        text: format!("the agent did not finish within {} s", deadline.as_secs_f32()).into(),
    }
}

/// Turns a handler's result into the answer on the wire; the request's type says which reply it must be.
fn encode<A: Ask, E: Into<Refusal>>(result: Result<A::Reply, E>) -> Vec<u8> {
    to_json(&result.map_err(Into::into))
}

fn to_json<T: Serialize>(answer: &Result<T, Refusal>) -> Vec<u8> {
    serde_json::to_vec(answer).unwrap_or_else(|error| {
        // Only a map with keys that are no strings could do this, and no reply has one.
        format!(
            r#"{{"Err":{{"kind":"failed","text":"the reply cannot be written as JSON: {}"}}}}"#,
            error.line()
        )
        .into_bytes()
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, facts::FactError> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(Refusal {
            kind: RefusalKind::Failed,
            text: "the agent has a defect: this request broke it".into(),
        }),
    }
}
