"""Where a run of LangGraph stands: its newest checkpoint, which can be written down and read again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from nbsessions.adapters._langgraph_packed import pack, unpack

_SERDE = JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)


class _Written(NamedTuple):
    path: str
    task: str
    number: int
    channel: str
    value: Any


class Newest(BaseCheckpointSaver[int]):
    """A checkpointer for one run, which holds the newest checkpoint and what its tasks have written since.

    What it holds is not copied, and may be anything. It is made JSON only when it is written down.

    Parameters
    ----------
    on_write : callable
        Called after a task has ended, with what it did.

    Examples
    --------
    >>> Newest(lambda: None).dump()
    {'checkpoints': [], 'writes': []}
    """

    def __init__(self, on_write: Callable[[], None]) -> None:
        super().__init__()
        self._on_write = on_write
        self._checkpoints: dict[str, CheckpointTuple] = {}
        self._writes: dict[tuple[str, str], dict[tuple[str, int], _Written]] = {}

    # Written down

    def dump(self) -> dict[str, Any]:
        """Return all of it as JSON holds it.

        Raises
        ------
        TypeError, ValueError
            Something in it cannot be written down.
        """
        checkpoints = [
            [ns, pack(_SERDE, found.checkpoint), pack(_SERDE, found.metadata), _id(found.parent_config)]
            for ns, found in self._checkpoints.items()
        ]
        every = [(at, one) for at, written in self._writes.items() for one in written.values()]
        writes = [[*at, *one[:4], pack(_SERDE, one.value)] for at, one in every]
        return {"checkpoints": checkpoints, "writes": writes}

    def load(self, told: Mapping[str, Any], thread: str) -> None:
        """Hold what was written down, as that of this thread."""
        for ns, checkpoint, metadata, parent in told["checkpoints"]:
            found = unpack(_SERDE, checkpoint)
            before = None if parent is None else _config(thread, ns, parent)
            config = _config(thread, ns, found["id"])
            self._checkpoints[ns] = CheckpointTuple(config, found, unpack(_SERDE, metadata), before)
        for ns, checkpoint_id, path, task, number, channel, value in told["writes"]:
            written = _Written(path, task, number, channel, unpack(_SERDE, value))
            self._writes.setdefault((ns, checkpoint_id), {})[task, number] = written

    # As LangGraph asks

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the newest checkpoint of a namespace, unless another one is asked for."""
        asked = config["configurable"]
        found = self._checkpoints.get(asked.get("checkpoint_ns", ""))
        if found is None or asked.get("checkpoint_id", "") not in ("", _id(found.config)):
            return None
        written = self._writes.get((asked.get("checkpoint_ns", ""), _id(found.config) or ""), {})
        in_order = sorted(written.values(), key=_order)
        return found._replace(pending_writes=[(one.task, one.channel, one.value) for one in in_order])

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield the newest checkpoint alone: there is no other."""
        found = None if config is None or before is not None else self.get_tuple(config)
        if found is not None:
            yield found

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Hold a checkpoint in place of the one before it, and of those of subgraphs that are done."""
        asked = config["configurable"]
        ns, thread = asked.get("checkpoint_ns", ""), asked["thread_id"]
        before = asked.get("checkpoint_id")
        held = _config(thread, ns, checkpoint["id"])
        parent = _config(thread, ns, before) if before else None
        self._checkpoints[ns] = CheckpointTuple(held, checkpoint, metadata, parent)
        # What a subgraph keeps for its next call has no task in its namespace.
        inner = [other for other in self._checkpoints if other != ns and other.startswith(ns)]
        done = [other for other in inner if ":" in other[len(ns) :]]
        for other in done:
            del self._checkpoints[other]
        kept = {(other, _id(found.config)) for other, found in self._checkpoints.items()}
        self._writes = {at: written for at, written in self._writes.items() if at in kept}
        return held

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Hold what a task has written."""
        asked = config["configurable"]
        held = self._writes.setdefault((asked.get("checkpoint_ns", ""), asked["checkpoint_id"]), {})
        for at, (channel, value) in enumerate(writes):
            number = WRITES_IDX_MAP.get(channel, at)
            if number < 0 or (task_id, number) not in held:
                held[task_id, number] = _Written(task_path, task_id, number, channel, value)
        self._on_write()

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return what `get_tuple` does."""
        return self.get_tuple(config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield what `list` does."""
        for found in self.list(config, before=before):
            yield found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Do what `put` does."""
        return self.put(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Do what `put_writes` does."""
        self.put_writes(config, writes, task_id, task_path)


def _order(written: _Written) -> tuple[str, str, int]:
    return written[:3]


def _id(config: RunnableConfig | None) -> str | None:
    return None if config is None else config["configurable"]["checkpoint_id"]


def _config(thread: str, ns: str, checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}}
