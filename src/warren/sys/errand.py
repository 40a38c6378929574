"""A command of the owner's that the agent has run when something happened: as nobody, one at a time, not for long.

    where systemd runs     a transient unit of its own, which systemd ends
    elsewhere              a process in a session of its own, which we end

The network file may lie in a repository that many can write to, so what it names is not run as root: whoever wants
more allows `nobody` that very command on the host itself (sudoers(5)).
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress

from warren.core.render.services import Tools
from warren.model.change import Command
from warren.sys.errors import HostError
from warren.sys.run import CommandFailed, environment, run

LONGEST = 60  # seconds that it may take
USER = "nobody"


class Errand:
    """One command, by its words; `name` tells its unit from others."""

    def __init__(self, argv: tuple[str, ...], name: str, tools: Tools) -> None:
        self.argv = argv
        self._unit, self._tools = f"warren-{name}", tools
        self._process: subprocess.Popen[bytes] | None = None
        self._ends = 0.0

    def begin(self, told: Mapping[str, str]) -> bool:
        """Run it with these variables in its environment; False while it still runs. HostError if it cannot be run."""
        self.look()
        return self._begin_unit(told) if self._tools.systemd else self._begin_process(told)

    def look(self) -> None:
        """See whether it has ended, and end it if it takes too long."""
        if self._process is None:
            return
        if self._process.poll() is None and time.monotonic() > self._ends:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.returncode is not None:
            self._process = None

    def _begin_unit(self, told: Mapping[str, str]) -> bool:
        try:
            run(Command(("systemctl", "is-active", "--quiet", f"{self._unit}.service")))
            return False
        except CommandFailed:
            pass
        how = [f"--unit={self._unit}", f"--uid={USER}", f"--property=RuntimeMaxSec={LONGEST}"]
        how += [f"--setenv={name}={value}" for name, value in told.items()]
        run(Command(("systemd-run", "--quiet", "--collect", "--no-block", *how, "--", *self.argv), says="at a knock"))
        return True

    def _begin_process(self, told: Mapping[str, str]) -> bool:
        if self._process is not None:
            return False
        become: dict[str, object] = {}
        if not self._tools.one_user:
            nobody = pwd.getpwnam(USER)
            become = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}
        bare = {"PATH": environment(os.environ)["PATH"], "LC_ALL": "C"}
        try:
            self._process = subprocess.Popen(  # type: ignore[call-overload]
                self.argv,
                cwd="/",
                env={**bare, **told},
                stdin=subprocess.DEVNULL,
                stdout=2,
                start_new_session=True,
                **become,
            )
        except (OSError, subprocess.SubprocessError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise HostError(f"{self.argv[0]} cannot be run as {USER}: {why.lower()}") from None
        self._ends = time.monotonic() + LONGEST
        return True
