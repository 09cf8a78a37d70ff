#!/usr/bin/env bash
# box.sh COMMAND…: runs COMMAND where podman works, as root on a Linux without systemd or a daemon.
#
# It is a mount and a pid namespace of its own: nothing outside is changed, and whatever was started
# inside ends with COMMAND. Images are kept in $BOX_HOME. Where containers cannot run, COMMAND runs as
# it is, with the reason in $NO_CONTAINERS.
set -euo pipefail

refuse() {
    export NO_CONTAINERS=$1
    shift
    exec "$@"
}

for tool in podman buildah crun mmdebstrap netavark aardvark-dns tini ip nsenter; do
    PATH=$PATH:/usr/lib/podman command -v "$tool" > /dev/null || refuse "$tool is not installed" "$@"
done
[ "$(id -u)" = 0 ] || refuse "only root may make containers here" "$@"
unshare --mount --pid --fork true 2> /dev/null || refuse "no right to make namespaces" "$@"

export BOX_HOME=${BOX_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/backtest-jobs-containers}
mkdir -p "$BOX_HOME/storage" "$BOX_HOME/etc"
# One at a time: a run begins by removing what a run that was broken off has left.
exec 9> "$BOX_HOME/lock"
flock --nonblock 9 || { echo "waiting for another run in $BOX_HOME" >&2; flock 9; }
cp -r /etc/containers/. "$BOX_HOME/etc/"
cat > "$BOX_HOME/etc/containers.conf" << 'CONF'
[containers]
# A higher limit than one's own may not be set without CAP_SYS_RESOURCE.
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
# Neither systemd nor its journal is there.
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF

# Bind mounts, because podman is slow with storage and configuration that are named in other ways.
exec unshare --mount --propagation private --pid --fork --kill-child=KILL --mount-proc \
    tini -s -- bash -c '
# Two versions of cgroups at once are refused: only the first is seen in here. In the place of the second
# groups are made as ordinary folders, which must not stay.
if mountpoint -q /sys/fs/cgroup/unified; then
    umount /sys/fs/cgroup/unified
    mount -t tmpfs tmpfs /sys/fs/cgroup/unified
fi
mkdir -p /var/lib/containers
mount --bind "$BOX_HOME/storage" /var/lib/containers
mount --bind "$BOX_HOME/etc" /etc/containers
for state in containers libpod crun netns; do
    mkdir -p /run/$state
    mount -t tmpfs tmpfs /run/$state
done
exec "$@"' box "$@"
