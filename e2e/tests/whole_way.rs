//! From a registry to a verdict on a real cluster.

use e2e::{Closed, MEDIA, Report, left};
use lab::cache::Cache;
use lab::components::{self, Set};
use lab::{JUMPBOX, Options, SERVER};

fn options(name: &str) -> Options {
    Options {
        name: name.into(),
        ..Options::default()
    }
}

#[test]
fn a_healthy_standard_lab_passes_without_a_warning_and_nothing_is_left() {
    let closed = Closed::up(&options("e2e-std"));
    let (finished, report) = closed.run(&["--report", "report"]);
    assert_eq!(report.troubles(), Vec::<String>::new(), "{}", finished.stderr);
    assert_eq!((report.outcome(), finished.code), ("pass", Some(0)));
    let sums = format!(
        "cd {MEDIA}/report && sha256sum -c SHA256SUMS && ls report.json report.html report.xml evidence"
    );
    let sums = closed.on(JUMPBOX, &["sh", "-c", &sums]);
    assert_eq!(sums.code, Some(0), "{} {}", sums.stdout, sums.stderr);
    for arguments in [["check", "report", "--json"], ["diff", "report", "report"]] {
        let finished = closed.verifier(&[&["report"], &arguments[..]].concat());
        assert_eq!(finished.code, Some(0), "{} {}", finished.stdout, finished.stderr);
    }
    assert_eq!(left(&closed), Vec::<String>::new());
    assert_eq!(touched(&report, "beyond"), Vec::<String>::new());
    a_run_that_only_reads_makes_nothing(&closed);
    files_of_facts_say_what_ssh_says(&closed, &report);
    a_site_file_is_compared_with_what_is_there(&closed);
    a_second_load_writes_nothing(&closed);
    an_altered_archive_is_refused(&closed);
    an_older_bundle_is_refused_until_it_is_meant(&closed);
    an_unknown_host_key_is_refused_with_its_fingerprint(&closed);
    a_cluster_that_lost_its_power_comes_back_by_itself(&closed);
    a_snapshot_that_a_run_took_is_kept_once(&closed);
    a_cluster_that_lost_its_etcd_comes_back_of_a_snapshot(&closed);
}

fn a_snapshot_that_a_run_took_is_kept_once(closed: &Closed) {
    let only = ["--only", "etcd.snapshot", "--keep-snapshot", "kept.db"];
    let (finished, report) = closed.smoke(&only);
    assert_eq!(report.troubles(), Vec::<String>::new(), "{}", finished.stderr);
    let looked_at = || {
        closed.on(
            JUMPBOX,
            &["sh", "-ec", "cd /media; stat -c %a kept.db; sha256sum kept.db"],
        )
    };
    let kept = looked_at();
    assert!(
        kept.stdout.starts_with("600\n"),
        "{} {}",
        kept.stdout,
        kept.stderr
    );
    let inspected = closed.verifier(&["snapshot", "inspect", "kept.db"]);
    assert_eq!(inspected.code, Some(0), "{}", inspected.stdout);
    assert!(inspected.stdout.contains("aescbc:key1"), "{}", inspected.stdout);
    let again = [
        &["smoke", "--bundle", "site.tar", "--site", "site.yaml"],
        &only[..],
    ]
    .concat();
    let again = closed.verifier(&again);
    assert_eq!(again.code, Some(64), "{}", again.stderr);
    assert_eq!(looked_at().stdout, kept.stdout);
}

/// With the report that is there from before.
fn a_cluster_that_lost_its_power_comes_back_by_itself(closed: &Closed) {
    let after = ["--after-reboot", "report"];
    let only = [after[0], after[1], "--only", "hosts.reach"];
    let (finished, report) = closed.smoke(&only);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert_eq!(report.cause("run.reboot", "node-0"), "host-not-restarted");
    closed
        .lab()
        .restart(&["server", "node-0", "node-1"], &|_| {})
        .expect("restart all hosts");
    somebody_leads_again(closed);
    let (finished, report) = closed.run_at(least_rights(closed), &after);
    assert_eq!(report.troubles(), Vec::<String>::new(), "{}", finished.stderr);
    assert_eq!(finished.code, Some(0));
    assert_eq!(report.of("run.reboot", "node-1"), Some("pass"));
    assert_eq!(left(closed), Vec::<String>::new());
}

