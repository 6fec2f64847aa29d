//! Clusters run pods, on every line of containerd, and store Secrets as asked.

use std::collections::BTreeSet;

use lab::images::NGINX;
use lab::{Encryption, Lab, Options};

use crate::support::{import, kubectl, until, up};

/// Starts one nginx pod on each node and returns their names once all run.
fn nginx_everywhere(lab: &Lab) -> Vec<String> {
    for node in lab.layout().nodes() {
        let overrides = format!(r#"{{"spec":{{"nodeName":"{}"}}}}"#, node.name);
        let (name, image) = (format!("nginx-{}", node.name), format!("--image={}", NGINX.name));
        let overrides = format!("--overrides={overrides}");
        kubectl(
            lab,
            &["run", &name, &image, "--image-pull-policy=Never", &overrides],
        );
    }
    until("a running pod on each node", || {
        let format = "jsonpath={range .items[?(@.status.phase=='Running')]}{.metadata.name}{'\\n'}{end}";
        let running = kubectl(lab, &["get", "pods", "-o", format]);
        let running: Vec<String> = running.lines().map(str::to_owned).collect();
        if running.len() == lab.layout().nodes().count() {
            Ok(running)
        } else {
            Err(format!("{running:?}"))
        }
    })
}

#[test]
fn pods_run_on_every_line_of_containerd() {
    let versions = ["2.4", "2.1", "1.7", "1.6"];
    let containerd = versions.map(str::to_owned).to_vec();
    let lab = up(
        "lines",
        Options {
            nodes: 4,
            containerd,
            ..Options::default()
        },
    );
    let format = "jsonpath={range .items[*]}{.status.nodeInfo.containerRuntimeVersion}{'\\n'}{end}";
    let runtimes = kubectl(&lab, &["get", "nodes", "-o", format]);
    for (runtime, version) in runtimes.lines().zip(versions) {
        assert!(
            runtime.starts_with(&format!("containerd://{version}.")),
            "{runtimes}"
        );
    }
    import(&lab);
    for pod in nginx_everywhere(&lab) {
        let page = "exec 3<>/dev/tcp/127.0.0.1/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3";
        assert!(
            kubectl(&lab, &["exec", &pod, "--", "bash", "-c", page]).contains("Welcome to nginx!"),
            "{pod}"
        );
        until("the request in the log", || {
            let log = kubectl(&lab, &["logs", &pod]);
            if log.contains("GET / HTTP/1.0") {
                Ok(())
            } else {
                Err(log)
            }
        });
    }
}

#[test]
fn secrets_are_stored_as_asked() {
    let cases = [
        (Encryption::Aescbc, &b"k8s:enc:aescbc:v1:key1:"[..]),
        (Encryption::Aesgcm, b"k8s:enc:aesgcm:v1:key1:"),
        (Encryption::Secretbox, b"k8s:enc:secretbox:v1:key1:"),
        (Encryption::None, b"k8s\0"),
    ];
    for (encryption, prefix) in cases {
        let lab = up(
            "secrets",
            Options {
                nodes: 0,
                encryption,
                ..Options::default()
            },
        );
        kubectl(
            &lab,
            &[
                "create",
                "secret",
                "generic",
                "canary",
                "--from-literal=mykey=mydata",
            ],
        );
        let get = [
            "etcdctl",
            "get",
            "--print-value-only",
            "/registry/secrets/default/canary",
        ];
        let stored = lab.exec("server", &get).unwrap().stdout;
        assert!(
            stored.starts_with(prefix),
            "{encryption:?}: {:?}",
            String::from_utf8_lossy(&stored)
        );
    }
}

#[test]
fn three_servers_stand_behind_a_balancer_with_a_member_of_etcd_each() {
    let lab = up(
        "servers",
        Options {
            servers: 3,
            nodes: 1,
            ..Options::default()
        },
    );
    let server = "jsonpath={.clusters[0].cluster.server}";
    let server = kubectl(&lab, &["config", "view", "-o", server]);
    assert_eq!(server, "https://api-server.kubernetes.local:6443");
    let script = "ETCDCTL_CACERT=/etc/etcd/ca.crt ETCDCTL_CERT=/etc/etcd/kube-api-server.crt \
                  ETCDCTL_KEY=/etc/etcd/kube-api-server.key etcdctl --endpoints https://127.0.0.1:2379 \
                  endpoint health --cluster";
    let health = lab.exec("server-1", &["sh", "-c", script]).unwrap();
    let said = [health.stdout, health.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(said.matches("is healthy").count(), 3, "{said}");
    // One API server less, and the balancer leads around it.
    lab.read(
        "server",
        &["systemctl", "kill", "--signal=KILL", "kube-apiserver"],
    )
    .unwrap();
    lab.read("server", &["systemctl", "stop", "kube-apiserver"])
        .unwrap();
    until("answers of the other two", || {
        let answers = (0..6).map(|_| lab.exec("jumpbox", &["kubectl", "get", "--raw=/readyz"]).unwrap());
        let refused = answers.filter(|answer| !answer.status.success()).count();
        if refused == 0 {
            Ok(())
        } else {
            Err(format!("{refused} of 6 refused"))
        }
    });
}

#[test]
fn crictls_configuration_is_there_but_on_plain_labs() {
    for plain in [false, true] {
        let lab = up(
            "crictl",
            Options {
                nodes: 1,
                plain,
                ..Options::default()
            },
        );
        let there = lab
            .exec("node-0", &["test", "-e", "/etc/crictl.yaml"])
            .unwrap()
            .status
            .success();
        assert_eq!(there, !plain);
    }
}

#[test]
fn the_pages_files_lie_in_the_pages_places() {
    let lab = up(
        "places",
        Options {
            nodes: 1,
            ..Options::default()
        },
    );
    let list = |host: &str, directory: &str| -> BTreeSet<String> {
        lab.read(host, &["ls", directory])
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let server = list("server", "/var/lib/kubernetes");
    for file in [
        "ca.crt",
        "ca.key",
        "kube-api-server.crt",
        "service-accounts.key",
        "encryption-config.yaml",
    ] {
        assert!(server.contains(file), "{file}: {server:?}");
    }
    let node = list("node-0", "/var/lib/kubelet");
    for file in [
        "ca.crt",
        "kubelet.crt",
        "kubelet.key",
        "kubelet-config.yaml",
        "kubeconfig",
    ] {
        assert!(node.contains(file), "{file}: {node:?}");
    }
    assert!(list("jumpbox", "/root/kubernetes-the-hard-way").contains("node-0.crt"));
    assert!(
        lab.read(
            "jumpbox",
            &["sh", "-c", "command -v ctr crictl etcdctl curl || echo none"]
        )
        .unwrap()
            == "none\n"
    );
}
