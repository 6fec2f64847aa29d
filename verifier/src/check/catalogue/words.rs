//! The table of words: cause, sentence, what to do next. `{name}` stands for an argument of the cause.

use CauseId as C;

use super::super::CauseId;

/// A cause with its sentence and its hint.
pub(super) type Row = (CauseId, &'static str, &'static str);

/// Every cause, in the order of [`CauseId`].
#[rustfmt::skip]
pub(super) const WORDS: &[Row] = &[
    (C::Needs, "needs {what}", "see the result of {what}"),
    (C::HostUnreachable, "{host} cannot be looked at: {reason}", "see hosts.reach of {host}"),
    (C::HungCheck, "the check did not end within {seconds} s", "run again with a longer --timeout; see the evidence for what it waited for"),
    (C::Internal, "the verifier itself is at fault: {message}", "please report this with report.json"),
    (C::Interrupted, "interrupted before it ended", "run again"),
    (C::RunLate, "the run's deadline of {seconds} s came first", "run again with a longer --deadline"),
    (C::NoBundle, "no bundle was given", "name the bundle that was loaded"),
    (C::NoSuite, "the bundle carries nothing to run", "add `manifests: [builtin:smoke]` and an nginx image to bundle.yaml and build it again"),
    (C::NotSchedulable, "{node} takes no pods: {reason}", "kubectl uncordon {node}, or kubectl describe node {node} for its taints; schedulable: false in the site file if it is meant so"),
    (C::AgentRefused, "the agent on {host} could not look: {message}", "log in to {host} and look there; the agent's user may lack the right (become: sudo)"),

    (C::SshUnreachable, "{reason}", "{next}"),
    (C::SshHostKeyUnknown, "the host key of {address} is not known: {fingerprint}", "{next}"),
    (C::SshHostKeyChanged, "{reason}", "{next}"),
    (C::SshLoginRefused, "{reason}", "{next}"),
    (C::SshFailed, "{reason}", "{next}"),
    (C::SshOwnSide, "no login to {address} could be tried: {reason}", "{next}"),
    (C::SudoRefused, "{reason}", "{next}"),
    (C::AgentMissing, "{reason}", "{next}"),
    (C::AgentNotStarted, "{reason}", "{next}"),
    (C::AgentVersion, "the agent on {host} is {found}, not {expected}", "run the verifier that the bundle carries"),

    (C::ApiUnreachable, "{server} does not answer: {reason}", "on the control plane: systemctl status kube-apiserver; from here: curl -k {server}/readyz; where only a host reaches it: api: {via: HOST} in the site file"),
    (C::ApiNotReady, "the API server is not ready: {failed}", "kubectl get --raw '/readyz?verbose'; journalctl -u kube-apiserver -n 50 on the control plane"),
    (C::ApiNotKubernetes, "{operation}: {server} answers what no Kubernetes answers: {reason}", "check the server in the kubeconfig: a proxy or another service may answer there"),
    (C::ApiUnverified, "the certificate of {server} is not checked", "put certificate-authority-data into the kubeconfig instead of insecure-skip-tls-verify"),
    (C::ApiCertificate, "the certificate of {server} is not accepted: {reason}", "compare the CA in the kubeconfig with the one that signed it: openssl s_client -connect HOST:6443 -showcerts"),
    (C::ApiCredentials, "{operation}: the API server does not know the kubeconfig's credentials: {message}", "check the dates of its client certificate and the CA that signed it"),
    (C::ApiRefused, "{operation}: refused ({code} {reason}): {message}", "journalctl -u kube-apiserver -n 50 on the control plane"),
    (C::ApiLate, "{operation}: no answer of {server} within {seconds} s", "journalctl -u kube-apiserver and -u etcd on the control plane"),
    (C::KubeconfigBad, "the kubeconfig cannot be used ({path}): {reason}", "kubectl --kubeconfig FILE version; check kubeconfig in the site file"),
    (C::Forbidden, "{operation}: the kubeconfig may not {verbs}: {message}", "use an administrator's kubeconfig, or give its user these verbs: kubectl auth can-i --list"),
    (C::AdmissionRefused, "{operation}: admission refused: {message}", "allow the namespaces verifier-* in that policy, or raise the quota; the cluster itself is not at fault"),

    (C::NodeMissing, "{node} has not joined the cluster", "on the host: systemctl status kubelet; journalctl -u kubelet -n 50; its kubeconfig names the API server and its certificate the Node"),
    (C::NodeUnknown, "the Node {node} is not in the site file", "add it to hosts of the site file, or kubectl delete node {node} if it is a leftover"),
    (C::NodeNotReady, "{node} is not Ready: {reason}: {message}", "on the host: journalctl -u kubelet -n 50; then its runtime and CNI: systemctl status containerd, ls /etc/cni/net.d"),
    (C::NodePressure, "{node} reports {condition}: {message}", "on the host: df -h, free -m; kubectl describe node {node}"),
    (C::NodeCordoned, "{node} is cordoned", "kubectl uncordon {node}, or schedulable: false in the site file"),
    (C::NodeTainted, "{node} is tainted: {taint}", "kubectl describe node {node}; kubectl taint node {node} {taint}-, or schedulable: false in the site file"),
    (C::LeaseMissing, "{node} has no Lease in kube-node-lease", "on the host: systemctl status kubelet; journalctl -u kubelet -n 50"),
    (C::LeaseStale, "the kubelet of {node} has not renewed its Lease for {age} s, though the limit is {limit} s", "on the host: systemctl status kubelet; journalctl -u kubelet -n 50; its way to the API server"),
    (C::KubeletStopped, "no kubelet runs on {node}", "on the host: systemctl status kubelet; journalctl -u kubelet -n 50; systemctl start kubelet"),
    (C::KubeletHung, "the kubelet of {node} is alive but silent (process state {state})", "on the host: kill -CONT or systemctl restart kubelet; journalctl -u kubelet -n 50"),
    (C::VersionSkew, "the kubelet of {node} is {kubelet}, which the API server {server} does not support", "kubelets may be up to three minor versions older than the API server and never newer"),

    (C::ImageMissing, "{image} is not there", "verifier load FILE --site SITE brings it; somebody may have deleted it, or the kubelet collected it"),
    (C::ImageWrong, "{image} is {found}, and the bundle's is {expected}", "another content stands under this name: verifier load FILE --site SITE puts the bundle's there"),
    (C::ImageUnpinned, "{image} is not pinned: the kubelet may collect it when the disk fills", "verifier load FILE --site SITE pins it (not with --no-pin)"),
    (C::ImageNameMissing, "{image} is there, but not found by {reference}", "verifier load FILE --site SITE writes the record"),
    (C::ImagePlatform, "the bundle has no {image} for {platform}", "add {platform} to platforms in bundle.yaml and build it again"),
    (C::PinsUnknown, "{runtime} {version} knows no pins: the kubelet may collect the images when the disk fills", "raise imageGCHighThresholdPercent of the kubelet, or use containerd 1.6.22, 1.7.3 or newer"),
    (C::RuntimeSilent, "the container runtime does not answer: {message}", "on the host: systemctl status containerd; journalctl -u containerd -n 50; runtime: in the site file names its socket"),
    (C::SandboxImageMissing, "the sandbox image {image} is not there: no pod can start", "add `- {image}` to images in bundle.yaml, build it again, load it"),
    (C::SandboxImageUnpinned, "the sandbox image {image} is not pinned: the kubelet may collect it", "add `- {image}` to images in bundle.yaml, build it again, load it"),
    (C::SandboxImageUnknown, "the runtime does not say which sandbox image it uses", "look for sandbox_image or pinned_images in the configuration of the runtime"),

    (C::ImageNeverPull, "{image} is not on {node}, and nothing is pulled (pod {pod})", "verifier load FILE --site SITE brings it to every node"),
    (C::SandboxFailed, "the sandbox of pod {pod} on {node} could not be made: {message}", "on the host: the sandbox image (runtime.sandbox-image), /etc/cni/net.d and /opt/cni/bin; journalctl -u containerd -n 50"),
    (C::PodUnschedulable, "pod {pod} finds no node: {message}", "kubectl describe nodes: cordons, taints, room"),
    (C::PodNotStarted, "pod {pod} on {node} does not start: {reason}", "on the host: journalctl -u kubelet -n 50 and -u containerd; kubectl describe pod"),
    (C::PodCrashed, "the container of pod {pod} on {node} does not run: {reason}: {message}", "kubectl logs --previous; kubectl describe pod"),
    (C::PodMissing, "no pod was placed on {node}", "kubectl describe node {node}: cordons, taints, room; journalctl -u kube-scheduler -n 50 on the control plane"),
    (C::PodImageWrong, "pod {pod} runs {found}, and the bundle's image is {expected}", "another content stands under this name on its node: see images.present"),
    (C::DeploymentLate, "the Deployment was not available after {seconds} s: {available} of {wanted}", "kubectl describe deployment; journalctl -u kube-controller-manager -n 50 on the control plane"),
    (C::SchedulerSilent, "nobody placed pod {pod}: kube-scheduler does not work", "on the control plane: systemctl status kube-scheduler; journalctl -u kube-scheduler -n 50"),
    (C::ControllerSilent, "nobody made pods for the Deployment: kube-controller-manager does not work", "on the control plane: systemctl status kube-controller-manager; journalctl -u kube-controller-manager -n 50"),

    (C::RouteMissing, "no route to {network} via {via} (pod {pod} on {node})", "on {host}: ip route add {network} via {via}, and the same where its routes are configured"),
    (C::RouteWrong, "{network} is routed via {found}, not via {via} (pod {pod} on {node})", "on {host}: ip route replace {network} via {via}, and the same where its routes are configured"),
    (C::PodSilent, "pod {pod} at {address} on {node} does not answer: {reason}", "on {node}: ip addr show cni0; sysctl net.ipv4.ip_forward; iptables -S FORWARD; the route back to {host}"),
    (C::PodRefused, "pod {pod} at {address} on {node}: {reason}", "kubectl logs of the pod; on {node}: iptables -S"),
    (C::WrongStatus, "pod {pod} at {address} answers {status}, not 200", "kubectl logs of the pod; does another machine own that address?"),
    (C::WrongPage, "pod {pod} at {address} answers another page: {title}", "does another machine or a proxy own that address? kubectl get pod -o wide"),
    (C::ChainDrops, "the chain {chain} of table {table} on {host} drops it: {rule}", "on {host}: iptables -t {table} -S {chain}; allow the pod and service networks there, and where its rules are configured"),

    (C::SecretPlaintext, "the Secret is stored in plaintext", "the API server's --encryption-provider-config: the first provider of secrets writes, and identity must not be first"),
    (C::PlaintextExpected, "the Secret is stored in plaintext, as the site file says", "encrypt Secrets at rest, and write the provider into expect.encryption"),
    (C::EncryptedUnexpectedly, "the Secret is stored as {found}, and the site file expects plaintext", "write the provider into expect.encryption of the site file"),
    (C::WrongProvider, "the Secret was written by {found}, not by {expected}", "the first provider in the API server's --encryption-provider-config writes; restart the API server after a change"),
    (C::WrongKey, "the Secret was written with the key {found}, not {expected}", "the first key of the provider writes; restart the API server after a change"),
    (C::SecretNotStored, "etcd has no {key}", "check etcd.prefix in the site file against the API server's --etcd-prefix, and that the API server uses this etcd"),
    (C::SecretLength, "the stored value has {length} bytes behind its prefix, which {provider} cannot have given", "the value is not what the API server wrote: check etcd's health and the encryption configuration"),
    (C::EtcdUnreachable, "etcd could not be read on {host}: {message}", "check etcd in the site file: endpoints, ca, cert and key as seen from {host}"),
    (C::NoEtcdHost, "no host of the site file has the role etcd", "give the hosts that run etcd that role"),
];
