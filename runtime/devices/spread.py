"""The other machines that compute a model, and what is done when one of them is lost."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.devices import loss, remote
from runtime.devices.backend import Device
from runtime.errors import WorkerLost
from runtime.model import llama_api
from runtime.options.registry import Options


class Spread:
    """The machines that compute a model besides this one."""

    def __init__(self, options: Options) -> None:
        """Look the machines up; raise WorkerError if one cannot be used.

        Forks, so it must run before any thread is started.
        """
        self._patience = options.rpc_timeout
        self.machines = remote.machines(options.rpc)

    def begin(self, lose: loss.Lose) -> Sequence[tuple[Device, int]]:
        """Return the machines' devices, and the engine's pointers to them.

        When one is lost, `lose` is called on a thread of the engine's; then this process ends.
        """
        complain = llama_api.abort.told

        def told(why: str, place: str) -> None:
            endpoint = remote.lost(why)
            if not endpoint:
                complain(why, place)
                return
            names = [one.name for one in self.machines if one.endpoint == endpoint]
            error = WorkerLost(
                f"the machine {names[0] if names else endpoint} was lost while it computed",
                hint="see whether its worker still runs, and what it says",
            )
            loss.end_process(error, lose)

        llama_api.abort.told = told
        return remote.devices(self.machines, self._patience)