/// By what the printed steps say.
fn a_cluster_that_lost_its_etcd_comes_back_of_a_snapshot(closed: &Closed) {
    let kubectl = |arguments: &str| {
        let line = format!("kubectl --kubeconfig=/root/admin.kubeconfig {arguments}");
        closed.on(JUMPBOX, &["sh", "-c", &line])
    };
    let made = kubectl("create secret generic kept --from-literal=a=b");
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let saved = closed.verifier(&["snapshot", "save", "--site", "site.yaml", "-o", "etcd.db"]);
    assert_eq!(saved.code, Some(0), "{} {}", saved.stdout, saved.stderr);
    let lost = "systemctl stop kube-apiserver etcd; rm -rf /var/lib/etcd/member";
    assert_eq!(closed.on(SERVER, &["sh", "-ec", lost]).code, Some(0));
    assert_ne!(kubectl("get secret kept").code, Some(0));
    restore(closed);
    somebody_leads_again(closed);
    assert_eq!(kubectl("get secret kept").code, Some(0));
    in_a_namespace_of_the_site_the_suite_is_as_restricted_wants_it(closed);
}

/// Returns a list of what the report says was touched.
fn touched(report: &Report, list: &str) -> Vec<String> {
    let list = report.value()["touched"][list].as_array().expect("a list");
    list.iter()
        .map(|text| text.as_str().unwrap_or_default().to_owned())
        .collect()
}

fn a_run_that_only_reads_makes_nothing(closed: &Closed) {
    let plan = [
        "run",
        "site.tar",
        "--site",
        "site.yaml",
        "--read-only",
        "--plan",
        "--json",
    ];
    let plan = closed.verifier(&plan);
    assert_eq!(plan.code, Some(0), "{}", plan.stderr);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).expect("JSON of the plan");
    assert_eq!(plan["api"]["makes"], serde_json::json!([]));
    let (finished, report) = closed.run(&["--read-only"]);
    assert_eq!(report.troubles(), Vec::<String>::new(), "{}", finished.stderr);
    assert_eq!(finished.code, Some(0));
    for list in ["beyond", "made"] {
        assert_eq!(touched(&report, list), Vec::<String>::new());
    }
    let value = report.value();
    assert_eq!(
        (&value["selection"]["readOnly"], &value["notRun"]),
        (&true.into(), &plan["notRun"])
    );
    assert!(
        value["notRun"]
            .as_array()
            .is_some_and(|left| left.contains(&"workload.deployment".into()))
    );
    let asked = value["touched"]["api"]
        .as_object()
        .expect("what was asked of the API");
    let reads = |asked: &String| {
        asked.starts_with("get ") || asked.starts_with("list ") || asked.contains("selfsubjectaccessreviews")
    };
    assert!(asked.keys().all(reads), "{asked:?}");
}

/// With a quota that wants limits, beside somebody else's pod of the same labels.
fn in_a_namespace_of_the_site_the_suite_is_as_restricted_wants_it(closed: &Closed) {
    let make = "set -e; export KUBECONFIG=/root/admin.kubeconfig; kubectl create namespace smoke; \
        kubectl label namespace smoke pod-security.kubernetes.io/enforce=restricted; \
        kubectl -n smoke create quota few --hard=limits.cpu=8,limits.memory=4Gi,pods=40; \
        kubectl -n smoke create configmap kept; kubectl -n smoke label configmap kept app.kubernetes.io/name=nginx; \
        (cat site.yaml; echo 'suite: {namespace: smoke, port: 8080, labels: {cost-centre: \"77\"}}') >restricted.yaml";
    let made = closed.on(JUMPBOX, &["sh", "-c", &format!("cd {MEDIA}; {make}")]);
    assert_eq!(made.code, Some(0), "{} {}", made.stdout, made.stderr);
    let smoke = [
        "smoke",
        "--bundle",
        "site.tar",
        "--site",
        "restricted.yaml",
        "--json",
    ];
    let finished = closed.verifier(&smoke);
    let report = Report::parse(&finished.stdout);
    assert_eq!(report.troubles(), Vec::<String>::new(), "{}", finished.stderr);
    assert_eq!(finished.code, Some(0));
    assert_eq!(report.value()["suite"]["namespace"], "smoke");
    assert_eq!(touched(&report, "beyond"), Vec::<String>::new());
    let look = "kubectl --kubeconfig /root/admin.kubeconfig -n smoke get \
        deployments,replicasets,pods,services,secrets,leases,networkpolicies,configmaps -o name | grep -v kube-root-ca";
    let left = closed.on(JUMPBOX, &["sh", "-c", look]);
    assert_eq!(left.stdout.trim(), "configmap/kept", "{}", left.stderr);
}

