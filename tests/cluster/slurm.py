"""A Slurm of two virtual nodes on this machine: started, asked, stopped. It keeps no accounts."""

import os
import pathlib
import re
import shutil
import subprocess
import time

UP = pathlib.Path(__file__).with_name("slurm_up.sh")
DAEMONS_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


def why_absent() -> str | None:
    """The reason why Slurm cannot be started here; None if it can."""
    missing = [
        name
        for name in ("sbatch", "slurmctld", "munged")
        if not shutil.which(name, path=DAEMONS_PATH)
    ]
    if missing:
        return f"Slurm is not installed: no {', '.join(missing)} (see .ci/packages)"
    return None if os.geteuid() == 0 else "only root can start Slurm"


class Slurm:
    """Slurm's daemons in `folder`; a context manager. `environment` makes a process use them."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.environment = {
            **os.environ,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "JAX_PLATFORMS": "cpu",
        }

    def __enter__(self) -> "Slurm":
        self.run(str(UP), str(self.folder))
        return self

    def __exit__(self, *_) -> None:
        self.run(str(UP), str(self.folder), "stop")

    def run(self, *command: str, seconds: float = 60) -> str:
        """Standard output of a command, which must succeed within `seconds`."""
        done = subprocess.run(
            command, env=self.environment, timeout=seconds, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *command: str) -> subprocess.Popen:
        """A running command."""
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def submit(self, command: str, output: pathlib.Path, *options: str) -> str:
        """Queue a shell command as a batch job and return its number; its output goes to a file."""
        answer = self.run("sbatch", "--parsable", f"--output={output}", *options, "--wrap", command)
        return answer.strip()

    def show(self, job: str) -> dict[str, str]:
        """What Slurm knows of a job or of one task of an array (`12_3`): JobState, Restarts, ..."""
        return dict(re.findall(r"(\w+)=(\S*)", self.run("scontrol", "show", "job", job)))

    def wait(self, job: str, *states: str, seconds: float = 60) -> dict[str, str]:
        """Wait until the job is in one of these states, such as COMPLETED; then as `show`."""
        deadline = time.monotonic() + seconds
        while (known := self.show(job))["JobState"] not in states:
            assert time.monotonic() < deadline, f"job {job} is {known['JobState']}, not {states}"
            time.sleep(0.2)
        return known
