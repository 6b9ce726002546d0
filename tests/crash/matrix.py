"""All cells: for each deployment each part, each moment, and what befalls it."""

from tests.crash import trap
from tests.crash.cell import ALL, CLOCK, CUT, JUMPS, KILL, LOST, SMTP, STOP, Cell

IN_ATTEMPT = (
    trap.AFTER_CLAIM,
    trap.BEFORE_END,
    trap.BEGUN,
    trap.AFTER_END,
    trap.AFTER_REPLY,
    trap.NOTED,
    trap.AFTER_SETTLE,
)
WORKER = "worker 1"
SERVERS = {2: ("PostgreSQL", "Redis"), 3: ("Elasticsearch", "RabbitMQ"), 4: ("PostgreSQL", "Redis")}


def cells() -> list[Cell]:
    """The whole matrix, by deployment."""
    return [*one(), *two(), *three(), *four()]


def one() -> list[Cell]:
    """Everything in one process."""
    points = (trap.AFTER_COMMIT, trap.AFTER_PUBLISH, *IN_ATTEMPT)
    return [
        Cell(1, ALL, KILL),
        Cell(1, ALL, KILL, policy="hold"),
        *(Cell(1, ALL, KILL, point) for point in points),
        Cell(1, ALL, KILL, trap.AFTER_END, policy="hold"),
        Cell(1, ALL, LOST),
        Cell(1, ALL, LOST, policy="hold"),
        Cell(1, ALL, STOP),
        *(Cell(1, CLOCK, how) for how in JUMPS),
        *around(1),
    ]


def two() -> list[Cell]:
    """PostgreSQL and Redis."""
    return [
        *of_api(2),
        *(Cell(2, WORKER, KILL, point) for point in (*IN_ATTEMPT, trap.BEFORE_ACK)),
        *of_worker(2, "resend"),
        Cell(2, WORKER, KILL, trap.AFTER_END, policy="hold"),
        *around(2),
    ]


def three() -> list[Cell]:
    """The event-driven one."""
    points = (trap.AFTER_COMMIT, trap.AFTER_CLAIM, trap.AFTER_SETTLE, trap.BEFORE_ACK)
    return [
        Cell(3, "producer", KILL),
        Cell(3, "producer", KILL, trap.SAVED),
        Cell(3, "records", KILL),
        *(Cell(3, "records", KILL, point) for point in points),
        Cell(3, "records", STOP),
        Cell(3, "records", CUT),
        *(Cell(3, WORKER, KILL, point) for point in (*IN_ATTEMPT[:-1], trap.AFTER_PUBLISH, trap.BEFORE_ACK)),
        *of_worker(3, "resend"),
        *around(3),
    ]


def four() -> list[Cell]:
    """A campaign. Its mail is held where nobody knows, by default."""
    points = (trap.FREEZING, trap.BUILDING, *IN_ATTEMPT)
    return [
        Cell(4, "api", KILL, trap.AFTER_COMMIT, policy="hold"),
        *(Cell(4, WORKER, KILL, point, policy="hold") for point in points),
        Cell(4, WORKER, KILL, trap.AFTER_END),
        *of_worker(4, "hold"),
        *around(4, "hold"),
    ]


def of_api(deployment: int) -> list[Cell]:
    """What takes the mail."""
    points = (trap.AFTER_COMMIT, trap.AFTER_PUBLISH)
    return [
        Cell(deployment, "api", KILL),
        *(Cell(deployment, "api", KILL, point) for point in points),
        Cell(deployment, "api", STOP),
    ]


def of_worker(deployment: int, policy: str) -> list[Cell]:
    """What sends it; woken late it must not send under its old fence."""
    return [
        Cell(deployment, WORKER, KILL, policy=policy),
        Cell(deployment, WORKER, LOST, policy=policy),
        Cell(deployment, WORKER, STOP, policy=policy),
        Cell(deployment, WORKER, STOP, trap.BEFORE_END, policy=policy),
        Cell(deployment, WORKER, STOP, trap.AFTER_END, policy=policy),
    ]


def around(deployment: int, policy: str = "resend") -> list[Cell]:
    """The servers, and the links that lead to them."""
    servers = (*SERVERS.get(deployment, ()), SMTP)
    return [Cell(deployment, server, how, policy=policy) for server in servers for how in (KILL, STOP, CUT)]
