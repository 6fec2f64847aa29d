//! Every fault can be planted and healed, and does what its summary says.

use std::sync::Mutex;
use std::thread;

use lab::faults::{self, Fault, Needs};
use lab::{Guard, Lab, Options};

use crate::support::{import, kubectl, until, up};

fn lab(purpose: &str) -> Guard {
    let lab = up(purpose, Options::default());
    import(&lab);
    lab
}

/// Takes one fault after the other from a queue that several labs share, plants it and heals it.
fn plant_and_heal(lab: &Lab, faults: &Mutex<impl Iterator<Item = &'static Fault>>) {
    loop {
        let next = faults.lock().unwrap().next();
        let Some(fault) = next else { return };
        lab.plant(fault)
            .unwrap_or_else(|error| panic!("plant {}: {error}", fault.name));
        let healed = lab
            .heal()
            .unwrap_or_else(|error| panic!("heal {}: {error}", fault.name));
        assert_eq!(healed, [fault.name]);
    }
}

/// Planting and healing is mostly waiting for services to stop and start, hence several labs at once. Faults of the cluster's
/// DNS need a lab of their own, and are planted where the verifier looks for them.
#[test]
fn every_fault_is_planted_and_healed() {
    let of = |lab: Needs| Mutex::new(faults::all().filter(move |fault| fault.needs.lab() == lab));
    let (standard, hardened, servers) = (of(Needs::Nothing), of(Needs::Hardened), of(Needs::Servers));
    thread::scope(|scope| {
        for purpose in ["faults-a", "faults-b", "faults-c"] {
            let standard = &standard;
            scope.spawn(move || plant_and_heal(&lab(purpose), standard));
        }
        scope.spawn(|| {
            let options = Options {
                nodes: 1,
                hardened: true,
                ..Options::default()
            };
            plant_and_heal(&up("hardened", options), &hardened);
        });
        scope.spawn(|| plant_and_heal(&up("servers", Needs::Servers.options("")), &servers));
    });
}

#[test]
fn several_faults_are_healed_the_last_first() {
    let lab = lab("several");
    for name in ["kubelet-stopped", "route-missing-server", "image-missing"] {
        lab.plant(faults::find(name).unwrap()).unwrap();
    }
    let state = |unit: &str| {
        lab.exec("node-1", &["systemctl", "is-active", "--quiet", unit])
            .unwrap()
            .status
            .success()
    };
    let route = || {
        lab.read("server", &["ip", "route", "show", "10.200.1.0/24"])
            .unwrap()
    };
    let images = || {
        lab.read(
            "node-0",
            &["/opt/containerd/bin/ctr", "-n", "k8s.io", "images", "ls", "-q"],
        )
        .unwrap()
    };
    assert!(!state("kubelet") && state("containerd"));
    assert_eq!(route(), "");
    assert!(!images().contains("nginx"));
    assert_eq!(
        lab.heal().unwrap(),
        ["image-missing", "route-missing-server", "kubelet-stopped"]
    );
    assert!(state("kubelet"));
    assert!(route().contains("192.168.10.102"));
    assert!(images().contains("docker.io/library/nginx:1.29"));
    assert!(lab.heal().unwrap().is_empty());
}

#[test]
fn identity_first_stores_plaintext_and_healing_encrypts_again() {
    let lab = up(
        "identity",
        Options {
            nodes: 0,
            ..Options::default()
        },
    );
    let stored = |name: &str| {
        kubectl(
            &lab,
            &["create", "secret", "generic", name, "--from-literal=mykey=mydata"],
        );
        let key = format!("/registry/secrets/default/{name}");
        lab.exec("server", &["etcdctl", "get", "--print-value-only", &key])
            .unwrap()
            .stdout
    };
    lab.plant(faults::find("identity-first").unwrap()).unwrap();
    assert!(stored("plain").starts_with(b"k8s\0"));
    lab.heal().unwrap();
    assert!(stored("secret").starts_with(b"k8s:enc:aescbc:v1:key1:"));
}

#[test]
fn an_expired_kubelet_certificate_is_refused_by_the_api_server() {
    let lab = lab("expired");
    let overrides = r#"--overrides={"spec":{"nodeName":"node-1"}}"#;
    kubectl(
        &lab,
        &[
            "run",
            "nginx",
            "--image=docker.io/library/nginx:1.29",
            "--image-pull-policy=Never",
            overrides,
        ],
    );
    let logs = || {
        let output = lab.exec("jumpbox", &["kubectl", "logs", "nginx"]).unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let works = || match logs() {
        (true, _) => Ok(()),
        (false, said) => Err(said),
    };
    until("logs of a running pod", works);
    lab.plant(faults::find("kubelet-certificate-expired").unwrap())
        .unwrap();
    until("the certificate's end in the answer", || match logs() {
        (false, said) if said.contains("certificate has expired") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    lab.heal().unwrap();
    until("logs of a healed node", works);
}
