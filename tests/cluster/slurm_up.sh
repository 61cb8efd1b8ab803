#!/usr/bin/env bash
# A real Slurm of two virtual nodes on this machine, without systemd, on loopback only.
#   slurm_up.sh DIR        starts munged, slurmctld and two slurmd in DIR; prints SLURM_CONF
#   slurm_up.sh DIR stop   cancels its jobs and ends what was started there
# Needs root and Debian's packages slurm-wlm and munge. DIR holds Unix sockets, so its name must be
# short. Key, sockets and ports are its own: several can run side by side.
set -Eeuo pipefail
dir=${1:?usage: slurm_up.sh DIR [stop]}
export PATH=$PATH:/usr/sbin SLURM_CONF=$dir/slurm.conf

wait_until() {
  for _ in $(seq 100); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.2
  done
  echo "slurm_up.sh: waited too long for: $* (see the logs in $dir)" >&2
  return 1
}

no_jobs() { [ -z "$(squeue --noheader)" ]; }
nodes_idle() { [ "$(sinfo --noheader --Node --states=idle | wc -l)" = 2 ]; }
no_daemons() { ! ls "$dir"/*.pid; } # each removes its own file

stop() {
  scancel --me || true
  wait_until no_jobs || true
  for pid in "$dir"/*.pid; do
    kill "$(cat "$pid")" || true
  done
  wait_until no_daemons
}

free_ports() {
  python3 -c "
import socket
listeners = [socket.create_server(('127.0.0.1', 0)) for _ in range($1)]
print(*(each.getsockname()[1] for each in listeners))"
}

configure() {
  local host controller first second
  host=$(hostname)
  read -r controller first second < <(free_ports 3)
  # The first node's name resolves, as on a real cluster: JAX finds rank 0 by it, and takes the port
  # from the job's number, which therefore differs between Slurms that run side by side.
  # A requeued job starts again after cred_expire seconds; Slurm's default is 120.
  cat >"$SLURM_CONF" <<CONFIG
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$controller
SlurmctldPidFile=$dir/slurmctld.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmUser=root
SlurmdUser=root
SlurmdPidFile=$dir/slurmd-%n.pid
SlurmdLogFile=$dir/slurmd-%n.log
SlurmdSpoolDir=$dir/spool-%n
SlurmdParameters=config_overrides
StateSaveLocation=$dir/state
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket,cred_expire=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
JobRequeue=1
FirstJobId=$controller
KillWait=10
NodeName=$host NodeHostname=$host NodeAddr=127.0.0.1 Port=$first CPUs=2
NodeName=$host-2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$second CPUs=2
PartitionName=debug Nodes=$host,$host-2 Default=YES MaxTime=INFINITE State=UP
CONFIG
}

start() {
  mkdir -p "$dir"/state
  (umask 077 && head -c 128 /dev/urandom >"$dir/munge.key")
  munged --force --socket="$dir/munge.socket" --key-file="$dir/munge.key" \
    --pid-file="$dir/munged.pid" --log-file="$dir/munged.log" --seed-file="$dir/munge.seed"
  wait_until munge --no-input --socket="$dir/munge.socket"
  configure
  slurmctld
  wait_until scontrol ping
  slurmd -N "$(hostname)"
  slurmd -N "$(hostname)-2"
  wait_until nodes_idle
  echo "$SLURM_CONF"
}

case ${2:-start} in
  start) start ;;
  stop) stop ;;
  *) echo "slurm_up.sh: unknown command $2" >&2 && exit 2 ;;
esac
