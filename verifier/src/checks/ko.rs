//! The long words of the checks in Korean. A test proves that none is missing.

/// Id, one line of what it proves, the long text.
pub(super) type Row = (&'static str, &'static str, &'static str);

/// Every check, in the order of the list.
pub(super) const TEXTS: &[Row] = &[
    (
        "hosts.reach",
        "호스트가 로그인을 받아들이고, 그곳에서 에이전트가 실행된다",
        "호스트가 SSH 포트에서 응답하고, 알려진 호스트 키를 제시하며, 사이트 파일의 로그인을 받아들이고, `become`의 권한을 주고, 정확히 이 버전의 에이전트를 실행한다는 것을 확인한다.\n\n\
         흔한 원인(순서대로): sshd가 내려가 있거나 주소가 틀렸다; 호스트 키가 known_hosts에 없다; 키나 사용자가 틀렸다; sudo가 사이트 파일에 없는 비밀번호를 요구한다; 호스트에 프로그램을 실행할 수 있는 디렉터리가 없다.\n\n\
         볼 곳: 호스트에서 `journalctl -u ssh`, 여기서 `ssh -v`. 접속할 수 없는 호스트의 다른 검사는 모두 오류가 된다. 그 호스트에 대해 아무것도 알 수 없기 때문이다.",
    ),
    (
        "hosts.clock",
        "호스트의 시계가 다른 호스트들과 맞는다",
        "모든 호스트에 시각을 여러 번 묻고 가장 빠른 응답을 쓴다. 그 시계를, verifier를 실행하는 머신까지 포함한 모든 시계의 중앙값과 비교한다. 0.5초 넘게 어긋나면 경고, 1초 넘게 어긋나면 실패이고, 측정 자체의 오차(왕복 시간의 절반)가 그보다 크면 오류다. Lease, 갓 발급된 인증서, 토큰, etcd의 리더 선출은 시계가 서로 맞아야 동작한다. 시계가 번들의 가장 최신 이미지가 만들어진 시각보다 과거를 가리키면 경고한다. 모든 시계가 함께 틀려 있을 수 있다.\n\n\
         흔한 원인(순서대로): 폐쇄망에 시간 서버가 없거나, chrony나 systemd-timesyncd가 시간 서버에 닿지 못한다; 가상 머신이 일시 중지된 적이 있다; 시계를 손으로 맞췄다; 하드웨어 시계가 현지 시각으로 되어 있다.\n\n\
         볼 곳: 호스트에서 `timedatectl`, `chronyc tracking`, 시간 서비스의 저널.",
    ),
    (
        "api.ready",
        "API 서버가 준비되었고, 그 인증서는 kubeconfig의 CA가 발급한 것이다",
        "API 서버의 /readyz가 모든 세부 검사에서 ok라고 답하고, /version이 Kubernetes 버전을 알려 주며, 서버가 제시하는 인증서가 kubeconfig의 CA로 이어지고 지금 쓰는 이름이나 주소를 담고 있다는 것을 확인한다.\n\n\
         흔한 원인(순서대로): kube-apiserver가 실행되지 않는다; etcd가 응답하지 않아 /readyz가 etcd를 지목한다; kubeconfig가 다른 서버나 예전 CA를 가리킨다; kubeconfig의 클라이언트 인증서가 만료되었다; 프록시가 대신 응답한다.\n\n\
         볼 곳: 컨트롤 플레인에서 `journalctl -u kube-apiserver`와 `-u etcd`.",
    ),
    (
        "api.permissions",
        "kubeconfig에 검사에 필요한 권한이 있다",
        "이번 실행의 검사가 쓰는 모든 동사(verb)를 SelfSubjectAccessReview로 API 서버에 묻는다. 전용 네임스페이스와 그 안의 Lease, 시크릿(Secret), Deployment를 만들고 지우는 권한, 파드, 이벤트, 노드와 노드의 Lease를 읽는 권한이다. 부족한 권한은 클러스터의 실패가 아니라 오류다. 그 권한이 필요한 검사는 확인할 수 없었다는 뜻이다.\n\n\
         흔한 원인(순서대로): 관리자가 아니라 개발자의 kubeconfig를 주었다; 역할(Role)에 동사 하나가 빠져 있다; kubeconfig의 다른 컨텍스트가 현재 컨텍스트로 되어 있다.\n\n\
         볼 곳: kubeconfig 사용자의 RoleBinding.",
    ),
    (
        "nodes.ready",
        "노드가 Ready이고, kubelet이 살아 있다는 신호를 보내며, 파드를 받는다",
        "노드가 Ready이고, kubelet이 동작하며 kube-node-lease에 있는 자신의 Lease를 20초 안에 갱신했고(kubelet이 죽어도 Ready 컨디션은 거의 1분 동안 참으로 남는다), 디스크, 메모리, PID의 자원 압박(pressure)을 보고하지 않고, 검사용 파드가 오지 못하게 하는 cordon이나 테인트(taint)가 없으며(사이트 파일의 schedulable: false이면 허용한다), 버전이 API 서버가 지원하는 것임을 확인한다. 사이트 파일에 없는 노드는 그 노드 이름으로 경고한다.\n\n\
         흔한 원인(순서대로): kubelet이 중지되었거나 행(hang)이 걸려 있다; kubelet의 클라이언트 인증서가 만료되었다; kubelet이 API 서버에 닿지 못한다; 컨테이너 런타임이나 CNI가 없다; 디스크가 가득 찼다.\n\n\
         볼 곳: 노드에서 `journalctl -u kubelet`.",
    ),
    (
        "components.control-plane",
        "kube-apiserver, kube-scheduler, kube-controller-manager가 동작하고 응답하며, 리더가 각각 하나씩 있다",
        "컨트롤 플레인 호스트 자체에서 kube-apiserver, kube-scheduler, kube-controller-manager(그 역할이 있는 호스트라면 etcd도)가 실행되고 헬스 포트(6443, 10259, 10257)에서 응답하며, kube-system에 있는 스케줄러와 컨트롤러 매니저의 Lease에 보유자가 있고 그 보유자가 API 서버의 시계로 제때 갱신한다는 것을 확인한다. 정상인 대기(standby) 인스턴스는 통과한다. 스태틱 파드와, 이 구성 요소를 내장한 프로그램(k3s, microk8s)도 똑같이 통과한다. 옮겨진 포트는 프로세스가 리슨하는 포트를 보고 찾는다.\n\n\
         흔한 원인(순서대로): etcd가 내려가 나머지도 곧 따라 종료된다; 유닛이 중지되었거나 실패했다; 프로세스에 행(hang)이 걸려 있다; 인증서나 kubeconfig가 만료되었다; 변경한 뒤 플래그가 틀렸다.\n\n\
         볼 곳: 지목된 유닛의 `systemctl status`와 `journalctl -u`. 스태틱 파드라면 `crictl ps -a`와 kubelet의 저널. 스케줄러가 없으면 새 파드는 아무 이벤트도 없이 Pending으로 남고, 컨트롤러 매니저가 없으면 Deployment에 파드가 생기지 않는다.",
    ),
    (
        "components.workers",
        "컨테이너 런타임, kubelet, kube-proxy가 동작하고 응답한다",
        "워커 자체에서 컨테이너 런타임이 CRI로 응답하고, kubelet이 실행되며 헬스 포트(10248)에서 응답하고, kube-proxy도 마찬가지임(10256. 규칙이 오래된 상태(stale)면 503으로 답한다)을 확인한다. 하나하나 응답해야 한다. 프로세스가 떠 있어도 행(hang)이 걸려 있을 수 있기 때문이다. 옮겨진 포트는 프로세스가 리슨하는 포트를 보고 찾는다. 이들을 내장한 프로그램(k3s, microk8s)과 다른 런타임(CRI-O)도 똑같이 통과한다. kube-proxy를 대체한 곳에서는 대체한 프로그램의 이름을 밝히고, Service를 처리하는 것이 전혀 보이지 않으면 경고한다.\n\n\
         흔한 원인(순서대로): 유닛이 중지되었거나 실패했다; 프로세스에 행(hang)이 걸려 있다(SIGSTOP을 받은 뒤의 상태 T, 디스크 장애로 인한 상태 D); 잘못된 플래그나 파일 때문에 시작하지 못한다; 인증서나 kubeconfig가 받아들여지지 않는다.\n\n\
         볼 곳: 노드에서 `systemctl status containerd kubelet kube-proxy`와 지목된 유닛의 `journalctl -u`.",
    ),
    (
        "images.present",
        "번들의 모든 이미지가 태그, 다이제스트, id까지 그대로 있고 고정(pinned)되어 있다",
        "노드의 컨테이너 런타임에 번들의 이미지를 하나하나 태그, 다이제스트, 이미지 id로 CRI를 통해 묻고, 그 id를 번들의 것과 비교한다. 같은 이름이 다른 내용을 가리킬 수 있기 때문이다. 모두 고정(pinned)되어 있어야 디스크가 찰 때 kubelet이 지우지 않는다. 폐쇄망에서는 지워진 이미지를 아무도 다시 가져올 수 없다.\n\n\
         흔한 원인(순서대로): 이 노드에 번들을 로드하지 않았거나 예전 번들을 로드했다; 누군가 이미지를 지웠다; kubelet의 가비지 컬렉션이 지웠다; 다른 곳에서 같은 이름으로 이미지를 로드했다.\n\n\
         볼 곳: 노드에서 `crictl images --digests`. `verifier load`는 빠진 것을 가져다 놓고 그 밖에는 아무것도 쓰지 않는다.",
    ),
    (
        "runtime.sandbox-image",
        "런타임에 설정된 샌드박스 이미지가 있고 고정(pinned)되어 있다",
        "모든 파드는 샌드박스에서 시작하고, 샌드박스는 컨테이너 런타임에 설정된 pause 이미지를 실행한다. kubelet이 고르는 것도 번들이 고르는 것도 아니다. 이 이미지가 없으면 런타임이 내려받으려 하고, 파드는 하나도 시작되지 않는다. 폐쇄망에서 가장 흔한 장애다. 어떤 이미지가 설정되어 있는지, 그 이미지가 있고 고정(pinned)되어 있는지를 CRI로 런타임에 묻는다.\n\n\
         흔한 원인(순서대로): 번들에 든 pause의 버전이 이 런타임이 원하는 것과 다르다; 이 노드에 번들을 로드하지 않았다; 이미지가 가비지 컬렉션으로 지워졌다.\n\n\
         볼 곳: /etc/containerd/config.toml의 sandbox_image 또는 pinned_images. Pending인 파드의 이벤트에 FailedCreatePodSandBox가 나온다.",
    ),
    (
        "secrets.roundtrip",
        "생성한 시크릿(Secret)을 다시 읽으면 값이 같다",
        "이번 실행의 네임스페이스에 임의의 값으로 시크릿(Secret)을 만들고 API 서버를 통해 다시 읽는다. API 서버는 저장한 것을 복호화해야 한다. 값은 바이트 하나까지 같아야 한다. kubectl get secret -o yaml이 보여 주는 것은 누구나 되돌릴 수 있는 base64이며, 암호화에 대해서는 아무것도 말해 주지 않는다. 암호화는 secrets.encrypted-at-rest가 확인한다.\n\n\
         흔한 원인(순서대로): API 서버마다 encryption-config.yaml이 달라, 다른 API 서버가 암호화한 것을 복호화하지 못한다; 아직 그 키로 암호화된 시크릿이 있는데 키를 제거했다; KMS 플러그인이 사라졌다; etcd가 쓰기를 받지 않는다.\n\n\
         볼 곳: 모든 API 서버의 encryption-config.yaml, `journalctl -u kube-apiserver`의 \"unable to transform value\".",
    ),
    (
        "secrets.encrypted-at-rest",
        "새 시크릿(Secret)이 기대한 프로바이더와 키로 etcd에 암호화되어 있다",
        "API 서버를 통해 시크릿(Secret)을 쓰고, API 서버를 거치지 않고 etcd에서 원시 값을 읽는다. 값은 사이트 파일의 프로바이더와 키로 k8s:enc:PROVIDER:v1:KEY: 로 시작해야 하고(사이트 파일에 없으면 어느 프로바이더든 된다), 평문과 그 base64가 어디에도 없어야 하며, 나머지의 길이는 그 프로바이더가 낼 수 있는 것이어야 한다. 값은 호스트를 떠나지 않는다. 접두사, 길이, 가려진 hexdump만 전송된다.\n\n\
         흔한 원인(순서대로): API 서버가 --encryption-provider-config 없이 실행된다; identity가 첫 번째 프로바이더인데, 쓰기는 첫 번째가 한다; 변경한 뒤 API 서버를 재시작하지 않았다; 예전 키가 맨 앞에 있다.\n\n\
         볼 곳: encryption-config.yaml과 kube-apiserver의 명령줄. 이 검사는 새로 쓴 것만 증명한다. 예전 시크릿은 다시 쓸 때까지 쓰인 그대로 남는다.",
    ),
    (
        "workload.deployment",
        "번들 이미지로 만든 Deployment가 사용 가능(Available)해진다",
        "번들에 든 Deployment를 레플리카 하나로 이번 실행 전용 네임스페이스에 만들고 사용 가능해질 때까지 기다린다. API 서버가 받고, 컨트롤러 매니저가 파드를 만들고, 스케줄러가 배치하고, kubelet이 시작하고, 컨테이너 런타임이 내려받지 않고 이미지를 찾는다. 그런 다음 실행 중인 이미지의 id를 번들의 것과 비교한다.\n\n\
         흔한 원인(순서대로): 이미지나 샌드박스 이미지가 노드에 없다; 스케줄러나 컨트롤러 매니저가 동작하지 않는다; 노드가 파드를 받지 않는다; CNI가 설정되지 않았다.\n\n\
         볼 곳: `kubectl describe pod`; 파드가 있는 노드의 kubelet 저널, 컨트롤 플레인의 kube-scheduler와 kube-controller-manager 저널. 어드미션이 거부하면 정책의 메시지를 담은 오류가 된다.",
    ),
    (
        "workload.scale",
        "워커 전체로 스케일하면 이 워커에서도 파드가 실행된다",
        "Deployment를 파드를 받는 워커의 수로 스케일한다. topologySpreadConstraints가 워커마다 하나씩 배치한다. 워커마다 kubelet이 노드에 있는 이미지로 파드를 시작하고, 그 파드가 준비(Ready)된다는 것을 확인한다.\n\n\
         흔한 원인(순서대로): 이미지나 샌드박스 이미지가 이 노드에 없다; 이 노드의 kubelet이 죽었다; CNI가 설정되지 않았다; 노드에 cordon이나 테인트(taint)가 걸려 있다.\n\n\
         볼 곳: `kubectl describe pod`; 노드의 kubelet과 containerd 저널. 일부러 닫아 둔 노드(schedulable: false)는 건너뛴다.",
    ),
    (
        "workload.pod-cidr",
        "파드가 노드의 CNI에 설정된 대로 그 노드의 파드 네트워크 주소를 받는다",
        "서로 맞아야 하는 세 가지를 비교한다. 이 노드의 검사용 파드가 받은 주소, 사이트 파일이 노드에 준 파드 네트워크(podCIDRs. 없으면 노드 자신의 spec.podCIDRs), 노드의 CNI 설정에 있는 네트워크다. 서로 다르면, 다른 호스트들이 다른 노드로 라우팅하는 주소를 파드가 받게 된다.\n\n\
         흔한 원인(순서대로): CNI 파일을 다른 노드에서 복사했다; 노드의 파드 네트워크를 새로 정했는데 CNI는 바꾸지 않았다; 사이트 파일이 오래되었다.\n\n\
         볼 곳: 노드의 /etc/cni/net.d, `kubectl get pods -o wide`, 사이트 파일. 파일에 네트워크를 적지 않는 CNI는 파드의 주소만으로 판정하고, 자체 풀을 가진 CNI(Calico, Cilium)는 주소가 다른 곳에 있으면 건너뛴다.",
    ),
    (
        "runtime.containers",
        "런타임이 API가 알려 주는 컨테이너를 실행하고, 그 밖의 것은 실행하지 않는다",
        "crictl ps처럼 이 노드의 컨테이너를 CRI로 나열하고, API가 이곳에 배치한 파드와 비교한다. API가 실행 중이라고 하는 컨테이너는 모두 그 id로 있고, 실행 중이며, 바로 그 파드(UID, 이름, 네임스페이스)의 샌드박스 안에 있어야 한다. 실행 중인 컨테이너는 모두 API가 아는 파드에 속해야 한다. 검사용 파드는 이미지 id도 번들의 것과 비교한다. 파드는 생기고 사라지므로, 차이는 3초 뒤에 다시 읽어도 보일 때만 센다.\n\n\
         흔한 원인(순서대로): kubelet이 죽어 API가 보는 상태가 오래되었다; 누군가 kubelet을 거치지 않고 컨테이너를 멈추거나 시작했다; 노드가 떨어져 있는 동안 파드를 강제로 삭제했다.\n\n\
         볼 곳: 노드에서 `crictl ps -a`와 `crictl pods`, `journalctl -u kubelet`.",
    ),
    (
        "runtime.crictl-config",
        "crictl의 설정이 응답하는 소켓을 가리킨다",
        "이 노드에서 crictl이 읽을 것을 읽는다. CRI_CONFIG_FILE이 가리키는 파일, 없으면 /etc/crictl.yaml, 그것도 없으면 crictl 바이너리 옆의 crictl.yaml이다. runtime-endpoint는 컨테이너 런타임이 응답하는 소켓이어야 하고, crictl이 모르는 키가 없어야 한다. crictl은 그런 파일을 거부한다. 파일이 없으면 경고한다. 그때 crictl은 일반적인 소켓을 차례로 시도하고 호출할 때마다 경고한다.\n\n\
         흔한 원인(순서대로): 파일을 둔 적이 없다; 다른 런타임을 쓰는 클러스터에서 복사했다; 키의 철자가 틀렸다.\n\n\
         볼 곳: 파일 자체. 번들에는 올바른 파일이 config/crictl.yaml로 들어 있다. crictl이 설치되어 있을 필요는 없다. 무언가 실패했을 때 찾게 되는 도구일 뿐이다.",
    ),
    (
        "runtime.process-tree",
        "파드마다 shim이 있고, 그 아래에 pause와 컨테이너의 프로세스가 있다",
        "pstree -ap처럼 노드의 프로세스를 그리고 서로 어떻게 이어지는지 확인한다. PID 1, containerd, 파드마다 샌드박스 id를 담은 containerd-shim 하나, 그 아래에 파드의 네임스페이스를 잡고 있는 pause, 그리고 그 아래의 컨테이너, 즉 nginx와 그 워커다. containerd를 재시작해도 파드가 살아남는 것은 shim 덕분이다.\n\n\
         흔한 원인(순서대로): containerd를 shim까지 죽이는 방식으로 재시작했다(유닛에 KillMode=process가 빠져 있다); shim이 메모리 부족으로 죽었고, 파드는 감시하는 프로세스 없이 계속 살아 있다.\n\n\
         볼 곳: 노드에서 `pstree -ap`, `journalctl -u containerd`, OOM killer는 `journalctl -k`. 그 밖의 프로세스는 문제로 보지 않는다. containerd가 아닌 런타임이면 이 검사를 건너뛴다.",
    ),
    (
        "network.bridge",
        "파드의 브릿지가 올라와 있고, 게이트웨이 주소와 파드마다 포트가 하나씩 있다",
        "노드의 CNI 설정을 읽고, bridge라고 되어 있으면 브릿지 자체를 읽는다. 브릿지는 있어야 하고, 올라와 있어야 하며, CNI가 파드에 주소를 나눠 주는 네트워크의 주소를 가져야 하고, 컨테이너 런타임에서 자체 네트워크를 가진 파드의 수만큼 포트가 있어야 한다. 차이는 3초 뒤에 다시 읽어도 보일 때만 센다.\n\n\
         흔한 원인(순서대로): 누군가 브릿지를 내렸거나, 모든 인터페이스를 자기 것으로 여기는 네트워크 관리자가 내렸다; CNI 설정을 바꿨는데 브릿지에는 예전 주소가 남아 있다; 샌드박스가 정리되지 않은 파드의 잔여물이 있다.\n\n\
         볼 곳: 노드에서 `ip addr show cni0`와 `bridge link`, /etc/cni/net.d, `journalctl -u containerd`. 다른 CNI를 쓰면 이 검사는 건너뛰고 그 CNI의 이름을 밝힌다.",
    ),
    (
        "network.veth",
        "각 파드의 veth가 올라와 있고, 브릿지의 포트이며, 반대쪽 끝이 파드 안에 있다",
        "이 노드에서 자체 네트워크 네임스페이스를 가진 파드마다 그 안으로 들어가, 파드의 인터페이스를 찾고 호스트 쪽의 반대쪽 끝까지 따라간다. 양쪽 끝은 서로를 가리켜야 하고, 호스트 쪽 끝은 올라와 있고 CNI의 브릿지를 master로 두어야 한다. 차이는 파드의 UID를 기준으로 3초 뒤에 다시 읽어도 보일 때만 센다.\n\n\
         흔한 원인(순서대로): 호스트의 네트워크 관리자가 veth를 자기 것으로 가져갔다; 누군가 veth를 브릿지에서 뺐다; 파드가 실행 중일 때 브릿지를 새로 만들어, 그 veth가 어느 브릿지에도 속하지 않는다.\n\n\
         볼 곳: 노드에서 `ip link show master cni0`와 `ip -d link`. 파드를 삭제하면 veth가 새로 만들어진다. 다른 CNI를 쓰면 이 검사는 건너뛰고 그 CNI의 이름을 밝힌다.",
    ),
    (
        "network.interfaces",
        "호스트가 사이트 파일의 주소를 가지고 있고, 네트워크 대역이 겹치지 않는다",
        "사이트 파일이 이 호스트에 준 주소(nodeIPs가 있으면 그것, 없으면 address)가 올라와 있는 인터페이스 중 하나에 있고, API에 있는 워커의 InternalIP가 그 주소 중 하나이며, 호스트의 네트워크, 파드 네트워크, 서비스 네트워크가 겹치지 않는다는 것을 확인한다. 두 대역에 함께 속한 주소에는 한쪽 길로만 닿는다.\n\n\
         흔한 원인(순서대로): kubelet이 다른 인터페이스의 주소를 등록했다(--node-ip; VirtualBox의 10.0.2.15 같은 NAT 인터페이스가 먼저 온다); 호스트의 주소가 새로 바뀌었다; 파드 네트워크를 호스트 네트워크 대역 안에서 골랐다.\n\n\
         볼 곳: 호스트에서 `ip addr`, `kubectl get nodes -o wide`. 그 밖의 주소는 모든 호스트에서 같더라도 문제로 보지 않는다.",
    ),
    (
        "network.routes",
        "다른 모든 노드의 파드 네트워크가 그 노드로 라우팅되고, 워커는 패킷을 전달(forward)한다",
        "호스트의 경로를 읽고, 사이트 파일에 있는 다른 모든 노드의 파드 네트워크가 그 노드의 주소로 라우팅되며, 워커가 패킷을 전달한다(net.ipv4.ip_forward, IPv6는 net.ipv6.conf.all.forwarding)는 것을 확인한다. 파드에 다른 방식(오버레이, BGP, 게이트웨이)으로 닿는 곳에서는 그 방식을 근거로 적고 통과한다. 그 노드의 파드가 여기서 응답하지 않을 때만 실패한다.\n\n\
         흔한 원인(순서대로): 경로를 손으로 설정해 재시작 뒤에 남지 않았다; 노드를 추가하고 다른 노드에 반영하지 않았다; 다음 홉(next hop)이 다른 노드의 것이다; 보안 강화 가이드를 따르다 포워딩을 껐다.\n\n\
         볼 곳: 호스트에서 `ip route`, 그리고 경로가 설정된 곳(/etc/network/interfaces, netplan, systemd-networkd); `sysctl net.ipv4.ip_forward`.",
    ),
    (
        "network.pod-reachable",
        "모든 파드가 이 호스트의 HTTP 요청에 응답한다",
        "이 호스트에서 검사용 파드 하나하나에 파드 자신의 주소로 페이지를 요청한다. 상태 코드 200과 nginx의 페이지가 와야 한다. 호스트 사이에서는 다른 노드의 파드 네트워크로 가는 경로, 그 노드의 패킷 전달, 브릿지, 돌아오는 길까지 증명된다.\n\n\
         흔한 원인(순서대로): 노드의 파드 네트워크로 가는 경로가 없거나 다음 홉(next hop)이 틀렸다; 노드에서 net.ipv4.ip_forward가 꺼져 있다; 노드의 FORWARD 체인이 버린다; 브릿지 cni0가 내려가 있다; 다른 머신이 그 주소를 가지고 있다.\n\n\
         볼 곳: 이 호스트와 파드의 노드에서 `ip route`, 파드의 노드에서 `sysctl net.ipv4.ip_forward`와 `iptables -S FORWARD`. 사이트 파일에 노드의 podCIDRs가 있으면 빠진 경로를 지목한다.",
    ),
    (
        "network.pod-to-pod",
        "이 노드의 파드 안에서 다른 모든 노드의 파드가 HTTP에 응답한다",
        "이 노드에 있는 검사용 파드의 네트워크 네임스페이스로 들어가, 모든 노드의 파드에 그 주소로 페이지를 요청한다. 파드끼리 실제로 하는 통신이며, 이미지에 도구가 없어도 된다. 노드 사이에서는 파드의 veth와 브릿지, 양쪽 노드의 포워딩과 패킷 필터, 경로, 돌아오는 길까지 증명된다.\n\n\
         흔한 원인(순서대로): 어느 노드의 FORWARD 체인이, 허용하는 규칙이 없는 패킷을 버린다(Docker와 방화벽이 정책을 DROP으로 둔다); net.ipv4.ip_forward가 꺼져 있다; 파드 네트워크로 가는 경로가 없다; 브릿지가 내려가 있다.\n\n\
         볼 곳: 양쪽 노드에서 `iptables -S FORWARD`, `sysctl net.ipv4.ip_forward`, `ip route`. network.pod-reachable은 통과하는데 이 검사가 실패하면, 전달(forward)되는 패킷에만 관련된 것, 곧 파드가 있는 노드의 FORWARD 체인을 본다.",
    ),
    (
        "kubectl.port-forward",
        "이 노드의 파드로 연 port-forward를 통해 nginx가 응답한다",
        "kubectl port-forward처럼 이 노드에 있는 검사용 파드의 80번 포트로 port-forward를 열고, 이를 통해 HEAD / 를 요청한다. 상태 코드 200과 nginx의 Server 헤더가 와야 한다. API 서버는 kubelet(포트 10250)에, kubelet은 컨테이너 런타임에, 런타임은 파드 자체 네트워크 안의 포트에 연결한다. 파드 네트워크는 필요하지 않다.\n\n\
         흔한 원인(순서대로): kubelet의 서빙 인증서가 만료되었거나 다른 노드의 이름을 담고 있다; API 서버에 kubelet API를 쓸 권한이 없다(ClusterRole system:kube-apiserver-to-kubelet이 없다); API 서버와 포트 10250 사이에 방화벽이 있다; kubelet이 실행되지 않는다; 중간의 프록시가 웹소켓을 허용하지 않는다.\n\n\
         볼 곳: 노드에서 `journalctl -u kubelet`과 `journalctl -u containerd`, `journalctl -u kube-apiserver`.",
    ),
    (
        "kubectl.logs",
        "이 노드의 컨테이너 로그에 방금 보낸 요청이 남아 있다",
        "이 노드에 있는 검사용 파드에, 다른 누구도 요청하지 않을 경로로 요청을 보낸다. 그런 다음 kubectl logs처럼 API 서버를 통해 컨테이너의 로그를 읽으며 바로 그 요청이 나타날 때까지 기다린다. 컨테이너는 stdout에 쓰고, 런타임은 /var/log/pods 아래의 파일에 쓰며, kubelet(포트 10250)이 그 파일을 API 서버에 제공한다.\n\n\
         흔한 원인(순서대로): kubelet의 서빙 인증서가 만료되었거나 다른 노드의 이름을 담고 있다; API 서버에 kubelet API를 쓸 권한이 없다(ClusterRole system:kube-apiserver-to-kubelet이 없다); API 서버와 포트 10250 사이에 방화벽이 있다; kubelet이 실행되지 않는다; /var/log의 디스크가 가득 찼다.\n\n\
         볼 곳: 노드에서 `journalctl -u kubelet`, 그 노드의 /var/log/pods; `openssl x509 -noout -dates -ext subjectAltName -in /var/lib/kubelet/kubelet.crt`.",
    ),
    (
        "kubectl.exec",
        "이 노드의 컨테이너에서 nginx -v가 실행되고 종료 코드 0으로 끝난다",
        "kubectl exec처럼 API 서버를 통해 이 노드의 검사용 컨테이너에서 `nginx -v`를 실행한다. 출력에 nginx가 나오고 종료 코드는 0이어야 한다. API 서버는 kubelet(포트 10250)에, kubelet은 컨테이너 런타임에 연결하고, 스트림은 온 길을 끝까지 되돌아온다.\n\n\
         흔한 원인(순서대로): kubelet의 서빙 인증서가 만료되었거나 다른 노드의 이름을 담고 있다; API 서버에 kubelet API를 쓸 권한이 없다(ClusterRole system:kube-apiserver-to-kubelet이 없다); API 서버와 포트 10250 사이에 방화벽이 있다; kubelet이 실행되지 않는다; 중간의 프록시가 웹소켓을 허용하지 않는다.\n\n\
         볼 곳: 노드에서 `journalctl -u kubelet`, `journalctl -u kube-apiserver`; 노드에서 `openssl x509 -noout -dates -ext subjectAltName -in /var/lib/kubelet/kubelet.crt`.",
    ),
    (
        "service.endpoints",
        "Service가 정확히 준비(Ready)된 파드로만 이어진다",
        "번들에 든 Service를 검사용 파드 앞에 만들고, EndpointSlice가 준비(Ready)된 파드의 주소를 빠짐도 남음도 없이 정확히 담을 때까지 기다린다. kube-controller-manager가 쓰고, 모든 노드의 kube-proxy가 읽는다.\n\n\
         흔한 원인(순서대로): kube-controller-manager가 실행되지 않거나 행(hang)이 걸려 있어 EndpointSlice가 예전 그대로다; 파드가 준비되지 않았다; 파드의 레이블이 Service의 셀렉터와 다르다; 누군가 EndpointSlice를 손으로 썼다.\n\n\
         볼 곳: `kubectl get endpointslices -o yaml`, 컨트롤 플레인에서 `journalctl -u kube-controller-manager`.",
    ),
    (
        "service.clusterip",
        "이 노드에서 Service의 클러스터 IP가 응답한다",
        "이 노드에서 검사용 Service의 클러스터 IP에 요청한다. 상태 코드 200과 nginx의 페이지가 와야 한다. 연결마다 다른 파드로 갈 수 있으므로, 이어서 여러 요청을 동시에 보낸다. 이 주소는 어느 인터페이스에도 없다. 바로 이 노드에 있는 kube-proxy의 규칙이 파드의 주소로 바꾼다. 지금 만든 Service는 kube-proxy가 지금 동작하는지 보여 준다. 예전 Service의 규칙은 kube-proxy가 죽어도 남는다.\n\n\
         흔한 원인(순서대로): kube-proxy가 실행되지 않거나 행(hang)이 걸려 있다; kube-proxy가 API 서버에 닿지 못한다; 다른 프로그램이 kube-proxy의 규칙을 비웠다(flush); 어떤 체인이 버린다; 노드에서 파드 중 하나로 가는 길이 없다.\n\n\
         볼 곳: 노드에서 `journalctl -u kube-proxy`, `iptables-save | grep NAMESPACE/SERVICE`, 그리고 `kubectl get endpointslices`.",
    ),
    (
        "service.nodeport",
        "노드에 열린 Service의 포트(NodePort)가 밖에서 응답하고, 모든 파드가 이를 통해 응답한다",
        "사이트 파일의 nodePortFrom에 있는 곳마다(local은 verifier를 실행하는 머신이다) HEAD http://NODE:NODEPORT 를 매번 새 연결로 요청하며, Service의 준비(Ready)된 파드가 모두 이 노드를 통해 응답할 때까지 반복한다. 요청마다 고유한 이름이 있으므로, 어느 파드가 응답했는지는 파드 자신의 로그에 남는다. 한 번도 응답하지 않은 파드를 지목한다.\n\n\
         흔한 원인(순서대로): 노드에서 kube-proxy가 실행되지 않거나 행(hang)이 걸려 있다; 방화벽이나 체인이 그 포트(30000~32767)를 버린다; kube-proxy의 규칙이 비워졌다(flush); net.ipv4.ip_forward가 꺼져 있거나 FORWARD 체인이 버린다; 노드에서 다른 노드의 파드로 가는 경로가 없다.\n\n\
         볼 곳: 노드에서 `journalctl -u kube-proxy`, `iptables -t nat -S KUBE-NODEPORTS`, `iptables -t raw -S`, `iptables -S FORWARD`; `kubectl get endpointslices`.",
    ),
    (
        "etcd.health",
        "etcd의 모든 멤버가 응답하고 하나의 리더를 따르며, 알람이 없고, 여유 공간이 있다",
        "etcd 역할이 있는 모든 호스트에서 멤버가 응답하고, 모두 하나의 클러스터에 속하며 하나의 리더를 따르고, 과반수가 필요한 읽기에 응답하고, 켜진 알람(NOSPACE, CORRUPT)이 없으며, 멤버가 알려 주는 경우(3.6 이상) 데이터베이스가 쿼터의 80% 미만임을 확인한다. 호스트 자체에서 물으며 API 서버에는 절대 묻지 않는다. etcd가 내려가면 API 서버도 내려가기 때문이다.\n\n\
         흔한 원인(순서대로): etcd가 중지되었거나 행(hang)이 걸려 있다; 디스크가 가득 찼거나 느리다; 인증서가 만료되었다; 쿼터를 다 써서, compact와 defrag를 하고 알람을 해제(disarm)할 때까지 모든 쓰기가 거부된다; 멤버의 과반수를 잃었다.\n\n\
         볼 곳: 지목된 호스트에서 `journalctl -u etcd`. 엔드포인트는 사이트 파일의 etcd에 있는 것이다.",
    ),
];
