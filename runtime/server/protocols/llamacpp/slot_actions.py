"""llama-server's actions on slots: to save one's state to a file, restore it, or erase it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from runtime.errors import AppError, SessionError
from runtime.server.http.http_error import HTTPError, http_error_of
from runtime.server.protocols.sampling_fields import Name
from runtime.server.service.saved_slots import SavedSlots
from runtime.server.service.service import Service


class SlotQuery(Struct):
    """Which slot, and what is to be done with it."""

    id_slot: int
    action: Literal["save", "restore", "erase"]


class SlotFile(Struct):
    """The file in the folder that was named at the start."""

    filename: Name = ""


class SlotTimings(Struct, kw_only=True):
    """How long it took, in milliseconds."""

    save_ms: float | UnsetType = UNSET
    restore_ms: float | UnsetType = UNSET


class SlotDone(Struct, kw_only=True):
    """What was done: tokens, and bytes of the file."""

    id_slot: int
    filename: str | UnsetType = UNSET
    n_saved: int | UnsetType = UNSET
    n_written: int | UnsetType = UNSET
    n_restored: int | UnsetType = UNSET
    n_read: int | UnsetType = UNSET
    n_erased: int | UnsetType = UNSET
    timings: SlotTimings | UnsetType = UNSET


async def act(service: Service, request: SlotFile, query: SlotQuery) -> SlotDone:
    """Save, restore or erase a slot, once it is free."""
    slots = service.saved_slots
    if slots is None:
        raise HTTPError(
            501, "no folder was named for slots: start the server with --slot-save-path"
        )
    if not 0 <= query.id_slot < service.options.parallel:
        raise HTTPError(
            400,
            f"there is no slot {query.id_slot}: there are {service.options.parallel}",
            param="id_slot",
        )
    if not request.filename and query.action != "erase":
        raise HTTPError(400, "'filename' is missing", param="filename")
    try:
        return await service.prepare(lambda: _done(slots, request, query), characters=0, slow=True)
    except SessionError as exc:
        folder = f"{Path(service.options.slot_save_path).absolute()}/"  # is not a client's business
        raise HTTPError(400, exc.problem.replace(folder, ""), param="filename") from exc
    except AppError as exc:
        raise http_error_of(exc) from exc


def _done(slots: SavedSlots, request: SlotFile, query: SlotQuery) -> SlotDone:
    number, name = query.id_slot, request.filename
    if query.action == "erase":
        return SlotDone(id_slot=number, n_erased=slots.erase(number))
    if query.action == "save":
        moved = slots.save(number, name)
        timings = SlotTimings(save_ms=1000 * moved.seconds)
        return SlotDone(id_slot=number, filename=name, n_saved=moved.tokens,
                        n_written=moved.bytes, timings=timings)  # fmt: skip
    moved = slots.restore(number, name)
    timings = SlotTimings(restore_ms=1000 * moved.seconds)
    return SlotDone(id_slot=number, filename=name, n_restored=moved.tokens, n_read=moved.bytes,
                    timings=timings)  # fmt: skip
