"""Commands as tasks of a Ray cluster: each in the clone of the node that Ray chooses, ended with its task, its node or its sender."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.cluster import access, nodes
from pipelines.cluster.jobs import Command, Job
from pipelines.cluster.nodes import Facts
from pipelines.cluster.together import Together, variables
from pipelines.errors import BadSetting

LOST = 137  # the exit code of a command whose node or process is gone, as of one that was killed
REFUSED = 1
INTERVAL = 0.5  # seconds between two looks at the parent
CHILDREN = access.CHILDREN


class Ray:
    """The nodes of a cluster. Raises NoCluster, or OtherNode where one would compute something else."""

    def __init__(self) -> None:
        self._ray = access.connected()
        self._ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # a node's clone may lie elsewhere
        self._head = nodes.facts()
        self._check()

    def _check(self) -> None:
        """Ask every node before anything begins."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        at = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in self._alive()]
        asked, here = self._ray.remote(_facts), str(Path.cwd())
        waiting = [asked.options(num_cpus=0, max_retries=0, scheduling_strategy=node).remote(here) for node in at]
        for found in self._ray.get(waiting):
            if isinstance(found, str):
                raise nodes.OtherNode(found)
            nodes.check(self._head, found)

    def _alive(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    def capacity(self, cpus: int, gpus: float) -> int:
        return max(1, sum(_places(node["Resources"], cpus, gpus) for node in self._alive()))

    def start(self, command: Command) -> Job:
        """Raises BadSetting where too few nodes have as many cores and GPUs."""
        able = sum(_places(node["Resources"], command.cpus, command.gpus) > 0 for node in self._alive())
        if able < command.nodes:
            words = f"{able or 'No'} node{'s' * (able > 1)} of the cluster ha{'ve' if able > 1 else 's'} {command.cpus} cores"
            asked = f", and nodes={command.nodes} is asked" if command.nodes > 1 else ""
            raise BadSetting(f"{words} and {command.gpus:g} GPUs{asked}. Add one, or ask for less.")
        return self._task(command, "SPREAD") if command.nodes == 1 else self._together(command)

    def _task(self, command: Command, where: Any, **env: str) -> "Task":
        remote = self._ray.remote(_run).options(
            num_cpus=command.cpus, num_gpus=command.gpus, num_returns="streaming", max_retries=0, scheduling_strategy=where
        )
        argv = [None if word == sys.executable else str(word) for word in command.argv]
        return Task(self._ray, remote.remote(str(Path.cwd()), argv, {**command.environment(), **env}, self._head))

    def _together(self, command: Command) -> Together:
        """A task on each of so many nodes, once all of them have a place."""
        from ray.util import placement_group, remove_placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        bundle = {"CPU": command.cpus, "GPU": command.gpus} if command.gpus else {"CPU": command.cpus}
        group = placement_group([bundle] * command.nodes, strategy="STRICT_SPREAD")
        self._ray.get(group.ready())
        at = [PlacementGroupSchedulingStrategy(group, rank) for rank in range(command.nodes)]
        host, port = self._ray.get(self._ray.remote(_free_port).options(num_cpus=0, max_retries=0, scheduling_strategy=at[0]).remote())
        tasks = [self._task(command, place, **variables(rank, command.nodes, host, port)) for rank, place in enumerate(at)]
        return Together(tasks, lambda: remove_placement_group(group))


def _places(resources: dict[str, float], cpus: int, gpus: float) -> int:
    places = resources.get("CPU", 0) // cpus
    return int(min(places, resources.get("GPU", 0) // gpus) if gpus else places)


class Task:
    """A command on a node; what it prints comes line by line."""

    def __init__(self, ray: Any, stream: Any) -> None:
        self._ray, self._stream = ray, stream
        self._code = LOST

    def lines(self) -> Iterator[str]:
        """The last one says why, where the node refused the command or is lost."""
        try:
            for each in self._stream:
                value = self._ray.get(each)
                if isinstance(value, str):
                    yield value
                else:
                    self._code = value
        except self._ray.exceptions.TaskCancelledError:
            pass
        except self._ray.exceptions.RayTaskError as error:
            self._code = REFUSED
            yield str(error).strip().splitlines()[-1]
        except self._ray.exceptions.RayError as error:
            yield f"The node or process of this command is lost: {str(error).strip().splitlines()[0]}"

    def stop(self) -> None:
        self._ray.cancel(self._stream, force=True)

    def wait(self) -> int:
        return self._code


# What follows runs on a node, which gets it by value: its imports are those of the node's clone.


def _enter(folder: str) -> str:
    """Go to the node's clone; why not, or nothing."""
    import os

    own = os.environ.get("CLUSTER_FOLDER") or folder
    if not os.path.isdir(os.path.join(own, "pipelines")):  # noqa: PTH112, PTH118
        return f"node {os.uname().nodename} has no clone at {own}. Clone the project there, and start the node with CLUSTER_FOLDER=<clone>."
    if os.environ.get(CHILDREN) != "0":
        return f"node {os.uname().nodename} would leave commands running. Start it with {CHILDREN}=0."
    os.chdir(own)
    if own not in sys.path[:1]:
        sys.path.insert(0, own)
    return ""


def _facts(folder: str) -> Facts | str:
    """The facts of a node, or why it has none."""
    if why := _enter(folder):
        return why
    from pipelines import git
    from pipelines.cluster import nodes

    try:
        return nodes.facts()
    except git.Unusable as fault:
        return str(fault)


def _free_port() -> tuple[str, int]:
    """The node's address, and a port that nothing listens on."""
    import socket

    from ray.util import get_node_ip_address

    host = get_node_ip_address()
    with socket.create_server((host, 0)) as server:
        return host, server.getsockname()[1]


def _run(folder: str, argv: list[str | None], env: dict[str, str], head: Facts) -> Iterator[str | int]:
    """Lines of the command, then its exit code. A process that waits for a task outlives none: the watcher of Local ends the command."""
    import os

    node = _facts(folder)
    if isinstance(node, str):
        yield node
        yield REFUSED
        return
    from pipelines.cluster import nodes
    from pipelines.cluster.jobs import Command
    from pipelines.cluster.local import Local

    try:
        nodes.check(head, node)
    except nodes.OtherNode as other:
        yield str(other)
        yield REFUSED
        return
    path = f"{os.path.dirname(sys.executable)}:{os.environ.get('PATH', '')}"  # noqa: PTH120
    job = Local().start(Command([word or sys.executable for word in argv], {"PATH": path, **env}))
    _end_with_node(job)
    yield from job.lines()
    yield job.wait()


def _end_with_node(job: Any) -> None:
    """End command and task with the node's raylet, our parent: Ray only looks whether process 1 has adopted us, and another may have."""
    import os
    import threading
    import time

    def watch(parent: int) -> None:
        while os.getppid() == parent:
            time.sleep(INTERVAL)
        job.stop()
        os._exit(LOST)

    threading.Thread(target=watch, args=(os.getppid(),), daemon=True).start()
