"""A Slurm cluster of two nodes on this machine, with a configuration of its own in a temporary folder; as root, no systemd."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.running import wait_for

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue")
FOLDERS = ("/usr/sbin", "/usr/bin")
CONF = """
ClusterName=defectbench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdSpoolDir={folder}/spool.%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1
SlurmctldTimeout=30
SlurmdTimeout=30
KillWait=20
InactiveLimit=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
SlurmctldParameters=preempt_send_user_signal
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=high Nodes=n1,n2 Default=NO MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def lacking() -> str:
    """Why there can be no cluster here; "" if there can."""
    path = os.pathsep.join((os.environ["PATH"], *FOLDERS))
    missing = [name for name in NEEDED if shutil.which(name, path=path) is None]
    if missing:
        return f"no Slurm on this machine ({', '.join(missing)}): apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "daemons of Slurm are started as root only"
    return ""


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    import pytest_socket

    pytest_socket.enable_socket()
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
        pytest_socket.disable_socket(allow_unix_socket=True)


@dataclass
class Cluster:
    """The daemons, and how its programs are called."""

    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join((os.environ["PATH"], *FOLDERS))
        threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        return {
            **os.environ,
            **dict.fromkeys(threads, "1"),
            "PATH": path,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "SLURM_CONF": str(self.folder / "slurm.conf"),
        }

    def start(self, name: str, *command: str) -> None:
        log = (self.folder / f"{name}.out").open("wb")
        self.processes[name] = subprocess.Popen(
            command, stdout=log, stderr=log, env=self.environment, start_new_session=True
        )
        log.close()

    def ask(self, *command: str) -> str:
        """Call one of Slurm's programs."""
        done = subprocess.run(
            command, capture_output=True, text=True, env=self.environment, timeout=60, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    def stop(self) -> None:
        self.ask("scancel", "--user=root")
        for process in reversed(list(self.processes.values())):
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()

    def told(self) -> str:
        """All that there is to know of the cluster's state, for the message of a test that failed."""
        commands = (("sinfo", "--long"), ("squeue", "--long"), ("scontrol", "show", "job"))
        parts = [self.ask(*command) for command in commands]
        for name in ("slurmctld.log", "slurmd.n1.log", "slurmd.n2.log"):
            lines = (self.folder / name).read_text(errors="replace").splitlines()
            parts.append("\n".join([f"--- {name}", *lines[-25:]]))
        return "\n".join(parts)

    def states(self) -> set[str]:
        """States of the jobs that Slurm has not ended; `?` while slurmctld does not answer."""
        return set(self.ask("squeue", "--format=%T").split()) - {"STATE"} if self.there() else {"?"}

    def there(self) -> bool:
        """Whether slurmctld answers."""
        return "is UP" in self.ask("scontrol", "ping")

    def start_controller(self, *options: str) -> None:
        self.start("slurmctld", "slurmctld", "-D", *options)

    def start_node(self, name: str) -> None:
        self.start(name, "slurmd", "-D", "-N", name)

    def rest(self) -> None:
        """End every job and wait until none is there and both nodes are idle."""
        self.ask("scancel", "--user=root")
        wait_for(lambda: self.states() == set(), 60)
        wait_for(lambda: self.ask("sinfo", "--noheader", "--format=%T") == "idle", 60)


@pytest.fixture(scope="session")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    why = lacking()
    if why:
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("slurm")
    munge = folder / "munge"
    munge.mkdir()
    (munge / "key").write_bytes(os.urandom(128))
    (munge / "key").chmod(0o400)
    host = socket.gethostname().split(".")[0]
    (folder / "state").mkdir()
    for node in ("n1", "n2"):
        (folder / f"spool.{node}").mkdir()
    (folder / "slurm.conf").write_text(CONF.format(host=host, folder=folder, ports=free_ports(3)))
    cluster = Cluster(folder)
    try:
        cluster.start(
            "munged",
            "munged",
            "--foreground",
            "--force",  # folders of root's, which the daemon would rather not have
            f"--key-file={munge / 'key'}",
            f"--socket={munge / 'socket'}",
            f"--pid-file={munge / 'pid'}",
            f"--log-file={munge / 'log'}",
            f"--seed-file={munge / 'seed'}",
        )
        wait_for((munge / "socket").exists, 30)
        cluster.start_controller("-c")
        for node in ("n1", "n2"):
            cluster.start_node(node)
        try:
            wait_for(lambda: cluster.ask("sinfo", "--noheader", "--format=%T") == "idle", 60)
        except AssertionError:
            told = "\n".join(p.read_text(errors="replace")[-2000:] for p in folder.glob("*.out"))
            raise AssertionError(f"the cluster does not come up\n{told}") from None
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def cluster(daemons: Cluster) -> Iterator[Cluster]:
    """The cluster without any job."""
    yield daemons
    daemons.rest()