/// Restores etcd.db on the jumpbox, carries the data to the server and starts all again.
fn restore(closed: &Closed) {
    let bundle = bundle_with_etcdutl(closed);
    let peer = "http://127.0.0.1:2380";
    let (cluster, url) = (
        format!("--initial-cluster=controller={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
    );
    let restore = ["snapshot", "restore", "etcd.db", "new-data", "--bundle", &bundle];
    let restored = closed.verifier(&[&restore[..], &["--name=controller", &cluster, &url]].concat());
    assert_eq!(restored.code, Some(0), "{} {}", restored.stdout, restored.stderr);
    let carried = std::process::Command::new("tar")
        .args([
            "-C",
            &closed.media().join("new-data").to_string_lossy(),
            "-c",
            ".",
        ])
        .output()
        .expect("tar");
    let mut unpack = closed
        .lab()
        .command(SERVER, &["tar", "-C", "/var/lib/etcd", "-x"])
        .expect("the lab is up");
    let mut unpack = unpack.stdin(std::process::Stdio::piped()).spawn().expect("tar");
    let mut stdin = unpack.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, &carried.stdout).expect("carry the data");
    drop(stdin);
    assert!(unpack.wait().expect("tar").success());
    let start = "chmod 700 /var/lib/etcd; systemctl start etcd kube-apiserver; \
        systemctl restart kube-controller-manager kube-scheduler";
    assert_eq!(closed.on(SERVER, &["sh", "-ec", start]).code, Some(0));
    for node in ["node-0", "node-1"] {
        closed.on(node, &["systemctl", "restart", "kubelet", "kube-proxy"]);
    }
}

/// Returns the name of a bundle on the media that carries etcd's own program for snapshots.
fn bundle_with_etcdutl(closed: &Closed) -> String {
    let components =
        components::ensure(&Cache::user().expect("a cache"), &[Set::Core], &|_| {}).expect("components");
    let etcdutl = components.directory("etcd").expect("etcd").join("etcdutl");
    let spec = closed.lab().paths().connected().join("etcd.yaml");
    let text = include_str!("../../xtask/demo/bundle.yaml");
    let files = format!("files: [{{from: {}, to: etcdutl}}]\n", etcdutl.display());
    std::fs::write(&spec, format!("{text}{files}")).expect("the spec");
    let archive = closed.build("etcd.tar", &spec.to_string_lossy());
    std::fs::copy(archive, closed.media().join("etcd.tar")).expect("carry the archive");
    "etcd.tar".to_owned()
}

/// Waits until pods are made again.
fn somebody_leads_again(closed: &Closed) {
    // The Leases of the life before must end before anybody leads again.
    let leads = "export KUBECONFIG=/root/admin.kubeconfig; timeout 120 sh -c 'until kubectl wait --for=condition=Ready node --all \
        && kubectl run power --image=docker.io/library/nginx:1.29 --image-pull-policy=Never \
        && kubectl wait --for=condition=Ready pod/power --timeout=60s; do sleep 0.5; done' && kubectl delete pod power --now";
    let came = closed.on(JUMPBOX, &["sh", "-c", leads]);
    assert_eq!(came.code, Some(0), "{} {}", came.stdout, came.stderr);
}

