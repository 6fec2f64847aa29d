# PID 1 of a host until it becomes systemd. Runs in the host's own namespaces, still with the machine's tree as root.
# The mounts made here are the host's alone and go when its last process has gone.
set -eu
umask 022
root=$LAB_DIR/root
mount -n -t overlay "$LAB_NAME" "$root" \
    -o "lowerdir=$LAB_DIR/programs:$LAB_LOWER,upperdir=$LAB_DIR/upper,workdir=$LAB_DIR/work"
for dir in lib/containerd lib/kubelet lib/etcd log; do
    mount -n --bind "$LAB_DIR/var/$dir" "$root/var/$dir"
done
if [ -n "$LAB_MEDIA" ]; then
    mkdir -p "$root/root/media"
    mount -n --bind "$LAB_MEDIA" "$root/root/media"
    # Where an operator would look for them.
    rmdir "$root/media"
    ln -s root/media "$root/media"
fi
cd "$root"
mount -n -t proc proc proc -o nosuid,nodev,noexec
mount -n -t sysfs sysfs sys -o nosuid,nodev,noexec
mount -n -t tmpfs tmpfs run -o mode=755,nosuid,nodev,noexec
mount -n -t tmpfs tmpfs tmp -o "mode=1777,nosuid,nodev$LAB_NOEXEC"

case "$LAB_CGROUPS" in
2::) mount -n -t cgroup2 cgroup2 sys/fs/cgroup -o nosuid,nodev,noexec ;;
*)
    mount -n -t tmpfs tmpfs sys/fs/cgroup -o mode=755,nosuid,nodev,noexec
    for word in $LAB_CGROUPS; do
        dir=sys/fs/cgroup/${word##*:}
        option=${word#*:}
        option=${option%:*}
        mkdir "$dir"
        case "$word" in
        1:name=*) mount -n -t cgroup cgroup "$dir" -o "none,$option" ;;
        1:*) mount -n -t cgroup cgroup "$dir" -o "$option" ;;
        2:*) mount -n -t cgroup2 cgroup2 "$dir" ;;
        esac
        case "$option" in
        *,*) for one in $(echo "$option" | tr , ' '); do ln -s "${dir##*/}" "sys/fs/cgroup/$one"; done ;;
        esac
    done
    ;;
esac

mount -n -t tmpfs tmpfs dev -o mode=755,nosuid
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
mknod -m 644 dev/kmsg c 1 11
mkdir dev/pts dev/shm dev/mqueue
mount -n -t devpts devpts dev/pts -o newinstance,ptmxmode=0666,mode=620,gid=5,nosuid,noexec
mount -n -t tmpfs tmpfs dev/shm -o "mode=1777,nosuid,nodev$LAB_NOEXEC"
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr

echo "$LAB_HOST" >proc/sys/kernel/hostname
echo "$LAB_FORWARD" >proc/sys/net/ipv4/ip_forward
# What a kubelet writes to the whole kernel is laid over with files of the host's own: one host must not change how
# the machine behaves when it runs out of memory or panics.
mkdir run/lab
for pair in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    file=proc/sys/${pair%=*}
    own=run/lab/$(echo "${pair%=*}" | tr / .)
    [ -e "$file" ] || continue
    echo "${pair#*=}" >"$own"
    mount -n --bind "$own" "$file"
done

# Each life of a host has its own number, as each of a machine has (systemd-nspawn does the same).
cat proc/sys/kernel/random/uuid >run/lab/boot_id
mount -n --bind run/lab/boot_id proc/sys/kernel/random/boot_id

pivot_root . mnt
cd /
umount -n -l /mnt
# The kubelet wants mounts of pods to reach the containers.
mount -n --make-rshared /
: >/run/lab/booted
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
case "$LAB_INIT" in
systemd)
    exec env -i container=lab PATH=$path LANG=C.UTF-8 \
        /lib/systemd/systemd --system --show-status=no --log-target=journal
    ;;
# A shell that waits also reaps what is left to it.
*) exec env -i container=lab PATH=$path HOME=/root sh -c 'while :; do sleep 1000000; done' ;;
esac
