"""
Threads of LangGraph in a store of sessions: a checkpointer.

Needs the extra ``langgraph``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

from nbsessions.exceptions import InvalidInput, MissingExtra
from nbsessions.store import Store
from nbsessions.stores.base import Documents, Key

try:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        WRITES_IDX_MAP,
        BaseCheckpointSaver,
        ChannelVersions,
        Checkpoint,
        CheckpointMetadata,
        CheckpointTuple,
        get_checkpoint_id,
        get_checkpoint_metadata,
    )
    from langgraph.checkpoint.serde.base import SerializerProtocol
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    from nbsessions.bridges._checkpoints import (
        ALL,
        CHECKPOINTS,
        WRITES,
        Kept,
        Packer,
        place,
        sweep,
    )
    from nbsessions.bridges._threads import Threads, natives
except ImportError as error:
    raise MissingExtra("A checkpointer of LangGraph", "langgraph") from error

_AT_ONCE: Final = 50
STRATEGIES: Final = ("keep_latest", "delete")


class Saver(BaseCheckpointSaver[int]):
    """A checkpointer that keeps a graph's threads as sessions of a store.

    A thread is the session of the same id: it is listed, shown, searched, backed up and deleted with the
    others. Its messages, where the graph's state has a list of them in ``messages``, are turns of it, as they
    come; a state that was changed (`update_state`, a fork from an earlier checkpoint) is a turn that takes
    the place of what was said before, and `undo` shows that again. What the graph goes on from is its
    checkpoints alone, which stand in the session's documents: undo and rewind do not change those. What is
    redacted in the session stays in them, until `prune` with ``delete``, or `delete_thread`, removes it.

    Two processes may work on one thread. No checkpoint of either is lost.

    Nothing is pickled, and of what is read back, no code is run: a state of classes of your own needs these
    in `allow`.

    Parameters
    ----------
    store : Store
    allow : sequence of type
        Classes that values in the state may be of, besides LangChain's messages and what Python brings.
    serde : SerializerProtocol or None
        What writes values instead, one that encrypts for instance.
    agent_name : str
        Of the sessions that threads become.

    Raises
    ------
    InvalidInput
        `serde` pickles.

    Examples
    --------
    >>> import nbsessions as nbs
    >>> from langgraph.graph import START, MessagesState, StateGraph
    >>> graph = StateGraph(MessagesState)
    >>> _ = graph.add_node("answer", lambda state: {"messages": [("ai", f"{len(state['messages'])} so far")]})
    >>> _ = graph.add_edge(START, "answer")
    >>> store = nbs.open_store("memory:")
    >>> chat = graph.compile(checkpointer=Saver(store))
    >>> for text in ("Hello", "And now?"):
    ...     _ = chat.invoke({"messages": [("human", text)]}, {"configurable": {"thread_id": "chat-7"}})
    >>> [message.text for message in store.resume("chat-7").messages]
    ['Hello', '1 so far', 'And now?', '3 so far']
    """

    def __init__(
        self,
        store: Store,
        *,
        allow: Sequence[type] = (),
        serde: SerializerProtocol | None = None,
        agent_name: str = "langgraph",
    ) -> None:
        if getattr(serde, "pickle_fallback", False):
            raise InvalidInput("A serde that pickles runs whatever it reads: nbsessions does not take it.")
        modules = [(one.__module__, one.__qualname__) for one in allow]
        super().__init__(
            serde=serde or JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=modules or None)
        )
        self._made = Packer(self.serde)
        self._threads = Threads(store, agent_name)
        self._backend = store.backend

    @property
    def _packer(self) -> Packer:
        if self._made.serde is not self.serde:  # of a copy that `with_allowlist` made
            self._made = Packer(self.serde)
        return self._made

    # Reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that `config` names, or the newest of its thread and namespace."""
        thread, ns, checkpoint_id = _asked(config)
        key = self._threads.key(thread)
        if not self._threads.exists(key):
            return None
        name = Documents(CHECKPOINTS, prefix=place(ns or "", ""), descending=True, limit=1)
        if checkpoint_id:
            name = Documents(CHECKPOINTS, names=[place(ns or "", checkpoint_id)])
        return next(
            (self._tuple(key, thread, Kept.of(one)) for one in self._backend.documents(key, name)), None
        )

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield the checkpoints of a thread, or of all threads, the newest of each first.

        `filter` is held against their metadata.
        """
        if limit is not None and limit <= 0:
            return
        for key, thread in self._asked_threads(config):
            ns, only = (None, None) if config is None else _asked(config)[1:]
            for kept in self._kept(key, ns, None if before is None else get_checkpoint_id(before)):
                metadata = self._packer.unpack(kept.metadata)
                meant = only in (None, kept.checkpoint_id)
                if not meant or any(metadata.get(name) != value for name, value in (filter or {}).items()):
                    continue
                yield self._tuple(key, thread, kept)
                limit = None if limit is None else limit - 1
                if limit == 0:
                    return

    def _asked_threads(self, config: RunnableConfig | None) -> Iterator[tuple[Key, str]]:
        if config is None:
            yield from self._threads.all()
        else:
            thread = _asked(config)[0]
            if self._threads.exists(key := self._threads.key(thread)):
                yield key, thread

    def _kept(self, key: Key, ns: str | None, before: str | None = None) -> Iterator[Kept]:
        """Yield the checkpoints of a session, newest first; of all namespaces where `ns` is None."""
        if ns is None:
            found = [Kept.of(one) for one in self._backend.documents(key, Documents(CHECKPOINTS))]
            found.sort(key=lambda kept: kept.checkpoint_id, reverse=True)
            yield from (kept for kept in found if before is None or kept.checkpoint_id < before)
            return
        last = None if before is None else place(ns, before)
        while True:
            asked = Documents(CHECKPOINTS, None, place(ns, ""), last, True, _AT_ONCE)
            part = self._backend.documents(key, asked)
            yield from map(Kept.of, part)
            if len(part) < _AT_ONCE:
                return
            last = part[-1].name

    def _tuple(self, key: Key, thread: str, kept: Kept) -> CheckpointTuple:
        unpack = self._packer.unpack
        checkpoint = {
            **unpack(kept.checkpoint),
            "channel_values": self._packer.values(self._backend, key, kept),
        }
        prefix = place(kept.ns, kept.checkpoint_id, "")
        written = self._backend.documents(key, Documents(WRITES, prefix=prefix))
        return CheckpointTuple(
            _config(thread, kept.ns, kept.checkpoint_id),
            checkpoint,  # type: ignore[arg-type]
            unpack(kept.metadata),
            None if kept.parent is None else _config(thread, kept.ns, kept.parent),
            self._packer.written(written),
        )

    # Writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, and what is new in its messages as a turn. Both are durable then."""
        thread, ns, parent_id = _asked(config)
        ns, key = ns or "", self._threads.made(thread)
        parent = None
        if parent_id:
            found = self._backend.documents(key, Documents(CHECKPOINTS, names=[place(ns, parent_id)]))
            parent = Kept.of(found[0]) if found else None
        told = get_checkpoint_metadata(config, metadata)
        kept, documents = self._packer.kept(ns, parent, parent_id, checkpoint, told, new_versions)
        self._backend.put_documents(key, documents, keep=True)
        self._backend.put_documents(key, [kept.document])
        if not ns:
            self._show(key, checkpoint["channel_values"])
        return _config(thread, ns, checkpoint["id"])

    def _show(self, key: Key, values: Mapping[str, Any]) -> None:
        messages = natives(values.get("messages"))
        if messages is not None:
            self._threads.show(key, messages)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task has written after a checkpoint. What it wrote before stays as it was."""
        thread, ns, checkpoint_id = _asked(config)
        key = self._threads.made(thread)
        at = (ns or "", checkpoint_id or "")
        made = [
            (self._packer.write(at, task_path, task_id, number, channel, value), channel in WRITES_IDX_MAP)
            for number, (channel, value) in enumerate(writes)
        ]
        for special in (False, True):
            self._backend.put_documents(key, [one for one, kind in made if kind is special], keep=not special)

    # Removing and copying

    def delete_thread(self, thread_id: str) -> None:
        """Delete a thread's session, its turns and all of its checkpoints."""
        self._threads.delete(thread_id)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints that these runs have made; the turns of their sessions stay."""
        wanted = {*map(str, run_ids)}
        for key, _ in self._threads.all() if wanted else ():
            every = list(self._kept(key, None))
            self._drop(
                key, [one for one in every if self._packer.unpack(one.metadata).get("run_id") in wanted]
            )

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Put all checkpoints of a thread into another one, too, and say there what was said here."""
        source = self._threads.key(source_thread_id)
        if not self._threads.exists(source):
            return
        documents = [one for name in ALL for one in self._backend.documents(source, Documents(name))]
        target = self._threads.made(target_thread_id)
        self._backend.put_documents(target, documents)
        newest = self.get_tuple(_config(target_thread_id, "", None))
        if newest is not None:
            self._show(target, newest.checkpoint["channel_values"])

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove checkpoints of threads: all but the newest of each namespace, or with ``delete`` all.

        The turns of their sessions stay.

        Raises
        ------
        InvalidInput
            There is no such strategy.
        """
        if strategy not in STRATEGIES:
            raise InvalidInput(f"strategy is one of {', '.join(STRATEGIES)}, not {strategy!r}.")
        for key in map(self._threads.key, thread_ids):
            if self._threads.exists(key):
                every = list(self._kept(key, None))
                stay = self._needed(every) if strategy == "keep_latest" else set()
                self._drop(key, [kept for kept in every if kept[:2] not in stay])

    def _needed(self, every: Sequence[Kept]) -> set[tuple[str, str]]:
        """Return the newest of each namespace, and those before it that its values are made up from."""
        known = {kept[:2]: kept for kept in every}
        stay: set[tuple[str, str]] = set()
        for kept in {kept.ns: kept for kept in reversed(every)}.values():
            step: Kept | None = kept
            # Channels that keep what changed alone: https://github.com/langchain-ai/langgraph (DeltaChannel).
            missing = {*self._packer.unpack(kept.metadata).get("counters_since_delta_snapshot", ())}
            while step is not None:
                stay.add(step[:2])
                missing -= step.values.keys()
                step = known.get((step.ns, step.parent or "")) if missing else None
        return stay

    def _drop(self, key: Key, gone: Sequence[Kept]) -> None:
        names = [place(kept.ns, kept.checkpoint_id) for kept in gone]
        self._backend.drop_documents(key, Documents(CHECKPOINTS, names=names))
        for name in names:
            self._backend.drop_documents(key, Documents(WRITES, prefix=place(name, "")))
        if gone:
            sweep(self._backend, key)

    # The same for who awaits: the store is asked on a thread

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return what `get_tuple` does."""
        return await asyncio.to_thread(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield what `list` does."""
        found = self.list(config, filter=filter, before=before, limit=limit)
        while (one := await asyncio.to_thread(next, found, None)) is not None:
            yield one

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Do what `put` does."""
        return await asyncio.to_thread(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Do what `put_writes` does."""
        await asyncio.to_thread(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Do what `delete_thread` does."""
        await asyncio.to_thread(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Do what `delete_for_runs` does."""
        await asyncio.to_thread(self.delete_for_runs, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Do what `copy_thread` does."""
        await asyncio.to_thread(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Do what `prune` does."""
        await asyncio.to_thread(self.prune, thread_ids, strategy=strategy)


def _asked(config: RunnableConfig) -> tuple[str, str | None, str | None]:
    """Return the thread, the namespace and the checkpoint that a config names."""
    told = config.get("configurable", {})
    if "thread_id" not in told:
        raise InvalidInput('A thread needs a name: config={"configurable": {"thread_id": "chat-7"}}.')
    return str(told["thread_id"]), told.get("checkpoint_ns"), told.get("checkpoint_id") or None


def _config(thread: str, ns: str, checkpoint_id: str | None) -> RunnableConfig:
    named = {} if checkpoint_id is None else {"checkpoint_id": checkpoint_id}
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, **named}}
