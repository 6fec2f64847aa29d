//! A probe from inside a pod's network namespace: found by the id in the cgroup's path, entered, left untouched.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use verifier::carrier::local;
use verifier::protocol::{HttpProbe, HttpReply, Interfaces, Place};

const SOON: Duration = Duration::from_mins(1);
const ID: &str = "0f00d00d00d00d00d00d00d00d00d00d00d00d00d00d00d00d00d00d00d00d00";

/// A process with a network of its own in a cgroup that is named as containerd names a sandbox's.
struct Sandbox {
    child: Child,
    cgroup: PathBuf,
}

impl Sandbox {
    fn start() -> Self {
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo ready && read end"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut ready)
            .unwrap();
        assert_eq!(ready, "ready\n", "these tests need root and iproute2");
        // Version 1 has systemd's tree apart, version 2 only one.
        let tree = PathBuf::from("/sys/fs/cgroup/systemd");
        let tree = if tree.is_dir() {
            tree
        } else {
            PathBuf::from("/sys/fs/cgroup")
        };
        let cgroup = tree.join(format!("cri-containerd-{ID}.scope"));
        fs::create_dir_all(&cgroup).unwrap();
        fs::write(cgroup.join("cgroup.procs"), child.id().to_string()).unwrap();
        Self { child, cgroup }
    }

    /// Serves one request inside, on a port of the pod's own loopback.
    fn serve(&self) -> u16 {
        let namespace = File::open(format!("/proc/{}/ns/net", self.child.id())).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let network = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(namespace.as_fd(), network).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            sender.send(listener.local_addr().unwrap().port()).unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\npod")
                .unwrap();
        });
        receiver.recv().unwrap()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir(&self.cgroup);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_starts_inside_the_pod_and_the_agent_stays_outside() {
    let sandbox = Sandbox::start();
    let port = sandbox.serve();
    let probe = |from: Place| HttpProbe {
        to: ([127, 0, 0, 1], port).into(),
        method: "GET".to_owned(),
        path: "/".to_owned(),
        from,
        timeout_millis: 10_000,
        keep_body: 100,
    };
    let agent = local::agent().await.unwrap();
    let outside = agent.ask(Interfaces {}, SOON).await.unwrap();
    let reply = agent
        .ask(probe(Place::Sandbox(ID.to_owned())), SOON)
        .await
        .unwrap();
    let HttpReply::Answer { body, .. } = &reply else {
        panic!("{reply:?}")
    };
    assert_eq!(body, "pod");
    // The same address from the host is another place.
    let reply = agent.ask(probe(Place::Host), SOON).await.unwrap();
    assert_eq!(
        reply,
        HttpReply::Broken {
            error: "connection refused".into()
        }
    );
    assert_eq!(agent.ask(Interfaces {}, SOON).await.unwrap(), outside);
}
