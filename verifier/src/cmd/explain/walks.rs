//! The ways from what one sees to the checks, in the order in which one would look.

/// Checks in the order in which one looks at them, each with why, in English and in Korean.
pub(super) type Walk = &'static [(&'static str, &'static str, &'static str)];

/// Pods that stay Pending.
pub(super) const PENDING: Walk = &[
    (
        "nodes.ready",
        "a pod without a Node: is there one that takes pods, and is its kubelet alive?",
        "노드가 정해지지 않은 파드: 파드를 받는 노드가 있는가, 그 kubelet은 살아 있는가",
    ),
    (
        "components.control-plane",
        "no event at all: does kube-scheduler run, and does somebody lead?",
        "이벤트가 하나도 없다면: kube-scheduler가 동작하는가, 리더가 있는가",
    ),
    (
        "workload.deployment",
        "its cause names the scheduler, the image, the sandbox or the policy that refused",
        "원인이 스케줄러, 이미지, 샌드박스, 거부한 정책 가운데 무엇인지 알려 준다",
    ),
    (
        "images.present",
        "a pod with a Node: is its image there? Nothing is pulled here",
        "노드가 정해진 파드: 이미지가 그 노드에 있는가. 여기서는 아무것도 내려받지 않는다",
    ),
    (
        "runtime.sandbox-image",
        "FailedCreatePodSandBox: is the runtime's own image there?",
        "FailedCreatePodSandBox: 런타임이 쓰는 pause 이미지가 있는가",
    ),
];

/// A Node that is NotReady.
pub(super) const NOTREADY: Walk = &[
    (
        "nodes.ready",
        "its cause names the kubelet, its Lease, the pressure or the condition's own words",
        "원인이 kubelet, Lease, 자원 압박(pressure), 컨디션의 메시지 가운데 무엇인지 알려 준다",
    ),
    (
        "components.workers",
        "do the kubelet, the runtime and kube-proxy run and answer?",
        "kubelet, 컨테이너 런타임, kube-proxy가 동작하고 응답하는가",
    ),
    (
        "kubectl.logs",
        "does the API server reach the kubelet? Its cause names the kubelet's certificate with its dates",
        "API 서버가 kubelet에 닿는가. 원인이 kubelet 인증서와 그 유효 기간을 알려 준다",
    ),
    (
        "hosts.reach",
        "is the host there at all?",
        "호스트에 접속은 되는가",
    ),
    (
        "api.ready",
        "does the kubelet have an API server to talk to?",
        "kubelet이 통신할 API 서버가 있는가",
    ),
    (
        "runtime.sandbox-image",
        "does the container runtime answer?",
        "컨테이너 런타임이 응답하는가",
    ),
];

/// A Service that does not answer.
pub(super) const SERVICE: Walk = &[
    (
        "workload.scale",
        "do the pods behind it run and are they ready? Only ready pods get connections",
        "뒤에 있는 파드가 실행 중이고 준비(Ready)되었는가. 준비된 파드만 연결을 받는다",
    ),
    (
        "service.endpoints",
        "does it lead to them? Its selector against their labels; kube-controller-manager writes the endpoints",
        "Service가 그 파드로 이어지는가. 셀렉터와 레이블을 비교한다. 엔드포인트는 kube-controller-manager가 쓴다",
    ),
    (
        "components.workers",
        "does kube-proxy run on the node that is asked? Rules of older Services stay when it dies",
        "요청을 받는 노드에서 kube-proxy가 동작하는가. 죽어도 예전 Service의 규칙은 남는다",
    ),
    (
        "service.clusterip",
        "does it answer from the node itself? Its cause names kube-proxy, its missing rules or the chain that drops",
        "노드 자신에서 응답하는가. 원인이 kube-proxy, 빠진 규칙, 버리는 체인 가운데 무엇인지 알려 준다",
    ),
    (
        "service.nodeport",
        "does the node's port answer from outside? Its cause names the chain, the rules, or the pod that never answered",
        "노드의 포트가 밖에서 응답하는가. 원인이 체인, 규칙, 한 번도 응답하지 않은 파드 가운데 무엇인지 알려 준다",
    ),
    (
        "network.pod-reachable",
        "do the pods answer that node by their own addresses? If not, no Service can work there",
        "파드가 그 노드에 자기 주소로 응답하는가. 아니라면 그 노드에서는 어떤 Service도 동작할 수 없다",
    ),
];

/// A pod that does not answer from elsewhere.
pub(super) const POD_NETWORK: Walk = &[
    (
        "workload.scale",
        "does the pod run, and on which Node?",
        "파드가 실행 중인가, 어느 노드에 있는가",
    ),
    (
        "network.pod-reachable",
        "from which hosts does it answer? Its cause names the route, the bridge or the chain",
        "어느 호스트에서 응답하는가. 원인이 경로, 브릿지, 체인 가운데 무엇인지 알려 준다",
    ),
    (
        "network.routes",
        "ip route: does every host send the pod network to its node, and do the nodes forward?",
        "ip route: 모든 호스트가 파드 네트워크를 그 노드로 보내는가, 노드는 패킷을 전달(forward)하는가",
    ),
    (
        "network.bridge",
        "brctl show: is the bridge of its node up, with the gateway address and a port for each pod?",
        "brctl show: 노드의 브릿지가 올라와 있고, 게이트웨이 주소와 파드마다 포트가 하나씩 있는가",
    ),
    (
        "network.veth",
        "ip addr: is the pod's veth up and a port of the bridge?",
        "ip addr: 파드의 veth가 올라와 있고 브릿지의 포트인가",
    ),
    (
        "network.pod-to-pod",
        "do pods reach each other? Where hosts reach them and pods do not, look at the FORWARD chains",
        "파드끼리 통신하는가. 호스트는 닿는데 파드는 닿지 않으면 FORWARD 체인을 본다",
    ),
    (
        "workload.pod-cidr",
        "does the pod's address lie in the network that the others route to its node?",
        "파드의 주소가, 다른 호스트들이 그 노드로 보내는 네트워크 안에 있는가",
    ),
    (
        "network.interfaces",
        "do the hosts', the pods' and the Services' networks overlap?",
        "호스트, 파드, Service의 네트워크 대역이 겹치는가",
    ),
    (
        "nodes.ready",
        "is its Node Ready, so that the CNI was set up?",
        "노드가 Ready여서 CNI가 설정되었는가",
    ),
];
