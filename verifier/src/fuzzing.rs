//! The doors of `fuzz/` into this crate: a function for each parser of foreign bytes, with what must hold behind it
//! for any bytes at all. The unit test sends the seeds through, finds of earlier runs among them.

use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt as _;
use tokio_util::compat::TokioAsyncReadCompatExt as _;

use crate::carrier::{Agent, ssh};
use crate::cluster::Target;
use crate::protocol::wire::{self, Envelope};
use crate::protocol::{ChainsReply, HelloReply, Refusal};
use crate::{host, site, stored};

/// What takes any bytes, and panics where something does not hold.
pub type Door = fn(&[u8]);

/// The parsers by the names of their seeds' folders.
pub const TARGETS: [(&str, Door); 16] = [
    ("wire", wire),
    ("agent", agent),
    ("known-hosts", ssh::fuzzing::known_hosts),
    ("yaml", yaml),
    ("kubeconfig", kubeconfig),
    ("iptables", host::fuzzing::rules),
    ("mask", host::fuzzing::lines),
    ("crictl", host::fuzzing::crictl_yaml),
    ("cni", host::fuzzing::cni_file),
    ("names", host::fuzzing::names),
    ("time", host::fuzzing::time),
    ("dns", host::fuzzing::dns),
    ("etcd-metrics", host::fuzzing::etcd_metrics),
    ("containerd", host::fuzzing::containerd_configuration),
    ("certificates", host::fuzzing::certificate_file),
    ("snapshot", stored::fuzzing::snapshot),
];

/// More than any input has.
const LONGEST: u32 = 1 << 20;
/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(5);

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().build().expect("a runtime").block_on(work)
}

/// What another end may send to an agent: noise and a greeting, then yamux streams with requests. None is answered.
fn wire(bytes: &[u8]) {
    const MODE: yamux::Mode = yamux::Mode::Server;
    block_on(async {
        let mut stream = wire::buffered(Cursor::new(bytes.to_vec()), tokio::io::sink());
        let _ = wire::find_greeting(stream.reader_mut(), wire::CLIENT).await;
        let mut connection = yamux::Connection::new(stream.compat(), wire::settings(MODE), MODE);
        let mut streams = futures::stream::FuturesUnordered::new();
        while let Some(mut stream) = wire::accept(&mut connection).await {
            streams.push(async move {
                wire::read_json::<Envelope>(&mut stream, wire::REQUEST)
                    .await
                    .is_ok()
            });
        }
        drop(connection);
        while streams.next().await.is_some() {}
        let _ = wire::read_json::<Result<HelloReply, Refusal>>(&mut &*bytes, LONGEST).await;
        let _ = wire::read_json::<Result<ChainsReply, Refusal>>(&mut &*bytes, LONGEST).await;
    });
}

/// What an agent may send: it is none of ours, and ends.
fn agent(bytes: &[u8]) {
    block_on(async {
        let reader = Cursor::new(bytes.to_vec());
        let opened = Agent::open(reader, tokio::io::sink(), (), DEADLINE).await;
        if let Ok(agent) = opened {
            assert_eq!(
                agent.hello().tool,
                crate::protocol::TOOL,
                "another program was taken"
            );
        }
    });
}

/// Files that people write in YAML, and the machines' list.
fn yaml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _ = site::parse("site.yaml", text, Path::new("/"));
    let _ = site::machines("machines.txt", text);
    if let Ok(documents) = yaml::documents("manifests.yaml", text) {
        let _ = yaml::images(&documents);
    }
}

/// Stands for every credential of the kubeconfig.
const SECRET: &str = "hunter2Zq9";

/// A kubeconfig that is damaged in some places: whatever is said about it, no credential is.
fn kubeconfig(bytes: &[u8]) {
    let text = damaged(&KUBECONFIG.replace("SECRET", SECRET), bytes);
    let mut file = tempfile::NamedTempFile::new().expect("room for a file");
    std::io::Write::write_all(&mut file, &text).expect("room for a file");
    if let Err(error) = block_on(Target::read(file.path())) {
        let said = format!("{} {error:?}", cli::chain(&error));
        assert!(!said.contains(SECRET), "{said}");
    }
}

/// Returns the text with edits that the bytes name, four each: two for the place, one for what, one byte more.
/// Credentials stay whole, so that they can be found again.
fn damaged(text: &str, edits: &[u8]) -> Vec<u8> {
    let mut text = text.as_bytes().to_vec();
    for edit in edits.chunks_exact(4).take(16) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % text.len();
        let from = at.saturating_sub(SECRET.len() - 1);
        let to = (at + SECRET.len()).min(text.len());
        if text[from..to]
            .windows(SECRET.len())
            .any(|bytes| bytes == SECRET.as_bytes())
        {
            continue;
        }
        match edit[2] % 3 {
            0 => text[at] = edit[3],
            1 => text.insert(at, edit[3]),
            _ => drop(text.remove(at)),
        }
    }
    text
}

const KUBECONFIG: &str = "apiVersion: v1
kind: Config
clusters:
- name: thw
  cluster:
    certificate-authority-data: c29tZQ==
    server: https://server.kubernetes.local:6443
users:
- name: admin
  user:
    token: SECRET
    username: joe
    password: SECRET
    client-certificate-data: c29tZQ==
    client-key-data: SECRET
contexts:
- name: default
  context:
    cluster: thw
    user: admin
current-context: default
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_hold_holds_for_every_seed() {
        for (name, target) in TARGETS {
            let folder = format!("{}/../fuzz/seeds/{name}", env!("CARGO_MANIFEST_DIR"));
            let seeds = std::fs::read_dir(&folder)
                .unwrap()
                .map(|seed| seed.unwrap().path());
            let seeds: Vec<_> = seeds.collect();
            assert!(!seeds.is_empty(), "{folder} is empty");
            for seed in seeds {
                target(&std::fs::read(seed).unwrap());
            }
        }
    }
}
