"""A real SLURM on this machine, as root and without systemd: one controller and two nodes, each a daemon.

Debian's packages: `apt-get install slurm-wlm munge`. The configuration has to lie at its default place, where the
`srun` inside a job looks for it; where one is already, nothing is touched.
"""

import os
import platform
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

CONFIGURATION = Path("/etc/slurm/slurm.conf")
NODES = ("n1", "n2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel")

TEMPLATE = """
ClusterName=paired
SlurmctldHost={host}
SlurmUser=root
SlurmctldPort=16817
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
SlurmdTimeout=15
KillWait=15
MinJobAge=3600
NodeName=n1 NodeHostname={host} Port=16821 CPUs=1 RealMemory=6000
NodeName=n2 NodeHostname={host} Port=16822 CPUs=1 RealMemory=6000
PartitionName=main Nodes=n1,n2 Default=YES State=UP
"""


class Slurm:
    """The daemons, in a folder of their own; a context, which ends all of them."""

    def __init__(self, folder):
        self.folder, self.daemons = folder, {}

    def __enter__(self):
        missing = [name for name in PROGRAMS if shutil.which(name) is None]
        assert not missing, f"{', '.join(missing)} missing: apt-get install slurm-wlm munge"
        assert os.getuid() == 0, "the daemons of two nodes on one machine run as root"
        assert not CONFIGURATION.exists(), f"{CONFIGURATION} is there: this machine belongs to a cluster"
        for name in ("state", *NODES):
            (self.folder / name).mkdir()
        CONFIGURATION.parent.mkdir(exist_ok=True)
        CONFIGURATION.write_text(TEMPLATE.format(host=platform.node(), folder=self.folder))
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        places = [f"--{name}={self.folder}/munge.{name.split('-')[0]}" for name in ("socket", "pid-file", "log-file")]
        self._daemon(
            "munged",
            "munged",
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--seed-file={self.folder}/munge.seed",
            *places,
        )
        self.wait(lambda: (self.folder / "munge.socket").exists())
        self._daemon("slurmctld", "slurmctld", "-D")
        for node in NODES:
            self._daemon(node, "slurmd", "-D", "-N", node)
        self.wait(lambda: self.asked("sinfo", "-h", "-o", "%D %T") == "2 idle")

    def _daemon(self, name, *command):
        output = (self.folder / f"{name}.out").open("wb")
        self.daemons[name] = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)

    def asked(self, *command):
        """What a command of SLURM prints."""
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def wait(self, condition, seconds=60):
        """Wait until a condition holds, and return what it returned."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"not seen in {seconds} s; {self.asked('sinfo', '-N', '-l')}"
            time.sleep(0.2)
        return found

    def running(self):
        """The nodes that have a running job, each with the run's name, from the job's comment."""
        lines = self.asked("squeue", "-h", "-t", "R", "-o", "%N %k").splitlines()
        return {node: comment.rpartition("_wildcards_")[2] for node, comment in (line.split() for line in lines)}

    def queued_again(self):
        """The first job that waits for its second start, or None."""
        lines = self.asked("squeue", "-h", "-t", "PD", "-O", "JobID,RestartCnt").splitlines()
        return next((job for job, restarts in map(str.split, lines) if restarts != "0"), None)

    def kill(self, node):
        """End a node as a power cut does: its daemon, and all that runs in its jobs, at once."""
        victims = {self.daemons[node].pid}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("SLURMD_NODENAME") == node:
                    victims.add(process.pid)
                    victims |= {one.pid for one in process.parents() if one.name() == "slurmstepd"}
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def __exit__(self, *_):
        self.asked("scancel", "--user=root")
        for name, daemon in reversed(self.daemons.items()):
            if name in NODES:
                self.kill(name)
            daemon.kill()
            daemon.wait()
        CONFIGURATION.unlink(missing_ok=True)