/// Returns a site file whose kubeconfig may do what `site rbac` prints, and nothing else.
fn least_rights(closed: &Closed) -> &'static str {
    let account = closed.verifier(&["site", "rbac", "--service-account", "kube-system:verifier"]);
    assert_eq!(account.code, Some(0), "{}", account.stderr);
    std::fs::write(closed.media().join("rbac.yaml"), account.stdout).expect("write");
    let script = "set -e; umask 077; export KUBECONFIG=/root/admin.kubeconfig; kubectl -n kube-system create serviceaccount verifier; \
        kubectl apply -f rbac.yaml; token=$(kubectl -n kube-system create token verifier --duration=1h); \
        cp $KUBECONFIG least.kubeconfig; export KUBECONFIG=$PWD/least.kubeconfig; kubectl config delete-user admin; \
        kubectl config set-credentials admin --token=$token; \
        sed 's#/root/admin.kubeconfig#least.kubeconfig#' site.yaml > least.yaml";
    let made = closed.on(JUMPBOX, &["sh", "-c", &format!("cd {MEDIA}; {script}")]);
    assert_eq!(made.code, Some(0), "{} {}", made.stdout, made.stderr);
    "least.yaml"
}

fn a_site_file_is_compared_with_what_is_there(closed: &Closed) {
    let site = closed.find_site(&[]);
    let found = closed.verifier(&["site", "check", "--site", site]);
    assert_eq!(found.code, Some(0), "{} {}", found.stdout, found.stderr);
    let text = std::fs::read_to_string(closed.media().join(site)).expect("the site file");
    // A worker that is none, another pod network, and a host whose key nobody knows.
    let wrong = text
        .replace("[control-plane, etcd]", "[control-plane, etcd, worker]")
        .replace("[10.200.1.0/24]", "[10.200.9.0/24]");
    std::fs::write(closed.media().join("wrong.yaml"), wrong).expect("write");
    let finished = closed.verifier(&["site", "check", "--site", "wrong.yaml", "--json"]);
    assert_eq!(finished.code, Some(1), "{} {}", finished.stdout, finished.stderr);
    let report = Report::parse(&finished.stdout);
    assert_eq!(report.cause("site.check", "server"), "site-differs");
    assert_eq!(report.cause("site.check", "node-1"), "site-differs");
    assert_eq!(report.of("site.check", "node-0"), Some("pass"));
    let strange = text.replace("become: none", "become: none, knownHosts: /media/none");
    std::fs::write(closed.media().join("strange.yaml"), strange).expect("write");
    let finished = closed.verifier(&["site", "check", "--site", "strange.yaml"]);
    assert_eq!(finished.code, Some(2), "{} {}", finished.stdout, finished.stderr);
}

/// Each host is asked on its own console, as a site without SSH does it; what only a run's own pods tell is not compared.
fn files_of_facts_say_what_ssh_says(closed: &Closed, by_ssh: &Report) {
    std::fs::write(closed.media().join("empty.facts"), "").expect("write");
    closed.gather(SERVER, &["--kubeconfig", "/root/admin.kubeconfig"]);
    closed.gather("node-0", &[]);
    closed.gather("node-1", &[]);
    let all = ["server.facts", "node-0.facts", "node-1.facts"];
    let (finished, report) = closed.judge(&all, &["--report", "judged"]);
    let (troubles, talk) = (report.troubles(), &finished.stderr);
    assert_eq!(finished.code, Some(0), "{troubles:?} {talk}");
    assert!(report.is_partial());
    let mut others = Vec::new();
    let mut compared = 0;
    for result in by_ssh.results() {
        let id = result["id"].as_str().unwrap_or_default();
        let host = result["host"].as_str().unwrap_or("-");
        let (seen, cause) = (report.of(id, host), report.cause(id, host));
        // The run's own steps, and what needs what it makes.
        if id.starts_with("run.") || ["only-live", "needs"].contains(&cause) {
            continue;
        }
        compared += 1;
        if seen != result["outcome"].as_str() {
            others.push(format!("{id} {host}: {seen:?} {cause}"));
        }
    }
    assert_eq!(others, Vec::<String>::new());
    assert!(compared > 40, "{compared} results are compared");
    let without = ["server.facts", "node-0.facts", "empty.facts"];
    let (finished, report) = closed.judge(&without, &[]);
    assert_eq!(finished.code, Some(2), "{}", finished.stdout);
    assert_eq!(report.cause("run.facts", "node-1"), "facts-missing");
    assert_eq!(report.cause("run.facts", "-"), "facts-bad");
    let results = report.results().iter();
    let of_node = results.filter(|result| result["host"] == "node-1");
    for result in of_node {
        assert_ne!(result["outcome"], "pass", "{result}");
    }
}

