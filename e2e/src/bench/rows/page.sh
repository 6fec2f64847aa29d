# The smoke test of Kubernetes the Hard Way as its page does it by hand, without the reading: one step after the other, each
# result looked at only as far as a script must. It makes what it needs in `default` and removes it again.
# Hosts have neither curl, hexdump, crictl nor brctl: bash, od, ctr and ip stand for them.
set -eu
export KUBECONFIG=/root/admin.kubeconfig
image=docker.io/library/nginx:1.29
ctr='/opt/containerd/bin/ctr -n k8s.io'
nodes=$(kubectl get nodes -o jsonpath='{.items[*].metadata.name}')

# curl --head
head_of() {
    exec 3<>"/dev/tcp/$1/$2"
    printf 'HEAD / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" >&3
    grep -m 1 '200 OK' <&3
    exec 3>&-
}

# A run that was broken off may have left something; without it nothing is asked.
cleanup() {
    kubectl delete --ignore-not-found service/nginx deployment/nginx secret/kubernetes-the-hard-way
    # They may be gone already, which it calls an error.
    kubectl wait --for=delete pod -l app=nginx --timeout=60s || :
}
trap cleanup EXIT

# Data encryption
kubectl create secret generic kubernetes-the-hard-way --from-literal=mykey=mydata
kubectl get secret kubernetes-the-hard-way
kubectl get secret kubernetes-the-hard-way -o yaml
kubectl get secret kubernetes-the-hard-way -o jsonpath='{.data.mykey}' | base64 -d | grep -q mydata
ssh root@server 'etcdctl get /registry/secrets/default/kubernetes-the-hard-way | od -A x -t x1z' | grep -q 'enc:aescbc'

# Deployments. The page's `create deployment` with the policy that a closed network wants.
kubectl get pod
kubectl apply -f - <<EOF
apiVersion: apps/v1
kind: Deployment
metadata: {name: nginx, labels: {app: nginx}}
spec:
  replicas: 1
  selector: {matchLabels: {app: nginx}}
  template:
    metadata: {labels: {app: nginx}}
    spec:
      containers:
        - {name: nginx, image: '$image', imagePullPolicy: Never}
EOF
kubectl scale deployment nginx --replicas=2
kubectl rollout status deployment nginx --timeout=60s
kubectl get pod -o wide

# Containers, processes, bridge and interfaces
for node in $nodes; do
    ssh "root@$node" "$ctr tasks ls" | grep RUNNING
done
ssh root@node-0 'ps -ef --forest' | grep -e containerd-shim -e nginx -e pause -e kube-proxy -e kubelet
ssh root@node-0 'ip link show master cni0'
ssh root@node-0 'ip addr'
ssh root@node-0 'ip route'

# A pod from another host
pod=$(kubectl get pods -l app=nginx -o jsonpath='{.items[1].status.podIP}')
ssh root@server "bash -c 'exec 3<>/dev/tcp/$pod/80; printf \"GET / HTTP/1.0\r\n\r\n\" >&3; cat <&3'" | grep title

# Port forwarding
name=$(kubectl get pods -l app=nginx -o jsonpath='{.items[0].metadata.name}')
coproc kubectl port-forward "$name" 8080:80
read -r -u "${COPROC[0]}" _
head_of 127.0.0.1 8080
kill "$COPROC_PID"
wait "$COPROC_PID" || :

# Logs and exec
kubectl logs "$name" | grep -q HEAD
kubectl exec "$name" -- nginx -v

# Services
kubectl expose deployment nginx --port=80 --target-port=80 --type=NodePort
kubectl get service,endpointslices
port=$(kubectl get service nginx -o jsonpath='{.spec.ports[0].nodePort}')
for node in $nodes; do
    # As a person does: again, until kube-proxy has written its rules.
    until head_of "$node" "$port"; do sleep 0.2; done
done
