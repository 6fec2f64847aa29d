//! What runs may leave behind, and what only looks like it.

use lab::SERVER;

use crate::Closed;

/// Makes namespaces that look like a run's and are not: our labels without the name, the name without our labels, the name
/// with somebody else's labels, our labels of another run.
const MAKE_LOOKALIKES: &str = "kubectl create ns lookalike && kubectl label ns lookalike \
    app.kubernetes.io/managed-by=verifier verifier.dev/run=zzz && kubectl create ns verifier-lookalike-bare && \
    kubectl create ns verifier-lookalike-helm && kubectl label ns verifier-lookalike-helm \
    app.kubernetes.io/managed-by=Helm verifier.dev/run=lookalike-helm && kubectl create ns verifier-lookalike-other && \
    kubectl label ns verifier-lookalike-other app.kubernetes.io/managed-by=verifier verifier.dev/run=zzz && \
    for n in lookalike verifier-lookalike-bare verifier-lookalike-helm verifier-lookalike-other; do \
    kubectl -n $n create configmap kept; done";

/// Says what runs left: namespaces, and on the hosts directories and agents. Empty when nothing.
///
/// # Panics
///
/// When a host or the API server cannot be asked.
pub fn left(closed: &Closed) -> Vec<String> {
    let namespaces = kubectl(closed, "kubectl get namespaces -o name");
    let ours = |name: &&str| name.contains("/verifier-") && !name.contains("lookalike");
    let mut left: Vec<String> = namespaces.lines().filter(ours).map(str::to_owned).collect();
    for host in closed.lab().layout().cluster() {
        let look = "ls -A /root/.cache /home/op/.cache /var/tmp /tmp /run 2>/dev/null | grep -i verifier; \
                    for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -e 'verifier[ ]agent *$'; done; true";
        let found = closed.on(&host.name, &["sh", "-c", look]);
        left.extend(found.stdout.lines().map(|line| format!("{}: {line}", host.name)));
    }
    left
}

/// Makes namespaces that only look like ours, each with something in it.
///
/// # Panics
///
/// When they cannot be made.
pub fn make_lookalikes(closed: &Closed) {
    kubectl(closed, MAKE_LOOKALIKES);
}

/// Makes sure that what only looks like ours is as it was made.
///
/// # Panics
///
/// When one of the namespaces is gone, or is going, or what was in it.
#[track_caller]
pub fn assert_lookalikes_stay(closed: &Closed) {
    let phases = "kubectl get ns --no-headers | awk '/lookalike/ && $2 == \"Active\" {print $1}'";
    let kept = "kubectl get configmaps -A --no-headers | awk '$2 == \"kept\" {print $1}'";
    for look in [phases, kept] {
        let there = kubectl(closed, look);
        assert_eq!(there.lines().count(), 4, "{look}: {there}");
    }
}

/// Runs a script with the administrator's kubeconfig on `server`.
fn kubectl(closed: &Closed, script: &str) -> String {
    let script = format!("export KUBECONFIG=/root/admin.kubeconfig; {script}");
    let done = closed.on(SERVER, &["sh", "-c", &script]);
    assert_eq!(done.code, Some(0), "{script}: {}", done.stderr);
    done.stdout
}