fn a_second_load_writes_nothing(closed: &Closed) {
    let load = closed.verifier(&["load", "site.tar", "--site", "site.yaml", "--json"]);
    assert_eq!(load.code, Some(0), "{}", load.stderr);
    let value: serde_json::Value = serde_json::from_str(&load.stdout).expect("JSON of load");
    let hosts = value["hosts"].as_array().expect("hosts");
    assert_eq!(hosts.len(), 2, "{value}");
    for host in hosts {
        assert_eq!(host["bytes_written"], 0, "{value}");
    }
}

/// Of images that the nodes have: nothing is written to them.
fn an_older_bundle_is_refused_until_it_is_meant(closed: &Closed) {
    let spec = closed.lab().paths().connected().join("fresh.yaml");
    let text = include_str!("../../xtask/demo/bundle.yaml").replace("name: demo", "name: fresh");
    for serial in ["1", "2"] {
        let serial_line = format!("{text}serial: {serial}\n");
        std::fs::write(&spec, serial_line).expect("the spec");
        let name = format!("fresh-{serial}.tar");
        let archive = closed.build(&name, &spec.to_string_lossy());
        std::fs::rename(archive, closed.media().join(name)).expect("carry the archive");
    }
    let load = |serial: &str, more: &[&str]| {
        let file = format!("fresh-{serial}.tar");
        closed.verifier(&[&["load", &file, "--site", "site.yaml"], more].concat())
    };
    let record = closed.media().join("site.yaml.loaded");
    let recorded = || std::fs::read_to_string(&record).expect("what was loaded last");
    for (serial, more) in [("1", &[][..]), ("2", &[]), ("2", &[])] {
        let loaded = load(serial, more);
        assert_eq!(loaded.code, Some(0), "{serial}: {}", loaded.stderr);
    }
    let newest = recorded();
    assert!(newest.contains("\"fresh\""), "{newest}");
    let refused = load("1", &[]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("--allow-older"), "{}", refused.stderr);
    let run = closed.verifier(&["run", "fresh-1.tar", "--site", "site.yaml"]);
    assert_eq!(run.code, Some(3), "{} {}", run.stdout, run.stderr);
    assert_eq!(recorded(), newest, "what is refused is not written down");
    let meant = load("1", &["--allow-older"]);
    assert_eq!(meant.code, Some(0), "{}", meant.stderr);
    assert_ne!(recorded(), newest);
    // From now on the newer one is newer again.
    assert_eq!(load("2", &[]).code, Some(0));
    assert_eq!(recorded(), newest);
    for serial in ["1", "2"] {
        std::fs::remove_file(closed.media().join(format!("fresh-{serial}.tar"))).expect("clean up");
    }
}

