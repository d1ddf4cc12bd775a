#!/usr/bin/env bash
# A Slurm of one node on this machine, for the opt-in test: Debian's packages, no accounting, state in the folder $1.
# Needs root. `start.sh FOLDER` installs and starts, `start.sh FOLDER stop` stops what it started.
set -euo pipefail
folder="$(realpath -m "$1")"

if [ "${2:-start}" = stop ]; then
    for name in slurmd slurmctld munged; do
        [ -f "$folder/$name.pid" ] && kill "$(cat "$folder/$name.pid")" 2>/dev/null || true
    done
    [ "$(readlink /etc/slurm/slurm.conf)" = "$folder/slurm.conf" ] && rm /etc/slurm/slurm.conf
    exit 0
fi

if ! command -v slurmctld slurmd munged >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    # no daemon is to be started by its package; a policy that the machine has already stays
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
    fi
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
fi

mkdir -p "$folder/ctld" "$folder/d" /run/munge
[ -s /etc/munge/munge.key ] || mungekey --create --keyfile=/etc/munge/munge.key || dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 2>/dev/null
chown munge:munge /etc/munge/munge.key /run/munge && chmod 400 /etc/munge/munge.key && chmod 755 /run/munge
host="$(hostname -s)" # nproc alone would go by OMP_NUM_THREADS
memory="$(awk '/MemTotal/ {print int($2 / 1100)}' /proc/meminfo)" # MB, with some to spare
cat >"$folder/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=$folder/ctld
SlurmdSpoolDir=$folder/d
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
SlurmctldPort=26817
SlurmdPort=26818
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc --all) RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
version="$(slurmd -V | grep -oE '[0-9]+' | head -1)"
# newer ones want to be told that nothing is to be confined; older ones do not know the word
if [ "$version" -ge 23 ]; then printf 'CgroupPlugin=disabled\n'; fi >"$folder/cgroup.conf"
[ -s "$folder/cgroup.conf" ] || rm "$folder/cgroup.conf"
# Jobs forget SLURM_CONF, so the usual place must lead there; a configuration of this machine's own is left alone,
# be it a file or a link; a link that leads nowhere any more is that of an earlier test.
if [ -e /etc/slurm/slurm.conf ] && [ "$(readlink /etc/slurm/slurm.conf)" != "$folder/slurm.conf" ]; then
    echo "/etc/slurm/slurm.conf: this machine has a Slurm of its own" >&2
    exit 1
fi
ln -sfn "$folder/slurm.conf" /etc/slurm/slurm.conf
export SLURM_CONF="$folder/slurm.conf"

runuser -u munge -- munged --force --pid-file=/run/munge/munged.pid 2>/dev/null || munge -n >/dev/null
cp /run/munge/munged.pid "$folder/munged.pid"
slurmctld
slurmd
for _ in $(seq 60); do
    sinfo -h -o %t 2>/dev/null | grep -qE '^(idle|mix|alloc)$' && exit 0
    sleep 1
done
echo "Slurm did not come up; see $folder/slurmctld.log and $folder/slurmd.log" >&2
tail -20 "$folder"/slurm*.log >&2
exit 1