fn an_altered_archive_is_refused(closed: &Closed) {
    let mut bytes = std::fs::read(closed.media().join("site.tar")).expect("read the archive");
    // The blobs lie behind everything else.
    let place = bytes.len() / 8 * 7;
    bytes[place] ^= 1;
    std::fs::write(closed.media().join("bad.tar"), &bytes).expect("write the altered archive");
    let finished = closed.verifier(&["run", "bad.tar", "--site", "site.yaml", "--json"]);
    assert_eq!(finished.code, Some(3), "{} {}", finished.stdout, finished.stderr);
    let named = "blobs/sha256/";
    assert!(
        finished.stderr.contains(named),
        "the member is named: {}",
        finished.stderr
    );
    let report = Report::parse(&finished.stdout);
    assert_eq!((report.outcome(), report.count("pass")), ("fail", 0));
    let cause = &report.result("run.bundle", "-").expect("a result of the bundle")["cause"];
    assert_eq!(cause["id"], "bundle-bad");
    let text = cause["text"].as_str().unwrap_or_default();
    assert!(text.contains(named), "{cause}");
    // Nothing was loaded or looked at, and every check says so.
    let reason = &report
        .result("images.present", "node-0")
        .expect("a result of each check")["cause"];
    assert_eq!(
        (&reason["id"], &reason["args"]["what"]),
        (&"needs".into(), &"run.bundle".into())
    );
    std::fs::remove_file(closed.media().join("bad.tar")).expect("remove the altered archive");
}

fn an_unknown_host_key_is_refused_with_its_fingerprint(closed: &Closed) {
    let site = std::fs::read_to_string(closed.media().join("site.yaml")).expect("read the site file");
    let strange = site.replace("/root/.ssh/known_hosts", "/media/empty_known_hosts");
    assert_ne!(site, strange, "the site file names known_hosts");
    std::fs::write(closed.media().join("empty_known_hosts"), "").expect("write");
    std::fs::write(closed.media().join("strange.yaml"), strange).expect("write");
    let finished = closed.verifier(&["run", "site.tar", "--site", "strange.yaml", "--json"]);
    assert_eq!(finished.code, Some(2), "{} {}", finished.stdout, finished.stderr);
    let all = format!("{}{}", finished.stdout, finished.stderr);
    assert!(all.contains("SHA256:"), "the fingerprint is shown: {all}");
}

#[test]
fn a_healthy_hardened_lab_passes_without_a_warning_and_nothing_is_left() {
    let closed = Closed::up(&Options {
        hardened: true,
        ..options("e2e-hard")
    });
    // The site file is what `site init` finds.
    let site = closed.find_site(&[
        "--user",
        "op",
        "--become",
        "sudo",
        "--password-file",
        "/root/op.password",
    ]);
    with_the_least_of_sudo(&closed, site);
    let (finished, report) = closed.run_at(site, &[]);
    assert_eq!(report.troubles(), Vec::<String>::new(), "{}", finished.stderr);
    assert_eq!((report.outcome(), finished.code), ("pass", Some(0)));
    assert_eq!(left(&closed), Vec::<String>::new());
}

/// Lets `op` do on every host what `site sudoers` prints, and nothing else.
fn with_the_least_of_sudo(closed: &Closed, site: &str) {
    let printed = closed.verifier(&["site", "sudoers", "--site", site]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    for host in closed.lab().layout().cluster() {
        let install = "set -e; umask 227; printf 'Defaults:op timestamp_timeout=0\\n%s\\n' \"$1\" >/tmp/op.new; \
            /usr/sbin/visudo -cf /tmp/op.new; mv -f /tmp/op.new /etc/sudoers.d/op; /usr/sbin/visudo -c";
        let installed = closed.on(&host.name, &["sh", "-c", install, "sh", &printed.stdout]);
        assert_eq!(
            installed.code,
            Some(0),
            "{} {}",
            installed.stdout,
            installed.stderr
        );
        let other = closed.on(&host.name, &["sudo", "-U", "op", "-l", "/bin/true"]);
        assert_ne!(other.code, Some(0), "{}", other.stdout);
    }
}

#[test]
fn a_healthy_lab_of_three_servers_passes_without_a_warning_and_nothing_is_left() {
    let closed = Closed::up(&Options {
        servers: 3,
        ..options("e2e-servers")
    });
    let site = closed.find_site(&[]);
    let (finished, report) = closed.run_at(site, &[]);
    assert_eq!(report.troubles(), Vec::<String>::new(), "{}", finished.stderr);
    assert_eq!((report.outcome(), finished.code), ("pass", Some(0)));
    assert_eq!(left(&closed), Vec::<String>::new());
}
